"""Client-side caching: the same conversations with a real redis-server and with ours; redis-py's own client-side cache,
which must never show a value from before a change that it has been told of; and what is special here.

In a conversation `mark` has the server tell everybody something, so that what was (not) said before is seen.
"""

import contextlib
import random
import threading
import time
from typing import Any

import pytest
import redis
from _redis import Client, Reply, our_server
from _server import tsunami_server
from _support import wait_until
from redis.cache import CacheConfig

Step = tuple[str, tuple[Any, ...]]


class People:
    """Connections by name: those in capitals speak RESP2, the others RESP3."""

    def __init__(self, port: int, stack: contextlib.ExitStack) -> None:
        self.port, self.stack = port, stack
        self.all: dict[str, Client] = {}
        self.numbers: dict[int, str] = {}
        self.heard: list[Any] = []

    def client(self, name: str) -> Client:
        if name not in self.all:
            client = self.all[name] = self.stack.enter_context(Client(self.port, 2 if name.isupper() else 3))
            self.numbers[client.value("CLIENT", "ID")] = name
        return self.all[name]

    def say(self, who: str, words: tuple[Any, ...]) -> None:
        """The words `@name` stand for that connection's id."""
        client = self.client(who)
        ids = {f"@{name}": number for number, name in self.numbers.items()}
        client.send(*(ids.get(word, word) if isinstance(word, str) else word for word in words))
        pushes = []
        while (reply := client.read())[0] == ">":  # 7.2 tells a client's own changes behind the reply, 7.0 before it
            pushes.append(reply)
        self.heard.append((who, self.plain(reply, ids=words[-1] in ("GETREDIR", "TRACKINGINFO"))))
        client.send("ECHO", "mark") if client.socket and not who.isupper() else None
        if not who.isupper():
            while (reply := client.read())[0] == ">":
                pushes.append(reply)
        if pushes:
            self.heard.append((who, "is told", [self.plain(push) for push in pushes]))

    def listen(self, who: str) -> None:
        """What has been said to somebody who has not asked."""
        client, told = self.client(who), []
        client.send("PING")
        while (reply := client.read())[0] == ">" or (who.isupper() and self.is_message(reply)):
            told.append(self.plain(reply))
        self.heard.append((who, "hears", told))

    @staticmethod
    def is_message(reply: Reply) -> bool:
        return reply[0] == "*" and reply[1][0][1] == b"message"

    def plain(self, reply: Reply, ids: bool = False) -> Any:
        """Sets in order; `ids`: numbers by the names of those whose they are."""
        mark, value = reply
        if mark == ":" and ids and value in self.numbers:
            return "@" + self.numbers[value]
        if mark in "*>" and value is not None:
            return mark, [self.plain(item, ids) for item in value]
        if mark == "~":
            return mark, sorted(str(item) for item in value)
        if mark == "%":
            return mark, [(self.plain(key, ids), self.plain(item, ids)) for key, item in value]
        return reply


def converse(port: int, steps: list[Step]) -> list[Any]:
    with contextlib.ExitStack() as stack:
        people = People(port, stack)
        people.client("z").value("FLUSHALL")
        people.client("z").value("CONFIG", "SET", "tracking-table-max-keys", "1000000")
        for who, _ in steps:
            people.client(who)
        for who, words in steps:
            if words == ("LISTEN",):
                time.sleep(0.02)  # Redis tells prefixes once in a turn of its loop
                people.listen(who)
            else:
                people.say(who, words)
        return people.heard


def steps(text: str) -> list[Step]:
    """`who: words | who: words`, one a line or more."""
    found = []
    for line in text.split("|"):
        who, _, words = line.strip().partition(":")
        found.append((who.strip(), tuple(words.split())))
    return found


CONVERSATIONS = {
    "default": """
        a: CLIENT TRACKING on | a: GET k | b: SET k 1 | a: LISTEN | b: SET k 2 | a: LISTEN | a: MGET k l k |
        b: SET l 1 | b: DEL k | a: LISTEN | a: CLIENT GETREDIR | a: CLIENT TRACKINGINFO | a: CLIENT TRACKING off |
        a: GET k | b: SET k 1 | a: LISTEN | a: CLIENT TRACKINGINFO | a: CLIENT GETREDIR
    """,
    "commands": """
        a: CLIENT TRACKING on | b: SET k 5 | a: STRLEN k | b: APPEND k 1 | a: LISTEN | a: GETRANGE k 0 1 |
        b: EXPIRE k 100 | a: LISTEN | a: TTL k | b: PERSIST k | a: LISTEN | a: EXISTS k | b: RENAME k l |
        a: LISTEN | a: TYPE l | b: COPY l m | a: LISTEN | b: INCR l | a: LISTEN | a: GET l | b: INCR l |
        a: LISTEN | a: GET l | b: GETEX l PERSIST | a: LISTEN | b: SETNX l 1 | a: LISTEN | b: DEL none |
        b: GETDEL l | a: LISTEN | a: GET m | b: SETBIT m 1 1 | a: LISTEN
    """,
    "own changes": """
        a: CLIENT TRACKING on | a: GET k | a: SET k 1 | a: LISTEN | a: GET k | a: INCR k | a: LISTEN |
        a: GETEX k | a: SET k 2 | a: LISTEN
    """,
    "noloop": """
        a: CLIENT TRACKING on NOLOOP | a: GET k | a: SET k 1 | a: LISTEN | a: GET k | b: SET k 2 | a: LISTEN |
        a: CLIENT TRACKINGINFO
    """,
    "redirect to RESP3": """
        a: CLIENT TRACKING on REDIRECT @b | a: GET k | c: SET k 1 | b: LISTEN | a: LISTEN | a: CLIENT GETREDIR |
        a: CLIENT TRACKINGINFO
    """,
    "redirect to RESP2": """
        B: SUBSCRIBE __redis__:invalidate | A: CLIENT TRACKING on REDIRECT @B | A: GET k | A: GET l | c: SET k 1 |
        B: LISTEN | c: FLUSHALL | B: LISTEN | A: CLIENT GETREDIR
    """,
    "redirect to one who does not listen": """
        A: CLIENT TRACKING on REDIRECT @B | A: GET k | c: SET k 1 | B: PING
    """,
    "optin": """
        a: CLIENT TRACKING on OPTIN | a: GET k | b: SET k 1 | a: LISTEN | a: CLIENT CACHING yes | a: GET k |
        b: SET k 2 | a: LISTEN | a: GET k | b: SET k 1 | a: LISTEN | a: CLIENT CACHING yes |
        a: CLIENT TRACKINGINFO | a: CLIENT GETNAME | a: GET k | b: SET k 3 | a: LISTEN | a: CLIENT CACHING no |
        a: CLIENT TRACKINGINFO | a: CLIENT CACHING maybe
    """,
    "optout": """
        a: CLIENT TRACKING on OPTOUT | a: GET k | b: SET k 1 | a: LISTEN | a: CLIENT CACHING no | a: GET k |
        b: SET k 2 | a: LISTEN | a: GET k | b: SET k 1 | a: LISTEN | a: CLIENT CACHING no |
        a: CLIENT TRACKINGINFO | a: CLIENT CACHING yes
    """,
    "bcast": """
        a: CLIENT TRACKING on BCAST | b: SET k 1 | a: LISTEN | b: MSET z 1 y 2 x 3 | a: LISTEN | a: SET own 1 |
        a: LISTEN | a: CLIENT TRACKINGINFO | a: CLIENT TRACKING off | b: SET k 1 | a: LISTEN
    """,
    "prefixes": """
        a: CLIENT TRACKING on BCAST PREFIX user: PREFIX item: | b: MSET user:1 x other x item:2 y | a: LISTEN |
        a: CLIENT TRACKING on BCAST PREFIX more: | b: SET more:1 x | a: LISTEN | a: CLIENT TRACKINGINFO |
        b: DEL user:1 none | a: LISTEN | b: RENAME item:2 user:7 | a: LISTEN
    """,
    "bcast noloop": """
        a: CLIENT TRACKING on BCAST NOLOOP | c: CLIENT TRACKING on BCAST | a: SET k 1 | a: LISTEN | c: LISTEN |
        b: SET k 2 | a: LISTEN | c: LISTEN
    """,
    "flush": """
        a: CLIENT TRACKING on | c: CLIENT TRACKING on BCAST | a: GET k | b: SET x 1 | c: LISTEN | b: FLUSHDB |
        a: LISTEN | c: LISTEN | b: FLUSHALL | a: LISTEN | b: SET k 1 | a: LISTEN | c: LISTEN | a: FLUSHALL |
        a: LISTEN
    """,
    "transactions": """
        a: CLIENT TRACKING on | a: MULTI | a: GET k | a: EXEC | b: SET k 1 | a: LISTEN | a: GET k | b: MULTI |
        b: SET k 2 | b: SET l 1 | b: EXEC | a: LISTEN | a: MULTI | a: GET k | a: SET k 3 | a: EXEC | a: LISTEN |
        b: SET k 4 | a: LISTEN
    """,
    "optin in transactions": """
        a: CLIENT TRACKING on OPTIN | a: CLIENT CACHING yes | a: MULTI | a: GET k | a: GET l | a: EXEC |
        b: SET k 1 | b: SET l 1 | a: LISTEN | a: GET k | b: SET k 1 | a: LISTEN
    """,
    "limit": """
        a: CLIENT TRACKING on | b: CONFIG SET tracking-table-max-keys 1 | a: GET k | a: LISTEN
    """,
    "expiry": """
        b: SET k 1 PX 30 | a: CLIENT TRACKING on | a: GET k | b: DEBUG SLEEP 0.1 | b: GET k | b: DEBUG SLEEP 0.1 |
        a: LISTEN
    """,
    "mistakes": """
        a: CLIENT TRACKING on PREFIX p | a: CLIENT TRACKING on REDIRECT 999999 |
        a: CLIENT TRACKING on REDIRECT x | a: CLIENT TRACKING on REDIRECT @b REDIRECT @c |
        a: CLIENT TRACKING on REDIRECT | a: CLIENT TRACKING maybe | a: CLIENT TRACKING on SOMETHING |
        a: CLIENT TRACKING on BCAST OPTIN | a: CLIENT TRACKING on OPTIN OPTOUT |
        a: CLIENT TRACKING on BCAST PREFIX foo PREFIX foobar |
        a: CLIENT TRACKING on BCAST PREFIX foobar PREFIX foo | a: CLIENT TRACKING on BCAST PREFIX foo PREFIX foo |
        a: CLIENT CACHING yes | a: CLIENT TRACKING off BCAST | a: CLIENT TRACKING on BCAST PREFIX foo |
        a: CLIENT TRACKING on BCAST PREFIX foobar | a: CLIENT TRACKING on | a: CLIENT CACHING yes |
        a: CLIENT TRACKING off | a: CLIENT TRACKING on OPTIN | a: CLIENT TRACKING on OPTOUT |
        a: CLIENT CACHING no | a: CLIENT TRACKING on BCAST | a: CLIENT TRACKING | a: CLIENT CACHING |
        a: CLIENT TRACKINGINFO x | b: GET x | c: GET x
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_the_same_as_with_redis(theirs: int, ours: int, name: str) -> None:
    told = steps(CONVERSATIONS[name])
    for mine, redis_ in zip(converse(ours, told), converse(theirs, told), strict=True):
        assert mine == redis_


def test_own_changes_are_told_behind_the_reply(ours: int) -> None:
    """Redis 7.2; 7.0 told them before it."""
    with Client(ours, 3) as client:
        client("CLIENT", "TRACKING", "on")
        client("GET", "k")
        assert client.all([("SET", "k", "v"), ("ECHO", "x")]) == [
            ("+", "OK"),
            (">", [("$", b"invalidate"), ("*", [("$", b"k")])]),
        ]
        assert client.read() == ("$", b"x")
        client("GET", "k")
        assert client.all([("FLUSHALL",), ("ECHO", "x")]) == [("+", "OK"), (">", [("$", b"invalidate"), ("_", "")])]


def test_whoever_stands_in_may_be_gone(ours: int) -> None:
    with Client(ours, 3) as client, Client(ours) as other:
        helper = Client(ours, 3)
        number = helper.value("CLIENT", "ID")
        client.value("CLIENT", "TRACKING", "on", "REDIRECT", number)
        client("GET", "k")
        assert "flags=t db=0" in client.value("CLIENT", "INFO").decode()
        assert f"redir={number}" in client.value("CLIENT", "INFO").decode()
        helper.close()
        wait_until(lambda: f"id={number} " not in other.value("CLIENT", "LIST").decode(), "it is gone")
        other.value("SET", "k", "v")
        assert client("PING") == (">", [("$", b"tracking-redir-broken"), (":", number)])
        assert client.read() == ("+", "PONG")
        assert set(client.value("CLIENT", "TRACKINGINFO")[b"flags"]) == {b"on", b"broken_redirect"}
        assert "flags=tR" in client.value("CLIENT", "INFO").decode()


def test_figures() -> None:
    with our_server() as server, Client(server.port) as asking, Client(server.port) as other:
        client = Client(server.port, 3)

        def figures() -> list[int]:
            lines = dict(line.split(":", 1) for line in asking.value("INFO").decode().split("\r\n") if ":" in line)
            names = ("tracking_clients", "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes")
            return [int(lines[name]) for name in names]

        assert figures() == [0, 0, 0, 0]
        client("CLIENT", "TRACKING", "on")
        other("CLIENT", "TRACKING", "on")
        client("MGET", "a", "b")
        other("GET", "a")
        assert figures() == [2, 2, 3, 0]
        other("SET", "a", "1")
        assert figures() == [2, 1, 1, 0]
        other("RESET")
        assert figures()[0] == 1
        other("CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "a", "PREFIX", "b")
        assert figures() == [2, 1, 1, 2]
        client.close()
        wait_until(lambda: figures()[0] == 1, "the connection's end is noticed")
        other("CLIENT", "TRACKING", "off")
        assert figures() == [0, 1, 1, 0]
        assert server._app.plane.interest_count() == 1
        other("SET", "b", "1")
        assert figures() == [0, 0, 0, 0]
        assert server._app.plane.interest_count() == 0


def test_hot_commands_stay_hot_for_what_nobody_has_read() -> None:
    with our_server() as server, Client(server.port, 3) as client, Client(server.port) as other:
        client("CLIENT", "TRACKING", "on")
        client("GET", "k")
        cold = server._app.plane.counters()["cold_commands"]
        other.all([("SET", f"other{i}", "v") for i in range(100)])
        assert server._app.plane.counters()["cold_commands"] == cold
        other.value("SET", "k", "v")
        assert server._app.plane.counters()["cold_commands"] == cold + 1
        assert client.read() == (">", [("$", b"invalidate"), ("*", [("$", b"k")])])


# ---- redis-py's cache


def test_the_cache_of_redis_py_follows(ours: int) -> None:
    with redis.Redis(port=ours, protocol=3, cache_config=CacheConfig()) as cached, redis.Redis(port=ours) as other:
        other.set("k", "1")
        assert cached.get("k") == b"1"
        assert cached.get("k") == b"1"
        assert cached.get_cache().size == 1
        other.set("k", "2")
        wait_until(lambda: cached.get("k") == b"2", "the change is heard of", 5)
        other.mset({"k": "3", "l": "1"})
        wait_until(lambda: cached.mget("k", "l") == [b"3", b"1"], "the change is heard of", 5)
        other.flushall()
        wait_until(lambda: cached.get("k") is None, "the flush is heard of", 5)
        other.set("k", "4", px=60)
        wait_until(lambda: cached.get("k") == b"4", "the change is heard of", 5)
        wait_until(lambda: cached.get("k") is None, "expiry is heard of", 5)


@pytest.mark.parametrize("kind", ["set", "incr", "transaction"])
def test_no_stale_value_after_the_invalidation(kind: str) -> None:
    """Writers change keys as fast as they can, and note what is stored for certain. A reader looks at that, speaks with
    the server once, by which it has heard of all changes until then, and asks its cache: nothing older may come.
    """
    keys = [f"k{i}" for i in range(8)]
    with tsunami_server() as server:
        stored = dict.fromkeys(keys, 0)
        stop = threading.Event()
        errors: list[str] = []

        def write(number: int) -> None:
            dice = random.Random(number)
            own = keys[number::2]  # each key has one writer, so its values only grow
            with redis.Redis(port=server.port) as client:
                value = 0
                while not stop.is_set():
                    key = dice.choice(own)
                    value = stored[key] + 1
                    if kind == "set":
                        client.set(key, value)
                    elif kind == "incr":
                        value = client.incr(key)
                    else:
                        with client.pipeline() as pipeline:
                            pipeline.set(key, value).get(key).execute()
                    stored[key] = value

        def read() -> None:
            with redis.Redis(port=server.port, protocol=3, cache_config=CacheConfig()) as cached:
                end = time.monotonic() + 2
                hits = 0
                while time.monotonic() < end and not errors:
                    key = random.choice(keys)
                    before = stored[key]
                    cached.echo("x")  # what was sent before is read with its reply: invalidations of all of `stored`
                    seen = int(cached.get(key) or 0)
                    hits += 1
                    if seen < before:
                        errors.append(f"{key}: {seen} from the cache, but {before} was stored before")
                assert hits > 50

        threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            read()
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        assert not errors


@pytest.mark.parametrize("options", [("NOLOOP",), ("BCAST", "NOLOOP")])
def test_an_expired_key_is_told_also_if_a_command_of_ones_own_has_met_it(ours: int, options: tuple[str, ...]) -> None:
    """NOLOOP is for what one changes oneself. The key expires while a script runs, and a command finds it due."""
    busy = (
        "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1] - t[1]) * 1e6 + n[2] - t[2] > 6e4"
    )
    with Client(ours, 3) as client:
        client.value("CLIENT", "TRACKING", "ON", *options)
        for words in (("SET", "due", "1", "PX", "40"), ("GET", "due"), ("EVAL", busy, 0), ("SET", "other", "1")):
            client.send(*words)
        replies = [client.read() for _ in range(5)]
        assert [reply for reply in replies if reply[0] == ">"] == [
            (">", [("$", b"invalidate"), ("*", [("$", b"due")])])
        ]


def test_a_key_that_a_script_of_ones_own_changes_is_told(ours: int) -> None:
    """Inside of the script the connection speaks RESP2, as scripts do; its client still speaks RESP3."""
    with Client(ours, 3) as client:
        client.value("CLIENT", "TRACKING", "ON")
        client.all([("SET", "mine", "1"), ("GET", "mine")])
        client.send("EVAL", "return redis.call('SET', 'mine', '2')", 1, "mine")
        replies = [client.read() for _ in range(2)]
        assert replies == [("+", "OK"), (">", [("$", b"invalidate"), ("*", [("$", b"mine")])])]
