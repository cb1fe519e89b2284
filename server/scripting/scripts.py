"""What a server knows of scripts: the cache, the run under way, its time limit, and how it can be ended.

What it is: one object for each server (`shared.scripts`). It runs scripts one at a time, on the event loop's thread.

What it is not: Lua (engine.py), or commands (commands/scripting.py).

**A script that runs too long.** A script runs on the loop's thread, inside of the command that asked for it: handing
each of them to another thread would cost more than most of them take, and what runs in Lua cannot change threads on its
way. So it is the script that lets others in: Lua's hook comes every few thousand instructions, in coroutines too, and
asks `_tick`. When busy-reply-threshold is over, the server is *busy*: every command of every other connection goes to
Python (plane.hold_all) and is refused by the session with BUSY, unless its flags say that it is allowed then; and each
look at the clock lets the transport take in what has arrived and answer it (`Host.serve_busy`). That is no turn of
asyncio's loop, which cannot be nested: only sockets of clients and listeners are looked at, nothing is awaited, no
timer runs, and connections that end are kept until the script is over.

SCRIPT KILL comes in on that way and sets `_verdict`, which the hook turns into an error, again at each step, so that a
pcall does not outlive it. A script that has written anything is not killed, since half of it would stay: only SHUTDOWN
NOSAVE ends it.

What must stay true:

1. One run at a time: a script cannot run scripts (`noscript`), and while the server is busy EVAL is refused.
2. Whatever ends a run, database, protocol version and the plane are what they were before.
3. From the first call of a script to its end no other thread changes the database that it has selected: the gate is
   closed behind it. Before it reaches another database it takes the gate for all of them.
4. A script is in the cache under the SHA-1 of its whole text, shebang included, until SCRIPT FLUSH.
"""

import logging
from collections.abc import Callable
from hashlib import sha1
from typing import TYPE_CHECKING, Final

from tsunami import _wire
from tsunami._wire import Script
from tsunami_server.command import CommandError, registry
from tsunami_server.scripting.caller import Caller, Problem
from tsunami_server.scripting.engine import MEMORY, Engine, Failed, LuaMissing

if TYPE_CHECKING:
    from tsunami_server.session import Session

log = logging.getLogger("tsunami")

SERVE_EVERY_NS: Final = 1_000_000  # while a script is busy: so often others are let in, at most
FLAGS: Final = frozenset({"no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"})
LEVELS: Final = (logging.DEBUG, logging.INFO, logging.INFO, logging.WARNING)
KILLED: Final = b"ERR Script killed by user with SCRIPT KILL."
STOPPED: Final = b"ERR Script ended by SHUTDOWN NOSAVE."
NOT_BUSY: Final = "NOTBUSY No scripts in execution right now."
UNKILLABLE: Final = (
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
    "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)
NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."
WRITING_RO: Final = "ERR Can not execute a script with write flag using *_ro command."
OUT_OF_MEMORY: Final = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"


class Scripts:
    def __init__(self, version: str) -> None:
        self._version = version
        self.caller = Caller(MEMORY // 16, self._ended)
        self._cache = self.caller.known  # by sha, in lower case
        self._engine: Engine | None = None
        # -- of the run under way
        self._verdict: bytes | None = None  # what the run is to end with
        self._busy = False
        self._served_ns = 0

    # ---- for INFO

    @property
    def cached(self) -> int:
        return len(self._cache)

    @property
    def cache_memory(self) -> int:
        return sum(script.size for script in self._cache.values())

    @property
    def lua_memory(self) -> int:
        return self._engine.memory if self._engine is not None else 0

    # ---- the cache

    def load(self, text: bytes) -> Script:
        """The script with this text, compiled if it was not yet. CommandError."""
        sha = sha1(text, usedforsecurity=False).hexdigest()
        return self._cache.get(sha.encode()) or self._compile(sha, text)

    def find(self, sha: bytes) -> Script:
        """The script that is known by this name, in any case. CommandError."""
        script = self.known(sha)
        if script is None:
            raise CommandError(NO_SCRIPT)
        return script

    def known(self, sha: bytes) -> Script | None:
        """The same, None if there is none."""
        return self._cache.get(sha) or self._cache.get(sha.lower())

    def knows(self, sha: bytes) -> bool:
        return sha.lower() in self._cache

    def flush(self) -> None:
        """Forget all scripts, and all that Lua remembers of them."""
        self.caller.close()
        self._engine = None

    def _compile(self, sha: str, text: bytes) -> Script:
        flags, body = shebang(text)
        try:
            number = self._lua().compile(body)
        except Failed as error:
            raise CommandError(f"ERR Error compiling script (new function): {shown(error.text)}") from None
        script = Script(sha, number, len(text) + len(sha), flags)
        self._cache[sha.encode()] = script
        return script

    def _lua(self) -> Engine:
        if self._engine is None:
            others: dict[str, Callable[..., object]] = {"tick": self._tick, "log": write_log, "sha1": sha1_hex}
            try:
                self._engine = Engine(self.caller, others, self._version)
            except LuaMissing as error:
                raise CommandError(str(error)) from None
        return self._engine

    # ---- a run

    def run(
        self, session: "Session", script: Script, keys: int, args: list[bytes], read_only: bool = False
    ) -> _wire.Raw:
        """Run a script; behind two other arguments stand its keys, so many, and its own arguments. CommandError."""
        if script.flags is not None:
            self._look_at_flags(session, script, read_only)
        return self.caller.run(session, session.conn, script, keys, args, read_only)

    def _look_at_flags(self, session: "Session", script: Script, read_only: bool) -> None:
        if read_only and not script.read_only:
            raise CommandError(WRITING_RO)
        if not script.allow_oom and not script.read_only and session.out_of_memory(registry.commands["set"]):
            raise CommandError(OUT_OF_MEMORY)

    def _ended(self, session: "Session", script: Script, problem: Problem | None) -> CommandError | None:
        """A run has ended that has failed, or was not an ordinary one: tidy up. Its error."""
        error = None
        if problem is not None:
            text, source, line, counted = problem
            error = CommandError(shown(text) if source is None else self._told(script, text, source, line), counted)
        verdict, self._verdict = self._verdict, None
        if verdict is not None and self._engine is not None:
            self._engine.calm()
        self.caller.strange = False
        if self._busy:
            self._busy = False
            shared = session.app.shared
            shared.busy = False
            session.app.plane.hold_all = shared.paused == "all"
            session.app.busy_over()
        return error

    def _told(self, script: Script, text: bytes, source: bytes, line: int) -> str:
        if source:
            return f"{shown(text)} script: {script.sha}, on {shown(source)}:{line}."
        return f"{shown(self._verdict or text)} script: {script.sha}"

    # ---- too long

    def _tick(self) -> bytes | None:
        """Lua's hook asks: what is the run to end with?"""
        try:
            return self._look()
        except Exception:
            log.exception("a look at a running script failed; it goes on")
            return None

    @property
    def _runs_for(self) -> "Session | None":
        """Whose script runs."""
        session: Session | None = self.caller.session  # type: ignore[assignment]
        return session

    def _look(self) -> bytes | None:
        session = self._runs_for
        if session is None or self._verdict is not None:
            return self._verdict
        now_ns, limit_ms = _wire.clock_ns(), session.setting("busy-reply-threshold")
        if limit_ms and now_ns - self.caller.started_ns >= limit_ms * 1_000_000:
            if not self._busy:
                self._become_busy(session, (now_ns - self.caller.started_ns) // 1_000_000)
            if now_ns - self._served_ns >= SERVE_EVERY_NS:
                session.app.serve_busy()
                self._served_ns = _wire.clock_ns()
        return self._verdict

    def _become_busy(self, session: "Session", for_ms: int) -> None:
        self._busy = session.app.shared.busy = self.caller.strange = True
        session.app.plane.hold_all = True
        log.warning(
            "Slow script detected: still in execution after %d milliseconds. You can try killing the script using the "
            "SCRIPT KILL command.",
            for_ms,
        )

    def kill(self) -> None:
        """End the run under way, if it has written nothing. CommandError."""
        if self._runs_for is None:
            raise CommandError(NOT_BUSY)
        if self.caller.wrote:
            raise CommandError(UNKILLABLE)
        self._end(KILLED)

    def stop(self) -> None:
        """End the run under way, if there is one, whatever it has done."""
        if self._runs_for is not None:
            self._end(STOPPED)

    def _end(self, verdict: bytes) -> None:
        self._verdict = verdict
        self.caller.strange = True


def shown(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def sha1_hex(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()


def write_log(level: float, text: bytes) -> None:
    log.log(LEVELS[int(level)], "script: %s", shown(text))


def shebang(text: bytes) -> tuple[frozenset[str] | None, bytes]:
    """The flags of the first line, if it is a shebang, and the text without it (its line break stays). CommandError."""
    if not text.startswith(b"#!"):
        return None, text
    line, mark, _ = text.partition(b"\n")
    if not mark:
        raise CommandError("ERR Invalid script shebang")
    words = shown(line).split()
    if not words:
        raise CommandError("ERR Invalid engine in script shebang")
    if words[0] != "#!lua":
        raise CommandError(f"ERR Unexpected engine in script shebang: {words[0]}")
    flags: set[str] = set()
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name != "flags" or "=" not in word:
            raise CommandError(f"ERR Unknown lua shebang option: {word}")
        for flag in value.split(",") if value else ():
            if flag not in FLAGS:
                raise CommandError(f"ERR Unexpected flag in script shebang: {flag}")
            flags.add(flag)
    return frozenset(flags), text[len(line) :]
