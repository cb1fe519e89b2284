"""Packed terms: round trip, =:=, hash and order against the model; depth; what is refused; extension types.

The engine's functions for tests (`term_roundtrip`, `exact_equal`, `exact_hash`, `order_key`) pack, do the one thing,
and unpack; no table is involved. What `make asan` runs of this file is its memory test.
"""

import copy
import datetime
import decimal
import enum
import gc
import itertools
import math
import operator
import pickle
import struct
import subprocess
import sys
import threading
import time
import uuid
import zoneinfo
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _support import effort
from _termmodel import compare, exact_equal, exact_key
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import Colour, Level, Right, converted, integers, keys, numbers, pairs, terms

import tsunami
from tsunami import Atom, BadArgument, BadType, Bits, Fun, ImproperList, Pid, Port, Reference, TermTooLarge, _core

NODE = Atom("nonode@nohost")
DEEP = 100_000


def exactly(term: Any) -> Any:
    """Spell a term with the Python types of all its parts: `==` means that a program could not tell the two apart."""
    match term:
        case float():
            return float, struct.pack(">d", term)
        case tuple() | list():
            return type(term), [exactly(part) for part in term]
        case ImproperList():
            return type(term), exactly(term.items), exactly(term.tail)
        case dict():
            return dict, sorted(((exactly(key), exactly(value)) for key, value in term.items()), key=repr)
        case set() | frozenset():
            return type(term), sorted((exactly(part) for part in term), key=repr)
        case Fun():
            return Fun, term.kind, exactly(term.fields)
    return type(term), repr(term)


# ---- against the model


@given(terms())
def test_a_term_comes_back_as_it_went_in(term: Any) -> None:
    assert exactly(term) == exactly(_core.term_roundtrip(term))


@given(pairs())
def test_equality_is_the_models(pair: tuple[Any, Any]) -> None:
    a, b = pair
    assert exact_equal(a, b) == _core.exact_equal(a, b)
    assert exact_equal(a, b) == _core.exact_equal(b, a)


@given(pairs())
def test_equal_terms_have_equal_hashes_and_others_do_not(pair: tuple[Any, Any]) -> None:
    a, b = pair
    assert exact_equal(a, b) == (_core.exact_hash(a) == _core.exact_hash(b))


@given(pairs())
def test_byte_order_of_order_keys_is_the_models_order(pair: tuple[Any, Any]) -> None:
    a, b = pair
    x, y = _core.order_key(a), _core.order_key(b)
    assert compare(a, b) == (x > y) - (x < y)


@given(numbers, numbers)
@example(2**53 + 1, 2.0**53)
@example(2**1024, sys.float_info.max)
@example(-(2**1024), -math.inf)
@example(-(10**400), -math.inf)
@example(2**62, 2.0**62)
@example(2**63 - 1, 2.0**63)
@example(2**216, 2.0**216)
@example(2**215, 2.0**216)
@example(0.0, -0.0)
def test_numbers_are_ordered_by_exact_value(a: float, b: float) -> None:
    x, y = _core.order_key(a), _core.order_key(b)
    assert ((a > b) - (a < b)) == ((x > y) - (x < y))


@given(st.integers(-1100, 1100), st.integers(-2, 2), st.sampled_from((1, -1)))
def test_an_integer_and_a_float_beside_it_are_kept_apart(exponent: int, offset: int, sign: int) -> None:
    if not 0 <= exponent < 1023:
        return
    value = sign * (2**exponent + offset)
    near = float(value)
    x, y = _core.order_key(value), _core.order_key(near)
    assert ((value > near) - (value < near)) == ((x > y) - (x < y))


@given(st.dictionaries(keys(), st.integers(0, 2), max_size=6))
def test_a_map_is_one_term_in_whatever_order_it_was_filled(term: dict[Any, Any]) -> None:
    try:
        first = _core.order_key(term)
    except BadArgument:
        return  # keys such as "a" and b"a"
    backwards = dict(reversed(term.items()))
    assert first == _core.order_key(backwards)
    assert _core.exact_equal(term, backwards)
    assert _core.exact_hash(term) == _core.exact_hash(backwards)


@given(terms())
def test_text_and_bytes_are_one_term_at_any_depth(term: Any) -> None:
    other = converted(term)
    assert _core.exact_equal(term, other) == exact_equal(term, other)
    assert _core.order_key(term) == _core.order_key(other)


@given(terms(), terms(), terms())
def test_no_order_key_is_the_beginning_of_another(a: Any, b: Any, c: Any) -> None:
    forms = sorted({_core.order_key(term) for term in (a, b, c)})
    assert not any(later.startswith(earlier) for earlier, later in itertools.pairwise(forms))


@given(integers, integers)
def test_integers_of_any_size_add_and_compare_and_print(a: int, b: int) -> None:
    total, order, text = _core._integers(a, b)
    assert (a + b, (a > b) - (a < b), str(a)) == (total, order, text)


def test_the_order_of_types_is_erlangs() -> None:
    ascending = [
        *(-math.inf, -(10**400), -1.5, -1, 0, 1e-300, 1, 1.5, 2**64, 10**400, math.inf),
        *(Atom(""), Atom("Z"), Atom("a"), False, None, True, Atom("zz"), Atom("ä"), Atom("é"), Atom("𝔸")),
        *(Reference(NODE, 0, (9, 9, 1)), Reference(NODE, 0, (0, 0, 2)), Reference(NODE, 1, (0,))),
        Fun("local", Atom("m"), 0, b"u" * 16, 7, 0, Pid(NODE, 1, 0, 0), ()),
        *(Fun("export", Atom("a"), Atom("f"), 2), Fun("export", Atom("a"), Atom("g"), 1)),
        *(Port(NODE, 2**63, 0), Port(NODE, 1, 1)),
        *(Pid(Atom("z"), 1, 0, 0), Pid(NODE, 2, 0, 0), Pid(NODE, 1, 1, 0)),
        *((), (Atom("z"),), (1, 2), (1, 3), (0, 0, 0)),
        *({}, {1: Atom("z")}, {2: Atom("a")}, {0.5: 1}, {1.0: 1}, {1: 2, 2: 0}),
        *([], ImproperList([1], 2), [1], [1, 2], ImproperList([1], b""), [2]),
        *(b"", b"\0", b"\0\0", b"\1", b"\1\2", b"ab", Bits(b"\x80", 1), b"\x80"),
        *(datetime.date(1999, 1, 1), datetime.date(2000, 1, 1), datetime.timedelta(1)),
    ]
    forms = [_core.order_key(term) for term in ascending]
    assert sorted(forms) == forms
    assert len(ascending) == len(set(forms))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (1, True),
        ("1", 1),
        ([], ()),
        ([], {}),
        ((), {}),
        ([], b""),
        ([97], "a"),
        (Atom("a"), "a"),
        ([1, 2], ImproperList([1], 2)),
        (b"\x80", Bits(b"\x80", 1)),
        ({1: 2}, {1.0: 2}),
        ({1}, frozenset({1})),
        (datetime.datetime(2000, 1, 1), datetime.date(2000, 1, 1)),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (2**62, -(2**62) - 1),
        (2**64, (2**64).to_bytes(9, "little")),
    ],
)
def test_terms_that_python_or_a_careless_packing_would_merge_are_not_equal(a: Any, b: Any) -> None:
    for x, y in ((a, b), ([a], [b]), ((0, {"k": a}), (0, {"k": b}))):
        assert not _core.exact_equal(x, y)
        assert _core.exact_hash(x) != _core.exact_hash(y)


def test_a_local_funs_pid_old_uniq_and_arity_do_not_count_for_equality() -> None:
    one = Fun("local", Atom("m"), 1, b"u" * 16, 5, 1, Pid(NODE, 1, 2, 3), ("x", 1))
    same = Fun("local", Atom("m"), 1, b"u" * 16, 6, 2, Pid(Atom("elsewhere"), 9, 9, 9), (b"x", 1))
    for wrap in (lambda term: term, lambda term: [1, {"k": (term, "text", [term])}]):
        assert _core.exact_equal(wrap(one), wrap(same))
        assert _core.exact_hash(wrap(one)) == _core.exact_hash(wrap(same))
    for i, value in ((0, Atom("n")), (1, 2), (2, b"v" * 16), (6, ("x", 2)), (6, ())):
        other = Fun("local", *one.fields[:i], value, *one.fields[i + 1 :])
        assert not _core.exact_equal([one], [other])
        assert _core.exact_hash(one) != _core.exact_hash(other)


def test_nan_comes_back_and_equals_itself() -> None:
    assert math.isnan(_core.term_roundtrip([math.nan])[0])
    other_nan = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000123))[0]
    assert _core.exact_equal([math.nan], [other_nan])
    assert _core.exact_hash({"x": math.nan}) == _core.exact_hash({"x": other_nan})


# ---- hashes


def test_hashes_spread_over_their_top_and_bottom_bits() -> None:
    samples: list[list[Any]] = [
        list(range(4096)),
        [i << 40 for i in range(4096)],
        [f"key:{i}" for i in range(4096)],
        [f"a longer key, with a body of its own:{i:08}" for i in range(4096)],
        [(i, "x") for i in range(4096)],
        [float(i) for i in range(4096)],
    ]
    for sample in samples:
        hashes = [_core.exact_hash(term) for term in sample]
        assert len(set(hashes)) == len(sample)
        for shift in (0, 56):
            counts = [0] * 256
            for value in hashes:
                counts[value >> shift & 255] += 1
            # 4096 in 256 buckets: chi-squared has 255 degrees of freedom; 400 is beyond eight deviations
            assert sum((count - 16) ** 2 / 16 for count in counts) < 400


def test_the_seed_differs_between_processes() -> None:
    code = "from tsunami import _core; print(_core.exact_hash(1), _core.exact_hash('a longer text than that'))"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] != runs[1]


# ---- depth


def nested(wrap: Callable[[Any], Any], depth: int = DEEP) -> Any:
    term: Any = 1
    for _ in range(depth):
        term = wrap(term)
    return term


def mixed() -> Iterator[Callable[[Any], Any]]:
    while True:
        yield from (
            lambda term: (term,),
            lambda term: [0, term, "a text with a body"],
            lambda term: {"b": 0, "a": term, "c": "text"},
            lambda term: ImproperList([0], (term,)),
            lambda term: ImproperList([term], b"tail"),
        )


def nested_mixed() -> Any:
    term: Any = 1
    for _, wrap in zip(range(DEEP), mixed(), strict=False):
        term = wrap(term)
    return term


def depth_of(term: Any) -> int:
    depth = 0
    while term != 1:
        depth += 1
        match term:
            case dict():
                term = term["a"]
            case ImproperList():
                term = term.tail if isinstance(term.tail, tuple) else term.items[0]
            case [_, inner, _]:
                term = inner
            case _:
                term = term[0]
        if not isinstance(term, int | tuple | list | dict | ImproperList):
            raise AssertionError(type(term))
    return depth


DEEP_TERMS: dict[str, Callable[[], Any]] = {
    "tuple": lambda: nested(lambda term: (term,)),
    "list": lambda: nested(lambda term: [term]),
    "dict": lambda: nested(lambda term: {"a": term}),
    "dict of several": lambda: nested(lambda term: {"b": 1, "a": term, 1: 2}),
    "improper": lambda: nested(lambda term: ImproperList([term], 2)),
    "improper tail": lambda: nested(lambda term: ImproperList([1], (term,))),
    "mixed": nested_mixed,
}


@pytest.mark.parametrize("kind", DEEP_TERMS)
def test_nesting_100000_deep_is_packed_compared_hashed_ordered_and_unpacked(kind: str) -> None:
    term = DEEP_TERMS[kind]()
    again = _core.term_roundtrip(term)
    assert _core.exact_equal(term, again)
    assert _core.exact_hash(term) == _core.exact_hash(again)
    form = _core.order_key(term)
    assert form == _core.order_key(again)
    assert not _core.exact_equal(term, [term])
    assert form != _core.order_key([term])
    if kind == "mixed":
        assert depth_of(term) == depth_of(again)


def test_a_deep_difference_is_found() -> None:
    one, other = nested(lambda term: ["text", term]), ["text", 2]
    for _ in range(DEEP - 1):
        other = [b"text", other]
    assert not _core.exact_equal(one, other)
    assert _core.order_key(one) < _core.order_key(other)


@pytest.mark.parametrize(
    ("wrap", "depth"),
    [
        (lambda term: (term,), 3000),
        (lambda term: frozenset({term, "x"}), 1000),
        (lambda term: ImproperList([0, term], 1), 400),
    ],
    ids=["tuple", "frozenset", "improper"],
)
def test_a_key_of_a_map_may_be_deep(wrap: Callable[[Any], Any], depth: int) -> None:
    term = {1: {nested(wrap, depth): 2}, 2: 3}
    assert _core.exact_equal(term, _core.term_roundtrip(term))


def test_no_key_of_a_map_is_deeper_than_cpython_can_hash() -> None:
    key = nested(lambda term: (term,), 9000)
    with pytest.raises(TermTooLarge, match="key of a map"):
        _core.term_roundtrip([{1: {key: 2}}])
    key = nested(lambda term: frozenset({term}), 9000)
    with pytest.raises(TermTooLarge, match="key of a map"):
        _core.term_roundtrip([key])


def test_the_hash_of_a_deep_improper_list_is_a_recursion_error() -> None:
    term = nested(lambda term: ImproperList([term], 1))
    for _ in range(3):
        with pytest.raises(RecursionError):
            hash(term)


def test_nesting_beyond_the_bound_is_an_error() -> None:
    term = nested(lambda inner: [inner], 2**20 + 1)
    with pytest.raises(TermTooLarge, match="nested at most 1048576 deep"):
        _core.term_roundtrip(term)


# ---- what is refused, and what is left then


def test_nan_can_be_a_value_of_a_row_and_not_its_key() -> None:
    table = tsunami.Table()
    for key in (math.nan, (1, math.nan), [math.nan], {1: math.nan}, ImproperList([1], math.nan)):
        for rest in ((), (1,), ([1], 2), (math.nan,), ({1: 2},)):
            with pytest.raises(BadArgument, match="NaN"):
                table.insert((key, *rest))
        with pytest.raises(BadArgument, match="NaN"):
            table.lookup(key)
    for value in (math.nan, [math.nan], {1: math.nan}):
        assert table.insert((1, 2, value, [3]))
        assert repr((1, 2, value, [3])) == repr(table.lookup(1)[0])
    assert 1 == len(table)


def loops() -> Iterator[tuple[str, Any]]:
    own: list[Any] = []
    own.append(own)
    yield "list", own
    mapping: dict[Any, Any] = {}
    mapping["self"] = (1, [mapping])
    yield "dict", mapping
    far: list[Any] = [1]
    inner: Any = far
    for _ in range(1000):
        inner = (inner, "text")
    far.append(inner)
    yield "list a thousand levels around", far
    wide: list[Any] = [[], []]
    wide[1] = [wide, wide]
    yield "list twice", wide


@pytest.mark.parametrize("name", [name for name, _ in loops()])
def test_an_object_that_contains_itself_is_an_error(name: str) -> None:
    with pytest.raises(BadArgument, match="contains itself"):
        _core.term_roundtrip(dict(loops())[name])


def test_an_object_that_occurs_twice_is_no_loop() -> None:
    shared: Any = [1]
    term = nested(lambda inner: (shared, inner, shared), 300)
    assert _core.exact_equal(term, _core.term_roundtrip(term))


def test_a_term_that_would_grow_without_bound_is_too_large() -> None:
    term: Any = "sixteen letters."
    for _ in range(60):
        term = (term, term)
    with pytest.raises(TermTooLarge, match="store it in parts"):
        _core.term_roundtrip(term)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "longer text with \udc80 in it"])
def test_a_lone_surrogate_is_named(text: str) -> None:
    for term in (text, [text], {text: 1}):
        with pytest.raises(BadArgument, match=r"lone surrogate.*ud"):
            _core.term_roundtrip(term)
    with pytest.raises(BadArgument, match="lone surrogate"):
        Atom(text)


@pytest.mark.parametrize("term", [{math.nan: 1}, [{(1, math.nan): 1}], {frozenset({math.nan})}])
def test_nan_cannot_be_a_key_of_a_map(term: Any) -> None:
    with pytest.raises(BadArgument, match="NaN"):
        _core.term_roundtrip(term)


def test_nan_has_no_order_key() -> None:
    for term in (math.nan, [math.nan], {1: math.nan}, ImproperList([1], math.nan)):
        with pytest.raises(BadArgument, match="NaN"):
            _core.order_key(term)


@pytest.mark.parametrize(
    "term", [{"a": 1, b"a": 2}, {"a", b"a"}, {("long enough to have a body",): 1, (b"long enough to have a body",): 2}]
)
def test_two_keys_that_are_one_term_are_an_error(term: Any) -> None:
    with pytest.raises(BadArgument, match="one term"):
        _core.term_roundtrip(term)


def test_other_objects_are_refused_by_type_name() -> None:
    class Strange:
        pass

    for term in (Strange(), [Strange()], {1: (Strange(),)}, {Strange(): 1}):
        with pytest.raises(BadType, match="Strange"):
            _core.term_roundtrip(term)


def test_failures_leave_no_references_behind() -> None:
    class Strange:
        pass

    strange = Strange()
    parts: list[Any] = [[1, 2], "a text that is not interned " + str(id(strange)), {1: {2: (3,)}}, (1, 2)]
    term = [parts, {1: parts, 2: ImproperList(parts, 3)}, strange]
    before = [sys.getrefcount(part) for part in (*parts, parts, term, strange)]
    for _ in range(100):
        with pytest.raises(BadType):
            _core.term_roundtrip(term)
        with pytest.raises(BadType):
            _core.term_roundtrip({(1, ("x",)): 1, (2, strange): 2, 3: 3})
    assert before == [sys.getrefcount(part) for part in (*parts, parts, term, strange)]


@pytest.mark.parametrize(
    "term", [[1, (2, "text", {"k": [1.5]})], {1, 2}, ImproperList([1], {2: 3}), datetime.date(1, 1, 1)]
)
def test_packing_and_unpacking_leaves_no_blocks_behind(term: Any) -> None:
    def blocks() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    for _ in range(10):
        _core.term_roundtrip(term)
    before = blocks()
    for _ in range(1000):
        _core.term_roundtrip(term)
    assert blocks() - before < 100


# ---- text, bytes, subclasses


@pytest.mark.parametrize("n", range(20))
@pytest.mark.parametrize("unit", ["a", "é", "語", "𝔸", "\0"])
def test_text_of_every_width_and_length_comes_back(unit: str, n: int) -> None:
    for text in (unit * n, "a" + unit * n, unit * n + "z"):
        assert (text, str) == ((back := _core.term_roundtrip(text)), type(back))
        assert _core.exact_equal(text, text.encode())


def test_bytes_like_objects_become_bytes() -> None:
    for data in (b"", b"short", b"longer than seven bytes"):
        for like in (bytearray(data), memoryview(data), memoryview(data + b"x")[: len(data)]):
            assert (data, bytes) == ((back := _core.term_roundtrip(like)), type(back))
    assert b"acegi" == _core.term_roundtrip(memoryview(b"abcdefghij")[::2])


def test_a_subclass_is_packed_as_its_base() -> None:
    class Int(int):
        pass

    class Str(str):
        def __str__(self) -> str:
            return "never this"

    class Float(float):
        pass

    class Bytes(bytes):
        pass

    Point = namedtuple("Point", "x y")
    for sub, plain in (
        (Int(5), 5),
        (Int(-(2**70)), -(2**70)),
        (Str("text"), "text"),
        (Str("téxt and more"), "téxt and more"),
        (Float(1.5), 1.5),
        (Bytes(b"bytes"), b"bytes"),
        (Point(1, [2]), (1, [2])),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        (type("List", (list,), {})([1, 2]), [1, 2]),
        (type("Array", (bytearray,), {})(b"ab"), b"ab"),
    ):
        assert exactly(plain) == exactly(_core.term_roundtrip(sub))
        assert _core.exact_equal(plain, [sub, plain][0])


@pytest.mark.parametrize("bits", [0, 1, 29, 30, 31, 59, 60, 61, 62, 63, 64, 65, 127, 128, 2000, 100_000])
def test_integers_at_every_seam_come_back(bits: int) -> None:
    for offset in range(-2, 3):
        for value in ((1 << bits) + offset, -(1 << bits) + offset):
            assert value == _core.term_roundtrip(value)
            assert [value] == _core.term_roundtrip([value])


def test_decimal_text_of_a_huge_integer_takes_no_minutes() -> None:
    began = time.perf_counter()
    _core._integers(10**100_000 - 1, 1)
    assert time.perf_counter() - began < 20


# ---- atoms and Erlang's own types


def test_atoms_are_interned_and_three_of_them_are_pythons() -> None:
    assert Atom("ok") is Atom("ok")
    assert Atom("a" * 255) is Atom("a" * 255)
    assert (True, False, None) == (Atom("true"), Atom("false"), Atom("nil"))
    assert Atom("ok") is _core.term_roundtrip([Atom("ok")])[0]
    assert ("ok", "ok", "Atom('ok')") == (Atom("ok").name, str(Atom("ok")), repr(Atom("ok")))
    assert tsunami.END_OF_TABLE is Atom("$end_of_table")
    assert Atom(name="ok") is Atom("ok")


def test_an_atom_has_at_most_255_characters() -> None:
    assert "é" * 255 == Atom("é" * 255).name
    assert "𝔸" * 255 == Atom("𝔸" * 255).name
    with pytest.raises(TermTooLarge, match="255"):
        Atom("a" * 256)


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(BadType, match="int"):
        Atom(1)  # type: ignore[arg-type]
    for arguments in ((), ("a", "b")):
        with pytest.raises(TypeError):
            Atom(*arguments)
    with pytest.raises(TypeError):
        type("Sub", (Atom,), {})


def test_many_atoms_keep_their_names() -> None:
    n = effort(20_000)
    atoms = [Atom(f"atom number {i}") for i in range(n)]
    assert all(atom is Atom(f"atom number {i}") and atom.name == f"atom number {i}" for i, atom in enumerate(atoms))
    assert len({_core.order_key(atom) for atom in atoms}) == n


@pytest.mark.threads
def test_threads_that_intern_the_same_names_get_the_same_atoms() -> None:
    barrier = threading.Barrier(4)
    found: list[list[Atom]] = []

    def intern() -> None:
        barrier.wait(20)
        found.append([Atom(f"shared name {i}") for i in range(3000)])

    threads = [threading.Thread(target=intern) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 4 == len(found)
    assert all(all(map(operator.is_, found[0], other)) for other in found[1:])


OWN = [
    Atom("an atom"),
    Bits(b"\xf0\x80", 9),
    ImproperList([1, "two"], 3.0),
    Pid(NODE, 1, 2, 3),
    Reference(NODE, 1, (2, 3, 4)),
    Port(NODE, 2**64 - 1, 3),
    Fun("export", Atom("lists"), Atom("map"), 2),
    Fun("local", Atom("m"), 1, b"u" * 16, 5, 1, Pid(NODE, 1, 2, 3), ("x", 1)),
]


@pytest.mark.parametrize("term", OWN, ids=repr)
def test_own_types_compare_hash_copy_pickle_and_spell_themselves(term: Any) -> None:
    for again in (
        eval(repr(term)),
        copy.copy(term),
        copy.deepcopy(term),
        pickle.loads(pickle.dumps(term)),
        _core.term_roundtrip(term),
    ):
        assert term == again
        assert hash(term) == hash(again)
        assert type(term) is type(again)
        assert repr(term) == repr(again)
    assert not any(term == other for other in OWN if other is not term)
    assert term != 1
    assert isinstance(repr(term), str)
    with pytest.raises(AttributeError):
        term.anything = 1
    with pytest.raises(TypeError):
        type("Sub", (type(term),), {})


def test_bits_that_do_not_count_are_zero() -> None:
    assert Bits(b"\xff", 3) == Bits(b"\xe0", 3)
    assert (b"\xe0", 3) == (Bits(b"\xff", 3).data, Bits(b"\xff", 3).nbits)
    assert not _core.exact_equal(Bits(b"\xe0", 3), Bits(b"\xe0", 4))


@pytest.mark.parametrize("arguments", [(b"\xff", 8), (b"", 0), (b"\xff", 9), (b"\xff\xff", 7), (b"\xff", -1)])
def test_bits_of_whole_bytes_or_of_another_length_are_refused(arguments: tuple[bytes, int]) -> None:
    with pytest.raises(BadArgument):
        Bits(*arguments)


def test_a_tail_that_continues_the_list_is_part_of_it() -> None:
    assert ImproperList([1, 2], 3) == ImproperList([1], ImproperList([2], 3))
    with pytest.raises(BadArgument, match="use list"):
        ImproperList([1], [2])
    with pytest.raises(BadArgument, match="at least one"):
        ImproperList([], 1)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Pid("node", 1, 2, 3), BadType),
        (lambda: Pid(NODE, 2**32, 2, 3), BadArgument),
        (lambda: Pid(NODE, -1, 2, 3), BadArgument),
        (lambda: Pid(NODE, 1.0, 2, 3), BadType),
        (lambda: Port(NODE, 2**64, 1), BadArgument),
        (lambda: Reference(NODE, 1, ()), BadArgument),
        (lambda: Reference(NODE, 1, (2**32,)), BadArgument),
        (lambda: Fun("other", NODE), BadArgument),
        (lambda: Fun("export", NODE, NODE), TypeError),
        (lambda: Fun("export", NODE, "name", 1), BadType),
        (lambda: Fun("export", NODE, NODE, 256), BadArgument),
        (lambda: Fun("local", NODE, 1, b"u", 5, 1, None, ()), BadType),
        (lambda: Bits("text", 3), BadType),
    ],
)
def test_fields_out_of_range_are_refused(make: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


# ---- extension types

ZURICH = zoneinfo.ZoneInfo("Europe/Zurich")


@pytest.mark.parametrize(
    "term",
    [
        datetime.datetime(2024, 10, 27, 2, 30, 0, 5, tzinfo=ZURICH),
        datetime.datetime(2024, 10, 27, 2, 30, tzinfo=ZURICH, fold=1),
        datetime.datetime(1, 1, 1),
        datetime.datetime.max,
        datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, microseconds=7))),
        datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1), "CET")),
        datetime.time(1, 2, 3, 4, fold=1),
        datetime.time(1, 2, tzinfo=ZURICH),
        datetime.date.min,
        datetime.timedelta.min,
        datetime.timedelta.max,
        datetime.timedelta(microseconds=-1),
        decimal.Decimal("-0.00"),
        decimal.Decimal("1E+1000"),
        decimal.Decimal("sNaN123"),
        decimal.Decimal("-Infinity"),
        uuid.UUID(int=2**128 - 1),
        set(),
        {1, "two", (3.0, None)},
        frozenset({frozenset({1}), frozenset()}),
        Colour.RED,
        Colour.GREEN,
        Level.HIGH,
        Right.READ | Right.WRITE,
        Right(0),
    ],
    ids=lambda term: "set" if isinstance(term, set) and term else repr(term),
)
def test_registered_types_come_back_as_they_were(term: Any) -> None:
    back = _core.term_roundtrip({"k": [term]})["k"][0]
    assert exactly(term) == exactly(back)
    assert getattr(term, "fold", 0) == getattr(back, "fold", 0)
    assert getattr(term, "tzinfo", None) == getattr(back, "tzinfo", None)
    assert _core.exact_equal(term, copy.deepcopy(term))
    assert isinstance(_core.order_key(term), bytes)


class Point:
    """A type for register_term, which tests register under names of their own."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))


tsunami.register_term(Point, "test.point", lambda p: (p.x, p.y), lambda payload: Point(*payload))


def fresh() -> type[Any]:
    """A class that no test has registered yet."""
    return type("Fresh", (Point,), {"__hash__": Point.__hash__})


def test_a_users_type_comes_back_nested_and_as_a_key() -> None:
    term = {Point(1, "a"): [Point(Point(0, 0), [1])]}
    assert term == _core.term_roundtrip(term)
    assert _core.exact_equal(Point(1, "a"), Point(1, b"a"))
    assert not _core.exact_equal(Point(1, 2), (1, 2))
    assert _core.order_key(Point(1, 2)) == _core.order_key(Point(1.0, 2))
    assert _core.order_key(Point(1, 2)) < _core.order_key(Point(1, 3))


def test_a_registered_subclass_goes_before_its_base() -> None:
    Pair = namedtuple("Pair", "a b")
    tsunami.register_term(Pair, "test.pair", tuple, lambda payload: Pair(*payload))
    assert exactly(Pair(1, 2)) == exactly(_core.term_roundtrip(Pair(1, 2)))


def test_a_name_belongs_to_one_type_and_a_type_to_one_name() -> None:
    one, other = fresh(), fresh()
    tsunami.register_term(one, "test.one", lambda p: 0, lambda payload: one(0, 0))
    tsunami.register_term(one, "test.one", lambda p: 1, lambda payload: one(1, payload))
    assert one(1, 1) == _core.term_roundtrip(one(0, 0))
    with pytest.raises(BadArgument, match="belongs to"):
        tsunami.register_term(other, "test.one", tuple, tuple)
    with pytest.raises(BadArgument, match="is registered under"):
        tsunami.register_term(one, "test.other", tuple, tuple)
    for cls in (int, str, dict, Atom, object):
        with pytest.raises(BadArgument, match="form of its own"):
            tsunami.register_term(cls, "test.plain", tuple, tuple)
    with pytest.raises(BadType):
        tsunami.register_term("name", one, tuple, tuple)  # type: ignore[type-var]
    with pytest.raises(BadType):
        tsunami.register_term(fresh(), "test.calls", 1, 2)  # type: ignore[arg-type]


def test_what_an_encoder_or_decoder_raises_comes_out_and_nothing_is_left() -> None:
    class Cross(Exception):
        pass

    def cross(_: object) -> Any:
        raise Cross("on purpose")

    bad_encode, bad_decode = fresh(), fresh()
    tsunami.register_term(bad_encode, "test.bad_encode", cross, tuple)
    tsunami.register_term(bad_decode, "test.bad_decode", lambda p: [p.x], cross)
    shared = ["shared"]
    for cls in (bad_encode, bad_decode):
        term = [shared, {"k": (shared, cls(shared, 0), shared)}, ImproperList([cls(0, 0)], shared[0])]
        before = sys.getrefcount(shared)
        for _ in range(50):
            with pytest.raises(Cross, match="on purpose"):
                _core.term_roundtrip(term)
        assert before == sys.getrefcount(shared)


def test_an_encoder_may_change_what_is_being_packed() -> None:
    row: list[Any] = []
    mapping: dict[Any, Any] = {}

    def vandal(_: object) -> int:
        row.clear()
        mapping.clear()
        gc.collect()
        return 7

    cls = fresh()
    tsunami.register_term(cls, "test.vandal", vandal, lambda payload: payload)
    row[:] = [["inner"] * 3, cls(0, 0), mapping, "last"]
    mapping.update({"a": ["value"], "b": cls(0, 0), "c": "end"})
    # The dict is looked at when it is reached: by then it is empty. The list had been looked at before.
    assert [["inner"] * 3, 7, {}, "last"] == _core.term_roundtrip(row)
    mapping.update({"a": ["value"], "b": cls(0, 0), "c": "end"})
    assert {"a": ["value"], "b": 7, "c": "end"} == _core.term_roundtrip(mapping)


def test_a_decoder_never_meets_half_built_objects() -> None:
    marker = "a marker of this test"
    seen: list[int] = []

    def look(payload: object) -> object:
        everything = [o for o in gc.get_objects() if type(o) in (list, tuple) and len(o) == 3]
        seen.append(sum(type(o[0]) is str and o[0] == marker for o in everything))
        return payload

    cls = fresh()
    tsunami.register_term(cls, "test.look", lambda p: 1, look)
    term = [marker, (marker, cls(0, 0), 3), 3]
    look(None)
    back = _core.term_roundtrip(term)
    assert seen[0] == seen[1]
    assert [marker, (marker, 1, 3), 3] == back


def test_an_encoder_that_answers_its_own_argument_is_an_error() -> None:
    cls = fresh()
    tsunami.register_term(cls, "test.same", lambda p: p, tuple)
    with pytest.raises(BadArgument, match="contains itself"):
        _core.term_roundtrip(cls(0, 0))
    cls = fresh()
    tsunami.register_term(cls, "test.endless", lambda p: cls(0, 0), tuple)
    with pytest.raises(TermTooLarge, match="nested at most"):
        _core.term_roundtrip(cls(0, 0))


def test_an_enum_is_looked_up_and_never_imported() -> None:
    module = type(sys)("module_for_a_moment")
    gone = enum.Enum("Gone", "A B", module="module_for_a_moment")
    sys.modules["module_for_a_moment"] = module
    module.Gone = gone  # type: ignore[attr-defined]
    try:
        assert gone.A is _core.term_roundtrip(gone.A)
        module.Gone = int  # type: ignore[attr-defined]
        with pytest.raises(BadArgument, match="import its module"):
            _core.term_roundtrip(gone.A)
        module.Gone = enum.Enum("Gone", "B", module="module_for_a_moment")  # type: ignore[attr-defined]
        with pytest.raises(BadArgument, match="no member 'A'"):
            _core.term_roundtrip(gone.A)
    finally:
        del sys.modules["module_for_a_moment"]
    with pytest.raises(BadArgument, match=r"module_for_a_moment\.Gone"):
        _core.term_roundtrip(gone.A)


def test_a_time_zone_of_unknown_type_is_refused() -> None:
    class Own(datetime.tzinfo):
        pass

    with pytest.raises(BadType, match="Own"):
        _core.term_roundtrip(datetime.datetime(2000, 1, 1, tzinfo=Own()))


# ---- sizes


def test_a_long_binary_comes_back_and_is_hashed_whole() -> None:
    data = bytes(range(256)) * 4096
    assert data == _core.term_roundtrip(data)
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    assert _core.exact_hash(data) != _core.exact_hash(changed)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_every_bit_of_a_binary_counts_for_its_hash(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    assert _core.exact_hash(data) != _core.exact_hash(bytes(changed))
    assert _core.exact_hash(data) != _core.exact_hash(data + b"\0")


@given(terms())
def test_the_models_key_agrees_with_itself(term: Any) -> None:
    """The oracle's own sanity: a term is equal to its copy, and in the same place."""
    assert exact_key(term) == exact_key(copy.deepcopy(term))
    assert compare(term, copy.deepcopy(term), exact=True) == 0


def test_messages_about_huge_deep_or_unspeakable_values_are_short() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("not to be spelled")

    deep = nested(lambda term: (term,), 3000)
    for term in (
        Unspeakable(),
        [Unspeakable(), deep],
        {(deep, "a"): 1, (deep, b"a"): 2},
        "\ud800" * 10_000_000,
    ):
        with pytest.raises((BadType, BadArgument)) as caught:
            _core.term_roundtrip(term)
        assert len(str(caught.value)) < 1000
