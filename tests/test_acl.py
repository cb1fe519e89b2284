"""Users, rules and what they refuse: the rules beside a real redis-server's, the connections that a change binds or
ends, ACL files, and escapes, each tried and refused.
"""

import contextlib
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _redis import Client, our_server, plain, redis_server

import tsunami_server
from tsunami_server.command import registry
from tsunami_server.rules import ANY_TABLE, NO_TABLE, RuleError, Selector, merged
from tsunami_server.users import DEFAULT, AccessLog, ChangeError, User, Users

NO_COMMAND = "NOPERM User alice has no permissions to run the '{}' command"
NO_KEY = ("-", "NOPERM No permissions to access a key")
NO_CHANNEL = ("-", "NOPERM No permissions to access a channel")
WRONG = ("-", "WRONGPASS invalid username-password pair or user is disabled.")
OK = ("+", "OK")


def user(*rules: str) -> User:
    made = User(b"alice")
    for rule in rules:
        made.apply(rule.encode())
    return made


def allowed(who: User, *words: str) -> bool:
    argv = [word.encode() for word in words]
    return who.denied(registry.find(argv), argv) is None


def calls(text: str) -> list[list[str]]:
    """Calls as they are typed, with semicolons between them."""
    return [call.split() for call in text.split(";")]


@pytest.fixture
def root(server: Any) -> Iterator[Client]:
    """The default user's connection; afterwards there is no other user."""
    with Client(server.port) as client:
        client("FLUSHALL")
        yield client
    with contextlib.suppress(OSError, EOFError), Client(server.port) as client:
        others = [name for name in client.value("ACL", "USERS") if name != b"default"]
        if others:
            client("ACL", "DELUSER", *others)
        client("ACL", "LOG", "RESET")


def logged_in(server: Any, name: str = "alice", password: str = "pw", resp: int = 2) -> Client:
    client = Client(server.port, resp)
    assert client("AUTH", name, password) == OK
    return client


@contextlib.contextmanager
def alice(server: Any, root: Client, *rules: str) -> Iterator[Client]:
    """A connection of a user with these rules."""
    assert root("ACL", "SETUSER", "alice", "on", ">pw", *rules) == OK
    with logged_in(server) as client:
        yield client


# ---- rules, beside Redis's


KEY_RULES = [
    "~*",
    "allkeys",
    "resetkeys",
    "~a*",
    "~a:?",
    "%R~r*",
    "%W~w*",
    "%RW~b[ab]",
    "%wr~x\\*",
    "%~q",
    "%RR~q",
    "~",
]
CHANNEL_RULES = ["&*", "allchannels", "resetchannels", "&c*", "&news"]
COMMAND_RULES = r"""
    +@all -@all allcommands nocommands +get -get +set +config -config|set +config|get +client|id -client
    +@read -@read +@write -@dangerous +@fast -@slow +select|0 -select +get|x|y +nope +@nope -config|nope
    +config|get|x +get| +@keyspace +@connection -@admin +@string +mset +rename
""".split()
OTHER_RULES = [
    "on",
    "off",
    "nopass",
    "resetpass",
    ">p",
    "<p",
    ">q",
    "!zz",
    "#zz",
    "reset",
    "clearselectors",
    "nonsense",
]
SELECTORS = ["(~s* +set)", "(%R~a* +get &x)", "()", "(+nope)", "(~a", "+get)", "(~* ~a)"]
CALLS = calls(r"""
    get a1; get r1; get w1; set a1 v; set r1 v; set w1 v; set s1 v; getset r1 v; append w1 v; mset a1 v w1 v;
    mset a1 v r1 v; rename a1 w1; rename r1 w1; copy r1 w1; copy w1 r1; exists w1 r1; set a1 v get; set w1 v
    get; config get x; config set x y; client id; client list; select 0; SELECT 1; ping; auth x; flushall;
    keys *; bitcount ba; get x*; get xx; get b[; get bb; touch a1 zz; strlen r1; acl whoami
""")


@pytest.fixture(scope="module")
def redis() -> Iterator[Client]:
    with redis_server() as port, Client(port) as client:
        yield client


def test_rules_on_every_command_of_redis_are_taken_and_told(redis: Client, root: Client) -> None:
    """Also on those that there are not here: users and ACL files made for Redis can be had as they are."""
    names = sorted(name.decode() for name in redis.value("COMMAND", "LIST"))
    missing = {name for name in names if registry.get(name.partition("|")[0]) is None}
    assert len(names) > 350 and {"cluster", "geoadd", "xreadgroup", "pfadd"} <= missing
    for name in names:
        for base, rule in (("-@all", f"+{name}"), ("+@all", f"-{name}")):
            assert root("ACL", "SETUSER", "every", "reset", base, rule) == ("+", "OK"), rule
            told = plain(root("ACL", "GETUSER", "every"))
            assert told[told.index(b"commands") + 1].decode() == f"{base} {rule}"
    for name in ("no_such", "get|no_such|more", "geoadd|no_such|more", "no_such|cluster"):
        refused = [client("ACL", "SETUSER", "every", f"+{name}") for client in (redis, root)]
        assert refused[0][0] == refused[1][0] == "-", name
    # They change nothing of what is allowed.
    root("ACL", "SETUSER", "every", "reset", "-@all", "+get", "+cluster", "-geoadd", "~*")
    assert root.value("ACL", "DRYRUN", "every", "GET", "a") == "OK"
    assert b"has no permissions" in root.value("ACL", "DRYRUN", "every", "SET", "a", "b")


def test_rules_are_taken_refused_and_told_as_by_redis(redis: Client, root: Client) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    pick = random.Random(seed)
    kinds = [KEY_RULES, CHANNEL_RULES, COMMAND_RULES, COMMAND_RULES, OTHER_RULES, SELECTORS]
    for _ in range(400):
        rules = [pick.choice(pick.choice(kinds)) for _ in range(pick.randrange(1, 6))]
        if pick.random() < 0.2:
            redis("ACL", "DELUSER", "u"), root("ACL", "DELUSER", "u")
        theirs, ours = redis("ACL", "SETUSER", "u", *rules), root("ACL", "SETUSER", "u", *rules)
        assert ours == theirs, rules
        theirs, ours = redis("ACL", "GETUSER", "u"), root("ACL", "GETUSER", "u")
        assert told(ours) == told(theirs), rules
        if ours[1] is None:
            continue
        for call in pick.sample(CALLS, 8):
            theirs, ours = redis("ACL", "DRYRUN", "u", *call), root("ACL", "DRYRUN", "u", *call)
            # Redis 7.0 says `This user`, 7.2 and we tell its name.
            assert plain(ours) == (
                theirs[1].replace(b"This user", b"User u") if isinstance(theirs[1], bytes) else theirs[1]
            ), (rules, call)


def told(reply: Any) -> Any:
    """What GETUSER tells, as far as 7.0 and 7.2 agree: 7.2 tells the rules on commands in the order they were given."""
    if reply[1] is None:
        return None
    fields = plain(reply)
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    found[b"flags"] = [flag for flag in found[b"flags"] if flag not in (b"sanitize-payload",)]
    del found[b"commands"]
    found[b"selectors"] = [selector[2:] for selector in found[b"selectors"]]
    return found


def test_a_category_allows_the_commands_that_redis_allows(redis: Client, root: Client) -> None:
    names = {name.decode() for name in redis.value("COMMAND", "LIST")}
    known = [
        record for record in registry.everything() if record.group != "table" and record.name.partition("|")[0] in names
    ]
    for category in plain(redis("ACL", "CAT")):
        rule = "+@" + category.decode()
        for client in (redis, root):
            assert client("ACL", "SETUSER", "c", "reset", "allkeys", "allchannels", rule) == OK
        for record in known:
            call = [*record.name.split("|"), *["1"] * 12][: max(abs(record.arity), 1)]
            theirs, ours = redis("ACL", "DRYRUN", "c", *call), root("ACL", "DRYRUN", "c", *call)
            if "-" not in (theirs[0], ours[0]):  # else it has other subcommands there
                assert (ours == OK) == (theirs == OK), (rule, call)


def test_the_categories_are_those_of_redis_and_table(redis: Client, root: Client) -> None:
    assert root.value("ACL", "CAT") == [*redis.value("ACL", "CAT"), b"table"]
    assert b"ets.lookup" in root.value("ACL", "CAT", "table")
    assert b"config|set" in root.value("ACL", "CAT", "DANGEROUS")
    assert root("ACL", "CAT", "nope") == ("-", "ERR Unknown category 'nope'")


@pytest.mark.parametrize(
    "words",
    calls(r"""
    WHOAMI; USERS; GENPASS 0; GENPASS 4097; GENPASS x; LOG x; LOG -1; LOG 0; DRYRUN nobody get a; DRYRUN
    default nope; DRYRUN default get; DRYRUN default; DELUSER default; DELUSER nobody; DELUSER; GETUSER
    nobody; SETUSER; LOAD; SAVE; NOPE; CAT nope; CAT a b; GENPASS 1 2; LOG 1 2; LOG RESET x; SETUSER x (~a
""")
    + [["SETUSER", "a b", "on"], []],
)
def test_replies_are_those_of_redis(redis: Client, root: Client, words: list[str]) -> None:
    redis("ACL", "DELUSER", "u", "c")
    assert root("ACL", *words) == redis("ACL", *words)


def test_what_redis_7_2_says_differently(root: Client) -> None:
    assert root.value("ACL", "LIST") == [b"user default on nopass sanitize-payload ~* &* +@all"]
    root("ACL", "SETUSER", "u", "+get", "+config|get", "-@dangerous", "+select|0", "+get", "-config")
    with_rules = dict(zip(*[iter(plain(root("ACL", "GETUSER", "u")))] * 2, strict=True))
    assert with_rules[b"commands"] == b"-@all -@dangerous +select|0 +get -config"


def test_getuser_in_resp3_is_a_map_with_a_set_of_flags(server: Any, root: Client) -> None:
    root("ACL", "SETUSER", "u", "on", "nopass", "~k", "(%W~x +set)")
    with Client(server.port, 3) as client:
        mark, pairs = client("ACL", "GETUSER", "u")
    fields = {plain(key): value for key, value in pairs}
    assert mark == "%"
    assert fields[b"flags"] == ("~", [("$", b"on"), ("$", b"nopass"), ("$", b"sanitize-payload")])
    assert fields[b"keys"] == ("$", b"~k")
    assert plain(fields[b"selectors"]) == [{b"commands": b"-@all +set", b"keys": b"%W~x", b"channels": b""}]


# ---- rules by themselves


def test_described_makes_the_same_user_again() -> None:
    pick = random.Random(5)
    kinds = [KEY_RULES, CHANNEL_RULES, COMMAND_RULES, COMMAND_RULES, ["on", "nopass", ">p", "off"], SELECTORS[:3]]
    for _ in range(300):
        first = user()
        for _ in range(pick.randrange(1, 12)):
            with contextlib.suppress(RuleError):
                first.apply(pick.choice(pick.choice(kinds)).encode())
        again = user(*(rule.decode() for rule in merged(first.described().encode().split())))
        assert again.described() == first.described()
        for call in CALLS:
            assert allowed(again, *call) == allowed(first, *call), (first.described(), call)


def test_a_rule_that_cannot_be_changes_nothing() -> None:
    users = Users()
    users.change(b"alice", [b"on", b"+get", b"~a*"])
    before = users.get(b"alice")
    assert before is not None
    told_before = before.described()
    with pytest.raises(ChangeError, match="Error in ACL SETUSER modifier '\\+nope'"):
        users.change(b"alice", [b"+@all", b"~*", b"nopass", b"+nope"])
    assert before.described() == told_before


def test_one_selector_must_allow_the_whole_call() -> None:
    who = user("+get", "~a*", "(~b* +set)", "(+mset ~c*)")
    assert allowed(who, "get", "a") and allowed(who, "set", "b", "1")
    assert not allowed(who, "get", "b") and not allowed(who, "set", "a", "1")
    assert not allowed(who, "mset", "c", "1", "a", "1")


def test_of_several_selectors_the_reason_that_came_furthest_is_told() -> None:
    who = user("+get", "(+mget ~a*)", "(+mget ~a* ~b*)")
    denied = who.denied(registry.find([b"mget"]), [b"mget", b"a", b"b", b"c"])
    assert denied is not None and (denied.kind, denied.what) == ("key", b"c")


def test_what_a_later_rule_covers_is_forgotten() -> None:
    who = user("+config|get", "+config|set", "-config", "+get", "-get", "+get")
    assert who.root.described_commands() == "-@all -config +get"
    assert user("+@all", "-get", "+@all").root.described_commands() == "+@all"


def test_a_free_user_stays_hot_and_a_restricted_one_does_not(server: Any, root: Client) -> None:
    def cold_commands() -> int:
        return int(server._app.plane.counters()["cold_commands"])

    with alice(server, root, "+@all", "~*", "&*") as client:
        before = cold_commands()
        for _ in range(50):
            client("SET", "k", "v")
        assert cold_commands() - before == 0
        root("ACL", "SETUSER", "alice", "-flushall")  # not hers any more: each of her commands is looked at
        before = cold_commands()
        for _ in range(50):
            client("SET", "k", "v")
        assert cold_commands() - before >= 50
        root("ACL", "SETUSER", "alice", "+@all")
        before = cold_commands()
        for _ in range(50):
            client("SET", "k", "v")
        assert cold_commands() - before == 0


def test_any_word_behind_debug_is_taken_as_by_redis() -> None:
    who = user("+@all", "~*", "-debug", "+debug|digest", "+debug|sleep")
    assert who.root.described_commands() == "+@all -debug +debug|digest +debug|sleep"
    assert allowed(who, "debug", "sleep", "0") and not allowed(who, "debug", "object", "k")
    with pytest.raises(RuleError, match="Unknown command"):
        who.apply(b"+config|digest")


# ---- passwords


def test_passwords_are_kept_as_sha256_only() -> None:
    who = user("on", ">secret", "#" + "a" * 64)
    assert who.passwords == [hashlib.sha256(b"secret").hexdigest().encode(), b"a" * 64]
    assert b"secret" not in who.line()
    assert "secret" not in repr(vars(who))


def test_only_the_right_passwords_of_users_that_are_on_are_accepted(server: Any, root: Client) -> None:
    root("ACL", "SETUSER", "alice", ">one", ">two")
    with Client(server.port) as client:
        assert client("AUTH", "alice", "one") == WRONG  # off
        root("ACL", "SETUSER", "alice", "on")
        assert client("AUTH", "alice", "one") == OK
        assert client("AUTH", "alice", "two") == OK
        assert client("AUTH", "alice", "three") == WRONG
        root("ACL", "SETUSER", "alice", "<one")
        assert client("AUTH", "alice", "one") == WRONG
        root("ACL", "SETUSER", "alice", "resetpass")
        assert client("AUTH", "alice", "two") == WRONG
        root("ACL", "SETUSER", "alice", "nopass")
        assert client("AUTH", "alice", "whatever") == OK
        assert client("AUTH", "nobody", "whatever") == WRONG


def test_hello_logs_in(server: Any, root: Client) -> None:
    root("ACL", "SETUSER", "alice", "on", ">pw", "+acl|whoami")
    with Client(server.port) as client:
        assert client("HELLO", "3", "AUTH", "alice", "no") == WRONG
        assert client("HELLO", "3", "AUTH", "alice", "pw")[0] == "%"
        assert client.value("ACL", "WHOAMI") == b"alice"


def test_requirepass_is_the_password_of_the_default_user() -> None:
    with our_server(requirepass="first") as server, Client(server.port) as client, Client(server.port) as other:
        assert client("GET", "k") == ("-", "NOAUTH Authentication required.")
        assert client("HELLO", "3")[1].startswith("NOAUTH HELLO must be called with the client already authenticated")
        assert client("AUTH", "first") == OK
        assert client.value("CONFIG", "GET", "requirepass") == [b"requirepass", b"first"]
        digest = hashlib.sha256(b"first").hexdigest().encode()
        assert dict(zip(*[iter(client.value("ACL", "GETUSER", "default"))] * 2, strict=True))[b"passwords"] == [digest]
        assert client("CONFIG", "SET", "requirepass", "second") == OK
        assert client("GET", "k") == ("$", None)  # who is in stays in
        assert other("AUTH", "first") == WRONG
        assert other("AUTH", "default", "second") == OK
        assert client("CONFIG", "SET", "requirepass", "") == OK
        assert other("AUTH", "x")[1].startswith("ERR AUTH <password> called without any password configured")
        with Client(server.port) as third:
            assert third("GET", "k") == ("$", None)


def test_the_default_user_can_be_switched_off_and_restricted() -> None:
    with our_server() as server, Client(server.port) as root:
        root("ACL", "SETUSER", "admin", "on", ">pw", "+@all", "~*", "&*")
        root("ACL", "SETUSER", "default", "-@all", "+get", "+acl", "resetkeys", "~a*")
        assert root("SET", "a", "1")[1] == "NOPERM User default has no permissions to run the 'set' command"
        assert root("GET", "b") == NO_KEY and root("GET", "a") == ("$", None)
        root("ACL", "SETUSER", "default", "off")
        with Client(server.port) as stranger:
            assert stranger("GET", "a") == ("-", "NOAUTH Authentication required.")
            assert stranger("AUTH", "admin", "pw") == OK
            assert stranger("SET", "zz", "1") == OK
            assert stranger("RESET") == ("+", "RESET")
            assert stranger("GET", "a") == ("-", "NOAUTH Authentication required.")


# ---- connections


def test_a_change_binds_open_connections_with_their_next_command(server: Any, root: Client) -> None:
    with alice(server, root, "+@all", "~*") as client:
        assert client("SET", "k", "v") == OK
        root("ACL", "SETUSER", "alice", "-set")
        assert client("SET", "k", "v") == ("-", NO_COMMAND.format("set"))
        root("ACL", "SETUSER", "alice", "resetkeys", "~other*")
        assert client("GET", "k") == NO_KEY


def test_connections_of_a_deleted_user_are_closed_and_others_are_not(server: Any, root: Client) -> None:
    root("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~*")
    with alice(server, root, "+@all", "~*") as client, logged_in(server, "bob") as other:
        assert root("ACL", "DELUSER", "alice", "nobody") == (":", 1)
        with pytest.raises((EOFError, OSError)):
            client("PING"), client("PING")
        assert other("PING") == ("+", "PONG")
        # Whoever deletes himself hears that he has.
        assert other("ACL", "DELUSER", "bob") == (":", 1)
        with pytest.raises((EOFError, OSError)):
            other("PING"), other("PING")


def test_client_list_and_kill_know_the_user(server: Any, root: Client) -> None:
    with alice(server, root, "+@all", "~*") as client:
        assert b" user=alice " in client.value("CLIENT", "INFO")
        assert root("CLIENT", "KILL", "USER", "nobody") == ("-", "ERR No such user 'nobody'")
        assert root("CLIENT", "KILL", "USER", "alice") == (":", 1)
        with pytest.raises((EOFError, OSError)):
            client("PING"), client("PING")


# ---- the log


def test_denials_are_logged_and_the_same_again_is_counted(server: Any, root: Client) -> None:
    with alice(server, root, "+get", "~a*") as client:
        client("SET", "a", "1")
        client("GET", "b")
        client("GET", "b")
        client("AUTH", "alice", "no")
        entries = [dict(zip(*[iter(entry)] * 2, strict=True)) for entry in root.value("ACL", "LOG")]
        shown = [(e[b"reason"], e[b"context"], e[b"object"], e[b"username"], e[b"count"]) for e in entries]
        assert shown == [
            (b"auth", b"toplevel", b"AUTH", b"alice", 1),
            (b"key", b"toplevel", b"b", b"alice", 2),
            (b"command", b"toplevel", b"set", b"alice", 1),
        ]
        assert len({e[b"entry-id"] for e in entries}) == 3
        assert b"user=alice" in entries[1][b"client-info"]
        assert 0 <= float(entries[0][b"age-seconds"]) < 30
        assert len(root.value("ACL", "LOG", "1")) == 1
        assert root("ACL", "LOG", "RESET") == OK
        assert root.value("ACL", "LOG") == []


def test_the_log_keeps_no_more_than_it_is_told_to(server: Any, root: Client) -> None:
    with alice(server, root, "+get") as client:
        for n in range(10):
            client("GET", f"k{n}")
        assert root("CONFIG", "SET", "acllog-max-len", "3") == OK
        assert len(root.value("ACL", "LOG")) == 3
        client("GET", "one more")
        assert len(root.value("ACL", "LOG")) == 3
        root("CONFIG", "SET", "acllog-max-len", "128")


def test_after_a_minute_the_same_denial_is_a_new_entry() -> None:
    log = AccessLog()
    for now_ms in (0, 60_000, 120_001):
        log.note("key", "toplevel", b"k", b"alice", "", now_ms, 10)
    assert [entry.count for entry in log.entries] == [1, 2]


def test_passwords_do_not_reach_the_slow_log(server: Any, root: Client) -> None:
    root("CONFIG", "SET", "slowlog-log-slower-than", "0")
    root("SLOWLOG", "RESET")
    root("ACL", "SETUSER", "alice", "on", ">verysecret")
    root("CONFIG", "SET", "requirepass", "")
    root("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    logged = repr(root.value("SLOWLOG", "GET", "-1"))
    assert "verysecret" not in logged and "SETUSER" in logged and "(redacted)" in logged


# ---- escapes: each is a way around the rules that must not work


@pytest.mark.parametrize(
    "call",
    calls(r"""
    CONFIG SET maxclients 1; config SeT maxclients 1; CONFIG|GET maxclients; CONFIG set| x; CONFIG REWRITE;
    Client KILL ID 1; CLIENT LIST; ACL SETUSER alice +@all; acl setuser default nopass; ACL LOAD; ACL DELUSER
    alice; DEBUG SLEEP 0; SHUTDOWN; FLUSHALL; SELECT 1; select 01; GeTdEl a1; KEYS *; ETS.ALL
"""),
)
def test_subcommands_cases_and_containers_open_nothing(server: Any, root: Client, call: list[str]) -> None:
    with alice(server, root, "~a*", "+get", "+set", "+config|get", "+client|id", "+select|0", "+acl|whoami") as client:
        for word in (["CONFIG", "GET", "port"], ["config", "get", "port"], ["CLIENT", "ID"], ["SELECT", "0"]):
            assert client(*word)[0] != "-", word
        assert client(*call)[0] == "-"
        assert client.value("ACL", "WHOAMI") == b"alice"
        assert root.value("ACL", "USERS") == [b"alice", b"default"]


@pytest.mark.parametrize(
    "call",
    calls(r"""
    RENAME a1 b1; RENAME b1 a1; RENAMENX b1 a2; COPY b1 a2; COPY a1 b2; COPY a1 b1 DB 1; MSET a1 1 b1 2;
    MSETNX a9 1 b9 2; MGET a1 b1; DEL a1 b1; UNLINK b1; EXISTS b1; TOUCH b1; TYPE b1; OBJECT ENCODING b1;
    GETDEL b1; GETEX b1; SET b1 x GET; LCS a1 b1; MOVE b1 1; EXPIRE b1 1; MEMORY USAGE b1; BITCOUNT b1; APPEND
    b1 x; GET \a1; GET [a]1; GET A1
""")
    + [["GET", ""]],
)
def test_keys_of_others_are_out_of_reach_of_every_command(server: Any, root: Client, call: list[str]) -> None:
    root("MSET", "a1", "mine", "b1", "theirs")
    with alice(server, root, "+@all", "~a*") as client:
        assert client("GET", "a1") == ("$", b"mine")
        if registry.get(call[0]) is None:
            pytest.skip("no such command")
        assert client(*call) == NO_KEY
        assert root("GET", "b1") == ("$", b"theirs")


def test_patterns_are_matched_as_globs_with_their_escapes(server: Any, root: Client) -> None:
    with alice(server, root, "+set", "~lit\\*", "~one?", "~[xy]z", "~n[^a]") as client:
        allowed_keys = ["lit*", "one1", "xz", "yz", "nb"]
        refused_keys = ["litx", "lit\\*", "one", "one12", "zz", "na", "lit", "xzz"]
        assert all(client("SET", key, "1") == OK for key in allowed_keys)
        assert [key for key in refused_keys if client("SET", key, "1") != NO_KEY] == []


def test_reading_is_not_writing(server: Any, root: Client) -> None:
    root("MSET", "r1", "v", "w1", "v")
    with alice(server, root, "+@all", "%R~r*", "%W~w*") as client:
        assert client("GET", "r1") == ("$", b"v") and client("SET", "w1", "x") == OK
        for call in (["SET", "r1", "x"], ["GET", "w1"], ["DEL", "r1"], ["GETSET", "w1", "x"], ["SET", "w1", "x", "GET"],
                     ["RENAME", "r1", "w1"], ["COPY", "w1", "r2"], ["INCR", "w1"], ["GETDEL", "r1"]):  # fmt: skip
            assert client(*call) == NO_KEY, call
        assert client("COPY", "r1", "w2") == (":", 1)


def test_selectors_do_not_combine(server: Any, root: Client) -> None:
    with alice(server, root, "+get", "~a*", "(+set ~b*)", "(+@all %R~c*)") as client:
        assert (
            client("GET", "a1") == ("$", None) and client("SET", "b1", "v") == OK and client("GET", "c1") == ("$", None)
        )
        assert client("SET", "a1", "v") == NO_KEY
        assert client("GET", "b1") == NO_KEY
        assert client("SET", "c1", "v") == NO_KEY
        assert client("COPY", "b1", "a1") == NO_KEY


def test_names_may_be_any_bytes_but_spaces(server: Any, root: Client) -> None:
    name = b"\xff\xfe'\"%s"
    assert root("ACL", "SETUSER", name, "on", "nopass", "~\xff*", "+acl|whoami", b"~\xfe") == OK
    with Client(server.port) as client:
        assert client("AUTH", name, "x") == OK
        assert client("ACL", "WHOAMI") == ("$", name)
        assert client("GET", "a")[1].startswith("NOPERM User ")
    assert any(line.startswith(b"user " + name + b" ") and b"~\xfe" in line for line in root.value("ACL", "LIST"))
    for bad in (b"a b", b"a\tb", b"a\0b", b"a\n"):
        assert root("ACL", "SETUSER", bad)[1] == "ERR Usernames can't contain spaces or null characters"


# ---- tables


def test_every_table_command_names_its_table_first_or_is_listed() -> None:
    of_tables = [record for record in registry.everything() if record.group == "table"]
    unlisted = [record for record in of_tables if record.name not in (*NO_TABLE, *ANY_TABLE)]
    assert len(unlisted) > 30
    assert [r.name for r in unlisted if not r.arguments or r.arguments[0].name not in ("table", "name")] == []


def test_key_patterns_open_tables_by_name(server: Any, root: Client) -> None:
    for name in ("app_t", "other_t"):
        root("ETS.NEW", name)
        root("ETS.INSERT", name, "1", "x")
    try:
        with alice(server, root, "+@all", "~app_*", "%R~other_*") as client:
            assert client("ETS.LOOKUP", "app_t", "1") == ("*", [("*", [(":", 1), ("$", b"x")])])
            assert client("ETS.INSERT", "app_t", "2", "y") == (":", 1)
            assert client("ETS.LOOKUP", "other_t", "1")[0] == "*"
            assert client("ETS.SELECTCOUNT", "other_t", "{_, _}")[0] == ":"
            for call in (["ETS.INSERT", "other_t", "2", "y"], ["ETS.DROP", "other_t"], ["ETS.CLEAR", "other_t"],
                         ["ETS.RENAME", "app_t", "other_t2"], ["ETS.RENAME", "other_t", "app_x"], ["ETS.NEW", "third"],
                         ["ETS.LOOKUP", "third", "1"], ["ETS.ALL"], ["ETS.CALL", "all", "x"],
                         ["ETS.SELECTDELETE", "other_t", "{_, _}"], ["ETS.TAKE", "other_t", "1"]):  # fmt: skip
                assert client(*call) == NO_KEY, call
            root("ACL", "SETUSER", "alice", "-@table")
            assert client("ETS.LOOKUP", "app_t", "1") == ("-", NO_COMMAND.format("ets.lookup"))
    finally:
        root("ETS.DROP", "app_t"), root("ETS.DROP", "other_t")


# ---- files


def test_a_file_of_users_is_read_at_the_start_and_by_load_and_written_by_save(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    digest = hashlib.sha256(b"pw").hexdigest()
    path.write_text(f"user alice on #{digest} ~a* +@all (~b* +get)\n\nuser default on nopass ~* &* +@all\n")
    with our_server(aclfile=str(path)) as server, Client(server.port) as root:
        with logged_in(server) as client:
            assert client("SET", "a", "1") == OK
        root("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~*")
        assert root("ACL", "SAVE") == OK
        lines = path.read_text().splitlines()
        assert [line.split()[1] for line in lines] == ["alice", "bob", "default"]
        assert [entry.name for entry in tmp_path.iterdir()] == ["users.acl"]  # no draft is left
        with logged_in(server) as client, logged_in(server, "bob") as bob:
            path.write_text("\n".join(line for line in lines if "bob" not in line) + "\n")
            assert root("ACL", "LOAD") == OK
            assert root.value("ACL", "USERS") == [b"alice", b"default"]
            assert client("SET", "a", "2") == OK  # she is the same as before
            with pytest.raises((EOFError, OSError)):
                bob("PING"), bob("PING")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("user a on\nusr b on\n", ":2 should start with user keyword followed by the username."),
        (
            "user a on +nope +get +@x\n",
            ":1: Error in applying operation '+nope': Unknown command or category name in ACL.",
        ),
        ("\n\nuser a on >x ~* ~y\n", ":3: Adding a pattern after the * pattern"),
        ("user a on\nuser a off\n", "WARNING: Duplicate user 'a' found on line 2."),
        ("user a on (~a +get\n", ":1: Unmatched parenthesis in selector definition."),
        ("user a #short\n", ":1: The password hash must be exactly 64 characters"),
    ],
)
def test_a_file_with_a_mistake_changes_nothing_and_names_the_line(tmp_path: Path, text: str, mistake: str) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\nuser keep on\n")
    with our_server(aclfile=str(path)) as server, Client(server.port) as root:
        path.write_text(text)
        reply = root("ACL", "LOAD")
        assert reply[0] == "-" and mistake in reply[1], reply
        assert str(path) in reply[1] or "Duplicate" in reply[1]
        assert "no change to the previously active ACL rules was performed" in reply[1]
        assert root.value("ACL", "USERS") == [b"default", b"keep"]
    with pytest.raises(tsunami_server.ConfigError, match="aclfile"), our_server(aclfile=str(path)):
        pass


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_the_old_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path = home / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    with our_server(aclfile=str(path)) as server, Client(server.port) as root:
        path.unlink()
        home.rmdir()
        assert root("ACL", "SAVE")[1].startswith("ERR There was an error trying to save the ACLs.")
        assert "No such file" in root("ACL", "LOAD")[1]


def test_new_users_hear_all_channels_if_the_setting_says_so(server: Any, root: Client) -> None:
    root("ACL", "SETUSER", "u1", "on")
    root("CONFIG", "SET", "acl-pubsub-default", "allchannels")
    root("ACL", "SETUSER", "u2", "(~x +get)")
    root("ACL", "SETUSER", "u1", "reset")
    root("CONFIG", "SET", "acl-pubsub-default", "resetchannels")
    lines = root.value("ACL", "LIST")
    assert lines[1:] == [
        b"user u1 off sanitize-payload &* -@all",
        b"user u2 off sanitize-payload &* -@all (~x &* -@all +get)",
    ]


def test_selectors_are_words_from_parenthesis_to_parenthesis() -> None:
    assert list(merged([b"on", b"(~a", b"+get)", b"(x)"])) == [b"on", b"(~a +get)", b"(x)"]
    assert Selector().described() == "resetchannels -@all"
    assert DEFAULT == b"default"


# ---- channels


@pytest.mark.parametrize(
    "call", calls("PUBLISH zap x; SPUBLISH zap x; SUBSCRIBE foo:1 zap; SSUBSCRIBE zap; PSUBSCRIBE foo:*")
)
def test_channels_of_others_are_out_of_reach(server: Any, root: Client, call: list[str]) -> None:
    with alice(server, root, "+@all", "~*", "&foo:1", "&bar:*") as client:
        assert client("PUBLISH", "bar:2", "x") == (":", 0)
        assert client(*call) == NO_CHANNEL
        assert client("PING") == ("+", "PONG")  # it has subscribed to nothing
        assert root.value("ACL", "LOG", "1")[0][3] == b"channel"


def test_a_pattern_must_be_allowed_itself(server: Any, root: Client) -> None:
    with alice(server, root, "+psubscribe", "&news:*") as client:
        assert client("PSUBSCRIBE", "news:*") == ("*", [("$", b"psubscribe"), ("$", b"news:*"), (":", 1)])
        assert client("PSUBSCRIBE", "news:a*") == NO_CHANNEL
        assert client("PSUBSCRIBE", "*") == NO_CHANNEL


@pytest.mark.parametrize("call", calls("SUBSCRIBE foo:1; SSUBSCRIBE foo:1; PSUBSCRIBE bar:*"))
def test_subscribers_whose_channels_are_taken_away_are_closed(server: Any, root: Client, call: list[str]) -> None:
    with alice(server, root, "+@all", "&foo:1", "&bar:*") as client, logged_in(server) as other:
        assert client(*call)[0] == "*"
        root("ACL", "SETUSER", "alice", "resetchannels", "&foo:1", "&bar:*", "&more")
        root("ACL", "SETUSER", "alice", "allchannels")
        assert client("PING")[0] == "*"  # pardoned: they keep what they hear
        root("ACL", "SETUSER", "alice", "resetchannels")
        with pytest.raises((EOFError, OSError)):
            client("PING"), client("PING")
        assert other("ECHO", "here") == ("$", b"here")  # subscribed to nothing


# ---- what a call touches is what its key specs say: they are the access control, so they are held against Redis's

KEYED = calls("""
    get a; set a v; set a v get; setex a 1 v; getset a v; getdel a; getex a; getrange a 0 1; setrange a 0 v;
    append a v; strlen a; mget a b; mset a v b v; msetnx a v b v; incr a; incrbyfloat a 1; lcs a b; substr a 0
    1; setnx a v; psetex a 1 v; del a b; unlink a b; exists a b; touch a b; type a; rename a b; renamenx a b;
    copy a b; move a 1; expire a 1; pexpireat a 1; ttl a; expiretime a; persist a; dump a; restore a 0 v; object
    encoding a; object freq a; memory usage a; sort a; sort_ro a; sort a store b; sort a by x get y limit 0 1
    store b; setbit a 0 1; getbit a 0; bitcount a; bitop and a b c; bitpos a 1; bitfield a get u4 0; bitfield a
    set u4 0 1; bitfield_ro a get u4 0; lpush a v; rpush a v; lpop a; rpop a; lrange a 0 1; llen a; lindex a 0;
    linsert a before x y; lset a 0 v; lrem a 0 v; ltrim a 0 1; lpos a v; lmove a b left right; rpoplpush a b;
    blpop a b 0; brpop a b 0; blmove a b left right 0; brpoplpush a b 0; lmpop 2 a b left; blmpop 0 2 a b left;
    lpushx a v; hset a f v; hget a f; hgetall a; hdel a f; hincrby a f 1; hscan a 0; hkeys a; hrandfield a;
    hmset a f v; hmget a f; hstrlen a f; sadd a m; srem a m; sismember a m; smembers a; smove a b m; spop a;
    srandmember a; sinter a b; sinterstore a b c; sunion a b; sunionstore a b c; sdiff a b; sdiffstore a b c;
    sintercard 2 a b; sscan a 0; smismember a m; scard a; zadd a 1 m; zincrby a 1 m; zrange a 0 1; zrangestore a
    b 0 1; zrank a m; zrem a m; zscore a m; zunion 2 a b; zunionstore a 2 b c; zinter 2 a b; zinterstore a 2 b
    c; zinterstore a 2 b c weights 1 2; zdiff 2 a b; zdiffstore a 2 b c; zintercard 2 a b; zpopmin a; bzpopmin a
    b 0; zmpop 2 a b min; bzmpop 0 2 a b min; zrandmember a; zscan a 0; zcount a 0 1; zlexcount a - +;
    zremrangebyscore a 0 1; zcard a; xadd a * f v; xlen a; xrange a - +; xrevrange a + -; xread streams a b 0 0;
    xread count 2 block 0 streams a b 0 0; xtrim a maxlen 1; xdel a 0-0; eval s 2 a b c; evalsha s 1 a; eval_ro
    s 1 a b; eval s 0; publish c m; spublish c m; ssubscribe c; subscribe c; watch a b; ping; keys *; scan 0;
    dbsize; flushall; multi
""")


@pytest.mark.parametrize("call", KEYED, ids=" ".join)
def test_the_keys_and_rights_of_a_call_are_those_of_redis(redis: Client, root: Client, call: list[str]) -> None:
    if registry.get(call[0]) is None:
        pytest.skip("no such command")
    theirs, ours = redis("COMMAND", "GETKEYSANDFLAGS", *call), root("COMMAND", "GETKEYSANDFLAGS", *call)
    assert ours == theirs


def test_info_counts_what_was_denied(server: Any, root: Client) -> None:
    def counts() -> list[int]:
        lines = dict(line.split(":") for line in root.value("INFO", "stats").decode().splitlines() if ":" in line)
        return [int(lines[f"acl_access_denied_{reason}"]) for reason in ("auth", "cmd", "key", "channel")]

    with alice(server, root, "+get", "+publish", "~a*") as client:
        before = counts()
        (
            client("AUTH", "alice", "no"),
            client("SET", "a", "1"),
            client("GET", "b"),
            client("GET", "b"),
            client("PUBLISH", "c", "m"),
        )
        assert [new - old for new, old in zip(counts(), before, strict=True)] == [1, 1, 2, 1]


# ---- inside of transactions and scripts


CHANGED = (
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
    "This command is no longer allowed for the following reason: "
)


def test_a_transaction_is_checked_when_it_is_queued(server: Any, root: Client) -> None:
    with alice(server, root, "+@all", "-set", "~a*", "&foo") as client:
        for call, reply in (
            (["SET", "a", "1"], ("-", NO_COMMAND.format("set"))),
            (["GET", "b"], NO_KEY),
            (["PUBLISH", "bar", "m"], NO_CHANNEL),
        ):
            assert client("MULTI") == OK
            assert client("GET", "a") == ("+", "QUEUED")
            assert client(*call) == reply
            assert client("EXEC")[1].startswith("EXECABORT")
        contexts = {dict(zip(*[iter(entry)] * 2, strict=True))[b"context"] for entry in root.value("ACL", "LOG")}
        assert contexts == {b"multi"}


@pytest.mark.parametrize("first", ["free", "restricted"])
def test_rights_that_are_taken_away_before_exec_are_not_there_in_it(server: Any, root: Client, first: str) -> None:
    rules = ["+@all", "~*", "&*"] if first == "free" else ["+@all", "~*", "&foo"]
    root("SET", "k", "before")
    with alice(server, root, *rules) as client:
        assert client.all([("MULTI",), ("SET", "k", "after"), ("GET", "k"), ("PUBLISH", "foo", "m")])[-1] == (
            "+",
            "QUEUED",
        )
        root("ACL", "SETUSER", "alice", "-set", "resetkeys", "~a*", "resetchannels")
        assert client("EXEC") == ("*", [
            ("-", CHANGED + "no permission to execute the command or subcommand"),
            ("-", CHANGED + "no permission to touch the specified keys"),
            ("-", CHANGED + "no permission to access one of the channels used as arguments to the command"),
        ])  # fmt: skip
        assert root("GET", "k") == ("$", b"before")


@pytest.mark.parametrize("change", ["AUTH bob pw", "ACL SETUSER alice -set"])
def test_rights_that_change_inside_of_a_transaction_count_for_what_stands_behind(
    server: Any, root: Client, change: str
) -> None:
    root("SET", "k", "before")
    root("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "-set", "~*", "&*")
    with alice(server, root, "+@all", "~*", "&*") as client:
        assert client("MULTI") == OK
        assert client(*change.split()) == ("+", "QUEUED")
        client.all([("SET", "k", "after"), ("GET", "k")])
        denied = ("-", CHANGED + "no permission to execute the command or subcommand")
        assert client("EXEC") == ("*", [OK, denied, ("$", b"before")])
        assert client("SET", "k", "after")[1].startswith("NOPERM")
        assert root("GET", "k") == ("$", b"before")


def test_a_user_who_logs_in_inside_of_a_transaction_may_do_there_what_he_may(server: Any, root: Client) -> None:
    with alice(server, root, "+multi", "+exec", "+auth", "+set", "~a*") as client:
        root("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~*", "&*")
        calls = ["MULTI", "AUTH bob wrong", "SET a 1", "AUTH bob pw", "SET a 2", "EXEC", "ACL WHOAMI"]
        assert client.all([tuple(call.split()) for call in calls])[-2:] == [
            ("*", [WRONG, OK, OK, OK]), ("$", b"bob"),
        ]  # fmt: skip


def test_watch_wants_the_right_to_its_keys(server: Any, root: Client) -> None:
    with alice(server, root, "+@all", "~a*") as client:
        assert client("WATCH", "a1") == OK
        assert client("WATCH", "a1", "b1") == NO_KEY


def test_a_script_can_do_no_more_than_its_user(server: Any, root: Client) -> None:
    root("MSET", "a1", "mine", "b1", "theirs")
    with alice(server, root, "+@all", "-set", "-config|set", "~a*", "&foo") as client:

        def answer(script: str, *words: str) -> Any:
            return client("EVAL", script, *(words or ("0",)))

        assert answer("return redis.call('GET', KEYS[1])", "1", "a1") == ("$", b"mine")
        assert answer("return redis.call('GET', KEYS[1])", "1", "b1") == NO_KEY  # a declared key is checked at once
        for call, what in (
            ("'GET', 'b1'", "No permissions to access a key"),  # a key that was not declared
            ("'GET', ARGV[1] or 'b' .. '1'", "No permissions to access a key"),
            ("'SET', 'a1', 'x'", "User alice has no permissions to run the 'set' command"),
            ("'MSET', 'a1', 'x', 'b1', 'y'", "No permissions to access a key"),
            ("'PUBLISH', 'bar', 'm'", "No permissions to access a channel"),
        ):
            reply = answer(f"return redis.call({call})")
            assert reply[0] == "-" and f"ACL failure in script: {what}" in reply[1], (call, reply)
            assert "ACL failure in script" in answer(f"return redis.pcall({call}).err")[1].decode()
        assert root("GET", "b1") == ("$", b"theirs")
        assert dict(zip(*[iter(root.value("ACL", "LOG", "1")[0])] * 2, strict=True))[b"context"] == b"lua"
        root("ACL", "SETUSER", "alice", "-@scripting")
        assert answer("return 1") == ("-", NO_COMMAND.format("eval"))


@pytest.mark.parametrize("command", ["SORT", "SORT_RO"])
def test_sort_reads_keys_that_it_does_not_name_only_with_the_right_to_all(
    server: Any, root: Client, command: str
) -> None:
    root("RPUSH", "a", "1", "2"), root("MSET", "b1", "9", "b2", "8")
    by = ("-", "ERR BY option of SORT denied due to insufficient ACL permissions.")
    get = ("-", "ERR GET option of SORT denied due to insufficient ACL permissions.")
    with alice(server, root, "+@all", "~a*") as client:
        assert client(command, "a") == ("*", [("$", b"1"), ("$", b"2")])
        assert client(command, "a", "BY", "nosort") == ("*", [("$", b"1"), ("$", b"2")])
        assert client(command, "a", "BY", "b*") == by
        assert client(command, "a", "GET", "b*") == get
        assert client(command, "a", "GET", "#")[0] in "*-"
        root("ACL", "SETUSER", "alice", "clearselectors", "(%R~* +get)")  # of another call
        assert client(command, "a", "BY", "b*") == by
        root("ACL", "SETUSER", "alice", "clearselectors", "(%RW~* +@all)")
        assert client(command, "a", "BY", "b*") == ("*", [("$", b"2"), ("$", b"1")])
