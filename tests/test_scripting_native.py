"""EVALSHA and redis.call without Python (script.pxi): everything is as on the long way.

What goes natively are EVALSHA of a known script on a connection that nothing is special about, calls of hot commands,
and replies on their way into Lua and out. What a script means is test_scripting.py's; here stands what could differ.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from _redis import Client, our_server, redis_server
from _scripts import CORPUS
from _server import IO_KINDS
from _support import wait_until

import tsunami
from tsunami import _wire


@pytest.fixture
def server() -> Iterator[Any]:
    for db in range(16):
        tsunami.keyspace(db).delete_all_objects()
    with our_server() as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client


@pytest.fixture(params=IO_KINDS)
def impatient(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(io=request.param, busy_reply_threshold=50) as server:
        yield server


def known(client: Client, script: str) -> str:
    """The SHA-1 of a script; what is sent with it from now on goes the native way."""
    sha: str = client.value("SCRIPT", "LOAD", script).decode()
    client("EVALSHA", sha, "-1")  # a spelling is learned when it is first met
    return sha


def stat(client: Client, section: str, name: str) -> dict[str, str]:
    text = client.value("INFO", section).decode()
    line = next((line for line in text.splitlines() if line.startswith(f"{name}:")), ":")
    return dict(pair.split("=") for pair in line.partition(":")[2].split(",") if pair)


def test_the_native_way_is_taken(server: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = known(client, "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])")
    session = next(iter(server._app.shared.sessions.values()))
    long: list[bytes] = []
    monkeypatch.setattr(session, "execute", lambda argv: long.append(argv[0]))
    monkeypatch.setattr(session, "perform", lambda argv, **_: long.append(argv[0]))
    monkeypatch.setattr(server._app.shared.scripts, "run", lambda *_: long.append(b"run"))
    assert client("EVALSHA", sha, 1, "k", "v") == ("$", b"v")
    assert long == []
    for words in ((sha, "x", "k"), (sha, "01", "k"), (sha, 2, "k"), (sha, "-1"), ("f" * 40, 0), (sha.upper(), 0)):
        client("EVALSHA", *words)
    assert long == [b"run"]  # another spelling is Python's; the others are errors


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize("resp", [2, 3])
def test_every_script_of_the_corpus_answers_as_on_redis(server: Any, resp: int) -> None:
    differ = []
    before = [("DEL", "a", "l", "h", "k"), ("RPUSH", "l", "1"), ("HSET", "h", "f", "v")]
    with redis_server() as port, Client(port, resp) as real, Client(server.port, resp) as ours:
        known(ours, "return 1")
        for line in filter(None, CORPUS.split("\n")):
            script = line.replace(r"\N", "\n")
            mark, sha = real("SCRIPT", "LOAD", script)
            assert ours("SCRIPT", "LOAD", script)[0] == mark
            if mark == "$":
                request = ("EVALSHA", sha, 1, "k", "v")
                expected, actual = (client.all([*before, request])[-1] for client in (real, ours))
                if expected != actual:
                    differ.append((line, expected, actual))
    assert [] == differ


# What a script makes of a reply that it gets in RESP3, told by a script.
TELL = """
redis.setresp(3)
local function tell(v)
    if type(v) ~= 'table' then return tostring(v) end
    local names, out = {}, {}
    for name in pairs(v) do table.insert(names, name) end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do table.insert(out, tostring(name) .. '=' .. tell(v[name])) end
    return '{' .. table.concat(out, ' ') .. '}'
end
return tell(redis.call(unpack(ARGV)))
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("GET", "n"), "12"),
        (("GET", "none"), "nil"),
        (("STRLEN", "n"), "2"),
        (("SET", "m", "x"), "{ok=OK}"),
        (("MGET", "n", "none", "n"), "{1=12 3=12}"),
        (("LRANGE", "l", "0", "-1"), "{1=a 2=b}"),
        (("LRANGE", "none", "0", "-1"), "{}"),
        (("HGETALL", "h"), "{map={f=v}}"),
        (("HGETALL", "none"), "{map={}}"),
        (("SMEMBERS", "s"), "{set={x=true y=true}}"),
        (("ZSCORE", "z", "m"), "{double=1.5}"),
        (("ZSCORE", "z", "far"), "{double=inf}"),
        (("ZADD", "z", "INCR", "1", "m"), "{double=2.5}"),
        (("ZRANGE", "z", "0", "-1", "WITHSCORES"), "{1={1=m 2={double=1.5}} 2={1=far 2={double=inf}}}"),
        (("LOLWUT", "VERSION", "1"), "{verbatim_string={"),
        (("COMMAND", "GETKEYS", "MGET", "a", "b"), "{1=a 2=b}"),
        (("XRANGE", "x", "-", "+"), "{1={1=1-1 2={1=f 2=v}}}"),
    ],
)
def test_replies_of_every_kind_arrive_in_lua(client: Client, words: tuple[str, ...], told: str) -> None:
    client("SET", "n", "12"), client("RPUSH", "l", "a", "b"), client("HSET", "h", "f", "v")
    client("SADD", "s", "x", "y"), client("ZADD", "z", "1.5", "m", "inf", "far"), client("XADD", "x", "1-1", "f", "v")
    sha = known(client, TELL)
    answer = client.value("EVALSHA", sha, 0, *words).decode()
    assert answer.startswith(told) and (answer == told or told.endswith("{"))


def test_a_reply_that_is_too_deep_for_lua_is_an_error(client: Client) -> None:
    term: object = b"k"
    for _ in range(10_000):
        term = [term]
    client("ETS.NEW", "deep")
    deep = tsunami.whereis("deep")
    assert deep is not None
    deep.insert((b"k", term))
    sha = known(client, "return redis.pcall('ets.lookup', 'deep', 'k').err")
    assert client("EVALSHA", sha, 0) == ("$", b"ERR the reply is too large for a script")
    assert client("EVAL", "return {redis.call('ets.lookup', 'deep', 'none')}", 0) == ("*", [("*", [])])


def test_what_has_no_room_in_lua_is_an_error_and_the_next_script_runs(client: Client) -> None:
    client("SET", "big", b"x" * (20 << 20))
    sha = known(client, "local t = {} for i = 1, 100 do t[i] = redis.call('get', 'big') .. i end return #t")
    mark, text = client("EVALSHA", sha, 0)
    assert (mark, "not enough memory" in text) == ("-", True)
    keep = known(client, "local t = {} for i = 1, 100 do t[i] = KEYS[1] .. ARGV[1] .. i end return #t")
    mark, text = client("EVALSHA", keep, 1, b"k" * (10 << 20), b"a" * (10 << 20))
    assert (mark, "not enough memory" in text) == ("-", True)
    assert client("EVALSHA", known(client, "return #redis.call('get', 'big')"), 0) == (":", 20 << 20)


def test_tables_of_words_are_fresh_each_time(client: Client) -> None:
    sha = known(client, "local n = #KEYS * 10 + #ARGV KEYS[1], ARGV.more = 'left', 'over' return {n, ARGV[1] or 'no'}")
    assert client("EVALSHA", sha, 1, "k", "a") == ("*", [(":", 11), ("$", b"a")])
    assert client("EVALSHA", sha, 0) == ("*", [(":", 0), ("$", b"no")])
    assert client("EVALSHA", known(client, "return {KEYS[1] or 'none', ARGV.more or 'none'}"), 0) == (
        "*",
        [("$", b"none"), ("$", b"none")],
    )
    many = [str(i) for i in range(5000)]
    count = known(client, "return {#KEYS, #ARGV, KEYS[2000], ARGV[3000]}")
    assert client("EVALSHA", count, 2000, *many) == ("*", [(":", 2000), (":", 3000), ("$", b"1999"), ("$", b"4999")])


# ---- accounts


def test_scripts_and_their_calls_are_counted(client: Client) -> None:
    sha = known(client, "redis.call('set', 'k', 1) redis.call('incr', 'k') return redis.call('time')[1]")
    client("CONFIG", "RESETSTAT")
    for _ in range(3):
        client.all([("EVALSHA", sha, 0), ("GET", "k")])
    for name, calls in (("evalsha", 3), ("set", 3), ("incr", 3), ("time", 3), ("get", 3)):
        assert stat(client, "commandstats", f"cmdstat_{name}")["calls"] == str(calls), name
    assert stat(client, "latencystats", "latency_percentiles_usec_incr")


def test_the_time_of_a_script_is_its_own(client: Client) -> None:
    """Commands in the same batch, and those that it calls, have not taken it."""
    sha = known(client, "redis.call('get', 'k') for i = 1, 3e6 do end return 1")
    client("CONFIG", "RESETSTAT")
    client.all([("GET", "k"), ("EVALSHA", sha, 0), ("GET", "k")])
    assert float(stat(client, "commandstats", "cmdstat_evalsha")["usec"]) > 3000
    assert float(stat(client, "commandstats", "cmdstat_get")["usec"]) < 2000
    client.all([("MULTI",), ("GET", "k"), ("EVALSHA", sha, 0), ("EXEC",)])
    assert stat(client, "commandstats", "cmdstat_get")["calls"] == "5"


def test_slow_scripts_and_slow_calls_are_in_the_slowlog(client: Client) -> None:
    sha = known(client, "redis.call('mset', unpack(ARGV)) for i = 1, 1e6 do end return 1")
    client("CONFIG", "SET", "slowlog-log-slower-than", "1000"), client("SLOWLOG", "RESET")
    client("EVALSHA", sha, 1, "k", "a", "b")
    assert client.value("SLOWLOG", "GET")[0][3] == [b"EVALSHA", sha.encode(), b"1", b"k", b"a", b"b"]
    client("CONFIG", "SET", "slowlog-log-slower-than", "0"), client("SLOWLOG", "RESET")
    client("EVALSHA", sha, 1, "k", "a", "b")
    names = {entry[3][0].lower() for entry in client.value("SLOWLOG", "GET")}
    assert {b"evalsha", b"mset"} <= names


def test_errors_are_told_and_counted_once(client: Client) -> None:
    returned = known(client, "return redis.pcall('incr', 'text')")
    raised = known(client, "local x = 1\nredis.call('incr', 'text')")
    own = known(client, "error('mine')")
    client("SET", "text", "x"), client("CONFIG", "RESETSTAT")
    not_integer = "ERR value is not an integer or out of range"
    assert client("EVALSHA", returned, 0) == ("-", not_integer)
    assert client("EVALSHA", raised, 0) == ("-", f"{not_integer} script: {raised}, on @user_script:2.")
    assert client("EVALSHA", own, 0) == ("-", f"ERR user_script:1: mine script: {own}, on @user_script:1.")
    assert stat(client, "errorstats", "errorstat_ERR") == {"count": "3"}
    assert stat(client, "commandstats", "cmdstat_evalsha")["failed_calls"] == "3"


# ---- the connection


def test_the_connection_is_what_it_was(client: Client, server: Any) -> None:
    sha = known(client, "redis.setresp(3) redis.call('select', 7) redis.call('set', 'k', 'seven') return {double=1.5}")
    plain = known(client, "return redis.call('get', 'k')")
    client("SET", "k", "zero")
    assert client.all([("EVALSHA", sha, 0), ("GET", "k"), ("EVALSHA", plain, 0)]) == [
        ("$", b"1.5"), ("$", b"zero"), ("$", b"zero"),
    ]  # fmt: skip
    assert client.all([("SELECT", 7), ("EVALSHA", plain, 0), ("SELECT", 0)])[1] == ("$", b"seven")
    assert b"cmd=client|list" in client.value("CLIENT", "LIST")
    with Client(server.port) as other:
        client("EVALSHA", plain, 0)
        assert b"cmd=evalsha" in other.value("CLIENT", "LIST")


def test_client_reply_holds_for_scripts(client: Client) -> None:
    sha = known(client, "return ARGV[1]")
    client.send("CLIENT", "REPLY", "SKIP"), client.send("EVALSHA", sha, 0, "a"), client.send("EVALSHA", sha, 0, "b")
    assert client.read() == ("$", b"b")
    client.send("CLIENT", "REPLY", "OFF"), client.send("EVALSHA", sha, 0, "c"), client.send("CLIENT", "REPLY", "ON")
    assert client.read() == ("+", "OK")


def test_replies_stand_in_order_with_messages_to_oneself(server: Any) -> None:
    with Client(server.port, 3) as mine:
        sha = known(mine, "redis.call('publish', 'c', 'm') return 'told'")
        mine("SUBSCRIBE", "c")
        mine.send("SET", "a", "1"), mine.send("EVALSHA", sha, 0), mine.send("GET", "a")
        assert [mine.read() for _ in range(4)] == [
            ("+", "OK"), ("$", b"told"), (">", [("$", b"message"), ("$", b"c"), ("$", b"m")]), ("$", b"1"),
        ]  # fmt: skip


def test_whoever_waits_for_what_a_script_writes_is_served(server: Any, client: Client) -> None:
    with Client(server.port) as waiter:
        waiter("PING")
        waiter.send("BLPOP", "list", 0)
        wait_until(lambda: b"cmd=blpop" in client.value("CLIENT", "LIST"), "a client waits")
        assert client("EVALSHA", known(client, "return redis.call('rpush', 'list', 'x')"), 0) == (":", 1)
        assert waiter.read() == ("*", [("$", b"list"), ("$", b"x")])


# ---- alone, and for too long


def test_a_script_that_reaches_other_databases_is_alone_with_all(client: Client) -> None:
    """Until it ends: whoever comes to any of them waits."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for db in (0, 3):
                tsunami.keyspace(db).insert((b"n", str(time.monotonic_ns()).encode()))

    sha = known(
        client,
        "local function look(db) redis.call('select', db) return redis.call('get', 'n') or '' end "
        "local zero, three = look(0), look(3) "
        "for i = 1, 2000 do if look(0) ~= zero or look(3) ~= three then return 'changed' end end return 'alone'",
    )
    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [client("EVALSHA", sha, 0) for _ in range(5)] == [("$", b"alone")] * 5
        assert client("EVALSHA", known(client, "redis.call('select', 3) error('x')"), 0)[0] == "-"
        before = tsunami.keyspace(3).lookup("n")
        wait_until(lambda: tsunami.keyspace(3).lookup("n") != before, "the gate is open again")
    finally:
        stop.set()
        writer.join(20)


def test_a_known_script_that_runs_too_long_is_killed(impatient: Any) -> None:
    with Client(impatient.port) as caller, Client(impatient.port) as other:
        sha = known(caller, "while true do redis.call('get', 'x') end")
        caller.send("EVALSHA", sha, 0)
        wait_until(lambda: other("PING")[1].startswith("BUSY"), "it has run too long")
        assert other("SCRIPT", "KILL") == ("+", "OK")
        mark, text = caller.read()
        assert (mark, text.startswith("ERR Script killed by user with SCRIPT KILL. script: ")) == ("-", True)
        assert caller("PING") == other("PING") == ("+", "PONG")
        assert caller("EVALSHA", known(caller, "return 1"), 0) == (":", 1)


def test_who_asked_natively_may_leave_while_the_script_runs(impatient: Any) -> None:
    with Client(impatient.port) as other:
        caller = Client(impatient.port)
        caller.send("EVALSHA", known(caller, "while true do end"), 0)
        wait_until(lambda: other("PING")[1].startswith("BUSY"), "it has run too long")
        caller.close()
        assert other("PING")[1].startswith("BUSY")
        assert other("SCRIPT", "KILL") == ("+", "OK")
        assert other("PING") == ("+", "PONG")


def test_after_a_flush_there_is_another_world(client: Client) -> None:
    sha = known(client, "return redis.call('incr', 'n')")
    for n in range(1, 4):
        assert client("EVALSHA", sha, 0) == (":", n)
        client("SCRIPT", "FLUSH")
        assert client("EVALSHA", sha, 0)[1].startswith("NOSCRIPT")
        client("SCRIPT", "LOAD", "return redis.call('incr', 'n')")


def test_two_servers_have_worlds_of_their_own(client: Client) -> None:
    with our_server() as other, Client(other.port) as there:
        mine, theirs = known(client, "return KEYS[1] .. '!'"), known(there, "return KEYS[1] .. '?'")
        for _ in range(3):
            assert client("EVALSHA", mine, 1, "a") == ("$", b"a!")
            assert there("EVALSHA", theirs, 1, "a") == ("$", b"a?")


def test_what_is_no_coroutine_and_no_lua_is_refused() -> None:
    calls = _wire.Calls(1000)
    with pytest.raises(ValueError, match="is no coroutine"):
        calls.open("/nowhere.so", b"table: 0x10")
    assert calls.open("/nowhere.so", b"thread: 0x10") is False
    with pytest.raises(KeyError):
        calls.admit("no such command", False)
