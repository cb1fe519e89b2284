"""redis.call: what a script asks, carried out as its client would have it.

What it is: the doors `call`, `packed`, `acl` and `resp` of the script that runs, between begin() and end().

What it is not: a dispatcher of its own. A command with a native implementation is run by tsunami._wire (Calls.call, the
door itself), any other by Session.perform; what is here are the checks that only scripts have, in Redis's words.

What must stay true:

1. A door never raises: Lua would see the exception as an object. Whatever goes wrong is a text for Lua.
2. `wrote` is set before a command that may write begins.
3. Answers are values that Lua takes as they are, or `None, data`: a reply in RESP in the version that the script has
   asked for, or an error of the call itself behind an exclamation mark; or `None, True, *elements`: an array of plain
   values.
4. No answer is larger than `reply_most`: there is always room for it in the Lua state (sandbox.lua, 3).
5. Before the first command of a script begins it is alone with the database (be_alone).
"""

import logging
from collections.abc import Callable
from typing import Final

from tsunami import _wire
from tsunami_server.command import Command, CommandError, registry
from tsunami_server.scripting.doors import spell
from tsunami_server.session import NOT_IN_SCRIPT, REACH_OTHERS, Session

log = logging.getLogger("tsunami")

Answer = object  # see 3

NOTHING: Final = b"!ERR Please specify at least one argument for this redis lib call"
NO_WORD: Final = b"!ERR Lua redis lib command arguments must be strings or integers"
UNKNOWN: Final = b"-ERR Unknown Redis command called from script\r\n"
MISCOUNTED: Final = b"-ERR Wrong number of args calling Redis command from script\r\n"
FORBIDDEN: Final = b"-" + NOT_IN_SCRIPT.encode() + b"\r\n"
NO_WRITES: Final = b"-ERR Write commands are not allowed from read-only scripts.\r\n"
FAILED: Final = b"-ERR internal error in a script's call\r\n"
TOO_LARGE: Final = b"-ERR the reply is too large for a script\r\n"
NO_COMMAND: Final = b"Invalid command passed to redis.acl_check_cmd()"

WIDE: Final = frozenset({"select", "swapdb", "move", "copy", "flushall"})  # these can reach other databases
HOT, WRITES = 1, 2  # as CALL_HOT and CALL_WRITES in direct.pxi
PLAIN: Final = (bytes, int)
FEW: Final = 100  # elements of an array that go one by one


class Caller(_wire.Calls):
    def __init__(self, reply_most: int, widen: Callable[[], None]) -> None:
        """`widen` is called before a command that reaches other databases than the selected one."""
        super().__init__(reply_most)
        self._widen = widen
        self._session: Session | None = None
        self._allow_oom = False

    def begin(self, session: Session, read_only: bool, allow_oom: bool) -> int:
        """From now on calls are this session's. The version of RESP that its client speaks."""
        self._session, self._allow_oom = session, allow_oom
        return self.enter(session.conn, read_only)

    def end(self) -> None:
        self._session = None
        self.leave()

    # ---- doors

    def cold(self, words: tuple[object, ...], /) -> Answer:
        """A call that was not carried out natively."""
        argv: list[bytes] = list(words)  # type: ignore[arg-type]
        for at, word in enumerate(words):
            if type(word) is not bytes:
                if type(word) is not int and type(word) is not float:
                    return None, NO_WORD
                argv[at] = spell(word, True)
        if not argv:
            return None, NOTHING
        command = self._learn(argv)
        if command is None:
            return None, self._refused(None, UNKNOWN)
        if command.is_write or command.name in REACH_OTHERS:
            if self.read_only:
                return None, self._refused(command, NO_WRITES)
            self.wrote = self.wrote or command.is_write
        return self._perform(command, argv)

    def broken(self, error: Exception, /) -> Answer:
        log.error("a call of a script failed unexpectedly", exc_info=error)
        return None, FAILED

    def packed(self, text: bytes) -> Answer:
        """As call, the words in one: each behind its length and a colon."""
        argv, at = [], 0
        while at < len(text):
            colon = text.index(b":", at)
            length = int(text[at:colon])
            at = colon + 1 + length
            argv.append(text[colon + 1 : at])
        return self.call(*argv)

    def resp(self, version: int) -> None:
        if self._session is not None:
            self._session.conn.resp = version

    def acl(self, *words: object) -> Answer:
        if not words:
            return None, NOTHING[5:]
        if not all(type(word) in (bytes, int, float) for word in words):
            return None, NO_WORD[5:]
        argv = [word if isinstance(word, bytes) else spell(word, True) for word in words]  # type: ignore[arg-type]
        try:
            command = registry.find(argv)
        except CommandError:
            return None, NO_COMMAND
        assert self._session is not None
        return self._session.user.denied(command, argv) is None  # asking is nothing that ACL LOG tells of

    # ---- carrying out

    def _learn(self, argv: list[bytes]) -> Command | None:
        """What a call means. Those that may run natively are known from now on, by this spelling of their name."""
        try:
            command = registry.find(argv)
        except CommandError:
            return None
        if command.hot and command.name not in WIDE | REACH_OTHERS and len(self.facts) < 4096:
            self.facts[argv[0]] = HOT | (WRITES if command.is_write else 0)
        return command

    def _taken(self, data: bytes) -> Answer:
        """A native reply, as Lua has it."""
        kind = data[0]
        if kind == 58:  # :
            return int(data[1:-2])
        if len(data) > self.reply_most:
            return None, TOO_LARGE
        if kind == 36:  # $
            return False if data[1] == 45 else data[data.index(b"\n") + 1 : -2]
        return None if kind == 95 else (None, data)

    def _perform(self, command: Command, argv: list[bytes]) -> Answer:
        session = self._session
        assert session is not None
        if not command.accepts(len(argv)):
            return None, self._refused(command, MISCOUNTED)
        if "noscript" in command.flags:
            return None, self._refused(command, FORBIDDEN)
        problem = session.forbidden(command, argv, "lua")
        if problem is not None:
            return None, self._refused(command, f"-{problem}\r\n".encode())
        self.be_alone()
        if command.name in WIDE:
            self._widen()
        reply = session.perform(argv, script=True, allow_oom=self._allow_oom)
        if type(reply) in PLAIN and len(reply if type(reply) is bytes else b"") <= self.reply_most:
            return reply
        if type(reply) is list and len(reply) <= FEW and session.conn.resp == 2 and plain(reply):
            return None, True, *reply
        data = _wire.encode(reply, session.conn.resp)
        return self._taken(data) if len(data) <= self.reply_most else (None, TOO_LARGE)

    def _refused(self, command: Command | None, line: bytes) -> bytes:
        assert self._session is not None
        shared = self._session.app.shared
        if command is not None:
            shared.commands[command.name].rejected += 1
        shared.count_error(line[1:].decode("utf-8", "replace"))
        return line


def plain(reply: list[object]) -> bool:
    size = sum(len(item) for item in reply if isinstance(item, bytes))
    return size < 1 << 20 and all(type(item) in PLAIN for item in reply)
