"""Settings: each once, with its name, its form, its default, and whether it may be changed while the server runs.

What it is: the table SETTINGS, and Config, the values in force. The command line, CONFIG GET and CONFIG SET, and the
manual all read the table.

What it is not: it applies nothing. Whoever must act on a change (the app) is told of it: `on_change`.

What must stay true:

1. Names are Redis's wherever Redis has the setting; values are kept as the text that CONFIG GET shows.
2. set_many changes all or nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Parse = Callable[[str], str]  # what was written -> what CONFIG GET shows; ValueError with Redis's reason


class ConfigError(ValueError):
    """A setting that does not exist, cannot be changed, or cannot have this value: `name` and `reason`."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


# ---- forms of values


INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
INT_MAX: Final = (1 << 31) - 1
LONG_MAX: Final = (1 << 63) - 1


def number(least: int, most: int) -> Parse:
    def parse(text: str) -> str:
        value = int(text) if INTEGER.fullmatch(text) else LONG_MAX + 1
        if not -LONG_MAX - 1 <= value <= LONG_MAX:
            raise ValueError("argument couldn't be parsed into an integer")
        if not least <= value <= most:
            raise ValueError(f"argument must be between {least} and {most} inclusive")
        return str(value)

    return parse


UNITS: Final = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}


def bytes_of(text: str) -> int:
    """Redis's memory values: 100, 64kb (of 1024), 64k (of 1000), 1gb; and nothing, which is 0."""
    digits = text.rstrip("bBkKmMgG")
    unit = UNITS.get(text[len(digits) :].lower())
    if unit is None or (text and not (digits.isascii() and digits.isdecimal())):
        raise ValueError("argument must be a memory value")
    return int(digits or 0) * unit


def memory(least: int = 0, most: int = LONG_MAX) -> Parse:
    def parse(text: str) -> str:
        value = bytes_of(text)
        if not least <= value <= most:
            raise ValueError(f"argument must be between {least} and {most} inclusive")
        return str(value)

    return parse


def choice(*words: str) -> Parse:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(words)}")
        return text.lower()

    return parse


def yes_no(text: str) -> str:
    if text.lower() not in ("yes", "no"):
        raise ValueError("argument must be 'yes' or 'no'")
    return text.lower()


def octal(text: str) -> str:
    try:
        value = int(text, 8)
    except ValueError:
        raise ValueError("argument couldn't be parsed into an integer") from None
    if not 0 <= value <= 0o777:
        raise ValueError("argument must be between 0 and 777 inclusive")
    return f"{value:o}"


def words(text: str) -> str:
    return " ".join(text.split())


def save_points(text: str) -> str:
    """Pairs of seconds and changes."""
    parts = text.split()
    if len(parts) % 2 or not all(INTEGER.fullmatch(part) and int(part) >= 0 for part in parts):
        raise ValueError("Invalid save parameters")
    return " ".join(parts)


def memory_or_percent(text: str) -> str:
    """A memory value, or `5%`: a share of maxmemory."""
    if text.endswith("%") and text[:-1].isdecimal():
        if int(text[:-1]) > 100:
            raise ValueError("percentage argument must be less or equal to 100")
        return f"{int(text[:-1])}%"
    try:
        return str(bytes_of(text))
    except ValueError:
        raise ValueError("argument must be a memory or percent value") from None


EVENT_CLASSES: Final = "g$lshzxetdnKEm"  # in the order in which CONFIG GET shows them
EVENTS_OF_A: Final = "g$lshzxetd"


def event_classes(text: str) -> str:
    """Letters of notify-keyspace-events: all of A's are shown as A; n and m are never part of it."""
    if not set(text) <= {"A", *EVENT_CLASSES}:
        raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
    found = set(text.replace("A", EVENTS_OF_A))
    whole = found.issuperset(EVENTS_OF_A)
    rest = found - set(EVENTS_OF_A) if whole else found
    return ("A" if whole else "") + "".join(letter for letter in EVENT_CLASSES if letter in rest)


def percentiles(text: str) -> str:
    shown = []
    for word in text.split():
        try:
            value = float(word)
        except ValueError:
            raise ValueError("Invalid latency-tracking-info-percentiles parameters") from None
        if not 0 <= value <= 100:
            raise ValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        shown.append(f"{value:.17g}" if value == int(value) else repr(value))
    return " ".join(shown)


OUTPUT_CLASSES: Final = {"normal": "normal", "slave": "slave", "replica": "slave", "pubsub": "pubsub"}
OUTPUT_LIMITS: Final = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"


def output_limits(text: str) -> str:
    """class hard soft seconds, for one class or several; those that are not named keep their defaults."""
    parts = text.split()
    if len(parts) % 4:
        raise ValueError("Wrong number of arguments in buffer limit configuration.")
    limits = {OUTPUT_LIMITS.split()[i]: OUTPUT_LIMITS.split()[i + 1 : i + 4] for i in range(0, 12, 4)}
    for i in range(0, len(parts), 4):
        name, hard, soft, seconds = parts[i : i + 4]
        if name.lower() not in OUTPUT_CLASSES:
            raise ValueError("Invalid client class specified in buffer limit configuration.")
        try:
            limits[OUTPUT_CLASSES[name.lower()]] = [
                str(bytes_of(hard)),
                str(bytes_of(soft)),
                number(0, INT_MAX)(seconds),
            ]
        except ValueError:
            raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.") from None
    return " ".join(f"{name} {' '.join(values)}" for name, values in limits.items())


# ---- the table


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    parse: Parse
    default: str
    mutable: bool
    summary: str
    alias: str = ""  # Redis's older name of it


MB: Final = 1 << 20
LONGEST: Final = (1 << 30) - 1  # the length of a binary has 30 bits

SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        # -- where to listen
        Setting("port", number(0, 65535), "6379", True,
                "TCP port; 0 takes one that is free, or, with tls-port set, none"),
        Setting("bind", words, "127.0.0.1 -::1", True,
                "addresses to listen on; * is all of them; - before one: not available is no error; empty: no TCP"),
        Setting("unixsocket", str, "", False, "path of a Unix socket to listen on as well"),
        Setting("unixsocketperm", octal, "0", False, "its permissions, octal; 0 leaves them to the umask"),
        Setting("tcp-backlog", number(0, INT_MAX), "511", False, "connections that may wait to be accepted"),
        Setting("io", choice("auto", "native", "asyncio"), "auto", False,
                "how sockets are served: by the native selector (Linux), or by asyncio's own means"),
        # -- TLS
        Setting("tls-port", number(0, 65535), "0", True, "TCP port for TLS; 0: none"),
        Setting("tls-cert-file", str, "", True, "the server's certificate, PEM, with its chain"),
        Setting("tls-key-file", str, "", True, "the key of the certificate, PEM"),
        Setting("tls-key-file-pass", str, "", True, "the passphrase of the key, if it is encrypted"),
        Setting("tls-ca-cert-file", str, "", True, "certificates of those who vouch for clients, PEM"),
        Setting("tls-ca-cert-dir", str, "", True, "the same as a directory of files named by their hashes"),
        Setting("tls-auth-clients", choice("no", "yes", "optional"), "yes", True,
                "whether clients must have a certificate"),
        Setting("tls-protocols", words, "", True, "versions that are spoken; nothing: TLSv1.2 TLSv1.3"),
        Setting("tls-ciphers", str, "", True, "ciphers of TLS 1.2 and below, as OpenSSL spells them"),
        Setting("tls-ciphersuites", str, "", True, "cipher suites of TLS 1.3; needs Python 3.15"),
        Setting("tls-prefer-server-ciphers", yes_no, "no", True, "the server's order of ciphers counts"),
        # -- who may come in
        Setting("requirepass", str, "", True, "password; without one nobody needs to authenticate"),
        Setting("aclfile", str, "", False, "file of users: read at the start and by ACL LOAD, written by ACL SAVE"),
        Setting("acl-pubsub-default", choice("allchannels", "resetchannels"), "resetchannels", True,
                "whether new users may use all channels, or none"),
        Setting("acllog-max-len", number(0, LONG_MAX), "128", True, "entries that ACL LOG keeps"),
        Setting("protected-mode", yes_no, "yes", True, "while there is no password, serve only this machine"),
        Setting("maxclients", number(1, (1 << 32) - 1), "10000", True, "connections at the same time"),
        Setting("timeout", number(0, INT_MAX), "0", True, "close a connection after so many idle seconds; 0: never"),
        Setting("tcp-keepalive", number(0, INT_MAX), "300", True, "seconds between probes of a silent peer; 0: none"),
        Setting("enable-debug-command", choice("yes", "no", "local"), "local", False, "who may use DEBUG"),
        # -- how much of everything
        Setting("proto-max-bulk-len", memory(MB, LONGEST), str(512 * MB), True,
                "the longest argument, and the longest string; no term is longer than 1 GB"),
        Setting("client-query-buffer-limit", memory(MB), str(1024 * MB), True,
                "close a connection that has sent so much of a request without finishing it"),
        Setting("client-output-buffer-limit", output_limits, OUTPUT_LIMITS, True,
                "class, hard limit, soft limit, seconds: close a connection with so much unread output; 0: never"),
        Setting("client-output-mark", memory(4096), str(MB), True,
                "while a connection has more unread output than this its commands wait"),
        Setting("client-query-mark", memory(16384), str(64 * MB), True,
                "how much more of its requests is received meanwhile"),
        Setting("databases", number(16, 16), "16", False, "databases for SELECT"),
        # -- when memory is short
        Setting("maxmemory", memory(), "0", True, "bytes that the rows may take up; 0: no limit"),
        Setting("maxmemory-policy", choice("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
                                           "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"),
                "noeviction", True, "which keys make room when maxmemory is reached"),
        Setting("maxmemory-samples", number(1, INT_MAX), "5", True, "keys that are looked at for each one evicted"),
        Setting("maxmemory-eviction-tenacity", number(0, 100), "10", True,
                "how long evicting may keep others waiting: 0 least, 100 until there is room"),
        Setting("maxmemory-clients", memory_or_percent, "0", True,
                "bytes, or share of maxmemory, that all connections' buffers may take up; 0: no limit"),
        Setting("lfu-log-factor", number(0, INT_MAX), "10", True, "how slowly the counters of LFU saturate"),
        Setting("lfu-decay-time", number(0, INT_MAX), "1", True, "minutes in which LFU counters go down by one"),
        Setting("active-expire-effort", number(1, 10), "1", True,
                "kept for tools that set it: rows are erased within 40 ms of their deadline, whatever it says"),
        *(Setting(f"lazyfree-lazy-{cause}", yes_no, "no", True,
                  "kept for tools that set it: what is freed is always freed in pieces")
          for cause in ("eviction", "expire", "server-del", "user-del", "user-flush")),
        # -- until when a value is one small term
        Setting("hash-max-listpack-entries", number(0, LONG_MAX), "512", True,
                "a hash of more fields is backed by a table", alias="hash-max-ziplist-entries"),
        Setting("hash-max-listpack-value", memory(), "64", True,
                "a hash with a longer field or value is backed by a table", alias="hash-max-ziplist-value"),
        Setting("set-max-intset-entries", number(0, LONG_MAX), "512", True,
                "a set of integers with more members is no intset any more"),
        Setting("set-max-listpack-entries", number(0, LONG_MAX), "128", True,
                "a set of more members is backed by a table"),
        Setting("set-max-listpack-value", memory(), "64", True, "a set with a longer member is backed by a table"),
        Setting("zset-max-listpack-entries", number(0, LONG_MAX), "128", True,
                "a sorted set of more members is backed by tables", alias="zset-max-ziplist-entries"),
        Setting("zset-max-listpack-value", memory(), "64", True,
                "a sorted set with a longer member is backed by tables", alias="zset-max-ziplist-value"),
        Setting("list-max-listpack-size", number(-INT_MAX - 1, INT_MAX), "-2", True,
                "a longer list is backed by a table: so many elements, or -1 to -5: 4, 8, 16, 32, 64 KB",
                alias="list-max-ziplist-size"),
        Setting("list-compress-depth", number(0, INT_MAX), "0", True,
                "kept for tools that set it: nothing is compressed"),
        Setting("stream-node-max-bytes", memory(), "4096", True,
                "how coarsely XADD and XTRIM with ~ trim: bytes that Redis keeps in one node"),
        Setting("stream-node-max-entries", number(0, LONG_MAX), "100", True,
                "how coarsely XADD and XTRIM with ~ trim: entries that Redis keeps in one node"),
        Setting("hll-sparse-max-bytes", memory(), "3000", True, "kept for tools that set it: there is no HyperLogLog"),
        # -- messages, scripts
        Setting("notify-keyspace-events", event_classes, "", True,
                "which keyspace events are published: K and E, and the classes g$lshzxetdnm or A"),
        Setting("tracking-table-max-keys", number(0, LONG_MAX), "1000000", True,
                "keys that are remembered for client-side caching; 0: no limit"),
        Setting("busy-reply-threshold", number(0, LONG_MAX), "5000", True,
                "milliseconds after which a script can be killed and others are told BUSY", alias="lua-time-limit"),
        # -- what is kept on disk
        Setting("appendonly", choice("no"), "no", False, "no log"),
        Setting("save", save_points, "", True, "kept for tools that set it: there are no snapshots"),
        *(Setting(name, yes_no, "yes", True, "kept for tools that set it: there are no snapshots")
          for name in ("rdbcompression", "stop-writes-on-bgsave-error")),
        Setting("sanitize-dump-payload", choice("no", "yes", "clients"), "no", True,
                "kept for tools that set it: what RESTORE is given is always checked"),
        Setting("appendfsync", choice("everysec", "always", "no"), "everysec", True,
                "kept for tools that set it: there is no log"),
        # -- other servers
        Setting("repl-backlog-size", memory(1), str(MB), True, "kept for tools that set it: there are no replicas"),
        *(Setting(f"replica-{what}", yes_no, "yes", True, "kept for tools that set it: there are no replicas",
                  alias=f"slave-{what}")
          for what in ("serve-stale-data", "read-only")),
        Setting("replicaof", choice(""), "", False, "there is no replication", alias="slaveof"),
        Setting("cluster-enabled", choice("no"), "no", False, "there is no cluster"),
        # -- what is watched
        Setting("slowlog-log-slower-than", number(-1, LONG_MAX), "10000", True, "microseconds; -1: log nothing"),
        Setting("slowlog-max-len", number(0, LONG_MAX), "128", True, "entries that SLOWLOG keeps"),
        Setting("latency-monitor-threshold", number(0, LONG_MAX), "0", True, "milliseconds; 0: watch nothing"),
        Setting("latency-tracking", yes_no, "yes", True, "keep a histogram of each command's time"),
        Setting("latency-tracking-info-percentiles", percentiles, "50 99 99.9", True,
                "which percentiles INFO shows of them"),
        Setting("metrics-port", number(0, 65535), "0", False,
                "serve figures for Prometheus on this port (needs tsunami[metrics]); 0: do not"),
        Setting("metrics-bind", words, "127.0.0.1", False, "the address for metrics-port"),
        Setting("log-format", choice("text", "json"), "text", False, "how a line of the log looks"),
        Setting("logfile", str, "", False, "file for the log; nothing: standard error"),
        Setting("loglevel", choice("debug", "verbose", "notice", "warning"), "notice", True, "what is logged"),
        Setting("daemonize", choice("no"), "no", False, "it stays in the foreground"),
        Setting("hz", number(1, 500), "10", True, "how often a second idle and slow connections are looked for"),
        Setting("dynamic-hz", yes_no, "yes", True, "kept for tools that set it: hz is always what it was set to"),
        Setting("shutdown-timeout", number(0, INT_MAX), "10", True,
                "seconds in which clients may receive their last replies when the server stops"),
    )
}  # fmt: skip

ALIASES: Final[Mapping[str, str]] = {setting.alias: name for name, setting in SETTINGS.items() if setting.alias}


class Config:
    """The settings in force.

    >>> config = Config({"port": "7000", "maxclients": "50"})
    >>> config.integer("port"), config.text("bind"), config.flag("protected-mode")
    (7000, '127.0.0.1 -::1', True)
    >>> config.set_many({"client-query-buffer-limit": "2mb"})
    >>> config.text("client-query-buffer-limit")
    '2097152'
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {setting.name: setting.default for setting in SETTINGS.values()}
        self.on_change: Callable[[frozenset[str]], None] = lambda names: None
        self.file: Path | None = None  # where they were read from, and CONFIG REWRITE writes them
        self.users: Mapping[str, str] = {}  # what the file says of users
        for name, text in (values or {}).items():
            self._values[ALIASES.get(name, name)] = parsed(name, text)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> "Config":
        """Settings as keyword arguments: underscores for hyphens, numbers, booleans and lists as they are."""
        return cls({name.replace("_", "-"): spelled(value) for name, value in settings.items()})

    def names(self) -> Iterable[str]:
        """All of them, and their older names."""
        return [*SETTINGS, *ALIASES]

    def text(self, name: str, /) -> str:
        """The value as CONFIG GET shows it. KeyError if there is no such setting."""
        return self._values[ALIASES.get(name, name)]

    def all(self) -> dict[str, str]:
        """Every setting once, by its newer name."""
        return dict(self._values)

    def integer(self, name: str, /) -> int:
        return int(self._values[name])

    def flag(self, name: str, /) -> bool:
        return self._values[name] == "yes"

    def output_limit(self, client_class: str) -> tuple[int, int, int]:
        """Hard limit, soft limit and seconds of a class of clients; 0: none."""
        parts = self._values["client-output-buffer-limit"].split()
        at = parts.index(client_class)
        hard, soft, seconds = (int(part) for part in parts[at + 1 : at + 4])
        return hard, soft, seconds

    def _is_now(self, name: str, text: str) -> bool:
        try:
            return parsed(name, text) == self._values[name]
        except ConfigError:
            return False

    def set_many(self, pairs: Mapping[str, str], /) -> None:
        """Change settings, all of them or none. ConfigError."""
        new = {}
        for given, text in pairs.items():
            name = ALIASES.get(given, given)
            if not SETTINGS[name].mutable:
                if not self._is_now(name, text):
                    raise ConfigError(name, "can't set immutable config")
            new[name] = parsed(name, text)
        old = self._values
        self._values = {**old, **new}
        try:
            self.on_change(frozenset(new))
        except BaseException:
            self._values = old
            raise


def parsed(name: str, text: str) -> str:
    name = ALIASES.get(name, name)
    if name not in SETTINGS:
        raise ConfigError(name, "there is no such setting")
    try:
        return SETTINGS[name].parse(text)
    except ValueError as error:
        raise ConfigError(name, str(error)) from None


def spelled(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)
