"""select and its relatives over tables: results, limits, cursors, deleting, replacing, sums, plans, and others at work.

What a match spec means is told by test_match*.py, and every rule of the tables by the machine against the model; here
it is what the run over a table adds: order, access paths, exact limits, cursors that stay good, what walks promise
while others write, and how long others wait.
"""

import pickle
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import _matchmodel
import pytest
from _generate import row as some_row
from _generate import spec as some_spec
from _tabletools import Crew, fails
from _termmodel import exact_key

import tsunami
from tsunami import END_OF_TABLE, Atom, BadArgument, BadType, Cursor, MatchSpec, NoSuchTable, Table, TsunamiError, _core

ANY, ROW, V1, V2, V3 = Atom("_"), Atom("$_"), Atom("$1"), Atom("$2"), Atom("$3")
MORE, TRUE = Atom(">"), True
TYPES = ["set", "ordered_set", "bag", "duplicate_bag"]
HASHED = ["set", "bag", "duplicate_bag"]
BAGS = ["bag", "duplicate_bag"]
ALL = [(ANY, [], [ROW])]


@pytest.fixture(params=TYPES)
def type_(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def knobs() -> Iterator[Callable[..., None]]:
    """Set test knobs; they are put back after the test."""
    before = _core._knobs()
    yield lambda **settings: _core._knobs(**settings) and None
    _core._knobs(**before)


def filled(type_: str, n: int = 100, each: int = 3, **options: Any) -> Table:
    table = Table(type_, **options)
    table.insert([(k, i, "text") for k in range(n) for i in range(each if type_ in BAGS else 1)])
    return table


def pages(table: Table, spec: Any, limit: int, call: str = "select") -> list[list[Any]]:
    found, all_pages = getattr(table, call)(spec, limit), []
    while found is not END_OF_TABLE:
        all_pages.append(found[0])
        found = table.select(found[1])
    return all_pages


def bag_of(rows: list[Any]) -> Counter[Any]:
    return Counter(exact_key(row) for row in rows)


# ---- results


def test_select_gives_what_the_evaluator_gives_for_each_row_in_the_tables_order(type_: str) -> None:
    for seed in range(60):
        rng = random.Random(seed)
        table = Table(type_)
        rows = [some_row(rng) for _ in range(12)]
        table.insert(rows)
        spec = some_spec(rng, rows)
        try:
            _matchmodel.check(spec)
        except _matchmodel.Mistake:
            if spec != []:
                with pytest.raises((BadArgument, BadType)):
                    table.select(spec)
            continue
        try:
            expected = [_matchmodel.run(spec, row) for row in table.tab2list()]
        except _matchmodel.Unrepresentable:
            continue
        results = [found[0] for found in expected if found is not None]
        if table.explain(spec)["access"] in ("scan", "range"):
            assert [exact_key(x) for x in table.select(spec)] == [exact_key(x) for x in results], seed
        else:
            assert bag_of(table.select(spec)) == bag_of(results), seed
        assert table.count(spec) == len(results)
        assert table.select_count(spec) == sum(x is True for x in results)


def test_results_come_in_the_order_of_walks_and_of_insertion_within_a_key(type_: str) -> None:
    table = filled(type_)
    assert table.select(ALL) == table.tab2list() == list(table.iselect(ALL, batch=7))


def test_select_reverse_goes_backwards_in_an_ordered_set_and_as_select_elsewhere(type_: str) -> None:
    table = filled(type_)
    expected = table.tab2list()
    if type_ == "ordered_set":
        expected.reverse()
    assert table.select_reverse(ALL) == expected
    assert [x for page in pages(table, ALL, 7, "select_reverse") for x in page] == expected


def test_results_that_are_false_or_exit_are_results() -> None:
    table = filled("set", 3)
    assert table.select([(ANY, [], [False])]) == [False] * 3
    assert table.select([((V1, ANY, ANY), [], [(Atom("hd"), V1)])]) == [Atom("EXIT")] * 3


def test_the_empty_spec_selects_nothing(type_: str) -> None:
    table = filled(type_)
    assert table.select([]) == [] and table.select_reverse([]) == []
    assert table.select([], 3) is END_OF_TABLE
    assert [table.select_count([]), table.select_delete([]), table.count([])] == [0, 0, 0]
    if type_ != "bag":
        assert table.select_replace([]) == 0
    with fails(BadArgument):
        MatchSpec([])


def test_a_mistake_counts_even_if_the_table_is_empty(type_: str) -> None:
    table = Table(type_)
    for call in (table.select, table.select_count, table.select_delete, table.explain, table.sum):
        with fails(BadArgument, naming="$7"):
            call([(ANY, [], [Atom("$7")])])
        with fails(BadType):
            call(17)


@pytest.mark.parametrize("sign", [">", ">=", "<", "=<"])
def test_a_comparison_with_a_small_integer_goes_by_term_order_for_all_terms(type_: str, sign: str) -> None:
    """Most rows are decided without a run of the program; those of other shapes and with other terms are not."""
    values = [
        -(2**70),
        -(2**61),
        -1,
        4,
        5,
        6,
        4.5,
        5.0,
        5.5,
        2**61,
        2**62,
        2**70,
        Atom("a"),
        "5",
        (5,),
        [5],
        {},
        [],
        -0.0,
    ]
    table = Table(type_)
    table.insert([(n, value) for n, value in enumerate(values)] + [(100,), (101, 6, 6)])
    for than in (5, 0, -(2**62), 2**62 - 1):
        for body in (True, ROW, V1):
            spec = [((ANY, V1), [(Atom(sign), V1, than)], [body])]
            expected = [found[0] for r in table.tab2list() if (found := _matchmodel.run(spec, r)) is not None]
            assert [exact_key(x) for x in table.select(spec)] == [exact_key(x) for x in expected]
            assert table.select_count(spec) == sum(x is True for x in expected)
            assert table.count(spec) == len(expected)


def test_match_gives_the_variables_by_their_numbers(type_: str) -> None:
    table = Table(type_)
    table.insert(("a", "b", "c"))
    assert table.match((V3, V1, V2)) == [["b", "c", "a"]]
    assert table.match((ANY, ANY, ANY)) == [[]]
    assert table.match(V1) == [[("a", "b", "c")]]
    assert table.match(Atom("x")) == table.match([1]) == table.match((ANY,)) == []
    assert table.match("{Id, _, X}") == [["a", "c"]]


def test_patterns_are_exact_where_keys_are_not() -> None:
    table = Table("ordered_set")
    table.insert((1.0, "x"))
    assert table.lookup(1) == [(1.0, "x")]
    assert table.match_object((1, ANY)) == []
    assert table.select([((1, ANY), [], [ROW])]) == []
    assert table.match_delete((1, ANY)) and len(table) == 1
    assert table.match_object((1.0, ANY)) == [(1.0, "x")]


def test_results_of_any_size_come_in_rounds(type_: str) -> None:
    table = Table(type_)
    table.insert([(n, "x" * 300_000) for n in range(20)])
    assert len(table.select(ALL)) == 20
    assert [len(page) for page in pages(table, ALL, 15)] == [15, 5]
    some = [((n, ANY), [], [ROW]) for n in range(0, 20, 2)]
    assert sorted(row[0] for row in table.select(some)) == list(range(0, 20, 2))
    assert [len(page) for page in pages(table, some, 7)] == [7, 3]


def test_reference_terms_in_results_are_the_objects_and_are_let_go(type_: str) -> None:
    class Thing:
        pass

    table, thing = Table(type_), Thing()
    table.insert([(n, thing) for n in range(10)])
    assert all(x is thing for x in table.select([((ANY, V1), [], [V1])]))
    assert all(x[1] is thing for x in table.match_object(ANY))
    assert table.top(2, [((V1, ANY), [], [V1])])[0][1] is thing
    assert table.max([((ANY, V1), [], [V1])]) is thing
    table.delete_all_objects()
    table.check()
    assert table.select(ALL) == []


# ---- access paths


def test_explain_tells_the_way_and_the_rows(type_: str) -> None:
    table = filled(type_)
    each = 3 if type_ in BAGS else 1
    key = table.explain([((5, ANY, ANY), [], [ROW])])
    assert (key["access"], key["key"], key["rows"]) == ("key", 5, each)
    keys = table.explain([((5, ANY, ANY), [], [ROW]), ((7, ANY, ANY), [], [ROW])])
    assert (keys["access"], sorted(keys["keys"]), keys["rows"]) == ("keys", [5, 7], 2 * each)
    assert table.explain([((V1,), [], [V1])] * 2)["rows"] == len(table)
    assert table.explain(ALL)["access"] == "scan"
    between = table.explain([((V1, ANY, ANY), [(Atom(">="), V1, 10), (Atom("<"), V1, 20)], [V1])])
    if type_ == "ordered_set":
        assert (between["access"], between["first"], between["last"], between["rows"]) == ("range", 10, 19, 10)
    else:
        assert (between["access"], between["rows"]) == ("scan", len(table))


def test_bound_keys_find_their_rows_in_any_number(type_: str) -> None:
    table = filled(type_)
    for wanted in ([3], [3, 4], [99, 3, 1000, 3], list(range(0, 200, 7))):
        spec = [((k, ANY, ANY), [], [ROW]) for k in wanted]
        expected = [row for row in table.tab2list() if row[0] in wanted]
        assert bag_of(table.select(spec)) == bag_of(expected)
        for limit in (1, 2, 5):
            got = pages(table, spec, limit)
            assert bag_of([x for page in got for x in page]) == bag_of(expected)
            assert all(len(page) == limit for page in got[:-1])


def test_a_key_with_one_row_is_one_page_and_the_end(type_: str) -> None:
    table = filled(type_, each=1)
    assert table.select([((5, ANY, ANY), [], [ROW])], 1) == ([(5, 0, "text")], END_OF_TABLE)


def test_a_range_of_an_ordered_set_is_walked_both_ways() -> None:
    table = filled("ordered_set", 1000)
    spec = "{N, _, _} when N >= 100, N < 200 -> N"
    assert table.select(spec) == list(range(100, 200))
    assert table.select_reverse(spec) == list(range(199, 99, -1))
    assert [len(page) for page in pages(table, spec, 30)] == [30, 30, 30, 10]


# ---- limits and cursors


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100, 1000])
def test_a_page_is_short_only_if_nothing_is_left(type_: str, limit: int) -> None:
    table = filled(type_)
    spec = [((V1, ANY, ANY), [(Atom("=:="), (Atom("rem"), V1, 3), 0)], [ROW])]
    got = pages(table, spec, limit)
    assert all(len(page) == limit for page in got[:-1])
    assert got[-1]
    assert [x for page in got for x in page] == table.select(spec)


def test_a_condition_of_the_builder_is_a_spec(type_: str) -> None:
    table = filled(type_, each=1)
    row = tsunami.row
    assert sorted(table.select(row[0] > 97)) == [(98, 0, "text"), (99, 0, "text")]
    assert sorted(table.select(row[0] > 97, fields=(row[0],))) == [(98,), (99,)]
    assert table.select_count(row[0] > 97) == 2
    assert table.sum(row[0] > 97, fields=row[0]) == 197
    with fails(BadArgument, naming="fields="):
        table.select(ALL, fields=(row[0],))


def test_nothing_at_all_is_the_end_of_the_table(type_: str) -> None:
    assert Table(type_).select(ALL, 1) is END_OF_TABLE
    assert filled(type_).select([((Atom("x"),), [], [ROW])], 1) is END_OF_TABLE
    assert Table(type_).select(END_OF_TABLE) is END_OF_TABLE


def test_limits_are_small_positive_integers(type_: str) -> None:
    table = filled(type_, 3)
    for wrong in (0, -1, 1 << 70):
        with fails(BadArgument):
            table.select(ALL, wrong)
    for wrong in ("1", 1.0, True):
        with fails(BadType):
            table.match(ANY, wrong)


def test_a_cursor_can_be_repeated_and_goes_where_it_says(type_: str) -> None:
    table = filled(type_)
    first, cursor = table.match_object(ANY, 5)
    again = [table.select(cursor), table.match(cursor), table.match_object(cursor), table.select_reverse(cursor)]
    assert [page for page, _ in again] == [again[0][0]] * 4
    assert first + again[0][0] == table.tab2list()[:10]
    assert isinstance(cursor, Cursor) and cursor.table is table and cursor.limit == 5
    with fails(BadArgument):
        Table(type_).select(cursor)
    with pytest.raises(TypeError):
        pickle.dumps(cursor)


def test_a_cursor_serves_other_threads_renames_and_ends_with_its_table() -> None:
    table = tsunami.new("select_cursor_before")
    table.insert([(n,) for n in range(10)])
    _, cursor = table.select(ALL, 3)
    expected = table.select(cursor)[0]
    table.rename("select_cursor_after")
    found: list[Any] = []
    crew = Crew(limit=20)
    for _ in range(3):
        crew.add(lambda: found.append(table.select(cursor)[0]))
    crew.run()
    assert found == [expected] * 3
    table.delete()
    with fails(NoSuchTable, "id"):
        table.select(cursor)


def test_a_cursor_of_an_ordered_set_goes_on_behind_its_key_though_that_is_gone() -> None:
    table = filled("ordered_set", 10)
    page, cursor = table.select([((V1, ANY, ANY), [], [V1])], 4)
    assert page == [0, 1, 2, 3]
    table.delete(3)
    table.insert([(2.5, 0, ""), (3.5, 0, "")])
    assert table.select(cursor)[0] == [3.5, 4, 5, 6]


def test_a_state_of_a_cursor_makes_it_again(type_: str, knobs: Callable[..., None]) -> None:
    knobs(hash_bits=4)
    table = filled(type_, stripes=2) if type_ != "ordered_set" else filled(type_)
    found = table.select(ALL, 4)
    rows = []
    while found is not END_OF_TABLE:
        rows += found[0]
        if found[1] is END_OF_TABLE:
            break
        state = _core.cursor_state(found[1])
        found = table.select(_core.cursor_make(table, ALL, state))
    assert rows == table.tab2list()
    for garbage in (None, (), (True, 1, ()), (True, 1, (1, 2, 3, 4, 5)), (True, 0, (None, 0, -1, 0, 0))):
        with pytest.raises(TsunamiError):
            _core.cursor_make(table, ALL, garbage)


def test_repair_continuation_gives_a_cursor_another_spec() -> None:
    table = filled("ordered_set", 10)
    spec = MatchSpec([((V1, ANY, ANY), [], [V1])])
    _, cursor = table.select(spec, 4)
    assert tsunami.repair_continuation(cursor, MatchSpec(spec.clauses)) is cursor
    other = tsunami.repair_continuation(cursor, MatchSpec([((V1, ANY, ANY), [], [{"n": V1}])]))
    assert table.select(other)[0] == [{"n": n} for n in (4, 5, 6, 7)]
    assert tsunami.repair_continuation(END_OF_TABLE, spec) is END_OF_TABLE
    with fails(BadType):
        tsunami.repair_continuation(cursor, spec.clauses)


# ---- walks while others write


def deeds(rng: random.Random, table: Table, keys: list[Any], untouched: set[Any]) -> None:
    """Something that others do between two pages."""
    key = rng.choice([k for k in keys if k not in untouched])
    if rng.random() < 0.5:
        table.insert((key, rng.randrange(5), "new" * rng.randrange(9)))
    elif rng.random() < 0.8:
        table.delete(key)
    else:
        for row in table.lookup(key)[:1]:
            table.delete_object(row)


@pytest.mark.parametrize("hash_bits", [3, 8, 64])
def test_pages_through_a_fixed_table_meet_each_row_that_stays_once(
    type_: str, hash_bits: int, knobs: Callable[..., None]
) -> None:
    knobs(hash_bits=hash_bits, map_bits=0, move=2)
    for seed in range(8):
        rng = random.Random(seed)
        table = Table(type_)
        keys: list[Any] = [rng.choice([n, str(n), (n,)]) for n in range(60)]
        for n in range(200):
            table.insert((rng.choice(keys), n % 7, "old"))
        untouched = set(rng.sample(keys, 20))
        stays = [row for row in table.tab2list() if row[0] in untouched]
        with table.fixed():
            met: list[Any] = []
            found = table.select(ALL, rng.choice([1, 3, 10]))
            while found is not END_OF_TABLE:
                met += found[0]
                for _ in range(rng.randrange(8)):
                    deeds(rng, table, keys, untouched)
                found = table.select(found[1])
            table.check()
        counted = bag_of(met)
        assert [counted[exact_key(row)] for row in stays] == [bag_of(stays)[exact_key(row)] for row in stays], seed
        table.check()


@pytest.mark.parametrize("type_", BAGS)
def test_a_page_may_end_within_a_key_whose_rows_others_delete(type_: str) -> None:
    table = Table(type_)
    table.insert([("k", n) for n in range(100)])
    with table.fixed():
        page, cursor = table.select(ALL, 10)
        assert page == [("k", n) for n in range(10)]
        for n in [*range(5), *range(10, 20), *range(30, 99)]:
            table.delete_object(("k", n))
        assert table.select(cursor)[0] == [("k", n) for n in [*range(20, 30)]]
        table.check()
    assert table.select(ALL) == [("k", n) for n in [*range(5, 10), *range(20, 30), 99]]


@pytest.mark.parametrize("fixed", [True, False])
def test_select_never_fails_while_others_write_and_rows_prove_themselves(type_: str, fixed: bool) -> None:
    """Rows are (key, generation, checksum). Half of the keys stay: every whole select meets each of those once."""
    table = Table(type_, stripes=4) if type_ != "ordered_set" else Table(type_)
    stay, all_keys = range(0, 400, 2), range(400)

    def made(key: int, generation: int) -> tuple[int, int, str]:
        return key, generation, f"{key}/{generation}" * (1 + generation % 3)

    table.insert([made(key, 0) for key in all_keys])
    crew = Crew(limit=60)
    rounds = 40

    def write(seed: int) -> None:
        rng = random.Random(seed)
        while not crew.stop.is_set():
            key = rng.randrange(1, 400, 2)
            if rng.random() < 0.5:
                table.insert(made(key, rng.randrange(1000)))
            else:
                table.delete(key)

    def read() -> None:
        for n in range(rounds):
            rows = table.select(ALL) if n % 2 else [x for page in pages(table, ALL, 50) for x in page]
            for key, generation, proof in rows:
                assert proof == f"{key}/{generation}" * (1 + generation % 3)
            met = Counter(key for key, _, _ in rows)
            if n % 2 or fixed or type_ == "ordered_set":
                assert [key for key in stay if met[key] != 1] == []
            assert table.select_count([((V1, ANY, ANY), [(Atom("=:="), (Atom("rem"), V1, 2), 0)], [TRUE])]) == 200
        crew.stop.set()

    if fixed:
        table.safe_fixtable(True)
    crew.add(write, 1)
    crew.add(write, 2)
    crew.add(read)
    crew.run()
    if fixed:
        table.safe_fixtable(False)
    table.check()


# ---- deleting and replacing


def test_select_delete_deletes_what_is_exactly_true(type_: str) -> None:
    table = filled(type_)
    spec = [((V1, ANY, ANY), [(Atom("<"), V1, 5)], [Atom("no")]), ((V1, ANY, ANY), [(Atom("<"), V1, 10)], [TRUE])]
    before = table.tab2list()
    expected = [row for row in before if not 5 <= row[0] < 10]
    assert table.select_delete(spec) == len(before) - len(expected)
    assert table.tab2list() == expected
    table.check()


def test_select_delete_of_everything_leaves_nothing_behind(type_: str) -> None:
    table = filled(type_, 3000)
    n = len(table)
    assert table.select_delete([(ANY, [], [TRUE])]) == n
    assert len(table) == 0 and table.tab2list() == []
    table.check()


def test_deleted_keys_of_a_fixed_table_are_places_to_go_on_from(type_: str) -> None:
    table = filled(type_, 10)
    keys = [row[0] for row in table.tab2list()]
    keys = list(dict.fromkeys(keys))
    with table.fixed():
        table.match_delete((keys[4], ANY, ANY))
        table.select_delete([((keys[5], ANY, ANY), [], [TRUE])])
        assert table.next(keys[4]) == keys[6]
        assert table.next(keys[5]) == keys[6]
        table.check()


def test_select_replace_keeps_the_order_in_a_duplicate_bag() -> None:
    table = Table("duplicate_bag")
    table.insert([("k", n) for n in [*range(30), 7, 7, 7]])
    assert table.select_replace("{K, N} when N rem 7 == 0 -> {K, N, seen}") == 8
    expected = [("k", n, Atom("seen")) if n % 7 == 0 else ("k", n) for n in [*range(30), 7, 7, 7]]
    assert table.lookup("k") == expected
    table.check()
    table.delete_object(("k", 7, Atom("seen")))
    assert table.lookup("k") == [row for row in expected if row[1] != 7]
    table.check()


@pytest.mark.parametrize("type_", ["set", "ordered_set", "duplicate_bag"])
def test_select_replace_replaces_and_counts(type_: str) -> None:
    table = filled(type_)
    n = len(table)
    assert table.select_replace([((V1, V2, ANY), [(MORE, V1, 49)], [((V1, "x" * 300, V2),)])]) == n // 2
    for key, *rest in table.tab2list():
        assert rest[0] == "x" * 300 if key > 49 else rest[1] == "text"
    assert table.select_replace([(ANY, [], [ROW])]) == n
    assert table.select_replace([((V1, V2, ANY), [], [((V1, (Atom("hd"), V2)),)])]) == n
    assert {row[1] for row in table.tab2list()} == {Atom("EXIT")}
    table.check()


@pytest.mark.parametrize(
    "spec",
    [
        [((V1, V2), [], [((V2, V1),)])],
        [((V1, V2), [], [(((Atom("+"), V1, 0), V2),)])],
        [(V1, [], [V1])],
        [((ANY, V2), [], [((ANY, V2),)])],
        [((1, V2), [], [((1.0, V2),)])],
    ],
    ids=["other", "computed", "whole", "any", "float"],
)
@pytest.mark.parametrize("type_", ["set", "ordered_set", "duplicate_bag"])
def test_select_replace_refuses_what_may_change_keys(type_: str, spec: Any) -> None:
    table = Table(type_)
    with fails(BadArgument):
        table.select_replace(spec)


def test_select_replace_is_not_for_bags() -> None:
    with fails(BadArgument, "table_type"):
        Table("bag").select_replace(ALL)


# ---- specs


def test_match_specs_compare_by_their_clauses() -> None:
    clauses = [((V1, ANY), [(MORE, V1, 1)], [V1])]
    spec = MatchSpec(clauses)
    assert spec == MatchSpec(clauses) and hash(spec) == hash(MatchSpec(clauses))
    assert spec != MatchSpec([((V1, ANY), [(MORE, V1, 1.0)], [V1])]) and spec != clauses
    assert spec.clauses == clauses and MatchSpec(spec) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert tsunami.is_compiled_ms(spec) and not tsunami.is_compiled_ms(clauses)
    assert tsunami.match_spec_run([(2, 0), (0, 0), 7, (3, 0)], spec) == [2, 3]
    for wrong in (None, (1, 2), "ab"):
        with fails(BadType):
            tsunami.match_spec_run(wrong, spec)  # type: ignore[arg-type]
    with fails(BadType):
        tsunami.match_spec_run([], clauses)  # type: ignore[arg-type]


def test_a_query_text_is_read_with_the_result_that_its_use_wants() -> None:
    table = filled("set", 10)
    text = "{N, _, _} when N > 6"
    assert sorted(table.select(text)) == [(7, 0, "text"), (8, 0, "text"), (9, 0, "text")]
    assert table.select_count(text) == 3
    assert table.select_delete(text) == 3
    assert len(table) == 7


# ---- sums


def test_sums_are_exact_whatever_their_size(type_: str) -> None:
    rng = random.Random(7)
    values = [rng.choice([1, -1]) * rng.getrandbits(rng.choice([8, 61, 62, 63, 64, 200])) for _ in range(500)]
    table = Table(type_)
    table.insert([(n, value) for n, value in enumerate(values)])
    spec = [((ANY, V1), [], [V1])]
    assert table.sum(spec) == sum(values)
    assert table.avg(spec) == sum(values) / len(values)
    assert table.min(spec) == min(values) and table.max(spec) == max(values)
    assert table.count(spec) == 500


def test_sums_of_floats_are_compensated() -> None:
    table = Table("ordered_set")
    table.insert([(n, value) for n, value in enumerate([1e100, 1.0, -1e100, 1, 2**70])])
    assert table.sum("{_, V} -> V") == 1.0 + 1 + 2**70
    table.insert((9, "text"))
    with fails(BadArgument, naming="text"):
        table.sum("{_, V} -> V")


def test_nothing_summed_up_is_nothing(type_: str) -> None:
    table = Table(type_)
    assert (table.sum("{_, V} -> V"), table.count("{_}"), table.count()) == (0, 0, 0)
    assert (table.avg("{_, V} -> V"), table.min("{_, V} -> V"), table.max("{_, V} -> V")) == (None, None, None)
    assert table.top(3, "{_, V} -> V") == [] and table.sum("{A, V} -> {A, V}", grouped=True) == {}


def test_min_and_max_go_by_term_order() -> None:
    table = Table()
    table.insert([(n, value) for n, value in enumerate([Atom("z"), "a", (1,), [], 10**30, 2.5, [1], {}])])
    assert table.min("{_, V} -> V") == 2.5 and table.max("{_, V} -> V") == "a"


def test_groups_are_apart_if_they_are_exactly_apart(type_: str) -> None:
    table = Table(type_)
    table.insert([(n, f"g{n % 5000}", n) for n in range(20000)])
    expected: Counter[str] = Counter()
    for n in range(20000):
        expected[f"g{n % 5000}"] += n
    assert table.sum("{_, G, V} -> {G, V}", grouped=True) == expected
    assert table.count("{_, G, _} -> G", grouped=True) == dict.fromkeys(expected, 4)
    assert table.max("{_, G, V} -> {G, V}", grouped=True)["g3"] == 15003
    assert table.min("{_, G, V} -> {G, V}", grouped=True)["g3"] == 3
    assert table.avg("{_, G, V} -> {G, V}", grouped=True)["g3"] == 7503
    with fails(BadArgument):
        table.sum("{_, G, V} -> V", grouped=True)


def test_groups_that_one_dict_cannot_tell_apart_are_an_error() -> None:
    table = Table()
    table.insert([(1, 1), (2, 1.0)])
    with fails(BadArgument, naming="twice"):
        table.count("{_, G} -> G", grouped=True)
    table.insert([(1, [1]), (2, [2])])
    with fails(BadArgument, naming="cannot be a key"):
        table.count("{_, G} -> G", grouped=True)


@pytest.mark.parametrize("k", [0, 1, 7, 300, 5000])
def test_top_gives_the_rows_with_the_greatest_values(type_: str, k: int) -> None:
    rng = random.Random(k)
    table = Table(type_)
    table.insert([(n, rng.randrange(100)) for n in range(2000)])
    rows = table.tab2list()
    assert table.top(k, "{_, V} -> V") == sorted(rows, key=lambda row: -row[1])[:k]
    assert table.top(k, "{_, V} -> V", reverse=True) == sorted(rows, key=lambda row: row[1])[:k]
    with fails(BadArgument):
        table.top(-1, "{_, V} -> V")


# ---- how long others wait


@pytest.mark.measures
@pytest.mark.parametrize("call", ["select_count", "select", "select_delete"])
@pytest.mark.parametrize("type_", ["set", "ordered_set"])
def test_others_wait_milliseconds_at_most_while_a_large_select_runs(type_: str, call: str) -> None:
    """The longest of thousands of lookups by another thread, beside selects over 300,000 rows."""
    table = Table(type_)
    table.insert_many((n, n) for n in range(300_000))
    spec = [((ANY, V1), [(MORE, V1, 150_000)], [TRUE])]
    over = threading.Event()
    waits: list[float] = []

    def look() -> None:
        while not over.is_set():
            start = time.perf_counter()
            table.lookup(7)
            waits.append(time.perf_counter() - start)
            time.sleep(0.0001)

    other = threading.Thread(target=look)
    other.start()
    try:
        for _ in range(3):
            getattr(table, call)(spec)
    finally:
        over.set()
        other.join(20)
    assert waits
    assert sorted(waits)[len(waits) * 9 // 10] < 0.005  # the machine may be busy: the longest of all says little
