"""Term literals: what each spelling means, where a mistake is, and that every term comes back from its own spelling."""

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsunami import Atom, Bits, Fun, ImproperList, Pid, Port, Reference, TsunamiError
from tsunami._core import exact_equal
from tsunami.literal import LiteralError, format, int_text, parse, to_int

A, B, C = Atom("a"), Atom("b"), Atom("c")

# ---- what is meant


def same(left: object, right: object) -> bool:
    """Equal terms of equal Python types, at every depth. (Exact equality alone takes "ab" and b"ab" for one.)"""
    return repr(left) == repr(right) and exact_equal(left, right)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("42", 42),
        ("-7", -7),
        ("0", 0),
        ("-0", 0),
        ("007", 7),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("16#ff", 255),
        ("16#FF", 255),
        ("-2#1010", -10),
        ("36#z", 35),
        ("$a", 97),
        ("$ ", 32),
        ("$\\n", 10),
        ("$\\\\", 92),
        ("$é", 233),
        ("1.5", 1.5),
        ("-1.5e3", -1500.0),
        ("1.0E-3", 0.001),
        ("-0.0", -0.0),
        ("1.0e-400", 0.0),
        ("ok", Atom("ok")),
        ("aB_1@host", Atom("aB_1@host")),
        ("'an atom'", Atom("an atom")),
        ("''", Atom("")),
        ("'it\\'s'", Atom("it's")),
        ("true", True),
        ("false", False),
        ("nil", None),
        ("'true'", True),
        ("'nil'", None),
        ("été", Atom("été")),
        ('""', ""),
        ('"text"', "text"),
        ('"a\\n\\t\\"\\\\"', 'a\n\t"\\'),
        ('"\\x41\\x{263A}\\101\\^A\\e\\s\\d\\0"', "A☺A\x01\x1b \x7f\0"),
        ('"\\q"', "q"),
        ('"two\nlines"', "two\nlines"),
        ("<<>>", b""),
        ("<<1,2,255>>", b"\x01\x02\xff"),
        ("<<-1>>", b"\xff"),
        ('<<"abc">>', b"abc"),
        ('<<"é">>', b"\xc3\xa9"),
        ('<<1, "a", 2>>', b"\x01a\x02"),
        ("<<1:3>>", Bits(b"\x20", 3)),
        ("<<1:3, 2:5>>", b"\x22"),
        ("<<1:4, 2>>", Bits(b"\x10\x20", 12)),
        ('<<1:4, "a">>', Bits(b"\x16\x10", 12)),
        ("<<258:16>>", b"\x01\x02"),
        ("<<$a, $b>>", b"ab"),
        ("{}", ()),
        ('{1, "alice"}', (1, "alice")),
        ("{{}, {a}}", ((), (A,))),
        ("[]", []),
        ("[a, [b], []]", [A, [B], []]),
        ("[a | b]", ImproperList([A], B)),
        ("[a, b | [c]]", [A, B, C]),
        ("[a | [b | c]]", ImproperList([A, B], C)),
        ("[a | [b | [c | []]]]", [A, B, C]),
        ("[[a | [b | c]] | [[a | [b]]]]", [ImproperList([A, B], C), [A, B]]),
        ("[a | []]", [A]),
        ("#{}", {}),
        ('#{name => "x", 1 => #{}}', {Atom("name"): "x", 1: {}}),
        ("#{a => 1, a => 2}", {A: 2}),
        ("#{{1, 2} => 3}", {(1, 2): 3}),
        (" % a comment\n {1, % another\n 2} % the last", (1, 2)),
    ],
)
def test_a_spelling_means_its_term(text: str, term: object) -> None:
    assert same(term, parse(text))


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (1500.0, "1500.0"),
        (1e16, "1.0e16"),
        (1e-7, "1.0e-7"),
        (-0.0, "-0.0"),
        (5e-324, "5.0e-324"),
        (Atom("Upper"), "'Upper'"),
        (Atom("with space"), "'with space'"),
        (Atom("it's"), "'it\\'s'"),
        (b"ab", '<<"ab">>'),
        (b'a"b\\', '<<"a\\"b\\\\">>'),
        (b"\xff\x00", "<<255,0>>"),
        (b"", "<<>>"),
        ('say "hi"\n', '"say \\"hi\\"\\n"'),
        ("\x00\x85", '"\\x{0}\\x{85}"'),
        ("☺", '"☺"'),
        (Bits(b"\x01\x20", 11), "<<1,1:3>>"),
        ((), "{}"),
        ([], "[]"),
        ({}, "#{}"),
        ([1, [2]], "[1, [2]]"),
        (ImproperList([1, 2], 3), "[1, 2 | 3]"),
        ({A: (1,), "k": None}, '#{a => {1}, "k" => nil}'),
        (bytearray(b"x"), '<<"x">>'),
    ],
)
def test_a_term_is_spelled_one_way(term: object, text: str) -> None:
    assert text == format(term)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (Pid(Atom("a@b"), 1, 2, 3), "#Pid<a@b.1.2.3>"),
        (Reference(Atom("a@b"), 1, (2, 3)), "#Ref<a@b.1.2.3>"),
        (Port(Atom("a@b"), 1, 2), "#Port<a@b.1.2>"),
        (Fun("export", Atom("m"), Atom("f"), 1), "#Fun<export>"),
        (math.inf, "#Float<inf>"),
        (object, "#type<<class 'object'>>"),
    ],
)
def test_what_has_no_literal_is_shown_and_refused(term: object, text: str) -> None:
    assert text == format(term)
    with pytest.raises(LiteralError):
        parse(text)


# ---- where the mistake is


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "a term is missing at the end"),
        ("   ", 1, 4, "a term is missing at the end"),
        ("{1, }", 1, 5, "a term is missing before }"),
        ("{", 1, 2, "a term is missing at the end"),
        ("{1, [2", 1, 5, "this [ is never closed"),
        ("{1 2}", 1, 4, ", or } expected here"),
        ("{1]", 1, 3, ", or } expected here"),
        ("{1 | 2}", 1, 4, ", or } expected here"),
        ("[1 | 2, 3]", 1, 7, "] expected here"),
        ("[| 1]", 1, 2, "a term is missing before |"),
        ("#{a}", 1, 4, "=> expected here"),
        ("#{a =>}", 1, 7, "a term is missing before }"),
        ("#{a => 1 b => 2}", 1, 10, ", or } expected here"),
        ("#{1 => a, 1.0 => b}", 1, 1, "the keys 1 and 1.0 are one key in Python"),
        ("#{true => a, 1 => b}", 1, 1, "the keys true and 1 are one key in Python"),
        ("{#{[] => 1}}", 1, 2, "a list or a map cannot be a map's key in Python"),
        ("#{{[]} => 1}", 1, 1, "this map has a key that Python cannot hash"),
        ("1 2", 1, 3, "the term is complete, but the text goes on"),
        ("ok\n  }", 2, 3, "the term is complete, but the text goes on"),
        ("{a,\n b,\n  &}", 3, 3, "nothing begins with '&'"),
        ("X", 1, 1, "the variable X: variables stand in queries only"),
        ("[_]", 1, 2, "the variable _: variables stand in queries only"),
        ("1.", 1, 2, "nothing begins with '.'"),
        (".5", 1, 1, "nothing begins with '.'"),
        ("1e5", 1, 2, "a number goes on here with what cannot belong to it"),
        ("12abc", 1, 3, "a number goes on here with what cannot belong to it"),
        ("1_000", 1, 2, "a number goes on here with what cannot belong to it"),
        ("- 1", 1, 1, "nothing begins with '-'"),
        ("+1", 1, 1, "nothing begins with '+'"),
        ("37#1", 1, 1, "the base 37 is not between 2 and 36"),
        ("2#102", 1, 3, "'102' is no number to the base 2"),
        ("1.0e999", 1, 1, "a float of this size cannot be stored"),
        ('{"abc', 1, 2, 'this " is never closed'),
        ("'abc", 1, 1, "this ' is never closed"),
        ('"a\\x{110000}"', 1, 3, "no character has this number"),
        ('"\\x{D800}"', 1, 2, "no character has this number"),
        ('"\\xZ"', 1, 2, "no escape"),
        ('"\\', 1, 2, "no escape"),
        ("$", 1, 1, "a character is missing behind the $"),
        ("<<256>>", 1, 3, "this integer does not fit into 8 bits"),
        ("<<8:3>>", 1, 3, "this integer does not fit into 3 bits"),
        ("<<-129>>", 1, 3, "this integer does not fit into 8 bits"),
        ("<<1", 1, 4, ", or >> expected here"),
        ("<<1,", 1, 5, "this << is never closed"),
        ("<<", 1, 3, "this << is never closed"),
        ("<<1,>>", 1, 5, "a segment is missing before >>"),
        ("<<a>>", 1, 3, "an integer or text expected here"),
        ('<<"a":8>>', 1, 6, "only an integer has a size"),
        ("<<1:0>>", 1, 5, "a size from 1 to 1048576 expected here"),
        ("\t&", 1, 2, "nothing begins with '&'"),
    ],
)
def test_an_error_names_its_place(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(LiteralError) as caught:
        parse(text)
    error = caught.value
    assert (line, column, reason) == (error.line, error.column, error.reason)
    assert error.summary == f"line {line}, column {column}: {reason}"


def test_an_error_points_at_the_character() -> None:
    with pytest.raises(LiteralError) as caught:
        parse("{ok,\n   [1, &]}")
    assert str(caught.value).split("\n") == [
        "line 2, column 8: nothing begins with '&'",
        "       [1, &]}",
        " " * 11 + "^",
    ]


def test_an_error_in_a_long_line_shows_its_neighbourhood_only() -> None:
    with pytest.raises(LiteralError) as caught:
        parse("[" + "1, " * 100_000 + "&]")
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith("line 1, column 300002:") and len(shown) < 100
    assert shown[caret.index("^")] == "&"


def test_an_error_is_a_value_error_and_one_of_ours() -> None:
    assert issubclass(LiteralError, ValueError) and issubclass(LiteralError, TsunamiError)


# ---- all terms

characters = st.characters(exclude_categories=["Cs"])
atom_names = st.text(characters, max_size=12)
scalars = st.one_of(
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    atom_names.map(Atom),
    st.text(characters),
    st.binary(),
    st.tuples(st.binary(min_size=1, max_size=4), st.integers(1, 7)).map(lambda made: bits(*made)),
)
keys = st.one_of(
    st.text(characters, max_size=5),
    st.binary(max_size=5).map(lambda data: (data,)),
    st.integers(2, 99),
    atom_names.map(Atom),
)


def bits(data: bytes, rest: int) -> Bits:
    masked = data[:-1] + bytes([data[-1] & (0xFF00 >> rest) & 0xFF])
    return Bits(masked, (len(data) - 1) * 8 + rest)


def improper(items: list[object], tail: object) -> object:
    return items if isinstance(tail, (list, ImproperList)) else ImproperList(items, tail)


terms = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(improper, st.lists(inner, min_size=1, max_size=3), inner),
    ),
    max_leaves=30,
)


@given(terms)
def test_a_term_comes_back_from_its_spelling(term: object) -> None:
    assert same(term, parse(format(term)))


@given(terms, st.randoms(use_true_random=False))
def test_space_and_comments_between_tokens_change_nothing(term: object, rng: random.Random) -> None:
    text = format((term,))
    assert text[0] == "{" and text[-1] == "}"
    loose = "{" + rng.choice(["\n", " ", "% {[\n", "\t"]) + text[1:-1] + rng.choice(["", "\n", "% }\n", " "]) + "}\n"
    assert same((term,), parse(loose))


@given(st.text(st.sampled_from(list("{}[]#<>=|,:\"'\\$%-.0129aeXn_ \n")), max_size=30))
def test_any_text_is_a_term_or_a_literal_error(text: str) -> None:
    try:
        term = parse(text)
    except LiteralError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1
    else:
        assert same(term, parse(format(term)))


# ---- size


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ("{", "}"), ("#{a => ", "}"), ("[1 | {", "}]"), ("[a, ", "]"), ("[a | ", "]")],
    ids=["list", "tuple", "map", "tail", "second", "tails"],
)
def test_depth_costs_no_stack(opening: str, closing: str) -> None:
    text = opening * 100_000 + "ok" + closing * 100_000
    spelled = format(parse(text))
    if opening == "[a | ":
        assert spelled == "[" + "a, " * 99_999 + "a | ok]"
    else:
        assert spelled.replace(" ", "") == text.replace(" ", "")


def test_a_deep_map_key_is_refused() -> None:
    deep = "{" * 100_000 + "}" * 100_000
    with pytest.raises(LiteralError, match="a map's key is nested deeper than 400"):
        parse("#{" + deep + " => 1}")


@pytest.mark.parametrize("digits", [1, 1999, 2000, 2001, 4300, 4301, 20_000, 100_003])
def test_integers_of_any_length_come_back(digits: int) -> None:
    rng = random.Random(digits)
    text = "".join(rng.choices("0123456789", k=digits - 1)) if digits > 1 else ""
    text = rng.choice("123456789") + text
    assert int_text(to_int(text)) == text
    assert format(parse("-" + text)) == "-" + text


def test_time_grows_with_the_text_and_not_faster() -> None:
    def took(text: str) -> float:
        start = time.process_time()
        parse(text)
        return time.process_time() - start

    for piece in ('"' + "a\\n" * 10 + '", ', "{1, [a | b]}, ", "<<1:3, 2:5>>, ", "% {{{{\n", "'\\'', "):
        small, large = ("[" + piece * n + "0]" for n in (2_000, 20_000))
        assert took(large) < 40 * max(min(took(small) for _ in range(3)), 1e-3)
