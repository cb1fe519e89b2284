"""redis.call: what a script asks, carried out as its client would have it.

What it is: the doors `call`, `packed`, `acl` and `resp` of the script that runs.

What it is not: a dispatcher of its own. A command with a native implementation is run by tsunami._wire, and does not
come here (script.pxi); any other is run by Session.perform. What is here are the checks that only scripts have, in
Redis's words.

What must stay true:

1. A door never raises: Lua would see the exception as an object. Whatever goes wrong is a text for Lua.
2. `wrote` is set before a command that may write begins.
3. An answer is a reply in RESP, in the version that the script has asked for; or an error of the call itself behind an
   exclamation mark.
4. Before the first command of a script begins it is alone with the database, and before one that reaches others it is
   alone with all (be_alone).
"""

import logging
from collections.abc import Callable
from typing import Final

from tsunami import _wire
from tsunami_server.command import Command, CommandError, registry
from tsunami_server.scripting.doors import spell
from tsunami_server.session import NOT_IN_SCRIPT, REACH_OTHERS, Session

log = logging.getLogger("tsunami")

# An error that has ended a script: its text, where it came from as Lua says it ("" if nobody knows; None if it is what
# the script has returned), the line, and whether it is the error of a command that has been counted as such.
Problem = tuple[bytes, bytes | None, int, bool]
Ended = Callable[[Session, _wire.Script, Problem | None], CommandError | None]

NOTHING: Final = b"!ERR Please specify at least one argument for this redis lib call"
NO_WORD: Final = b"!ERR Lua redis lib command arguments must be strings or integers"
UNKNOWN: Final = b"-ERR Unknown Redis command called from script\r\n"
MISCOUNTED: Final = b"-ERR Wrong number of args calling Redis command from script\r\n"
FORBIDDEN: Final = b"-" + NOT_IN_SCRIPT.encode() + b"\r\n"
NO_WRITES: Final = b"-ERR Write commands are not allowed from read-only scripts.\r\n"
FAILED: Final = b"-ERR internal error in a script's call\r\n"
NO_COMMAND: Final = b"Invalid command passed to redis.acl_check_cmd()"

WIDE: Final = frozenset({"select", "swapdb", "move", "copy", "flushall"})  # these can reach other databases


class Caller(_wire.Calls):
    def __init__(self, reply_most: int, ended: Ended) -> None:
        """`ended` is asked for the error of a run that has failed, or was not an ordinary one (`strange`)."""
        super().__init__(reply_most)
        self._ended = ended
        for command in registry.commands.values():
            if command.hot and not self._is_special(command):
                self.admit(command.name, command.is_write)

    def ended(self, session: object, script: _wire.Script, problem: Problem | None, /) -> CommandError | None:
        assert isinstance(session, Session)
        return self._ended(session, script, problem)

    # ---- doors

    def cold(self, words: tuple[object, ...], /) -> bytes:
        """A call that was not carried out natively."""
        argv: list[bytes] = list(words)  # type: ignore[arg-type]
        for at, word in enumerate(words):
            if type(word) is not bytes:
                if type(word) is not int and type(word) is not float:
                    return NO_WORD
                argv[at] = spell(word, True)
        if not argv:
            return NOTHING
        try:
            command = registry.find(argv)
        except CommandError:
            return self._refused(None, UNKNOWN)
        if command.is_write or command.name in REACH_OTHERS:
            if self.read_only:
                return self._refused(command, NO_WRITES)
            self.wrote = self.wrote or command.is_write
        return self._perform(command, argv)

    def broken(self, error: Exception, /) -> bytes:
        log.error("a call of a script failed unexpectedly", exc_info=error)
        return FAILED

    def packed(self, text: bytes) -> bytes:
        """As call, the words in one: each behind its length and a colon."""
        argv, at = [], 0
        while at < len(text):
            colon = text.index(b":", at)
            length = int(text[at:colon])
            at = colon + 1 + length
            argv.append(text[colon + 1 : at])
        return self.call(*argv)

    def resp(self, version: int) -> None:
        self._runs_for.conn.resp = version

    def acl(self, *words: object) -> object:
        """Whether the user may make this call; or nothing, and what is wrong with it."""
        if not words:
            return None, NOTHING[5:]
        if not all(type(word) in (bytes, int, float) for word in words):
            return None, NO_WORD[5:]
        argv = [word if isinstance(word, bytes) else spell(word, True) for word in words]  # type: ignore[arg-type]
        try:
            command = registry.find(argv)
        except CommandError:
            return None, NO_COMMAND
        return self._runs_for.user.denied(command, argv) is None  # asking is nothing that ACL LOG tells of

    # ---- carrying out

    @property
    def _runs_for(self) -> Session:
        """Whose script runs."""
        session = self.session
        assert isinstance(session, Session)
        return session

    @staticmethod
    def _is_special(command: Command) -> bool:
        """Is it refused in scripts, or more than a step in the database that is selected?"""
        return command.name in WIDE | REACH_OTHERS or "noscript" in command.flags

    def _perform(self, command: Command, argv: list[bytes]) -> bytes:
        session = self._runs_for
        if not command.accepts(len(argv)):
            return self._refused(command, MISCOUNTED)
        if "noscript" in command.flags:
            return self._refused(command, FORBIDDEN)
        problem = session.forbidden(command, argv, "lua")
        if problem is not None:
            return self._refused(command, f"-{problem}\r\n".encode())
        self.be_alone(command.name in WIDE)
        allow_oom = self.script is not None and self.script.allow_oom
        return _wire.encode(session.perform(argv, script=True, allow_oom=allow_oom), session.conn.resp)

    def _refused(self, command: Command | None, line: bytes) -> bytes:
        shared = self._runs_for.app.shared
        if command is not None:
            shared.commands[command.name].rejected += 1
        shared.count_error(line[1:].decode("utf-8", "replace"))
        return line
