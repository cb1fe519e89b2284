"""One client: argv in, reply out.

What it is: the state of one conversation (name, database, protocol version, what CLIENT LIST shows) and the dispatch of
cold commands. Each goes the same way: look it up; `objection` (words, authentication, transaction, rights, memory,
subscriptions, a busy script, in Redis's order); CLIENT PAUSE; queue it or call its handler; count; `changed`, in which
whoever waited for a change is served.

While none of these questions can have any other answer than yes, tsunami._wire takes the commands that were met before
(`_learn`) straight to their handlers; it asks here for whatever is not of the common kind: `failed`, `later`,
`note_slow`, `changed`, `replied`, `unwritable`.

What it is not: it owns no socket, and what time it is the app says; it measures only how long its own commands take. It
writes no replies: a reply is returned, or an awaitable of one, and the transport writes it. RESP itself, and the
commands that run without Python, are tsunami._wire's.

**Inside of another command.** EXEC and scripts carry commands out through `perform`: at once, never queued, never
paused, never waiting. `may_block` is False meanwhile: a command that would wait answers as if its time were over, and
what else would be awaited (`sleep`, `in_thread`) is done on the spot.

What must stay true:

1. `execute` never raises for what a client sent: a CommandError is its reply; anything else is logged, answered with
   `ERR internal error`, and leaves the connection open.
2. Every call is counted exactly once, as called or as rejected, also when it was answered later.
3. Database, protocol version and authentication live in `conn`, where hot commands see them; everything else lives
   here.
4. To the tables a connection is nobody in particular until it needs to be somebody: to own a table, to be given one, or
   to fix one. Then `holder` is made, a tsunami.Session that ends with the connection, and every command runs as it.
5. A message that a table has changed hands is in the connection's output before whoever caused it is answered.
6. `conn.all_cold` is set exactly while there is a reason for it (`set_cold`); reasons do not know of each other.
7. What waits for a change is served when the command that made it has ended, before the next command of anybody: once
   for a whole transaction or script, not within.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import tsunami
from tsunami import Table, _core, _wire, keyspace
from tsunami_server.blocking import NOT_YET, Attempt
from tsunami_server.command import Command, CommandError, Reply, printable, registry, wrong_number
from tsunami_server.eviction import Memory
from tsunami_server.observe import monitor_line, without_passwords
from tsunami_server.pubsub import Subscriptions
from tsunami_server.rules import Denied, Kind
from tsunami_server.shared import Shared
from tsunami_server.signals import Place as KeyPlace
from tsunami_server.signals import Read, Signals
from tsunami_server.terms import reply_of
from tsunami_server.tracking import Options
from tsunami_server.users import Context, Reason, User, Users

log = logging.getLogger("tsunami")
T = TypeVar("T")

NO_REPLY = _wire.Raw(b"")
# Those that ask about keys, and do not use them.
UNSEEN = frozenset(
    ["exists", "type", "ttl", "pttl", "expiretime", "pexpiretime", "keys", "scan", "randomkey", "debug|object",
     "object|encoding", "object|freq", "object|idletime", "object|refcount", "memory|usage"]
)  # fmt: skip
# Those that carry out others: MONITOR shows them before what stands inside of them.
TOLD_FIRST = {"eval", "evalsha", "eval_ro", "evalsha_ro"}
# Where a command stands whose user may not do it, and what Redis says there.
Place = Literal["toplevel", "multi", "exec", "lua"]
CHANGED_RIGHTS = (
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
    "This command is no longer allowed for the following reason: "
)
CHANGED_RIGHT: dict[Kind, str] = {
    "command": "no permission to execute the command or subcommand",
    "key": "no permission to touch the specified keys",
    "channel": "no permission to access one of the channels used as arguments to the command",
}
NO_AUTH = "NOAUTH Authentication required."
QUEUED = _wire.Simple("QUEUED")
NOT_QUEUED = frozenset(("exec", "discard", "multi", "watch", "quit", "reset"))  # what a transaction does at once
NOT_IN_MULTI = "ERR Command not allowed inside a transaction"
BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
NOT_IN_SCRIPT = "ERR This Redis command is not allowed from script"

NOT_DIRECT = UNSEEN | {"config|resetstat"}  # which forgets what the short way counts with
NAMES_MOST = 1024  # spellings of commands' names that tsunami._wire knows
# What begins a line of HTTP: no commands, and never sent by a client of ours. Redis refuses the same two.
HTTP = (b"post", b"host:")
ATTACK = (
    "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Tsunami. This is "
    "likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Tsunami instance. "
    "Connection from %s aborted."
)

# What a RESP2 connection may say while its replies can be messages as well.
WHILE_SUBSCRIBED = frozenset(
    ["ping", "quit", "reset", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe"]
)
# Commands that write no key and yet reach others, or may write one: CLIENT PAUSE WRITE holds them back as well. (What
# Redis calls may_replicate.)
REACH_OTHERS = frozenset(["publish", "spublish"])
MAY_WRITE = frozenset(["eval", "evalsha"])
# Commands that change a key, and look it up as readers do before.
WRITES_THAT_LOOK_UP = frozenset(["set", "getex", "getdel", "getset"])

# More rows than these are freed in a thread: about a millisecond's work.
ROWS_FREED_AT_ONCE = 10_000

# How a connection is told that a table has become its own: the push, or None if it cannot be told.
Transfer = Callable[["Session", Table, tsunami.Session | None, _core.Packed], _wire.Push | None]


def plain_transfer(
    session: "Session", table: Table, giver: tsunami.Session | None, data: _core.Packed
) -> _wire.Push | None:
    """In RESP3's own types: ETS-TRANSFER [table, giver's client id, data]. RESP2 has no pushes: such a client is not
    told.
    """
    if session.conn.resp < 3:
        return None
    try:
        told: object = reply_of(data.term())
    except (CommandError, tsunami.TsunamiError):  # Python or Erlang gave what has no form as a reply
        told = None
    return _wire.Push(["ETS-TRANSFER", [table.name, session.app.shared.holder_name(giver), told]])


class Settings(Protocol):
    """What a session asks of the configuration. Names are Redis's, in lower case; values are the text that CONFIG GET
    shows.
    """

    file: Path | None
    users: Mapping[str, str]

    def names(self) -> Iterable[str]: ...
    def all(self) -> dict[str, str]: ...
    def text(self, name: str, /) -> str: ...
    def set_many(self, pairs: Mapping[str, str], /) -> None: ...  # all or nothing; ConfigError


class Host(Protocol):
    """What a session asks of the app that it belongs to."""

    shared: Shared
    memory: Memory
    plane: _wire.Plane
    users: Users
    active_expire: bool

    @property
    def config(self) -> Settings: ...
    @property
    def tcp_port(self) -> int: ...
    @property
    def started_ms(self) -> int: ...
    @property
    def rejected_connections(self) -> int: ...
    @property
    def expired_keys(self) -> int: ...
    @property
    def expire_late_ms(self) -> int: ...
    def now_ms(self) -> int: ...
    def now_us(self) -> int: ...
    def close_client(self, session: "Session", /) -> None: ...
    def is_abandoned(self, session: "Session", /) -> bool: ...  # its peer has closed its side
    def deliver(self, conns: list[_wire.Conn], push: _wire.Push, /) -> None: ...  # append to all, and send
    def watch_changes(self) -> None: ...  # who wants to hear of changes has changed
    @property
    def hears_of_expiry(self) -> bool: ...  # does anybody?
    def sweep(self) -> None: ...  # erase what is due, now
    def send_to(self, session: "Session", /) -> None: ...  # what has been written besides replies
    def describe(self, session: "Session", /) -> str: ...  # as CLIENT LIST does
    def users_changed(self) -> None: ...  # some of their rights, or the default one's password
    def expire_fields(self) -> bool: ...
    def transferred(self, session: "Session", /) -> None: ...  # called from any thread: a message waits in its holder
    def shutdown(self) -> None: ...
    def serve_busy(self) -> None: ...  # while a script runs: answer what has arrived on other connections
    def busy_over(self) -> None: ...


class Session:
    """The state of one connection, and `execute`."""

    def __init__(self, app: Host, conn: _wire.Conn, peer: str, local: str) -> None:
        self.app = app
        self.conn = conn
        self.peer = peer
        self.local = local
        self.fd = -1
        self.unix = False
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.no_evict = False
        self.no_touch = False
        self._closing = False
        self.command_name = ""  # of the last cold command, as CLIENT LIST shows it
        self.may_block = True  # False inside of EXEC and scripts
        self.serving = False  # what is being carried out has waited for a key
        self.idle_ns = 0  # of the time that the command took: it waited
        self.in_script = False
        self.watched: dict[KeyPlace, Read] = {}  # Signals keeps this
        self.watch_broken = False
        self.user = app.users.default
        self._cold_for: set[str] = set()  # why all commands come here
        self.subscriptions = Subscriptions()
        self.tracking: Options | None = None  # how it hears of changes to keys
        self._told: list[_wire.Push] = []  # to be written behind the reply
        self._missing: set[bytes] | None = None  # keys of the command that were not there before it, if that is told
        self._holder: tsunami.Session | None = None
        self.identity = b""  # what ETS.HELLO said, in Erlang's external term format
        self.spell_transfer: Transfer = plain_transfer
        app.shared.sessions[conn.id] = self
        conn.inner, conn.after = self.perform, self._after_exec
        self.rights_changed()

    # -- what handlers use

    @property
    def id(self) -> int:
        return self.conn.id

    @property
    def table(self) -> Table:
        """The table behind the selected database."""
        return keyspace(self.conn.db)

    @property
    def changes(self) -> Signals:
        """Who is to hear of the keys that this connection changes."""
        return self.app.shared.signals

    @property
    def holder(self) -> tsunami.Session:
        """Who this connection is to the tables. Made when it is first asked for."""
        if self._holder is None:
            holder = self._holder = tsunami.session()
            self.conn.session = holder.id
            self.app.shared.holders[holder.id] = self
            holder.on_transfer = lambda _: self.app.transferred(self)
        return self._holder

    @property
    def current_holder(self) -> tsunami.Session | None:
        """The same, None as long as it is nobody."""
        return self._holder

    @property
    def speaks(self) -> int:
        """The protocol version in which the client is told things."""
        return self.conn.speaks

    def setting(self, name: str) -> int:
        return int(self.app.config.text(name))

    @property
    def is_local(self) -> bool:
        return self.unix or self.peer.startswith(("127.", "[::1]", "::1"))

    @property
    def closing(self) -> bool:
        """Is the connection to be closed after the reply is written?"""
        return self._closing

    @closing.setter
    def closing(self, closing: bool) -> None:
        self._closing = closing
        self.conn.behind = True

    # -- who the user is

    def log_in(self, user: User) -> None:
        self.user = user
        self.conn.authenticated = True
        self.rights_changed()

    def log_out(self) -> None:
        """Be the default user again, as a new connection is."""
        self.user = self.app.users.default
        self.conn.authenticated = not self.user.needs_password
        self.rights_changed()

    def rights_changed(self) -> None:
        """Hot commands are for those users of whom nothing has to be asked."""
        self.set_cold("rights", not self.user.is_free)

    def may_touch_all(self, argv: list[bytes]) -> bool:
        """May the user make this call, and read every key besides? For keys that a call does not name (SORT BY)."""
        return self.user.may_touch_all(registry.find(argv), argv)

    def note_denied(self, reason: Reason, context: Context, what: bytes, user: bytes) -> None:
        """For ACL LOG."""
        app = self.app
        app.users.log.note(
            reason, context, what, user, app.describe(self), app.now_ms(), self.setting("acllog-max-len")
        )

    # -- what others switch

    def set_cold(self, reason: str, on: bool) -> None:
        """Bring all commands of this connection here, also hot ones, as long as there is any reason for it."""
        if on:
            self._cold_for.add(reason)
        else:
            self._cold_for.discard(reason)
        self.conn.all_cold = bool(self._cold_for)

    def monitor(self, on: bool) -> None:
        """Read along what everybody does; then nothing is hot."""
        monitors = self.app.shared.monitors
        if on:
            monitors[self.id] = self
        else:
            monitors.pop(self.id, None)
        self.app.plane.monitored = bool(monitors)

    def notify(self, kind: str, event: str, key: bytes, db: int | None = None) -> None:
        """A keyspace notification: the class as in notify-keyspace-events, the event, the key.

        The key is one of the selected database, unless told otherwise. That a key is new is told by itself, before its
        first event; commands that put another in the place of one that was there tell it ("n", "new").
        """
        notifications = self.app.shared.notifications
        if not notifications.on:
            return
        home = self.conn.db
        where = home if db is None else db
        if self._missing and where == home and key in self._missing and kind not in "mx":
            self._missing.discard(key)
            if kind != "n":
                notifications.notify("n", "new", key, where)
        notifications.notify(kind, event, key, where)

    def notify_taken(self, kind: str, event: str, key: bytes, emptied: bool) -> None:
        """The key's value has lost some of its parts; `emptied`: it was the last of them, and the key has gone, too."""
        self.notify(kind, event, key)
        if emptied:
            self.notify("g", "del", key)

    def notify_stored(self, kind: str, event: str, key: bytes, size: int, erased: bool) -> None:
        """A result of this size was put into the key; one of size 0 was not, but may have erased what was there."""
        if size:
            self.notify(kind, event, key)
        elif erased:
            self.notify("g", "del", key)

    @property
    def client_class(self) -> str:
        """Which output limits hold for it, and as what CLIENT LIST and CLIENT KILL know it."""
        return "pubsub" if self.conn.subscribed else "normal"

    def tell(self, push: _wire.Push, /) -> None:
        """A message that no request asked for: now, or behind the reply of the command that runs and caused it."""
        if self.app.shared.messages.acting is self:
            self.tell_later(push)
        else:
            self.app.deliver([self.conn], push)

    def tell_later(self, push: _wire.Push, /) -> None:
        self._told.append(push)
        self.conn.behind = True

    def replied(self) -> None:
        """The reply is written: now what was caused to be told meanwhile."""
        while self._told:
            told, self._told = self._told, []
            for push in told:
                self.conn.push(push)

    def block_on(self, keys: list[bytes], attempt: Attempt, timeout_s: float, empty: Reply) -> Reply | Awaitable[Reply]:
        """The reply of `attempt`; while it answers NOT_YET, wait until one of the keys is touched, and try again.

        `empty` is the reply when `timeout_s` (0: never) are over, and where nothing may wait. What `attempt` raises
        becomes the reply.
        """
        reply = attempt()
        if reply is not NOT_YET:
            return reply
        return self.app.shared.blocking.block(self, keys, attempt, timeout_s, empty) if self.may_block else empty

    # -- dispatch

    def execute(self, argv: list[bytes]) -> Reply | Awaitable[Reply]:
        """Carry out one command. The reply may have to be awaited; the connection's next command waits for it."""
        if argv[0].lower() in HTTP:
            return self._attacked()
        try:
            command = registry.find(argv)
        except CommandError as error:
            return self._not_queued(None, self._refused(None, str(error)))
        self.command_name = command.name
        objection = self.objection(command, argv)
        if objection is not None:
            return self._not_queued(command, self._refused(command, objection))
        if self._is_held(command, argv):
            return self._execute_later(command, argv)
        self._learn(command, argv)
        return self._carry_out(command, argv)

    def _learn(self, command: Command, argv: list[bytes]) -> None:
        """From now on this command goes the short way if nothing stands against it: by this spelling of its name."""
        known = self.app.plane.direct
        word = argv[0]
        if "|" in command.name:
            inner: dict[bytes, object] = known.setdefault(word, {})  # type: ignore[assignment]
            known, word = inner, argv[1]
        if command.name in NOT_DIRECT or command.handler is None or not (word.islower() or word.isupper()):
            return
        if word not in known and len(known) < NAMES_MOST:
            account = self.app.shared.commands[command.name]
            known[word] = _wire.Direct(command, command.handler, command.name, command.arity, account)

    def perform(self, argv: list[bytes], *, script: bool = False, allow_oom: bool = False) -> Reply:
        """Carry out one command inside of another, EXEC or (`script`) a script, here and now.

        `allow_oom`: also if there is no memory for it. The reply; a _wire.Error for whatever goes wrong. Whoever calls
        this ends with changed() by being a command.
        """
        try:
            command = registry.find(argv)
        except CommandError as error:
            return self._refused(None, str(error))
        objection = self._inner_objection(command, argv, script, allow_oom)
        if objection is not None:
            return self._refused(command, objection)
        outer, self.may_block = self.may_block, False
        in_script, self.in_script = self.in_script, self.in_script or script
        try:
            reply = self._call(command, argv)
            return self._at_once(command, reply) if isinstance(reply, Coroutine) else reply
        finally:
            self.may_block = outer
            self.in_script = in_script

    def objection(self, command: Command, argv: list[bytes]) -> str | None:
        """Why a command is not carried out, or None: Redis's checks in Redis's order."""
        if not command.accepts(len(argv)):
            return str(wrong_number(command.name))
        if command.needs_auth and not self.conn.authenticated and self.app.users.default.needs_password:
            return NO_AUTH
        if self.conn.multi >= 0 and "no_multi" in command.flags:
            return NOT_IN_MULTI
        place: Place = "multi" if self.conn.multi >= 0 else "toplevel"
        return (
            self.forbidden(command, argv, place)
            or self.out_of_memory(command)
            or self.only_subscribed(command)
            or self.too_busy(command)
        )

    def _inner_objection(self, command: Command, argv: list[bytes], script: bool, allow_oom: bool) -> str | None:
        """As objection, for what stands inside of a transaction (which was looked at as a whole) or a script."""
        if not command.accepts(len(argv)):
            return str(wrong_number(command.name))
        if script and "noscript" in command.flags:
            return NOT_IN_SCRIPT
        forbidden = self.forbidden(command, argv, "lua" if script else "exec")
        if forbidden or not script or allow_oom:
            return forbidden
        return self.app.memory.refuse_inside("denyoom" in command.flags)

    def forbidden(self, command: Command, argv: list[bytes], place: Place = "toplevel") -> str | None:
        """What the user's rights say against it. It is noted in ACL LOG."""
        user = self.user
        if user.is_free:
            return None
        denied = user.denied(command, argv)
        if denied is None:
            return None
        self.note_denied(denied.kind, "multi" if place == "exec" else place, denied.what, user.name)
        if place == "exec":
            return CHANGED_RIGHTS + CHANGED_RIGHT[denied.kind]
        return ("NOPERM ACL failure in script: " if place == "lua" else "NOPERM ") + denied_text(denied, user)

    def out_of_memory(self, command: Command) -> str | None:
        """What `maxmemory` says against it."""
        memory = self.app.memory
        return memory.refuse(self._needs_memory(command)) if memory.limit else None

    def _needs_memory(self, command: Command) -> bool:
        """Queueing does, whatever is queued; EXEC does if anything that is queued does."""
        if self.conn.multi < 0:
            return "denyoom" in command.flags
        if command.name == "exec":
            return any("denyoom" in registry.find(argv).flags for argv in self.conn.queued())
        return command.name not in ("discard", "quit", "reset")

    def only_subscribed(self, command: Command) -> str | None:
        """What stands against it on a RESP2 connection that has subscribed to something."""
        if not self.conn.subscribed or self.conn.resp > 2 or command.name in WHILE_SUBSCRIBED:
            return None
        return (
            f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
            "allowed in this context"
        )

    def too_busy(self, command: Command) -> str | None:
        """What stands against it while a script runs that has been running for too long."""
        return BUSY if self.app.shared.busy and "allow_busy" not in command.flags else None

    def _carry_out(self, command: Command, argv: list[bytes]) -> Reply | Awaitable[Reply]:
        if self.conn.multi >= 0 and command.name not in NOT_QUEUED:
            return self._queue(command, argv)
        reply = self._call(command, argv)
        if not isinstance(reply, Awaitable):
            self.changed()
        return reply

    def _queue(self, command: Command, argv: list[bytes]) -> Reply:
        if not self.watch_broken:  # else EXEC would never run it
            self.conn.queue(self._may_write(command, argv))
        return QUEUED

    def _not_queued(self, command: Command | None, error: _wire.Error) -> _wire.Error:
        """In a transaction a command that is refused makes EXEC refuse as well; EXEC itself ends it."""
        if command is None or command.name != "exec":
            self.conn.spoiled = self.conn.multi >= 0
            return error
        self.discard()
        return _wire.Error(f"EXECABORT Transaction discarded because of: {error.text.removeprefix('ERR ')}")

    def discard(self) -> None:
        """There is no transaction any more, and nothing is watched."""
        self.conn.forget()
        self.changes.unwatch(self)

    def _may_write(self, command: Command, argv: list[bytes]) -> bool:
        """Does CLIENT PAUSE WRITE mean it? A script may write unless its first line says that it does not."""
        if command.name in MAY_WRITE:
            scripts = self.app.shared.scripts
            known = scripts.known(argv[1]) if command.name == "evalsha" and scripts is not None else None
            return not known.read_only if known is not None else not promises_no_writes(argv[1])
        return command.is_write or command.name in REACH_OTHERS

    def _is_held(self, command: Command, argv: list[bytes]) -> bool:
        """Does CLIENT PAUSE hold it back? EXEC writes if anything that is queued does."""
        shared = self.app.shared
        if shared.paused is None:
            return False
        if command.name == "exec":
            return shared.holds(self.conn.multi_writes)
        return shared.holds(self._may_write(command, argv))

    def _sweep_fields(self) -> None:
        """So that to every command a hash whose last field has expired is gone."""
        while self.app.expire_fields():
            pass

    def _before(self, command: Command, argv: list[bytes]) -> None:
        """What somebody wants to know before a command runs: of what is due, of what is read, and what is not there."""
        shared = self.app.shared
        specs = command.key_specs
        if self.app.hears_of_expiry and (self.app.active_expire or specs):
            self.app.sweep()
        if not specs:
            return
        if self.tracking is not None and self.tracking.remembers and "readonly" in command.flags:
            keys = [key for key, _ in command.find_keys(argv)]
            shared.tracking.remember(self, keys, self.setting("tracking-table-max-keys"))
        if shared.notifications.wants("n") and command.is_write:
            self._missing = {key for key, _ in command.find_keys(argv) if _core.entry(self.table, key) is None}
        if shared.notifications.wants("m"):
            for key, flags in command.find_keys(argv):
                if looks_up(command, flags) and _core.entry(self.table, key) is None:
                    self.notify("m", "keymiss", key)

    def changed(self) -> None:
        """A command has ended, with all that stood inside of it: serve whoever waited for what it has changed."""
        self.app.shared.signals.after_command()

    def _after_exec(self) -> None:
        """EXEC has run natively, with some of its commands here."""
        self.changed()
        self.replied()

    def _at_once(self, command: Command, later: Coroutine[object, None, Reply]) -> Reply:
        """The reply of what would be awaited elsewhere: since may_block is False there is nothing to wait for."""
        try:
            later.send(None)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        later.close()
        return self._refused(command, f"ERR '{command.name}' has to wait, and cannot inside of another command")

    async def sleep(self, seconds: float) -> None:
        """Let others go on meanwhile; inside of a transaction or a script there is nobody else."""
        if self.may_block:
            await self.app.shared.sleep(seconds)
        elif seconds:
            time.sleep(seconds)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """For what takes long: everybody else goes on meanwhile, unless this stands inside of another command."""
        return await self.app.shared.in_thread(function, *args) if self.may_block else function(*args)

    def closed(self) -> None:
        """The connection has ended: undo what was only for its time."""
        self.app.shared.blocking.forget(self)
        self.stop_listening()
        self.end_holder()
        self.monitor(False)
        self.discard()
        self.conn.inner = self.conn.after = None
        self.app.shared.sessions.pop(self.conn.id, None)

    def stop_listening(self) -> None:
        """No messages and no news of keys any more."""
        self.app.shared.messages.leave(self)
        if self.tracking is not None:
            self.app.shared.tracking.switch_off(self)
            self.app.watch_changes()

    def end_holder(self) -> Awaitable[None] | None:
        """Give back what the connection has of tables: fixations, and tables, which go to their heirs or are deleted.

        Whoever inherits is told before anything else happens. Many rows are freed in a thread, so that nobody waits for
        them; then what comes back is done when all this is.
        """
        if self.app.shared.identities.get(self.identity) is self:
            del self.app.shared.identities[self.identity]
        holder = self._holder
        if holder is None:
            return None
        holders = self.app.shared.holders
        if self.may_block and sum(map(len, holder.tables())) > ROWS_FREED_AT_ONCE:
            ending = self.app.shared.aside(holder.end)
            ending.add_done_callback(lambda _: holders.pop(holder.id, None))
            return ending
        holder.end()
        holders.pop(holder.id, None)
        return None

    def push_transfers(self) -> None:
        """Write the messages that wait, on the event loop."""
        while self._holder is not None and (message := _core.next_transfer(self._holder)) is not None:
            table, giver, data = message
            push = self.spell_transfer(self, table, giver, data)
            if push is not None:
                self.conn.push(push, 3)

    def _attacked(self) -> Reply:
        """A browser was made to speak to us: close before anything that follows in its request is taken for a command.

        Logged once a minute, so that nobody can fill a disk with it.
        """
        if self.app.shared.may_log_attack(time.monotonic()):
            log.warning(ATTACK, self.peer)
        self.app.close_client(self)
        return NO_REPLY

    async def _execute_later(self, command: Command, argv: list[bytes]) -> Reply:
        shared = self.app.shared
        shared.blocked += 1
        try:
            while self._is_held(command, argv):
                await shared.wait_unpaused()
        finally:
            shared.blocked -= 1
        reply = self._carry_out(command, argv)
        return await reply if isinstance(reply, Awaitable) else reply

    def _call(self, command: Command, argv: list[bytes]) -> Reply | Awaitable[Reply]:
        assert command.handler is not None  # a container alone has an arity of two words at least
        if self.app.shared.timed.due_ms <= self.app.now_ms():
            self._sweep_fields()
        start = _wire.clock_ns()
        args = argv[2:] if "|" in command.name else argv[1:]
        messages = self.app.shared.messages
        outer, messages.acting = messages.acting, self
        monitors = self.app.shared.monitors
        if monitors and command.name in TOLD_FIRST:
            self._tell_monitors(command, argv)
        quiet = command.name in UNSEEN or (self.no_touch and command.name != "touch")
        if quiet:
            _core.quiet(True)
        try:
            if self.app.hears_of_expiry or self.tracking is not None:
                self._before(command, argv)
            reply = _core.act(self._holder, command.handler, self, args)
        except Exception as error:
            return self.failed(command, argv, start, error)
        finally:
            messages.acting = outer
            self._missing = None
            if self.tracking is not None and self.tracking.caching and outer is None:
                self._end_caching(command)
            if quiet:
                _core.quiet(False)
            if monitors and command.name not in TOLD_FIRST:
                self._tell_monitors(command, argv)
        if isinstance(reply, Awaitable):
            return self.later(command, argv, start, reply)
        self._count(command, argv, start)
        return reply

    async def later(self, command: Command, argv: list[bytes], start: int, later: Awaitable[Reply], /) -> Reply:
        """The reply of a handler that did not give it at once; it was called at `start`."""
        _core.become(self._holder)
        try:
            reply = await later
        except Exception as error:
            reply = self.failed(command, argv, start + self.idle_ns, error)
        else:
            self._count(command, argv, start + self.idle_ns)
        self.idle_ns = 0
        if self.may_block:  # else it stands inside of another command, which is not over
            self.changed()
        return reply

    def _end_caching(self, command: Command) -> None:
        """CLIENT CACHING is for the command behind it; other CLIENTs and a transaction do not count."""
        if not command.name.startswith("client|"):
            self.app.shared.tracking.cache_next(self, False)

    # -- accounts

    def failed(self, command: Command, argv: list[bytes], start: int, error: Exception, /) -> _wire.Error:
        """The one place where an exception becomes an error reply."""
        text = str(error)
        if not isinstance(error, CommandError):
            log.error("%s failed unexpectedly", command.name, exc_info=error)
            text = f"ERR internal error: {type(error).__name__}"
        self._count(command, argv, start)
        self.app.shared.commands[command.name].failed += 1
        if not (isinstance(error, CommandError) and error.counted):
            self.app.shared.count_error(text)
        return _wire.Error(text)

    def unwritable(self, error: Exception, /) -> _wire.Error:
        """What is answered instead of a reply that has no form in RESP."""
        log.error("a reply that has no form in RESP", exc_info=error)
        return _wire.Error("ERR internal error")

    def _refused(self, command: Command | None, text: str) -> _wire.Error:
        if command is not None:
            self.app.shared.commands[command.name].rejected += 1
        self.app.shared.count_error(text)
        return _wire.Error(text)

    def _count(self, command: Command, argv: list[bytes], start: int) -> None:
        nanos = _wire.clock_ns() - start
        plane = self.app.plane
        self.app.shared.commands[command.name].add(nanos, plane.spreads)
        if 0 <= plane.note_us <= nanos // 1000:
            self.note_slow(command, argv, nanos // 1000)

    def _tell_monitors(self, command: Command, argv: list[bytes]) -> None:
        """Show a command to whoever reads along. Those of administrators are not for everybody's eyes."""
        if "admin" in command.flags:
            return
        where = "lua" if self.in_script else f"unix:{self.peer.removesuffix(':0')}" if self.unix else self.peer
        shown = without_passwords(command, argv)
        line = _wire.Raw(monitor_line(self.conn.db, where.encode(), shown, self.app.now_us()))
        for session in list(self.app.shared.monitors.values()):
            session.conn.write(line)
            self.app.send_to(session)

    def note_slow(self, command: Command, argv: list[bytes], usec: int, /) -> None:
        """SLOWLOG and LATENCY, of what took plane.note_us or longer.

        AUTH and HELLO are not for the log, nor is any other password.
        """
        app = self.app
        threshold = self.setting("slowlog-log-slower-than")
        if 0 <= threshold <= usec and command.needs_auth and "skip_slowlog" not in command.flags:
            app.shared.note_slow(
                without_passwords(command, argv), usec, app.now_ms(), self, self.setting("slowlog-max-len")
            )
        threshold_ms = self.setting("latency-monitor-threshold")
        if 0 < threshold_ms <= usec // 1000:
            event = "fast-command" if "fast" in command.flags else "command"
            app.shared.note_latency(event, app.now_ms(), usec // 1000)


def denied_text(denied: Denied, user: User, *, verbose: bool = False) -> str:
    """Redis's words; `verbose`: with the key or the channel, which are not everybody's to see."""
    what, name = printable(denied.what), printable(user.name)
    if denied.kind == "command":
        return f"User {name} has no permissions to run the '{what}' command"
    if verbose:
        return f"User {name} has no permissions to access the '{what}' {denied.kind}"
    return f"No permissions to access a {denied.kind}"


def looks_up(command: Command, flags: tuple[str, ...]) -> bool:
    """Is it a miss if a key of a command, with these flags, is not there?"""
    if command.name in WRITES_THAT_LOOK_UP:
        return "access" in flags
    return "RO" in flags and not command.name.startswith("object|")


def promises_no_writes(script: bytes) -> bool:
    """Does the first line of a script's text have the flag no-writes?"""
    first = script.partition(b"\n")[0]
    return first.startswith(b"#!") and b"no-writes" in first.replace(b"=", b" ").replace(b",", b" ").split()
