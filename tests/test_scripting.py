"""Scripts: what they see, what they answer, how they are cached, stopped and counted.

The corpus (_scripts.py) is run on redis-server and on ours in RESP2 and RESP3, and replies are compared byte for byte:
values, conversions, error texts with script and line, cjson, cmsgpack, struct and bit. What follows are claims of their
own: scripts of real libraries, BUSY and SCRIPT KILL, flags, atomicity.
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from _redis import Client, our_server, redis_server
from _scripts import CORPUS
from _server import IO_KINDS

import tsunami

BUSY = ("-", "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")


@pytest.fixture(scope="module", params=["hot", "cold"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(all_cold=request.param == "cold") as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    for db in range(16):
        tsunami.keyspace(db).delete_all_objects()
    with Client(server.port) as client:
        client("SCRIPT", "FLUSH")
        yield client


@pytest.fixture(params=IO_KINDS)
def impatient(request: pytest.FixtureRequest) -> Iterator[Any]:
    with our_server(io=request.param, busy_reply_threshold=50) as server:
        yield server


# ---- beside Redis

BEFORE = [("DEL", "a", "l", "h", "k"), ("RPUSH", "l", "1"), ("HSET", "h", "f", "v")]


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize("resp", [2, 3])
def test_every_script_of_the_corpus_answers_as_on_redis(server: Any, resp: int) -> None:
    tsunami.keyspace(0).delete_all_objects()
    differ = []
    with redis_server() as port, Client(port, resp) as real, Client(server.port, resp) as ours:
        for line in filter(None, CORPUS.split("\n")):
            request = ("EVAL", line.replace(r"\N", "\n"), 1, "k", "v")
            expected, actual = (client.all([*BEFORE, request])[-1] for client in (real, ours))
            if expected != actual:
                differ.append((line, expected, actual))
    assert [] == differ


@pytest.mark.peer("redis-server")
def test_calls_of_the_commands_themselves_are_refused_as_on_redis(server: Any) -> None:
    calls = [
        ("EVAL",), ("EVAL", "return 1"), ("EVAL", "return 1", "x"), ("EVAL", "return 1", "-1"),
        ("EVALSHA", "x", "0"), ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"), ("SCRIPT", "EXISTS"),
        ("SCRIPT", "EXISTS", "x", "y"), ("SCRIPT", "FLUSH", "NOW"), ("SCRIPT", "FLUSH", "SYNC"),
        ("EVAL", "return 1", "1"), ("SCRIPT", "FLUSH", "async"),
        ("SCRIPT", "KILL"), ("SCRIPT", "LOAD", "return 1"), ("SCRIPT", "LOAD", "x x"), ("SCRIPT", "NOSUCH"),
        ("SCRIPT", "DEBUG", "NO"), ("SCRIPT", "DEBUG", "PERHAPS"), ("EVAL_RO", "return redis.call('set','a','b')", "0"),
        ("EVAL_RO", "return redis.call('get','a')", "0"), ("EVAL_RO", "#!lua\nreturn 1", "0"),
        ("EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"), ("EVALSHA_RO", "x", "0"),
        ("COMMAND", "GETKEYS", "EVAL", "return 1", "2", "a", "b", "c"), ("COMMAND", "GETKEYS", "EVALSHA", "x", "0"),
    ]  # fmt: skip
    with redis_server() as port, Client(port) as real, Client(server.port) as ours:
        ours("SCRIPT", "FLUSH")
        assert [(call, real(*call)) for call in calls] == [(call, ours(*call)) for call in calls]


# ---- scripts of real libraries

FIXED_WINDOW = """
local current
local amount = tonumber(ARGV[2])
current = redis.call("incrby", KEYS[1], amount)
if tonumber(current) == amount then
    redis.call("expire", KEYS[1], ARGV[1])
end
return current
"""


def test_a_lock_of_redis_py_is_taken_extended_and_let_go(server: Any, client: Client) -> None:
    with redis.Redis(port=server.port) as one:
        lock = one.lock("lock", timeout=10)
        assert lock.acquire()
        assert not one.lock("lock").acquire(blocking=False)
        assert lock.extend(5) and lock.reacquire() and lock.owned()
        lock.release()
        assert one.get("lock") is None
        lock.acquire()
        one.set("lock", "somebody else")
        with pytest.raises(redis.exceptions.LockNotOwnedError):
            lock.release()


def test_a_fixed_window_holds_under_many_clients(server: Any, client: Client) -> None:
    sha = client.value("SCRIPT", "LOAD", FIXED_WINDOW)
    assert hashlib.sha1(FIXED_WINDOW.encode()).hexdigest().encode() == sha
    counts: list[int] = []

    def hit() -> None:
        with Client(server.port) as mine:
            counts.extend(mine.value("EVALSHA", sha, 1, "window", 60, 1) for _ in range(50))

    threads = [threading.Thread(target=hit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert list(range(1, 401)) == sorted(counts)
    assert 0 < client.value("TTL", "window") <= 60


def test_nobody_of_the_program_comes_between_two_calls_of_a_script(server: Any, client: Client) -> None:
    over, seen = threading.Event(), []
    table = tsunami.keyspace(0)
    table.insert((b"a", b"0"))

    def meddle() -> None:
        while not over.is_set():
            table.insert((b"a", b"77"))

    thread = threading.Thread(target=meddle)
    thread.start()
    script = "redis.call('set','a','1') for i=1,20000 do end return redis.call('get','a')"
    seen = [client.value("EVAL", script, 0) for _ in range(100)]
    over.set()
    thread.join(20)
    assert [b"1"] * 100 == seen


# ---- the conversation


def test_the_callers_database_and_protocol_are_what_they_were(server: Any, client: Client) -> None:
    with Client(server.port, 3) as mine:
        assert mine("EVAL", "redis.setresp(3) redis.call('select', 5) return redis.call('set','a','b')", 0) == (
            "+",
            "OK",
        )
        assert mine("EVAL", "redis.call('select', 5) error('x')", 0)[0] == "-"
        assert mine("GET", "a") == ("_", "")
        mine("SELECT", 5)
        assert mine("GET", "a") == ("$", b"b")


def test_a_script_sees_resp2_until_it_asks_for_more(server: Any, client: Client) -> None:
    with Client(server.port, 3) as mine:
        assert mine("EVAL", "return type(redis.call('get','nokey'))", 0) == ("$", b"boolean")
        assert mine("EVAL", "redis.setresp(3) return type(redis.call('get','nokey'))", 0) == ("$", b"nil")
        assert mine("EVAL", "return type(redis.call('get','nokey'))", 0) == ("$", b"boolean")


def test_words_of_any_number_and_bytes_arrive(client: Client) -> None:
    data = bytes(range(256))
    assert [data, b"", data] == client.value("EVAL", "return {KEYS[1], ARGV[1], ARGV[2]}", 1, data, b"", data)
    words = [b"%d" % n for n in range(9000)]
    assert [4000, 5000, b"0", b"3999", b"4000", b"8999"] == client.value(
        "EVAL", "return {#KEYS, #ARGV, KEYS[1], KEYS[4000], ARGV[1], ARGV[5000]}", 4000, *words
    )


def test_a_call_of_many_words_is_one_command(client: Client) -> None:
    script = "local t = {} for i = 1, 6000 do t[i] = 'x' .. i end return redis.call('exists', unpack(t))"
    assert 0 == client.value("EVAL", script, 0)


def test_the_cache_is_by_sha_in_any_case_until_it_is_flushed(client: Client) -> None:
    sha = client.value("SCRIPT", "LOAD", "return ARGV[1]")
    assert b"x" == client.value("EVALSHA", sha.upper(), 0, "x")
    assert [1, 0] == client.value("SCRIPT", "EXISTS", sha.upper(), "f" * 40)
    client("EVAL", "return 5", 0)
    assert [1] == client.value("SCRIPT", "EXISTS", hashlib.sha1(b"return 5").hexdigest())
    assert ("+", "OK") == client("SCRIPT", "FLUSH")
    assert ("-", "NOSCRIPT No matching script. Please use EVAL.") == client("EVALSHA", sha, 0, "x")


def test_commands_of_scripts_are_counted(client: Client) -> None:
    client("CONFIG", "RESETSTAT")
    client("EVAL", "redis.call('incr', 'a') redis.call('incr', 'a') redis.pcall('incr')", 0)
    stats = client.value("INFO", "commandstats").decode()
    assert "cmdstat_incr:calls=2" in stats and "cmdstat_eval:calls=1" in stats
    assert "rejected_calls=1" in next(line for line in stats.split() if line.startswith("cmdstat_incr:"))


def test_flags_say_what_a_script_may_without_memory(client: Client) -> None:
    client("SET", "x", "1")
    client("CONFIG", "SET", "maxmemory", "1")
    try:
        assert client("EVAL", "return redis.call('set', 'x', 2)", 0)[1].startswith("OOM command not allowed when used")
        assert client("EVAL", "return redis.call('get', 'x')", 0) == ("$", b"1")
        assert client("EVAL", "#!lua\nreturn 1", 0)[1].startswith("OOM allow-oom flag is not set on the script")
        assert client("EVAL", "#!lua flags=allow-oom\nreturn redis.call('set', 'x', 3)", 0) == ("+", "OK")
        assert client("EVAL", "#!lua flags=no-writes\nreturn redis.call('get', 'x')", 0) == ("$", b"3")
    finally:
        client("CONFIG", "SET", "maxmemory", "0")
    assert client("EVAL", "return redis.call('set', 'x', 4)", 0) == ("+", "OK")


def test_rights_hold_inside_of_scripts(server: Any, client: Client) -> None:
    client("ACL", "SETUSER", "limited", "on", "nopass", "~a*", "+@all", "-set")
    with Client(server.port) as mine:
        mine("AUTH", "limited", "x")
        assert mine("EVAL", "return redis.call('set', 'a', 1)", 0)[1].startswith(
            "NOPERM ACL failure in script: User limited"
        )
        assert mine("EVAL", "return redis.call('get', 'b')", 0)[1].startswith("NOPERM ACL failure in script: ")
        assert mine("EVAL", "return redis.call('get', 'a')", 0) == ("$", None)
        assert mine("EVAL", "return {redis.acl_check_cmd('set', 'a', 1), redis.acl_check_cmd('get', 'a')}", 0) == (
            "*",
            [("$", None), (":", 1)],
        )
    client("ACL", "DELUSER", "limited")


def test_info_tells_of_scripts(client: Client) -> None:
    def told() -> dict[str, int]:
        lines = (line.split(":") for line in client.value("INFO", "memory").decode().splitlines() if ":" in line)
        return {name: int(value) for name, value in lines if value.isdecimal()}

    assert 0 == told()["number_of_cached_scripts"] == told()["used_memory_scripts_eval"]
    client("EVAL", "return 1", 0)
    client("SCRIPT", "LOAD", "return 2")
    after = told()
    assert 2 == after["number_of_cached_scripts"]
    assert after["used_memory_vm_eval"] > 50_000 and after["used_memory_scripts_eval"] >= 2 * len("return 1")


# ---- too long

LOOPS = [
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do coroutine.wrap(function() while true do end end)() end",
    "while true do pcall(coroutine.wrap(function() pcall(function() while true do end end) end)) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "local function f() return f() end f()",
    "local function f() return pcall(f) or f() end f()",
    "local x = setmetatable({}, {__index = function() while true do end end}).x",
    "while true do redis.call('get', 'x') end",
    "while true do redis.pcall('nosuch') end",
    "table.sort({1,2,3,4,5}, function() while true do end end)",
    "string.gsub(string.rep('x', 100), 'x', function() while true do end end)",
]  # fmt: skip


@pytest.mark.parametrize("script", LOOPS)
def test_a_script_that_runs_too_long_makes_others_busy_and_is_killed(impatient: Any, script: str) -> None:
    with Client(impatient.port) as caller, Client(impatient.port) as other:
        assert ("+", "PONG") == caller("PING") == other("PING")
        caller.send("EVAL", script, 0)
        time.sleep(0.15)
        assert BUSY == other("PING")
        assert [BUSY, BUSY] == other.all([("GET", "x"), ("EVAL", "return 1", 0)])
        assert ("+", "OK") == other("SCRIPT", "KILL")
        mark, text = caller.read()
        assert mark == "-" and text.startswith("ERR Script killed by user with SCRIPT KILL. script: ")
        assert ("+", "PONG") == other("PING") == caller("PING")
        assert ("-", "NOTBUSY No scripts in execution right now.") == other("SCRIPT", "KILL")


def test_a_script_that_has_written_is_not_killed_and_ends_by_itself(impatient: Any) -> None:
    script = """redis.call('set', 'x', 'y') local start = redis.call('time')
    while redis.call('time')[1] - start[1] < 2 do end return 'done'"""
    with Client(impatient.port) as caller, Client(impatient.port) as other:
        assert ("+", "PONG") == caller("PING") == other("PING")
        caller.send("EVAL", script, 0)
        time.sleep(0.2)
        assert other("SCRIPT", "KILL")[1].startswith("UNKILLABLE Sorry the script already executed write commands")
        assert ("$", b"done") == caller.read()
        assert ("$", b"y") == other("GET", "x")


@pytest.mark.skipif("native" not in IO_KINDS, reason="other loops let nobody in meanwhile")
def test_new_clients_come_in_while_a_script_runs() -> None:
    with our_server(busy_reply_threshold=50) as server, Client(server.port) as caller:
        caller.send("EVAL", "while true do end", 0)
        time.sleep(0.15)
        with Client(server.port) as late:
            assert BUSY == late("PING")
            assert ("+", "OK") == late("SCRIPT", "KILL")
        assert caller.read()[0] == "-"


def test_whoever_asked_may_leave_while_the_script_runs(impatient: Any) -> None:
    with Client(impatient.port) as other:
        caller = Client(impatient.port)
        assert ("+", "PONG") == caller("PING") == other("PING")
        caller.send("EVAL", "while true do end", 0)
        time.sleep(0.15)
        caller.close()
        assert BUSY == other("PING")
        assert ("+", "OK") == other("SCRIPT", "KILL")
        assert ("+", "PONG") == other("PING")


def test_there_is_no_limit_if_it_is_zero() -> None:
    with our_server(busy_reply_threshold=0) as server, Client(server.port) as caller, Client(server.port) as other:
        caller.send("EVAL", "for i = 1, 2e7 do end return 1", 0)
        assert ("+", "PONG") == other("PING")
        assert (":", 1) == caller.read()


def test_numbers_become_arguments_as_in_redis_7_2(client: Client) -> None:
    """7.0 writes those of 17 digits with an exponent."""
    assert ("$", b"123456789012345680") == client("EVAL", "return redis.call('echo', 123456789012345680)", 0)


# ---- what INFO tells of errors


def errors_told(client: Client, *commands: str) -> dict[str, str]:
    """INFO's figures of errors, and of what became of the calls of these commands."""
    lines = client.value("INFO", "errorstats", "commandstats", "stats").decode().split("\r\n")
    pairs = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    told = {name: pairs[name] for name in pairs if name.startswith("errorstat_")}
    for name in commands:
        facts = pairs.get(f"cmdstat_{name}", "").split(",")
        told[name] = ",".join(fact for fact in facts if fact.startswith(("calls", "rejected", "failed")))
    return {**told, "total": pairs["total_error_replies"]}


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('select', 99)",
        "return redis.pcall('select', 99)",
        "local t = redis.pcall('select', 99) return t.err",
        "return redis.call('set', 'only a key')",
        "return redis.pcall('set', 'only a key')",
        "return redis.pcall('nosuchcommand')",
        "return redis.error_reply('MINE is this')",
        "return redis.error_reply('')",
        "return {err = 'THEIRS is that'}",
        "error('no')",
        "error({err = 'OURS is here'})",
        "return 1",
    ],
)
@pytest.mark.parametrize("how", ["eval", "eval_ro"])
def test_errors_of_scripts_are_counted_once_as_on_redis(server: Any, how: str, script: str) -> None:
    with redis_server() as port, Client(port) as real, Client(server.port) as ours:
        told = []
        for client in (real, ours):
            client("CONFIG", "RESETSTAT")
            client(how, script, 0)
            told.append(errors_told(client, how, "select", "set"))
        assert told[0] == told[1]


@pytest.mark.peer("redis-server")
def test_a_write_in_a_read_only_script_is_an_error_counted_once(server: Any) -> None:
    with redis_server() as port, Client(port) as real, Client(server.port) as ours:
        told = []
        for client in (real, ours):
            client("CONFIG", "RESETSTAT")
            client("EVAL_RO", "return redis.call('set', KEYS[1], 'v')", 1, "k")
            client("EVAL_RO", "return redis.pcall('set', KEYS[1], 'v').err", 1, "k")
            told.append(errors_told(client, "eval_ro", "set"))
        assert told[0] == told[1]


@pytest.mark.peer("redis-server")
@pytest.mark.parametrize(
    "call",
    [
        ("EVAL_RO", "return redis.call('publish', 'c', 'm')", 0),
        ("EVAL", "#!lua flags=no-writes\nreturn redis.call('publish', 'c', 'm')", 0),
        ("EVAL", "return redis.call('publish', 'c', 'm')", 0),
    ],
)
def test_a_read_only_script_sends_no_messages(server: Any, call: tuple[str, str, int]) -> None:
    with redis_server() as port, Client(port) as real, Client(server.port) as ours:
        assert real(*call) == ours(*call)


@pytest.mark.peer("redis-server")
def test_a_script_does_not_read_streams_with_block(client: Client) -> None:
    client("XADD", "s", "1-1", "f", "v")
    refused = "ERR xread command is not allowed with BLOCK option from scripts"
    assert ("$", refused.encode()) == client(
        "EVAL", "return redis.pcall('xread', 'block', 0, 'streams', 's', '$').err", 0
    )
    assert (":", 1) == client("EVAL", "return #redis.call('xread', 'streams', 's', '0')", 0)


def test_a_script_sees_a_set_sorted_where_sort_does_not_sort(server: Any) -> None:
    scripts = [
        "return redis.call('sort', KEYS[1], 'by', '_')",
        "return redis.call('sort', KEYS[1], 'by', '_', 'get', '#')",
    ]
    with redis_server() as port, Client(port) as real, Client(server.port) as ours:
        for client in (real, ours):
            client("DEL", "s")
            client("SADD", "s", *"azbycxdwevfugthsirjqkplomn", "aa", "aaa", "azz")
        for script in scripts:
            assert real("EVAL", script, 1, "s") == ours("EVAL", script, 1, "s")
