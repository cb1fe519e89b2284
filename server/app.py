"""The app: what listens, lets clients in, does what must be done from time to time, and stops gracefully.

What it is: the one object that knows the settings, the plane, the sessions and the transport, and brings them together;
everything that has a time of its own (expiry, idle clients, the grace period of a stop) is a timer here.

What it is not: it moves no bytes (transport.py) and carries out no command (session.py).

What must stay true:

1. start() either listens on everything that was asked for, or raises and has left nothing open.
2. A stop answers what has arrived, sends it, and then closes; after the grace period it closes all the same.
3. Rows whose deadline has passed are erased EXPIRE_EVERY_S or, while no row has one, EXPIRE_LOOK_S later at the latest,
   as far as the loop is on time; how late they were is measured (expire_late_ms).
"""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final, TypeVar

from tsunami import _wire, keyspace
from tsunami_server import commands, systemd  # noqa: F401  commands fills the registry
from tsunami_server.blocking import Blocking
from tsunami_server.commands import acl
from tsunami_server.commands.clients import describe
from tsunami_server.config import Config, ConfigError
from tsunami_server.doors import Door, Kind, door_of, open_tcp, open_unix, shut
from tsunami_server.eviction import Memory, clients_limit, too_large
from tsunami_server.logs import LEVELS
from tsunami_server.metrics import Endpoint
from tsunami_server.notifications import Notifications
from tsunami_server.pubsub import Messages
from tsunami_server.session import Session
from tsunami_server.shared import Shared
from tsunami_server.signals import Signals
from tsunami_server.tls import make_context
from tsunami_server.tracking import Tracking
from tsunami_server.transport import Client, NativeTransport, StreamTransport, TlsTransport, is_loopback
from tsunami_server.users import ChangeError, Users
from tsunami_server.values.list import room

log = logging.getLogger("tsunami")
T = TypeVar("T")

EXPIRE_EVERY_S: Final = 0.010
EXPIRE_LOOK_S: Final = 0.040  # while no row has a deadline: within this time the first one is noticed
EXPIRE_BUDGET: Final = 2_000  # rows at once; more are left to the next turn of the loop
DRAIN_LOOK_S: Final = 0.005
LINGER_S: Final = 0.2  # after the last reply: how long a peer may take to close its side
SPARE_DESCRIPTORS: Final = 32
SCRAPE_S: Final = 10.0  # how long the figures for Prometheus may have to wait for the loop
MEMORY_SETTINGS: Final = frozenset(
    ["maxmemory", "maxmemory-policy", "maxmemory-samples", "maxmemory-eviction-tenacity",
     "lfu-log-factor", "lfu-decay-time"]
)  # fmt: skip

DENIED: Final = (
    "DENIED Tsunami is running in protected mode because protected mode is enabled and no password is set for the "
    "default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
    "from external computers to Tsunami you may adopt one of the following solutions: 1) Just disable protected "
    "mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Tsunami "
    "from the same host the server is running, however MAKE SURE Tsunami is not publicly accessible from internet "
    "if you do so. 2) If you started the server manually just for testing, restart it with the '--protected-mode "
    "no' option. 3) Set up an authentication password for the default user, with the '--requirepass' option. "
    "NOTE: You only need to do one of the above things in order for the server to start accepting connections "
    "from the outside."
)
TWO_HOMES: Final = (
    "users are declared in the configuration file, under [users], and in an ACL file: please define either an ACL file "
    "or declare users directly in the configuration file, but not both"
)
CANNOT_LISTEN: Final = "Unable to listen on this port. Check server logs."
TCP: Final[tuple[Kind, ...]] = ("port", "tls-port")
FULL_HOUSE: Final = "ERR max number of clients reached"


class App:
    """A server that is being started, runs, or stops."""

    def __init__(self, config: Config, selector: _wire.NativeSelector | None = None) -> None:
        """With a selector: the app serves through it, in the loop that runs on it."""
        self.config = config
        self.plane = selector.plane if selector is not None else new_plane()
        self.shared = Shared(Signals(self.plane))
        self.shared.messages = Messages(self.plane, self.deliver)
        self.shared.notifications = Notifications(self.shared.messages)
        self.shared.tracking = Tracking(self.shared.messages, self.shared.sessions, self._watch_key, self._soon)
        self.shared.blocking = Blocking(self.shared)
        self.shared.signals.listeners.append(lambda _, key: self.shared.tracking.touched(key))
        self.shared.signals.flush_listeners.append(self.shared.tracking.flushed)
        self.plane.messages, self.plane.ready = self.shared.messages, self.shared.signals.ready
        self.shared.timed.on_any = self._look_out
        self.hears_of_expiry = False
        self.memory = Memory(self.plane)
        self.users = Users()
        self.inherited: list[Door] = []  # opened for us by whoever has started us
        self.notify: Callable[..., None] = lambda *lines: None  # tell whoever has started us
        self.clients: dict[int, Client] = {}  # by session id
        self.selector = selector
        self.active_expire = True
        self.expired_keys = 0
        self.expire_late_ms = 0
        self.rejected_connections = 0
        self.started_ms = self.now_ms()
        self.doors: list[Door] = []  # where it listens
        self._bound: dict[str, str] = {}  # the settings by which they were opened
        self._moving: asyncio.Task[None] | None = None
        self.metrics: Endpoint | None = None
        self.stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._transport: NativeTransport | StreamTransport | None = None
        self._tls: TlsTransport | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._over_since: dict[int, float] = {}  # sessions above the soft output limit
        self._stopping: asyncio.Task[None] | None = None
        self._unix_path = ""
        self.memory.on_evicted = self._evicted
        self.memory.on_took = self._took
        self.memory.later = self._soon
        config.on_change = self._configure
        self._configure(frozenset())

    # ---- start and stop

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """A new loop of the kind that the setting `io` asks for."""
        io = self.config.text("io")
        if io == "asyncio" or (io == "auto" and sys.platform != "linux"):
            return asyncio.SelectorEventLoop()
        self.selector = _wire.NativeSelector(self.plane)
        return asyncio.SelectorEventLoop(self.selector)

    async def start(self) -> None:
        """Listen. OSError if an address cannot be had, ConfigError for an ACL file with a mistake; then nothing is left
        open.
        """
        loop = asyncio.get_running_loop()
        self._loop, self._thread = loop, threading.get_ident()
        self._load_users()
        if self.config.integer("tls-port"):
            make_context(self.config.text)  # before anything is open
        self.doors = self.inherited or self._open_doors()
        self._bound = self._where()
        if self.selector is not None:
            self._transport = NativeTransport(self, loop, self.selector)
        else:
            self._transport = StreamTransport(self, loop)
        try:
            self._serve_metrics()
            await self._serve_at(self.doors)
        except (OSError, ConfigError):
            self._transport.close()
            self._transport = None
            shut(self.doors)
            raise
        self._every("expire", self._expire, EXPIRE_LOOK_S)
        self._every("watch", self._watch, 1 / self.config.integer("hz"))
        self.notify("READY=1", f"STATUS=serving on {', '.join(self.addresses)}")

    def _load_users(self) -> None:
        """From the configuration file, or from a file of their own."""
        path = self.config.text("aclfile")
        if path and self.config.users:
            raise ConfigError("aclfile", TWO_HOMES)
        for name, rules in self.config.users.items():
            try:
                self.users.change(name.encode(), rules.encode().split())
            except ChangeError as error:
                raise ConfigError(f"users.{name}", str(error)) from None
        self.users_changed()
        if path:
            try:
                acl.load(self, Path(path))
            except ChangeError as error:
                raise ConfigError("aclfile", str(error)) from None

    def check(self) -> None:
        """Do all that start() does before it listens. ConfigError."""
        self._load_users()
        if self.config.integer("tls-port"):
            make_context(self.config.text)

    def _serve_metrics(self) -> None:
        port = self.config.integer("metrics-port")
        if port:
            self.metrics = Endpoint(self, self._on_loop, self.config.text("metrics-bind"), port)
            log.info("metrics on %s:%d", self.config.text("metrics-bind"), self.metrics.port)

    def _on_loop(self, work: Callable[[], T]) -> T:
        """Run something on the loop's thread, for a thread that is not; its result."""
        assert self._loop is not None
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(SCRAPE_S)

    def shutdown(self) -> None:
        """Begin to stop; returns at once. `stopped` is set when all is closed."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self.stop())

    async def stop(self) -> None:
        """Take no more connections, answer what has arrived, and close."""
        if self._transport is None:
            self.stopped.set()
            return
        log.info("stopping")
        self.notify("STOPPING=1")
        self._transport.stop_listening()
        if self._tls is not None:
            self._tls.close()
        if self._unix_path:
            with contextlib.suppress(OSError):
                os.unlink(self._unix_path)
            self._unix_path = ""
        for timer in self._timers.values():
            timer.cancel()
        grace = time.monotonic() + self.config.integer("shutdown-timeout")
        await self._drain(grace)
        for client in list(self.clients.values()):
            client.end()
        await asyncio.sleep(0)  # asyncio closes the sockets of its transports one turn later
        self._transport.close()
        self._transport = None
        if self.metrics is not None:
            await asyncio.to_thread(self.metrics.close)  # a scrape under way waits for the loop
        log.info("stopped")
        self.stopped.set()

    async def _drain(self, grace: float) -> None:
        """Close our side of each connection as soon as all that has arrived is answered; then let the peers close.

        Closing a socket on which unread requests have arrived resets the connection, and replies under way would be
        lost with it.
        """
        waiting = set(self.clients.values())
        while waiting and time.monotonic() < grace:
            await asyncio.sleep(DRAIN_LOOK_S)  # what has arrived is taken in by the loop meanwhile
            for client in [client for client in waiting if client.quiet()]:
                client.half_close()
                waiting.discard(client)
            waiting &= set(self.clients.values())
            if all(self.shared.blocking.is_blocked(client.session) for client in waiting):
                break  # they wait for something that nobody is left to do
        grace = min(grace, time.monotonic() + LINGER_S)
        while self.clients and time.monotonic() < grace:
            await asyncio.sleep(DRAIN_LOOK_S)

    def reload(self) -> None:
        """Read certificates and the ACL file again (SIGHUP). What has a mistake stays as it was."""
        self.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            if self._tls is not None:
                self._tls.context = make_context(self.config.text)
            if path := self.config.text("aclfile"):
                acl.load(self, Path(path))
            log.info("reloaded: certificates and the ACL file, as far as there are any")
        except (ConfigError, ChangeError) as error:
            log.error("not reloaded: %s", error)
        self.notify("READY=1")

    # ---- where it can be reached

    @property
    def addresses(self) -> list[str]:
        """host:port and paths that are listened on."""
        return [door.address for door in self.doors]

    @property
    def tcp_port(self) -> int:
        return next((door.port for door in self.doors if door.kind == "port"), 0)

    @property
    def tls_port(self) -> int:
        return next((door.port for door in self.doors if door.kind == "tls-port"), 0)

    # ---- what sessions ask (session.Host)

    def now_ms(self) -> int:
        return _wire.now_ms()

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def close_client(self, session: Session, /) -> None:
        client = self.clients.get(session.id)
        if client is not None:
            client.end()

    def is_abandoned(self, session: Session, /) -> bool:
        client = self.clients.get(session.id)
        return client is None or client.is_abandoned()

    def send_to(self, session: Session, /) -> None:
        client = self.clients.get(session.id)
        if client is not None:
            client.send()

    def serve_busy(self) -> None:
        if self._transport is not None:
            self._transport.serve_busy()

    def busy_over(self) -> None:
        if self._loop is not None and self._transport is not None:
            self._loop.call_soon(self._transport.busy_over)

    def describe(self, session: Session, /) -> str:
        return describe(session)

    def users_changed(self) -> None:
        self.plane.auth_required = self.users.default.needs_password
        for session in self.shared.sessions.values():
            session.rights_changed()

    def transferred(self, session: Session, /) -> None:
        if threading.get_ident() == self._thread:
            self._tell_transfers(session)
        elif self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the session with it
                self._loop.call_soon_threadsafe(self._tell_transfers, session)

    def _tell_transfers(self, session: Session) -> None:
        client = self.clients.get(session.id)
        if client is not None:
            session.push_transfers()
            client.send()

    def deliver(self, conns: list[_wire.Conn], push: _wire.Push, /) -> None:
        """Append a message to the output of many, and send it; it is spelled once for each version of RESP."""
        if self.selector is not None:
            conns = self.selector.push_all(conns, push)
        else:
            self.plane.push_all(conns, push)
        for conn in conns:
            client = self.clients.get(conn.id)
            if client is not None:
                client.send()

    def watch_changes(self) -> None:
        """Who wants to hear of changes has changed: which commands have to run in Python now?"""
        shared, tracking = self.shared, self.shared.tracking
        shared.set_writes_cold(self.plane, "notify", shared.notifications.of_writes)
        shared.set_writes_cold(self.plane, "tracking", bool(tracking.prefixes))
        self.hears_of_expiry = bool(shared.notifications.on) or tracking.active
        self._look_out()
        met = self.hears_of_expiry and not self.active_expire  # then expired keys are told when a command meets them
        self.plane.reads_cold = met or shared.notifications.wants("m")

    def _look_out(self) -> None:
        """Whether every command that Python carries out has to look at what is due before."""
        self.plane.attentive = self.hears_of_expiry or self.shared.timed.waits

    def sweep(self) -> None:
        """Erase what is due, and tell those who want to hear of it. Nothing changes while clients are paused."""
        if self.shared.paused is not None:
            return
        keys: list[tuple[int, bytes]] = []
        erased, late_ms, _ = self.plane.expire(self.now_ms(), EXPIRE_BUDGET, keys)
        self._note_expired(erased, late_ms, keys)

    # ---- what Memory and Tracking call

    def _evicted(self, db: int, key: bytes) -> None:
        """A key had to make room: whoever listens hears of it."""
        with self.shared.tracking.by_nobody():
            self.shared.signals.touched(db, key)
        self.shared.notifications.notify("e", "evicted", key, db)

    def _took(self, event: str, seconds: float) -> None:
        """Something that is no command has taken so long: is it an event for LATENCY?"""
        threshold_ms = self.config.integer("latency-monitor-threshold")
        if 0 < threshold_ms <= seconds * 1000:
            self.shared.note_latency(event, self.now_ms(), int(seconds * 1000))

    def _watch_key(self, key: bytes, on: bool) -> None:
        """A key is tracked, or no more: hot commands that write it go to Python."""
        if on:
            self.shared.signals.interested(key)
        else:
            self.shared.signals.bored(key)

    def _soon(self, work: Callable[[], None]) -> None:
        """In the loop's next turn; never, if the loop is over or has not begun."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon(work)

    # ---- what transports ask (transport.Host)

    @property
    def keepalive_s(self) -> int:
        return self.config.integer("tcp-keepalive")

    def refusal(self, peer: str, unix: bool, /) -> _wire.Error | None:
        if len(self.clients) >= self.config.integer("maxclients"):
            self.rejected_connections += 1
            return _wire.Error(FULL_HOUSE)
        open_house = self.config.flag("protected-mode") and self.users.default.no_password
        if open_house and not unix and not is_loopback(peer):
            self.rejected_connections += 1
            return _wire.Error(DENIED)
        return None

    def opened(self, client: Client, /) -> Session:
        session = Session(self, client.conn, client.peer, client.local)
        session.fd = client.fd
        session.unix = client.unix
        self.clients[session.id] = client
        return session

    def closed(self, client: Client, /) -> None:
        if client.conn.overrun:
            self._note_overrun(client)
        self.clients.pop(client.session.id, None)
        self._over_since.pop(client.session.id, None)

    # ---- from time to time

    def _every(self, name: str, work: Callable[[], float | None], seconds: float) -> None:
        """Call work now and then; what it answers, if anything, is the time until the next call."""

        def turn() -> None:
            try:
                pause = work()
            except Exception:
                log.exception("%s failed; it goes on", name)
                pause = None
            if self._stopping is None:
                self._timers[name] = loop.call_later(seconds if pause is None else pause, turn)

        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(seconds, turn)

    def _expire(self) -> float:
        """Erase what is due; often while there are rows with a deadline, at once again while there is more to erase.

        While clients are paused nothing is erased: what is due is hidden from readers, and stays.
        """
        if not self.active_expire or self.shared.paused is not None:
            return EXPIRE_LOOK_S
        start = time.monotonic()
        keys: list[tuple[int, bytes]] | None = [] if self.hears_of_expiry else None
        erased, late_ms, left = self.plane.expire(self.now_ms(), EXPIRE_BUDGET, keys)
        self._note_expired(erased, late_ms, keys)
        more = self.expire_fields() or erased >= EXPIRE_BUDGET
        self._took("expire-cycle", time.monotonic() - start)
        if more:
            return 0
        return EXPIRE_EVERY_S if left or self.shared.timed else EXPIRE_LOOK_S

    def _note_expired(self, erased: int, late_ms: int, keys: list[tuple[int, bytes]] | None) -> None:
        self.expired_keys += erased
        self.expire_late_ms = max(self.expire_late_ms, late_ms)
        if not keys:
            return
        with self.shared.tracking.by_nobody():
            for db, key in keys:
                self.shared.signals.touched(db, key)
                self.shared.notifications.notify("x", "expired", key, db)

    def expire_fields(self) -> bool:
        """Sweep fields of hashes that are due. True: there are more."""
        return self.shared.timed.turn(self.now_ms(), self._field_expired)

    def _field_expired(self, db: int, key: bytes, gone: bool, /) -> None:
        with self.shared.tracking.by_nobody():
            self.shared.signals.touched(db, key)
        self.shared.notifications.notify("h", "hexpired", key, db)
        if gone:
            self.shared.notifications.notify("g", "del", key, db)

    def _watch(self) -> float:
        """Idle clients, clients that do not read, slow hot commands, the peak of memory."""
        self._evict_clients()
        self.memory.note_peak()
        counters = self.plane.counters()
        self.shared.rates_now(tuple(counters[name] for name in ("commands", "bytes_in", "bytes_out")), self.now_ms())
        self.shared.blocking.end_abandoned()
        self._end_idle_and_slow()
        self.shared.take_slow(self.plane, self.now_ms(), self.config.integer("slowlog-max-len"))
        return 1 / self.config.integer("hz")

    def _end_idle_and_slow(self) -> None:
        """Close connections that have said nothing for `timeout`, or have been above their soft limit for too long."""
        now_ms, timeout_ms = self.now_ms(), self.config.integer("timeout") * 1000
        limits = {name: self.config.output_limit(name)[1:] for name in ("normal", "pubsub")}
        for client in list(self.clients.values()):
            soft, seconds = limits[client.session.client_class]
            if (
                timeout_ms
                and not client.conn.subscribed
                and client.task is None
                and now_ms - client.conn.active_ms > timeout_ms
            ):
                client.end()
            elif soft and seconds and self._over_for(client, soft) >= seconds:
                self._note_overrun(client)
                client.end()

    def _note_overrun(self, client: Client) -> None:
        self.shared.overruns += 1
        log.warning("client %d closed: it did not read, and its output limit is reached", client.session.id)

    def _evict_clients(self) -> None:
        """Close the connections with the largest buffers while all of them take up more than maxmemory-clients.

        Those that said CLIENT NO-EVICT neither go nor count.
        """
        limit = clients_limit(self.config.text("maxmemory-clients"), self.memory.limit)
        if not limit:
            return
        sizes = {
            client: client.unsent() + client.conn.query_size()
            for client in self.clients.values()
            if not client.session.no_evict
        }
        for client in too_large(sizes, limit):
            log.warning("client %d closed: its buffers, %d bytes, are too large", client.session.id, sizes[client])
            self.memory.evicted_clients += 1
            client.end()

    def _over_for(self, client: Client, soft: int) -> float:
        """For how many seconds the client's unsent output has been above the soft limit."""
        if client.unsent() <= soft:
            self._over_since.pop(client.session.id, None)
            return 0
        now = time.monotonic()
        return now - self._over_since.setdefault(client.session.id, now)

    # ---- settings

    def _configure(self, changed: frozenset[str]) -> None:
        """Bring the settings to where they are in force; those read when they are needed are not here.

        At the start nothing has changed, and all are brought there.
        """
        config, plane, starting = self.config, self.plane, not changed
        # First what may be refused.
        context = self._new_context() if self._tls is not None and any(n.startswith("tls-") for n in changed) else None
        if changed & {"bind", *TCP}:
            self._move()
        if context is not None and self._tls is not None:
            self._tls.context = context
        plane.max_bulk = config.integer("proto-max-bulk-len")
        plane.max_query = config.integer("client-query-buffer-limit")
        plane.soft_query = config.integer("client-query-mark")
        plane.soft_output = config.integer("client-output-mark")
        plane.hard_output = config.output_limit("normal")[0]
        plane.hard_messages = config.output_limit("pubsub")[0]
        plane.slow_us = config.integer("slowlog-log-slower-than")
        plane.note_us = noted_us(plane.slow_us, config.integer("latency-monitor-threshold"))
        plane.set_small(**small_values(config))
        self.shared.notifications.configure(config.text("notify-keyspace-events"))
        self.watch_changes()
        plane.spreads = config.flag("latency-tracking")
        if starting or changed & MEMORY_SETTINGS:
            self.memory.configure(config)
        if starting or "requirepass" in changed:
            self.users.set_default_password(config.text("requirepass").encode())
            self.users_changed()
        if starting or "acl-pubsub-default" in changed:
            self.users.all_channels = config.text("acl-pubsub-default") == "allchannels"
        self.users.log.trim(config.integer("acllog-max-len"))
        if (starting or "save" in changed) and config.text("save"):
            log.warning("save is set to %s: there are no snapshots", config.text("save"))
        if "loglevel" in changed:
            log.setLevel(LEVELS[config.text("loglevel")])

    def _new_context(self) -> ssl.SSLContext:
        try:
            return make_context(self.config.text)
        except ConfigError as error:
            log.warning("the TLS settings stay as they were: %s", error)
            raise ConfigError(error.name, "Unable to update TLS configuration. Check server logs.") from error

    # ---- sockets

    def _open_doors(self) -> list[Door]:
        """All that is listened on. OSError: then nothing is open."""
        opened: list[Door] = []
        try:
            for kind in TCP:
                opened += self._open_tcp(kind)
            if path := self.config.text("unixsocket"):
                permissions = int(self.config.text("unixsocketperm"), 8)
                opened.append(open_unix(path, permissions, self.config.integer("tcp-backlog")))
                self._unix_path = path
        except BaseException:
            shut(opened)
            raise
        if not opened:
            raise OSError("nothing to listen on: neither bind nor unixsocket is set")
        return opened

    def _open_tcp(self, kind: Kind) -> list[Door]:
        """The doors of one port: none for a tls-port of 0, nor for a port of 0 beside a tls-port."""
        port = self.config.integer(kind)
        if not port and (kind == "tls-port" or self.config.integer("tls-port")):
            return []
        return open_tcp(kind, self.config.text("bind"), port, self.config.integer("tcp-backlog"))

    async def _serve_at(self, doors: list[Door]) -> None:
        """Accept at these doors from now on."""
        loop = asyncio.get_running_loop()
        if self._tls is None and any(door.kind == "tls-port" for door in doors):
            self._tls = TlsTransport(self, loop, make_context(self.config.text))
        for door in doors:
            transport = self._tls if door.kind == "tls-port" else self._transport
            assert transport is not None
            await transport.listen(door.sock)
            log.info("ready to accept connections on %s", door.address, extra={"address": door.address})

    def _move(self) -> None:
        """Listen where bind, port and tls-port say now, if that is elsewhere. ConfigError: everything is as it was.

        A port that has moved is opened before the old one is closed. Other addresses may be parts of the old ones
        (all of them, say), so there the old ones are closed first, and opened again if it fails.
        """
        before, wanted = self._bound, self._where()
        if self._transport is None or before == wanted:
            return
        kinds = [kind for kind in TCP if before[kind] != wanted[kind] or before["bind"] != wanted["bind"]]
        leaving = [door for door in self.doors if door.kind in kinds]
        in_the_way = before["bind"] != wanted["bind"]
        if in_the_way:
            self._leave(leaving)
        opened: list[Door] = []
        try:
            if "tls-port" in kinds and wanted["tls-port"] != "0":
                make_context(self.config.text)
            for kind in kinds:
                opened += self._open_tcp(kind)
        except OSError as error:
            shut(opened)
            if in_the_way:
                self._come([door for kind in kinds for door in self._reopened(kind, leaving)])
            log.warning("%s", error.strerror or error)
            name = "bind" if in_the_way else kinds[0]
            reason = "Failed to bind to specified addresses." if in_the_way else CANNOT_LISTEN
            raise ConfigError(name, reason) from None
        if not in_the_way:
            self._leave(leaving)
        self._bound = wanted
        self._come(opened)

    def _where(self) -> dict[str, str]:
        return {name: self.config.text(name) for name in ("bind", *TCP)}

    def _leave(self, doors: list[Door]) -> None:
        for door in doors:
            transport = self._tls if door.kind == "tls-port" else self._transport
            assert transport is not None
            transport.leave(door.sock)
        self.doors = [door for door in self.doors if door not in doors]

    def _come(self, doors: list[Door]) -> None:
        self.doors += doors
        self._moving = asyncio.get_running_loop().create_task(self._serve_at(doors))

    def _reopened(self, kind: Kind, doors: list[Door]) -> list[Door]:
        """Doors that were closed for others which could not be had."""
        port = next((door.port for door in doors if door.kind == kind), 0)
        return open_tcp(kind, self._bound["bind"], port, self.config.integer("tcp-backlog")) if port else []

    def reserve_descriptors(self) -> None:
        """As many descriptors as maxclients needs, if the system allows it; else fewer clients.

        For a process that is ours: a program that embeds a server decides about its limits itself.
        """
        try:
            import resource
        except ImportError:  # no limits of that kind here
            return
        wanted = self.config.integer("maxclients") + SPARE_DESCRIPTORS
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if soft < wanted:
            clients = max(1, soft - SPARE_DESCRIPTORS)
            log.warning("maxclients is %d: the limit of open files, %d, allows no more", clients, soft)
            self.config.set_many({"maxclients": str(clients)})


def small_values(config: Config) -> dict[str, int]:
    """Up to what size values with parts are one term, as the plane wants to know it. values/ has the same rules."""
    list_entries, list_bytes = room(config.integer("list-max-listpack-size"))
    return {
        "hash_entries": config.integer("hash-max-listpack-entries"),
        "hash_value": config.integer("hash-max-listpack-value"),
        "set_entries": config.integer("set-max-listpack-entries"),
        "set_ints": config.integer("set-max-intset-entries"),
        "set_value": config.integer("set-max-listpack-value"),
        "zset_entries": config.integer("zset-max-listpack-entries"),
        "zset_value": config.integer("zset-max-listpack-value"),
        "list_entries": list_entries,
        "list_bytes": list_bytes,
    }


def noted_us(slowlog_us: int, latency_ms: int) -> int:
    """From how many microseconds on SLOWLOG or LATENCY wants to hear of a command; -1: never.

    >>> noted_us(10_000, 0), noted_us(10_000, 2), noted_us(-1, 0), noted_us(-1, 5)
    (10000, 2000, -1, 5000)
    """
    return min([us for us in (slowlog_us, latency_ms * 1000 or -1) if us >= 0], default=-1)


def new_plane() -> _wire.Plane:
    return _wire.Plane([keyspace(db) for db in range(16)])


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop whose selector can serve clients itself: what tsunami_server.start() finds there it uses.

    Where there is no epoll this is an ordinary loop.
    """
    if sys.platform != "linux":
        return asyncio.SelectorEventLoop()
    return asyncio.SelectorEventLoop(_wire.NativeSelector(new_plane()))


def free_selector(loop: asyncio.AbstractEventLoop) -> _wire.NativeSelector | None:
    """The loop's selector, if it is a native one through which nobody serves yet."""
    selector = getattr(loop, "_selector", None)
    if not isinstance(selector, _wire.NativeSelector) or selector.signal in selector.get_map():
        return None
    return selector


# ---- running as a program


def run(config: Config) -> int:
    """Serve until a signal or SHUTDOWN says stop. The exit status: 0, or 1 if the server could not listen."""
    app = App(config)
    plain, encrypted = systemd.take_sockets(os.environ, os.getpid())
    app.inherited = [door_of(sock, "port") for sock in plain] + [door_of(sock, "tls-port") for sock in encrypted]
    app.notify = systemd.Notifier(os.environ)
    loop = app.make_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_serve(app))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _serve(app: App) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, app.shutdown)
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGHUP, app.reload)
    app.reserve_descriptors()
    try:
        await app.start()
    except (OSError, ConfigError) as error:
        log.error("%s", getattr(error, "strerror", None) or error)
        return 1
    await app.stopped.wait()
    return 0
