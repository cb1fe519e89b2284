"""ETS.CALL and its kin over the wire: ets-call-contract.md, function by function, with a client of the tests' own.

What ETS itself answers to random calls is compared in test_etscall_erlang.py; here stand the rules that are easy to get
wrong, and everything that needs more than one connection.
"""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest
from _etf import Caller, CallError, decode, encode, etf
from _server import IO_KINDS, Process, request, tsunami_server
from _support import wait_until

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference

NODE: Final = Atom("nonode@nohost")
END: Final = Atom("$end_of_table")
UNDEFINED: Final = Atom("undefined")
NONE: Final = Atom("none")
NUMBERS: Final = itertools.count(1)
TYPES: Final = ("set", "ordered_set", "bag", "duplicate_bag")
ANY: Final = Atom("_")
ONE: Final = Atom("$1")


def pid() -> Pid:
    """A process of the client's node that nobody has been before."""
    return Pid(NODE, next(NUMBERS), 0, 0)


@pytest.fixture(scope="module", params=IO_KINDS)
def io(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(io: str) -> Iterator[Process]:
    with tsunami_server("--io", io) as process:
        yield process


@pytest.fixture
def caller(server: Process) -> Iterator[Caller]:
    with Caller(server.address, pid()) as caller:
        yield caller


@pytest.fixture
def other(server: Process) -> Iterator[Caller]:
    with Caller(server.address, pid()) as caller:
        yield caller


def name() -> Atom:
    return Atom(f"table_{next(NUMBERS)}")


def new(caller: Caller, *options: str | tuple[Any, ...]) -> Any:
    """A table, public unless the options say something else."""
    given = [Atom(option) if isinstance(option, str) else option for option in ("public", *options)]
    return caller.call("new", name(), given)


def fails(caller: Caller, function: str, *arguments: Any) -> str:
    """The error line of a call that must fail."""
    with pytest.raises(CallError) as failure:
        caller.call(function, *arguments)
    return str(failure.value)


# ---- connections


def test_ping_is_answered_and_requests_are_answered_in_order(caller: Caller) -> None:
    t = new(caller)
    for i in range(100):
        caller.send(b"ETS.CALL", b"insert", encode([t, (i, i * i)]))
        caller.send(b"ETS.CALL", b"lookup", encode([t, i]))
        caller.send(b"PING")
    for i in range(100):
        assert (True, [(i, i * i)], "PONG") == (decode(caller.reply()), decode(caller.reply()), caller.reply())


def test_a_connection_that_has_not_said_hello_has_a_pid_of_the_servers(server: Process) -> None:
    with Caller(server.address) as stranger:
        t = new(stranger)
        owner = stranger.call("info", t, Atom("owner"))
        assert isinstance(owner, Pid) and owner.node is not NODE


@pytest.mark.parametrize(
    "arguments", [b"", b"x", b"\x83", b"\x83a\1", b"\x83l\0\0\0\1a\1", b"\x83h\1a\1", b"\x83t\0\0\0\0"]
)
def test_malformed_arguments_are_an_error_and_the_connection_goes_on(caller: Caller, arguments: bytes) -> None:
    for function in (b"lookup", b"new", b"no_such_function"):
        with pytest.raises(CallError) as failure:
            caller.request(b"ETS.CALL", function, arguments)
        assert failure.value.kind == "ERR"
    assert "PONG" == caller.request(b"PING")


@pytest.mark.parametrize(
    "function, arguments",
    [("nothing", ()), ("lookup", (1,)), ("lookup", (1, 2, 3)), ("insert", ()), ("new", (1,)), ("foldl", (1, 2, 3))],
)
def test_a_function_that_is_not_there_is_undef(caller: Caller, function: str, arguments: tuple[Any, ...]) -> None:
    assert "UNDEF" == fails(caller, function, *arguments)


def test_time_never_decreases_and_fixations_lie_between_two_readings(caller: Caller) -> None:
    t = new(caller)
    before = decode(caller.request(b"ETS.TIME"))
    caller.call("safe_fixtable", t, True)
    after = decode(caller.request(b"ETS.TIME"))
    wall, who = caller.call("info", t, Atom("safe_fixed"))
    mono, who_too = caller.call("info", t, Atom("safe_fixed_monotonic_time"))
    assert [(caller.identity, 1)] == who == who_too
    assert before[0] <= mono <= after[0]
    assert before[1] <= wall <= after[1]
    assert all(0 <= part < 10**6 for part in wall[1:])


# ---- terms

TERMS: Final[list[Any]] = [
    *(0, -1, 2**62, -(2**62) - 1, 2**3000, 1.0, -0.0, 5e-324),
    *(True, False, None, Atom(""), Atom("é" * 255), Atom("$end_of_table")),
    *(b"", b"1234567", b"\0" * 100, Bits(b"\xe0", 3)),
    *((), (1, (2.0,)), [], [97, 98], [1, [2, 300]], ImproperList([1, 2], 3), {}, {1: {2: 3}, Atom("a"): [4]}),
    *(Pid(NODE, 1, 2, 3), Port(NODE, 1, 2), Port(NODE, 2**40, 2), Reference(NODE, 1, (1, 2, 3))),
    Fun("export", Atom("m"), Atom("f"), 2),
    Fun("local", Atom("m"), 1, b"u" * 16, 77, 2, Pid(NODE, 1, 2, 3), (1, [2], b"x"), 5),
]


@pytest.mark.parametrize("type_", TYPES)
def test_every_term_is_stored_found_and_given_back(caller: Caller, type_: str) -> None:
    t = new(caller, type_)
    for i, term in enumerate(TERMS):
        assert True is caller.call("insert", t, ((term, i), i, term))  # i: 0 and -0.0 are one key of an ordered_set
    for i, term in enumerate(TERMS):
        assert encode([((term, i), i, term)]) == caller.call_raw("lookup", encode([t, (term, i)]))
        assert True is caller.call("member", t, (term, i))
    assert len(TERMS) == caller.call("info", t, Atom("size"))


def test_terms_100_000_deep_are_answered_or_refused_and_the_connection_goes_on(caller: Caller) -> None:
    t = new(caller)
    for opening, closing in ((b"h\1", b""), (b"l\0\0\0\1", b"j"), (b"l\0\0\0\1", b"a\1"), (b"t\0\0\0\1a\1", b"")):
        deep = opening * 100_000 + b"j" + closing * 100_000
        given = b"\x83l\0\0\0\2" + etf(t) + b"h\2" + deep + deep + b"j"
        key = b"\x83l\0\0\0\2" + etf(t) + deep + b"j"
        if opening[:1] == b"t":  # fine as a value; as a part of a key in a map it would not be
            given = b"\x83l\0\0\0\2" + etf(t) + b"h\2a\7" + deep + b"j"
            key = b"\x83l\0\0\0\2" + etf(t) + b"a\7j"
        assert True is decode(caller.call_raw("insert", given))
        assert deep in caller.call_raw("lookup", key)
    too_deep = b"t\0\0\0\1" + b"h\1" * 100_000 + b"ja\1"
    with pytest.raises(CallError, match="SYSTEM_LIMIT"):
        caller.call_raw("lookup", b"\x83l\0\0\0\2" + etf(t) + too_deep + b"j")
    assert "PONG" == caller.request(b"PING")


def test_a_bulk_of_64_megabytes_is_stored(caller: Caller) -> None:
    t = new(caller)
    big = bytes(64 << 20)
    assert True is caller.call("insert", t, (1, big))
    assert [(1, big)] == caller.call("lookup", t, 1)


# ---- table arguments


@pytest.mark.parametrize("wrong", [1, 1.0, b"t", [], (), Pid(NODE, 1, 1, 1), Reference(NODE, 1, (1, 2))])
def test_what_is_no_table_argument_fails_with_type(caller: Caller, wrong: Any) -> None:
    for call in (("lookup", wrong, 1), ("insert", wrong, 1), ("info", wrong), ("delete", wrong), ("rename", wrong, 1)):
        assert "BADARG type" == fails(caller, *call)


def test_a_made_up_reference_of_our_node_was_never_a_table(caller: Caller) -> None:
    t = new(caller)
    assert isinstance(t, Reference) and t.node is not NODE and len(t.words) >= 2 and t.words[0] < 2**18
    for words in ((t.words[0] + 1, *t.words[1:]), (*t.words[:-1], t.words[-1] ^ 1), t.words[:2]):
        made_up = Reference(t.node, t.creation, words)
        assert "BADARG type" == fails(caller, "lookup", made_up, 1) == fails(caller, "info", made_up)


def test_a_deleted_table_is_known_by_its_reference(caller: Caller) -> None:
    t = new(caller)
    assert True is caller.call("delete", t)
    assert UNDEFINED == caller.call("info", t) == caller.call("info", t, Atom("no_item"))
    for call in (("lookup", t, 1), ("insert", t, foo()), ("delete", t), ("safe_fixtable", t, foo()), ("next", t, 1)):
        assert "BADARG id" == fails(caller, *call)
    assert "BADARG id" == fails(caller, "lookup", name(), 1)
    assert UNDEFINED == caller.call("info", name()) == caller.call("whereis", name())


def foo() -> Atom:
    return Atom("foo")


@pytest.mark.parametrize("called", [True, False, None], ids=["true", "false", "nil"])
def test_a_table_may_have_the_name_of_an_atom_that_python_has_other_values_for(caller: Caller, called: Any) -> None:
    assert caller.call("new", called, [Atom("named_table"), Atom("public")]) is called
    assert caller.call("insert", called, (1, b"one")) is True
    reference = caller.call("whereis", called)
    assert caller.call("lookup", reference, 1) == [(1, b"one")]
    assert caller.call("info", reference, Atom("name")) is called
    assert called in caller.call("all")
    after = name()
    assert caller.call("rename", called, after) == after
    assert caller.call("whereis", called) == UNDEFINED
    assert fails(caller, "lookup", called, 1) == "BADARG id"
    assert caller.call("rename", after, called) is called
    unnamed = caller.call("new", called, [])
    assert isinstance(unnamed, Reference)
    assert caller.call("info", unnamed, Atom("name")) is called
    assert caller.call("delete", called) is True
    assert caller.call("whereis", called) == UNDEFINED


def test_a_named_table_answers_to_name_and_reference(caller: Caller) -> None:
    called = name()
    assert called == caller.call("new", called, [Atom("named_table")])
    reference = caller.call("whereis", called)
    assert reference == caller.call("info", called, Atom("id")) == caller.call("info", reference, Atom("id"))
    caller.call("insert", called, (1,))
    assert [(1,)] == caller.call("lookup", reference, 1)
    assert "BADARG already_exists" == fails(caller, "new", called, [Atom("named_table")])
    second = caller.call("new", called, [])
    assert called == caller.call("info", second, Atom("name"))
    assert called in caller.call("all") and second in caller.call("all") and reference not in caller.call("all")


def test_rename_keeps_references_and_frees_the_old_name(caller: Caller) -> None:
    before, after = name(), name()
    caller.call("new", before, [Atom("named_table")])
    reference = caller.call("whereis", before)
    assert after == caller.call("rename", before, after)
    assert "BADARG id" == fails(caller, "lookup", before, 1)
    assert [] == caller.call("lookup", after, 1) == caller.call("lookup", reference, 1)
    assert "BADARG" == fails(caller, "rename", after, after) == fails(caller, "rename", after, 1)
    assert before == caller.call("rename", reference, before)
    unnamed = new(caller)
    assert unnamed == caller.call("rename", unnamed, before)
    assert before == caller.call("info", unnamed, Atom("name"))


# ---- rights

READS: Final[list[tuple[Any, ...]]] = [
    *(("first",), ("last",), ("next", 1), ("prev", 1), ("lookup", 1), ("lookup_element", 1, 1), ("member", 1)),
    *(("slot", 0), ("tab2list",), ("safe_fixtable", True), ("first_lookup",), ("next_lookup", 1)),
]
WRITES: Final[list[tuple[Any, ...]]] = [
    *(("insert", (1,)), ("insert_new", (1,)), ("delete",), ("delete", 1), ("delete_object", (1,))),
    *(("delete_all_objects",), ("take", 1), ("update_counter", 1, 1), ("update_element", 1, (2, 1))),
    *(("rename", Atom("some")), ("setopts", []), ("give_away", Pid(NODE, 0, 0, 0), 1)),
]


def test_rights_come_before_all_other_arguments(caller: Caller, other: Caller) -> None:
    for protection, refused in (("protected", WRITES), ("private", READS + WRITES)):
        t = caller.call("new", name(), [Atom(protection)])
        for function, *arguments in refused:
            assert "BADARG access" == fails(other, function, t, *arguments)
            assert "BADARG access" == fails(other, function, t, *(foo() for _ in arguments))
        assert t == dict(other.call("info", t))[Atom("id")]


def test_anyone_may_read_a_protected_table_and_write_a_public_one(caller: Caller, other: Caller) -> None:
    t = caller.call("new", name(), [])
    caller.call("insert", t, (1, 2))
    assert [(1, 2)] == other.call("lookup", t, 1)
    p = new(caller)
    assert True is other.call("insert", p, (1, 2))
    assert True is other.call("delete", p)


# ---- new and info


@pytest.mark.parametrize(
    "options",
    [
        *(foo(), [foo()], ImproperList([Atom("set")], Atom("set")), [(Atom("keypos"), 0)], [(Atom("keypos"), 1.0)]),
        *([(Atom("compressed"), True)], [(Atom("heir"), Pid(NODE, 0, 0, 0))], [(Atom("heir"), 1, 2)], [b"set"]),
        *([(Atom("write_concurrency"), Atom("x"))], [(Atom("read_concurrency"), Atom("auto"))], [()], [{}]),
    ],
)
def test_wrong_options_are_badarg(caller: Caller, options: Any) -> None:
    assert "BADARG" == fails(caller, "new", name(), options)


def test_a_table_has_an_atom_for_its_name(caller: Caller) -> None:
    for wrong in (1, b"t", [], (Atom("t"),)):
        assert "BADARG" == fails(caller, "new", wrong, []) == fails(caller, "whereis", wrong)


def test_info_has_all_items_with_the_defaults(caller: Caller) -> None:
    t = new(caller)
    told = dict(caller.call("info", t))
    memory = told.pop(Atom("memory"))
    assert memory > 0
    assert told.pop(Atom("name")) is not None
    assert {
        "id": t, "decentralized_counters": False, "read_concurrency": False, "write_concurrency": False,
        "compressed": False, "owner": caller.identity, "heir": NONE, "size": 0, "node": NODE, "named_table": False,
        "type": Atom("set"), "keypos": 1, "protection": Atom("public"),
    } == {key.name: value for key, value in told.items()}  # fmt: skip
    assert (False, False, False) == tuple(
        caller.call("info", t, Atom(item)) for item in ("fixed", "safe_fixed", "safe_fixed_monotonic_time")
    )
    assert [] == caller.call("info", t, Atom("binary"))
    for wrong in (foo(), 1, b"size", True):
        assert "BADARG" == fails(caller, "info", t, wrong)


@pytest.mark.parametrize(
    "options, echo",
    [
        ([], (False, False, False, False)),
        ([("write_concurrency", True)], (False, True, False, False)),
        ([("write_concurrency", Atom("auto")), ("read_concurrency", True)], (True, Atom("auto"), True, False)),
        ([("write_concurrency", True), ("decentralized_counters", True)], (False, True, True, False)),
        ([("decentralized_counters", True), "compressed"], (False, False, False, True)),
        ([("write_concurrency", True), ("read_concurrency", True), "private"], (False, False, False, False)),
    ],
)
def test_info_echoes_the_options(caller: Caller, options: list[Any], echo: tuple[Any, ...]) -> None:
    given = [Atom(o) if isinstance(o, str) else (Atom(o[0]), *o[1:]) for o in options]
    t = caller.call("new", name(), given)
    items = ("read_concurrency", "write_concurrency", "decentralized_counters", "compressed")
    assert echo == tuple(caller.call("info", t, Atom(item)) for item in items)


# ---- writing and reading


@pytest.mark.parametrize("wrong", [1, (), [()], [(1, 2), foo()], ImproperList([(1, 2)], (3, 4)), {}, b"x", [[(1,)]]])
def test_what_is_no_row_is_badarg_and_nothing_is_inserted(caller: Caller, wrong: Any) -> None:
    t = new(caller)
    assert "BADARG" == fails(caller, "insert", t, wrong) == fails(caller, "insert_new", t, wrong)
    assert 0 == caller.call("info", t, Atom("size"))


def test_a_row_reaches_to_the_key(caller: Caller) -> None:
    t = new(caller, (Atom("keypos"), 3))
    for call in (("insert", (1, 2)), ("insert_new", (1, 2)), ("insert", [(1, 2, 3), (1, 2)]), ("delete_object", (1,))):
        assert "BADARG" == fails(caller, call[0], t, call[1])
    assert True is caller.call("insert", t, (1, 2, 3))
    assert [(1, 2, 3)] == caller.call("lookup", t, 3)


def test_insert_and_insert_new_of_lists_are_whole(caller: Caller) -> None:
    t = new(caller)
    assert True is caller.call("insert", t, []) is caller.call("insert_new", t, [])
    assert True is caller.call("insert", t, [(1, 1), (2, 2), (1, 3)])
    assert [(1, 3)] == caller.call("lookup", t, 1)
    assert False is caller.call("insert_new", t, [(3, 3), (2, 0)])
    assert True is caller.call("insert_new", t, [(4, 1), (4, 2)])
    assert [(4, 2)] == caller.call("lookup", t, 4)
    bag = new(caller, "duplicate_bag")
    assert True is caller.call("insert_new", bag, [(1, 1), (1, 2), (1, 1)])
    assert [(1, 1), (1, 2), (1, 1)] == caller.call("lookup", bag, 1) == caller.call("take", bag, 1)
    assert [] == caller.call("take", bag, 1)


def test_a_long_list_is_inserted_in_a_thread(caller: Caller) -> None:
    t = new(caller)
    rows = [(i, b"x" * 10) for i in range(30_000)]
    assert True is caller.call("insert", t, rows)
    assert rows == sorted(caller.call("tab2list", t))
    assert True is caller.call("delete_all_objects", t)
    assert [] == caller.call("tab2list", t)


def test_delete_and_delete_object_are_true_also_for_nothing(caller: Caller) -> None:
    t = new(caller, "duplicate_bag")
    caller.call("insert", t, [(1, 1), (1, 1), (1, 2), (1, 1.0)])
    assert True is caller.call("delete_object", t, (1, 1)) is caller.call("delete_object", t, (9, 9))
    assert [(1, 2), (1, 1.0)] == caller.call("lookup", t, 1)
    assert True is caller.call("delete", t, 1) is caller.call("delete", t, 1)
    assert "BADARG" == fails(caller, "delete_object", t, foo()) == fails(caller, "delete_object", t, ())


def test_lookup_element_checks_the_position_before_the_key(caller: Caller) -> None:
    t, bag = new(caller), new(caller, "bag")
    caller.call("insert", t, (1, 2))
    caller.call("insert", bag, [(1, 2, 3), (1, 4), (2, 5, 6), (2, 7, 8)])
    assert 2 == caller.call("lookup_element", t, 1, 2) == caller.call("lookup_element", t, 1, 2, foo())
    assert [6, 8] == caller.call("lookup_element", bag, 2, 3)
    for wrong in (0, -1, 1.0, foo(), -(2**70)):
        assert (
            "BADARG" == fails(caller, "lookup_element", t, 9, wrong) == fails(caller, "lookup_element", t, 1, wrong, 7)
        )
    for beyond in (3, 2**70):
        assert "BADARG" == fails(caller, "lookup_element", t, 1, beyond)
        assert "BADARG" == fails(caller, "lookup_element", t, 1, beyond, 7)
        assert 7 == caller.call("lookup_element", t, 9, beyond, 7)
    assert "BADARG badkey" == fails(caller, "lookup_element", t, 9, 2)
    assert "BADARG" == fails(caller, "lookup_element", bag, 1, 3)
    assert 7 == caller.call("lookup_element", bag, 9, 3, 7)


def test_update_counter_in_all_its_forms(caller: Caller) -> None:
    t = new(caller)
    caller.call("insert", t, (1, 10, 2**62 - 1, foo()))
    assert 11 == caller.call("update_counter", t, 1, 1)
    assert 2**62 == caller.call("update_counter", t, 1, (3, 1))
    assert -(2**80) + 2**62 == caller.call("update_counter", t, 1, (3, -(2**80)))
    assert [12, 13, 0] == caller.call("update_counter", t, 1, [(2, 1), (2, 1), (2, 1, 13, 0)])
    assert [] == caller.call("update_counter", t, 1, [])
    assert 0 == caller.call("update_counter", t, 1, (2, 0, -1, 0))  # zero counts as not negative
    assert 0 == caller.call("update_counter", t, 1, (2, 0, 0, 5))  # equal to the threshold stays
    assert 3 == caller.call("update_counter", t, 2, (2, 3), (9, 0, foo()))
    assert [(2, 3, foo())] == caller.call("lookup", t, 2)
    assert [] == caller.call("update_counter", t, 3, [], (9, 0))
    assert [(3, 0)] == caller.call("lookup", t, 3)


@pytest.mark.parametrize(
    "line, key, what",
    [
        ("BADARG badkey", 9, foo()),
        ("BADARG badkey", 9, 1),
        ("BADARG badkey", 9, []),
        ("BADARG", 1, foo()),
        ("BADARG", 1, 1.0),
        ("BADARG", 1, [1]),
        ("BADARG", 1, (2,)),
        ("BADARG", 1, (2, 1, 1)),
        ("BADARG", 1, (1, foo())),
        ("BADARG", 1, (99, foo())),
        ("BADARG", 1, (2, 1, 1.0, 1)),
        ("BADARG", 1, (3, 1)),
        ("BADARG", 1, ImproperList([(2, 1)], (2, 1))),
        ("BADARG keypos", 1, (1, 1)),
        ("BADARG keypos", 1, ImproperList([(1, 1)], foo())),
        ("BADARG position", 1, (0, 1)),
        ("BADARG position", 1, (99, 1)),
        ("BADARG position", 1, (2**70, 1)),
        ("BADARG position", 1, [(2, 1), (99, 1), foo()]),
        ("BADARG", 1, [(2, 1), foo(), (99, 1)]),
    ],
)
def test_update_counter_fails_with_the_right_cause_and_changes_nothing(
    caller: Caller, line: str, key: int, what: Any
) -> None:
    t = new(caller)
    caller.call("insert", t, (1, 10, foo()))
    assert line == fails(caller, "update_counter", t, key, what)
    if key == 1:
        assert line == fails(caller, "update_counter", t, 5, what, (0, 10, foo()))
    assert [(1, 10, foo())] == caller.call("tab2list", t)
    assert "BADARG" == fails(caller, "update_counter", t, 1, 1, foo())


def test_update_counter_and_update_element_are_not_for_bags(caller: Caller) -> None:
    bag = new(caller, "bag")
    assert "BADARG table_type" == fails(caller, "update_counter", bag, 1, 1)
    assert "BADARG" == fails(caller, "update_counter", bag, 1, 1, foo())
    assert "BADARG" == fails(caller, "update_element", bag, 1, (2, 1))


def test_update_element_in_all_its_forms(caller: Caller) -> None:
    t = new(caller)
    caller.call("insert", t, (1, 2, 3))
    assert True is caller.call("update_element", t, 1, (2, [1, {2: 3}]))
    assert True is caller.call("update_element", t, 1, [(2, 0), (3, b"long enough"), (2, foo())])
    assert [(1, foo(), b"long enough")] == caller.call("lookup", t, 1)
    assert True is caller.call("update_element", t, 1, [])
    for nonsense in ([], foo(), (0, 1), (1, 1), [(99, 1)], (2**70, 1)):
        assert False is caller.call("update_element", t, 9, nonsense)
    assert True is caller.call("update_element", t, 9, (2, 1), (0, 0))
    assert True is caller.call("update_element", t, 8, [], (0, 0))
    assert [[(9, 1)], [(8, 0)]] == [caller.call("lookup", t, key) for key in (9, 8)]
    for line, what in (
        *(("", foo()), ("", (2,)), ("", (2, 1, 1)), ("", (1.0, 1)), ("", ImproperList([(2, 1)], (2, 1)))),
        *((" keypos", (1, 1)), (" position", (0, 1)), (" position", (4, 1)), (" position", (2**70, 1))),
        *((" keypos", [(2, 1), (1, 1), foo()]), ("", [(2, 1), foo(), (1, 1)])),
    ):
        assert f"BADARG{line}" == fails(caller, "update_element", t, 1, what)
    assert "BADARG" == fails(caller, "update_element", t, 1, (2, 1), foo())
    assert "BADARG" == fails(caller, "update_element", t, 7, (2, 1), ())
    assert [(1, foo(), b"long enough")] == caller.call("lookup", t, 1)


# ---- walking


@pytest.mark.parametrize("type_", TYPES)
def test_a_walk_meets_every_key_once(caller: Caller, type_: str) -> None:
    t = new(caller, type_)
    assert END == caller.call("first", t) == caller.call("last", t) == caller.call("first_lookup", t)
    caller.call("insert", t, [(i % 50, i) for i in range(100)])
    seen = []
    key = caller.call("first", t)
    while key != END:
        seen.append(key)
        key = caller.call("next", t, key)
    assert list(range(50)) == sorted(seen)
    first, rows = caller.call("first_lookup", t)
    assert (first, rows) == (seen[0], caller.call("lookup", t, seen[0]))
    assert caller.call("next_lookup", t, first) == (seen[1], caller.call("lookup", t, seen[1]))
    if type_ != "ordered_set":
        assert "BADARG" == fails(caller, "next", t, 99) == fails(caller, "prev", t, 99)


def test_slots_give_every_row_once_and_then_the_end(caller: Caller) -> None:
    t = new(caller, "bag")
    caller.call("insert", t, [(i % 50, i) for i in range(100)])
    rows, i = [], 0
    while (slot := caller.call("slot", t, i)) != END:
        rows += slot
        i += 1
    assert sorted(rows) == sorted(caller.call("tab2list", t))
    for wrong in (i + 1, -1, 2**40, 2**70, 1.0, foo()):
        assert "BADARG" == fails(caller, "slot", t, wrong)


def test_fixations_count_for_each_connection_and_end_with_it(server: Process, caller: Caller, other: Caller) -> None:
    t = new(caller)
    caller.call("insert", t, [(i,) for i in range(10)])
    assert True is caller.call("safe_fixtable", t, False)  # it has none
    with Caller(server.address, pid()) as third:
        for who in (caller, caller, third):
            assert True is who.call("safe_fixtable", t, True)
        first = caller.call("first", t)
        following = caller.call("next", t, first)
        caller.call("delete", t, first)
        assert following == other.call("next", t, first)
        assert sorted([2, 1]) == sorted(count for _, count in caller.call("info", t, Atom("safe_fixed"))[1])
        caller.call("safe_fixtable", t, False)
        caller.call("safe_fixtable", t, False)
        assert True is caller.call("info", t, Atom("fixed"))
        assert "OK" == third.request(b"ETS.BYE")
    assert False is caller.call("info", t, Atom("fixed"))
    assert "BADARG" == fails(other, "next", t, first)
    for wrong in (foo(), 1, []):
        assert "BADARG" == fails(caller, "safe_fixtable", t, wrong)


# ---- match specs, patterns, continuations


@pytest.mark.parametrize("type_", TYPES)
def test_select_and_match_in_all_their_forms(caller: Caller, type_: str) -> None:
    t = new(caller, type_)
    caller.call("insert", t, [(i, i * i) for i in range(10)])
    spec = [((ONE, Atom("$2")), [(Atom(">"), Atom("$2"), 20)], [ONE])]
    found = caller.call("select", t, spec)
    assert [5, 6, 7, 8, 9] == (found if type_ == "ordered_set" else sorted(found))
    assert caller.call("select_reverse", t, spec) == (found[::-1] if type_ == "ordered_set" else found)
    assert [[9]] == caller.call("match", t, (3, ONE))
    assert [(3, 9)] == caller.call("match_object", t, (3, ANY))
    assert 5 == caller.call("select_count", t, [((ANY, ONE), [(Atom(">"), ONE, 20)], [True])])
    assert True is caller.call("match_delete", t, (3, ANY))
    assert 4 == caller.call("select_delete", t, [((ONE, ANY), [(Atom("<"), ONE, 5)], [True])])
    replacing = [((ONE, ANY), [], [((ONE, 0),)])]
    if type_ == "bag":
        assert "BADARG table_type" == fails(caller, "select_replace", t, replacing)
    else:
        assert 5 == caller.call("select_replace", t, replacing)
        assert [(i, 0) for i in range(5, 10)] == sorted(caller.call("tab2list", t))
    assert "BADARG" == fails(caller, "select_replace", new(caller), [(ONE, [], [ONE])])
    assert [] == caller.call("select", t, []) and END == caller.call("select", t, [], 1)
    assert [0, 0, 0] == [caller.call(f, new(caller), []) for f in ("select_count", "select_delete", "select_replace")]
    for wrong in (foo(), [foo()], [(ANY, [], [])], [(ANY, [Atom("$9")], [ONE])], ImproperList([(ANY, [], [ONE])], 1)):
        assert "BADARG" == fails(caller, "select", t, wrong) == fails(caller, "select_delete", t, wrong)
    for limit in (0, -1, 1.0, 2**70, foo()):
        assert "BADARG" == fails(caller, "select", t, spec, limit) == fails(caller, "match", t, ANY, limit)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("function", ["select", "select_reverse", "match", "match_object"])
def test_continuations_lead_through_all_rows_from_any_connection(
    caller: Caller, other: Caller, type_: str, function: str
) -> None:
    t = caller.call("new", name(), [Atom(type_), Atom("named_table"), Atom("public")])
    rows = [(i, j) for i in range(25) for j in range(1 if "set" in type_ else 3)]
    caller.call("insert", t, rows)
    what: Any = [(ANY, [], [Atom("$_")])] if "select" in function else ONE if function == "match" else ANY
    found, pieces = [], 0
    page = caller.call(function, t, what, 4)
    while page != END:
        piece, continuation = page
        pieces += 1
        found += [row[0] for row in piece] if function == "match" else piece
        if continuation == END:
            break
        assert 4 == len(piece) and continuation[0] == caller.call("whereis", t)
        place = 4 if type_ == "ordered_set" else 3
        assert True is caller.call("is_compiled_ms", continuation[place])
        page = other.call(function, continuation)
        assert encode(page) == encode(caller.call("select", continuation))
        broken = (*continuation[:place], b"overwritten", *continuation[place + 1 :])
        assert "BADARG" == fails(caller, function, broken)
        assert continuation == caller.call("repair_continuation", continuation, [(ANY, [], [Atom("$_")])])
        if function == "select":
            assert continuation == caller.call("repair_continuation", broken, what)
    assert rows == sorted(found) and pieces in (-(-len(rows) // 4), len(rows) // 4)
    assert END == caller.call("select", END) == caller.call("repair_continuation", END, foo())


def test_a_continuation_belongs_to_the_table_and_gives_no_rights(caller: Caller, other: Caller) -> None:
    before, after = name(), name()
    caller.call("new", before, [Atom("named_table"), Atom("ordered_set")])
    caller.call("insert", before, [(i,) for i in range(5)])
    _, continuation = caller.call("match", before, (ONE,), 2)
    caller.call("rename", before, after)
    assert [[2], [3]] == caller.call("match", continuation)[0] == other.call("match", continuation)[0]
    caller.call("setopts", after, (Atom("protection"), Atom("private")))
    assert "BADARG access" == fails(other, "match", continuation)
    caller.call("delete", after)
    caller.call("new", after, [Atom("named_table"), Atom("ordered_set")])
    assert "BADARG id" == fails(caller, "match", continuation)
    for nonsense in (foo(), 1, (), (1, 2, 3, 4), (1, 2, 3, 4, 5), (continuation[0], 0, 0, 0, 0)):
        assert fails(caller, "select", nonsense).startswith("BADARG")


def test_self_and_node_are_the_callers(caller: Caller) -> None:
    t = new(caller)
    caller.call("insert", t, (1, caller.identity))
    spec = [((1, Atom("$1")), [(Atom("=:="), Atom("$1"), (Atom("self"),))], [(Atom("node"),)])]
    assert [NODE] == caller.call("select", t, spec)


def test_compiled_specs_are_terms(caller: Caller, other: Caller) -> None:
    spec = [((ONE, Atom("$2")), [(Atom(">"), Atom("$2"), 20)], [ONE])]
    compiled = caller.call("match_spec_compile", spec)
    assert True is other.call("is_compiled_ms", compiled)
    for wrong in (foo(), spec, [], compiled[:2], (*compiled[:2], foo()), (compiled[0], 7, spec), b""):
        assert False is caller.call("is_compiled_ms", wrong)
        assert "BADARG" == fails(caller, "match_spec_run", [], wrong)
    assert [5, 6] == other.call("match_spec_run", [(5, 25), foo(), (1, 1), [5, 25], (6, 36)], compiled)
    assert "BADARG" == fails(caller, "match_spec_run", foo(), compiled) == fails(caller, "match_spec_compile", [])
    assert (Atom("ok"), 5, [], []) == caller.call("match_spec_test", (5, 25), spec, Atom("table"))
    assert (Atom("ok"), False, [], []) == caller.call("match_spec_test", foo(), spec, Atom("table"))
    assert (Atom("ok"), foo()) == caller.call("test_ms", foo(), [(Atom("$1"), [], [Atom("$1")])])
    kind, mistakes = caller.call("test_ms", (1,), [(Atom("$1"), [], [Atom("$2")])])
    assert Atom("error") == kind and all(Atom("error") == mark and bytes(text) for mark, text in mistakes)


def test_a_spec_nested_too_deep_is_system_limit_or_works(caller: Caller) -> None:
    t = new(caller)
    deep = b"h\2w\3not" * 100_000 + b"w\4true"
    spec = b"l\0\0\0\1h\3w\1_l\0\0\0\1" + deep + b"jl\0\0\0\1w\4truejj"
    for function in ("select", "select_count", "select_delete"):
        try:
            caller.call_raw(function, b"\x83l\0\0\0\2" + etf(t) + spec + b"j")
        except CallError as error:
            assert "SYSTEM_LIMIT" == str(error)
    assert "PONG" == caller.request(b"PING")


# ---- owners


def test_give_away_sends_a_push_before_the_next_answer(caller: Caller, other: Caller) -> None:
    gift = {1: [2.0], Atom("deep"): ((b"x",),)}
    t = caller.call("new", name(), [Atom("private")])
    assert True is caller.call("give_away", t, other.identity, gift)
    assert [(Atom("ETS-TRANSFER"), t, caller.identity, gift)] == other.received()
    assert other.identity == caller.call("info", t, Atom("owner"))
    assert "BADARG access" == fails(caller, "lookup", t, 1)
    assert True is other.call("insert", t, (1,))


def test_a_gift_that_no_dict_could_hold_arrives_as_it_is(caller: Caller, other: Caller) -> None:
    t = new(caller)
    odd = b"t\0\0\0\2a\1a\2F\x3f\xf0\0\0\0\0\0\0a\3"  # #{1 => 2, 1.0 => 3}
    caller.call_raw("give_away", b"\x83l\0\0\0\3" + etf(t) + etf(other.identity) + odd + b"j")
    other.send(b"PING")
    assert b">2" == other.file.readline()[:2]
    assert b"$12\r\nETS-TRANSFER\r\n" == other.file.read(19)
    size = int(other.file.readline()[1:])
    assert other.file.read(size + 2)[:-2].endswith(odd)
    assert "PONG" == other.reply()


def test_give_away_fails_in_the_right_order(caller: Caller, other: Caller) -> None:
    t = new(caller)
    dead = pid()
    for receiver in (foo(), 1, dead):
        assert "BADARG" == fails(caller, "give_away", t, receiver, 1) == fails(other, "give_away", t, receiver, 1)
    assert "BADARG owner" == fails(caller, "give_away", t, caller.identity, 1)
    assert "BADARG not_owner" == fails(other, "give_away", t, caller.identity, 1)
    assert "BADARG not_owner" == fails(other, "give_away", t, other.identity, 1)
    assert [] == other.received()


def test_tables_go_to_their_heirs_or_are_deleted_before_bye_is_answered(server: Process, caller: Caller) -> None:
    heir = (Atom("heir"), caller.identity, (1, {2: 3}))
    with Caller(server.address, pid()) as owner:
        called = name()
        owner.call("new", called, [Atom("named_table"), heir])
        mine, dying = owner.call("new", name(), [heir]), owner.call("new", name(), [])
        doomed = name()
        owner.call("new", doomed, [Atom("named_table")])
        assert "OK" == owner.request(b"ETS.BYE")
        assert b"" == owner.file.read()
    sent = caller.received()
    assert {repr(called), repr(mine)} == {repr(message[1]) for message in sent}
    assert {repr(owner.identity)} == {repr(message[2]) for message in sent}
    assert [(1, {2: 3})] * 2 == [message[3] for message in sent]
    assert UNDEFINED == caller.call("info", dying) == caller.call("info", doomed)
    assert (caller.identity, caller.identity) == (
        caller.call("info", called, Atom("owner")),
        caller.call("info", called, Atom("heir")),
    )
    caller.call("new", doomed, [Atom("named_table")])


def test_after_an_abrupt_end_tables_go_the_same_way(server: Process, caller: Caller) -> None:
    owner = Caller(server.address, pid())
    t = owner.call("new", name(), [(Atom("heir"), caller.identity, 1)])
    gone = owner.call("new", name(), [])
    owner.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    owner.close()
    wait_until(lambda: caller.call("info", gone) == UNDEFINED, "the table is deleted")
    assert [(Atom("ETS-TRANSFER"), t, owner.identity, 1)] == caller.received()


def test_a_dead_heir_is_none_and_another_with_its_identity_does_not_inherit(server: Process, caller: Caller) -> None:
    who = pid()
    with Caller(server.address, who) as heir:
        t = caller.call("new", name(), [(Atom("heir"), who, 1)])
        assert who == caller.call("info", t, Atom("heir"))
        assert "OK" == heir.request(b"ETS.BYE")
    with Caller(server.address, who) as second:
        assert NONE == caller.call("info", t, Atom("heir"))
        assert NONE == caller.call("info", caller.call("new", name(), [(Atom("heir"), pid(), 1)]), Atom("heir"))
        assert "OK" == caller.request(b"ETS.BYE")
        assert [] == second.received()
        assert UNDEFINED == second.call("info", t)


def test_setopts_is_the_owners_and_all_or_nothing(caller: Caller, other: Caller) -> None:
    t = new(caller)
    heir, private = (Atom("heir"), other.identity, 1), (Atom("protection"), Atom("private"))
    for wrong in (
        *(foo(), [foo()], [heir, heir], [private, private], (Atom("protection"), foo()), ImproperList([private], heir)),
        *([heir, foo()], (Atom("heir"), foo(), 1), (Atom("heir"), foo()), (Atom("keypos"), 2)),
    ):
        assert "BADARG" == fails(caller, "setopts", t, wrong)
    assert (NONE, Atom("public")) == tuple(caller.call("info", t, Atom(item)) for item in ("heir", "protection"))
    assert "BADARG" == fails(other, "setopts", t, private)
    assert True is caller.call("setopts", t, []) is caller.call("setopts", t, [heir, private])
    assert (other.identity, Atom("private")) == tuple(
        caller.call("info", t, Atom(item)) for item in ("heir", "protection")
    )
    assert True is caller.call("setopts", t, (Atom("heir"), NONE))
    assert NONE == caller.call("info", t, Atom("heir"))


def test_requests_before_the_end_of_the_stream_are_carried_out(server: Process, caller: Caller) -> None:
    t = new(caller)
    for ending in ("close", "half"):
        caller.call("delete_all_objects", t)
        client = Caller(server.address, pid())
        asked = []
        for i in range(300):
            asked.append(request(b"ETS.CALL", b"insert", encode([t, (i, b"x" * 50)])))
            asked.append(request(b"ETS.CALL", b"lookup", encode([t, i])))
            if i % 50 == 0:
                asked.append(request(b"ETS.CALL", b"whereis", encode([foo()])))  # Python's
        client.sock.sendall(b"".join(asked))
        if ending == "half":
            client.sock.shutdown(socket.SHUT_WR)
        else:
            client.close()  # with answers unread: a reset
        wait_until(lambda: caller.call("info", t, Atom("size")) == 300, f"all are carried out, {ending}")
        with contextlib.suppress(OSError):
            client.close()


# ---- many at once


def test_300_connections_call_at_once(server: Process, caller: Caller) -> None:
    t = new(caller)
    callers = [Caller(server.address, pid()) for _ in range(300)]
    for i, one in enumerate(callers):
        one.send(b"ETS.CALL", b"update_counter", encode([t, 1, 1, (1, 0)]))
        one.send(b"ETS.CALL", b"insert", encode([t, (one.identity, i)]))
    assert list(range(1, 301)) == sorted(decode(one.reply()) for one in callers)
    assert [True] * 300 == [decode(one.reply()) for one in callers]
    for one in callers:
        one.close()
    assert 301 == caller.call("info", t, Atom("size"))


def test_a_long_call_does_not_hold_up_another_connection(caller: Caller, other: Caller) -> None:
    t = new(caller)
    for start in range(0, 400_000, 20_000):
        caller.call("insert", t, [(start + i, b"x" * 20) for i in range(20_000)])
    small = new(other)
    done = threading.Event()

    def read_all() -> None:
        caller.call_raw("tab2list", encode([t]))
        done.set()

    reader = threading.Thread(target=read_all)
    reader.start()
    answered = 0
    while not done.is_set():
        other.call("insert", small, (1, 2))
        answered += 1
    reader.join(20)
    assert answered > 5


def test_names_that_come_and_go_are_whole_or_not_there(server: Process, caller: Caller) -> None:
    called, stop = name(), threading.Event()

    def come_and_go() -> None:
        with Caller(server.address, pid()) as maker:
            for _ in range(200):
                maker.call("new", called, [Atom("named_table"), Atom("public")])
                maker.call("insert", called, (1, 1))
                maker.call("delete", called)
        stop.set()

    maker = threading.Thread(target=come_and_go)
    maker.start()
    found = set()
    while not stop.is_set():
        try:
            found.add(repr(caller.call("lookup", called, 1)))
        except CallError as error:
            found.add(str(error))
    maker.join(20)
    assert found <= {"[]", "[(1, 1)]", "BADARG id"}
