"""Threads hammer one table, and every row proves itself.

A row here is `(key, generation, payload, checksum)`: whoever reads half of one, or a mixture of two, knows. The threads
start at a barrier, take their choices from a seed that is printed (TSUNAMI_SEED repeats it), and must end within a time
limit; what they found wrong is raised at the end, and `check()` closes every test. TSUNAMI_STRESS=20 makes them run
twenty times as long, and so does `make stress`.

With the GIL the threads alternate every few microseconds (`switch` below) and meet inside those calls that release it;
on free-threaded Python, and under the server's data plane, they meet everywhere.
"""

import itertools
import os
import random
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _support import effort
from _tabletools import BAGS, SETS, Crew, alike, every_bag, every_type
from model import exact_key

import tsunami
from tsunami import END_OF_TABLE, NoSuchTable, Table, TsunamiError, _core

pytestmark = pytest.mark.threads

ROUNDS = effort(max(1, round(float(os.environ.get("TSUNAMI_STRESS", "1")))))
SEED = int(os.environ.get("TSUNAMI_SEED", "0")) or random.randrange(1, 10**9)
Row = tuple[Any, ...]


@pytest.fixture(autouse=True)
def switch() -> Iterator[None]:
    """Threads change every 10 us instead of every 5 ms. The seed is printed: pytest shows it when the test fails."""
    print(f"TSUNAMI_SEED={SEED}")
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(old)


def sealed(key: Any, generation: int, size: int = 20) -> Row:
    payload = bytes([generation % 251]) * size
    return (key, generation, payload, zlib.crc32(repr((key, generation, payload)).encode()))


def prove(row: Row) -> None:
    key, generation, payload, checksum = row
    assert checksum == zlib.crc32(repr((key, generation, payload)).encode()), row


def rng(me: int) -> random.Random:
    return random.Random(SEED * 1000 + me)


# ---- rows are whole


@every_type
@pytest.mark.parametrize("stripes", [1, None])
def test_readers_never_see_half_a_row(kind: str, stripes: int | None) -> None:
    table = Table(kind, stripes=stripes)  # type: ignore[arg-type]
    keys = 50
    crew = Crew()

    def write(me: int) -> None:
        chance = rng(me)
        for generation in range(1500 * ROUNDS):
            key = chance.randrange(keys)
            if kind in BAGS and generation % 10 == 0:
                table.delete(key)
            table.insert(sealed(key, generation * 10 + me, chance.choice((0, 5, 20, 100, 700))))

    def read(me: int) -> None:
        chance = rng(me)
        while not crew.stop.is_set():
            for row in table.lookup(chance.randrange(keys)):
                prove(row)
            for rows in table.lookup_many(range(5)):
                for row in rows:
                    prove(row)
            for row in table.tab2list():
                prove(row)

    def finish() -> None:
        for writer in crew.members[:2]:
            writer.join()
        crew.stop.set()

    crew.add(write, 0)
    crew.add(write, 1)
    crew.add(read, 2)
    crew.add(read, 3)
    crew.add(finish)
    crew.run()
    table.check()


# Lists of more than 64 rows are inserted without the GIL: there they meet other threads in the middle.
LENGTHS = pytest.mark.parametrize("length", [8, 150])


@LENGTHS
def test_a_list_is_inserted_as_a_whole_over_all_its_keys(length: int) -> None:
    """Each list puts one generation under all keys. Reading them one after the other may meet several generations, but
    never an older one after a younger one; and no two stand in the table at one moment, which commit can tell."""
    table = Table(stripes=8)
    keys = list(range(length))
    table.insert([(key, 0) for key in keys])
    crew = Crew()

    def write() -> None:
        for generation in range(1, 6000 // (length // 4) * ROUNDS):
            table.insert([(key, generation) for key in keys])
        crew.stop.set()

    def read() -> None:
        while not crew.stop.is_set():
            generations = [table.lookup(key)[0][1] for key in keys]
            assert generations == sorted(generations), "a list was half there"
            first, last = generations[0], generations[-1]
            assert not _core.commit([(table, 0, (0, first), None), (table, 7, (7, last + 1), None)], [], [])
            if first != last:
                assert not _core.commit([(table, 0, (0, first), None), (table, 7, (7, last), None)], [], [])

    crew.add(write)
    crew.add(read)
    crew.add(read)
    crew.run()
    table.check()


@every_bag
@LENGTHS
def test_a_list_is_inserted_as_a_whole_under_one_key_of_a_bag(kind: str, length: int) -> None:
    table = Table(kind)
    crew = Crew()

    def write() -> None:
        for generation in range(6000 // length * ROUNDS):
            table.insert([("k", generation, part) for part in range(length)])
            if generation % 10 == 0:
                table.delete("k")
        crew.stop.set()

    def read() -> None:
        while not crew.stop.is_set():
            rows = table.lookup("k")
            assert len(rows) % length == 0
            assert [row[2] for row in rows] == list(range(length)) * (len(rows) // length)
            assert all(rows[at][1] == rows[at + length - 1][1] for at in range(0, len(rows), length))

    crew.add(write)
    crew.add(read)
    crew.add(read)
    crew.run()
    table.check()


@every_type
@LENGTHS
def test_insert_new_of_a_list_has_one_winner(kind: str, length: int) -> None:
    table = Table(kind, stripes=4)
    wins: list[tuple[int, int]] = []
    crew = Crew()
    rounds = 2400 // length * ROUNDS

    def claim(me: int) -> None:
        for turn in range(rounds):
            if table.insert_new([((turn, part), me) for part in range(length)]):
                wins.append((turn, me))

    for me in range(4):
        crew.add(claim, me)
    crew.run()
    assert sorted(turn for turn, _ in wins) == list(range(rounds))
    for turn, me in wins:
        assert all(table.lookup((turn, part)) == [((turn, part), me)] for part in range(length))
    table.check()


# ---- nothing is lost, nothing comes twice


@pytest.mark.parametrize("stripes", [1, None])
def test_update_counter_loses_nothing(stripes: int | None) -> None:
    table = Table(stripes=stripes)
    crew = Crew()
    turns = 2500 * ROUNDS
    big = 2**62

    def count(me: int) -> None:
        chance = rng(me)
        for _ in range(turns):
            table.update_counter(chance.randrange(3), [(1, 1), (2, big), (2, -big + 1)], ("default", 0, 0))
            table.update_counter("wrap", (1, 1, 9, 0), ("wrap", 0))

    for me in range(4):
        crew.add(count, me)
    crew.run()
    assert sum(table.lookup_element(key, 1, 0) for key in range(3)) == 4 * turns
    assert sum(table.lookup_element(key, 2, 0) for key in range(3)) == 4 * turns
    assert table.lookup_element("wrap", 1) == (4 * turns) % 10
    table.check()


def test_update_counter_gives_each_number_once() -> None:
    table = Table()
    table.insert(("id", 0))
    drawn: list[list[int]] = [[] for _ in range(4)]
    crew = Crew()

    def draw(mine: list[int]) -> None:
        for _ in range(2500 * ROUNDS):
            mine.append(table.update_counter("id", 1))  # type: ignore[arg-type]

    for mine in drawn:
        crew.add(draw, mine)
    crew.run()
    assert sorted([number for mine in drawn for number in mine]) == list(range(1, 4 * 2500 * ROUNDS + 1))
    assert all(mine == sorted(mine) for mine in drawn)


def test_update_element_of_two_elements_is_one_change() -> None:
    table = Table()
    table.insert((1, 0, 0))
    crew = Crew()

    def write(me: int) -> None:
        for turn in range(2000 * ROUNDS):
            value = (me, turn, "x" * (turn % 30))
            table.update_element(1, [(1, value), (2, value)])
        crew.stop.set()

    def read() -> None:
        while not crew.stop.is_set():
            [(_, a, b)] = table.lookup(1)
            assert a == b

    crew.add(write, 0)
    crew.add(write, 1)
    crew.add(read)
    crew.run()
    table.check()


@every_type
def test_take_gives_each_row_to_one_thread(kind: str) -> None:
    table = Table(kind)
    n = 3000 * ROUNDS
    taken: list[list[Row]] = [[] for _ in range(4)]
    crew = Crew()
    produced = []

    def produce() -> None:
        for key in range(n):
            table.insert(sealed(key, key))
        produced.append(True)

    def consume(mine: list[Row], me: int) -> None:
        chance = rng(me)
        while not (produced and len(table) == 0):
            key = table.first()
            if key is END_OF_TABLE:
                continue
            mine += table.take(key)
            mine += table.take(chance.randrange(n))

    crew.add(produce)
    for me, mine in enumerate(taken):
        crew.add(consume, mine, me)
    crew.run()
    rows = [row for mine in taken for row in mine]
    for row in rows:
        prove(row)
    assert sorted(row[0] for row in rows) == list(range(n))
    table.check()


@every_type
def test_writers_of_different_keys_do_not_disturb_each_other(kind: str) -> None:
    table = Table(kind, stripes=2)
    crew = Crew()

    def own(me: int) -> None:
        chance = rng(me)
        mine: dict[int, list[Row]] = {}
        for generation in range(1200 * ROUNDS):
            number = chance.randrange(200)
            key = (me, number)
            row = (key, generation)
            match chance.randrange(5):
                case 0 | 1 | 2:
                    table.insert(row)
                    mine[number] = [row] if kind in SETS else [*mine.get(number, []), row]
                case 3:
                    assert table.take(key) == mine.pop(number, [])
                case 4:
                    table.delete(key)
                    mine.pop(number, None)
            other = chance.randrange(200)
            assert table.lookup((me, other)) == mine.get(other, [])
        left = [row for rows in mine.values() for row in rows]
        assert alike([row for row in table.tab2list() if row[0][0] == me], left)

    for me in range(4):
        crew.add(own, me)
    crew.run()
    table.check()


@every_type
def test_clear_is_one_moment(kind: str) -> None:
    """Of one writer's rows those before the clear are gone, and all after it are there. So what is there of a writer's
    numbered rows is always the end of its series, without a gap. (Many stripes, so that a clear takes its time.)"""
    table = Table(kind, stripes=4096)
    crew = Crew()
    progress = [0, 0]

    def write(me: int) -> None:
        for number in range(50_000 * ROUNDS):
            table.insert(((me, number), number))
            progress[me] = number
        crew.stop.set()

    def clear() -> None:
        while not crew.stop.is_set():
            before = list(progress)
            table.delete_all_objects()
            for me, last in enumerate(list(progress)):
                there = [table.member((me, number)) for number in range(max(0, before[me] - 20), last + 1)]
                assert there == sorted(there), "a row is gone that came after one that is there"

    crew.add(write, 0)
    crew.add(write, 1)
    crew.add(clear)
    crew.run()
    table.check()


# ---- walks


@every_type
@pytest.mark.parametrize("way", ["next", "next_lookup", "foldl", "iter", "scan"])
def test_a_walk_among_writers_sees_each_row_that_stays_once(kind: str, way: str) -> None:
    if (kind, way) == ("ordered_set", "scan"):
        pytest.skip("an ordered table has no cursors that are numbers")
    table = Table(kind, stripes=4)
    stays = 400
    table.insert([sealed(("stays", key), key) for key in range(stays)])
    crew = Crew()

    def write(me: int) -> None:
        chance = rng(me)
        count = 0
        while not crew.stop.is_set():
            key = ("moves", chance.randrange(3000))
            table.insert(sealed(key, count))
            if chance.random() < 0.45 + 0.1 * ((count // 2000) % 2):  # now it grows, now it shrinks
                table.delete(("moves", chance.randrange(3000)))
            count += 1

    def by_next() -> list[Any]:
        with table.fixed():
            keys, key = [], table.first()
            while key is not END_OF_TABLE:
                keys.append(key)
                key = table.next(key)
        return keys

    def by_next_lookup() -> list[Any]:
        with table.fixed():
            keys, found = [], table.first_lookup()
            while isinstance(found, tuple):
                keys.append(found[0])
                for row in found[1]:
                    assert row[0] == found[0]
                    prove(row)
                found = table.next_lookup(found[0])
        return keys

    def by_scan() -> list[Any]:
        keys, cursor = [], 0
        while True:
            cursor, rows = _core.scan(table, cursor, 17)
            for row in rows:
                prove(row)
            keys += dict.fromkeys(row[0] for row in rows)
            if cursor == 0:
                return keys

    def from_rows(rows: list[Row]) -> list[Any]:
        for row in rows:
            prove(row)
        return list(dict.fromkeys(row[0] for row in rows)) if kind in BAGS else [row[0] for row in rows]

    ways: dict[str, Callable[[], list[Any]]] = {
        "next": by_next,
        "next_lookup": by_next_lookup,
        "foldl": lambda: from_rows(table.foldl(lambda row, acc: acc.append(row) or acc, [])),
        "iter": lambda: from_rows(list(table)),
        "scan": by_scan,
    }

    def walk() -> None:
        for _ in range(6 * ROUNDS):
            keys = ways[way]()
            assert len(keys) == len(set(keys)), "a key was seen twice"
            assert {key for key in keys if key[0] == "stays"} == {("stays", key) for key in range(stays)}
        crew.stop.set()

    crew.add(write, 0)
    crew.add(write, 1)
    crew.add(walk)
    crew.run()
    table.check()
    assert table.info("fixed") is False


@every_type
def test_threads_that_share_an_iterator_share_its_rows(kind: str) -> None:
    old = _core._knobs(scan_rows=3)
    try:
        table = Table(kind)
        table.insert_many((key,) for key in range(3000))
        for _ in range(15 * ROUNDS):
            rows = iter(table)
            seen: list[list[Any]] = [[] for _ in range(4)]
            crew = Crew()
            for mine in seen:
                crew.add(lambda mine=mine, rows=rows: mine.extend(row[0] for row in rows))
            crew.run()
            assert sorted(key for mine in seen for key in mine) == list(range(3000))
    finally:
        _core._knobs(**old)


@every_type
def test_next_of_a_key_that_others_delete_goes_on_in_a_fixed_table(kind: str) -> None:
    table = Table(kind, stripes=2)
    table.insert([(key,) for key in range(2000)])
    crew = Crew()

    def delete(me: int) -> None:
        keys = list(range(2000))
        rng(me).shuffle(keys)
        for key in keys:
            table.delete(key)

    def walk() -> None:
        with table.fixed():
            key = table.first()
            while key is not END_OF_TABLE:
                key = table.next(key)  # BadKey here would be the mistake

    table.safe_fixtable(True)  # before anybody deletes
    for me in range(2):
        crew.add(delete, me)
    for _ in range(2):
        crew.add(walk)
    crew.run()
    table.safe_fixtable(False)
    assert len(table) == 0
    table.check()


def test_fixations_of_many_threads_add_up() -> None:
    table = Table()
    table.insert([(key,) for key in range(100)])
    crew = Crew()

    def work(me: int) -> None:
        chance = rng(me)
        for _ in range(500 * ROUNDS):
            with table.fixed():
                key = chance.randrange(100)
                table.delete(key)
                table.insert((key,))
                assert table.info("fixed") is True

    for me in range(4):
        crew.add(work, me)
    crew.run()
    assert table.info("fixed") is False
    assert len(table) == 100
    table.check()


# ---- growth, drop, names


@every_type
@pytest.mark.parametrize("stripes", [1, None])
def test_rows_are_found_while_the_table_grows_and_shrinks_around_them(kind: str, stripes: int | None) -> None:
    table = Table(kind, stripes=stripes)  # type: ignore[arg-type]
    anchors = [sealed(("anchor", key), key) for key in range(200)]
    table.insert(anchors)
    crew = Crew()

    def grow() -> None:
        for _ in range(ROUNDS):
            for size in (8000, 200, 3000):
                table.insert_many((key, "filler") for key in range(size))
                for key in range(size):
                    table.delete(key)
        crew.stop.set()

    def read(me: int) -> None:
        chance = rng(me)
        while not crew.stop.is_set():
            key = chance.randrange(200)
            assert table.lookup(("anchor", key)) == [anchors[key]]
            assert table.member(("absent", key)) is False

    crew.add(grow)
    crew.add(read, 1)
    crew.add(read, 2)
    crew.run()
    assert alike(table.tab2list(), anchors)
    table.check()


@every_type
def test_a_table_may_be_deleted_under_fire(kind: str) -> None:
    for turn in range(25 * ROUNDS):
        table = Table(kind, stripes=4)
        table.insert([sealed(key, turn) for key in range(300)])
        crew = Crew()
        ended: list[str] = []

        def use(me: int, table: Table = table, ended: list[str] = ended) -> None:
            chance = rng(me)
            acts: list[Callable[[], Any]] = [
                lambda: [prove(row) for row in table.lookup(chance.randrange(300))],
                lambda: table.insert(sealed(chance.randrange(300), me)),
                lambda: table.insert([sealed(chance.randrange(300), me) for _ in range(5)]),
                lambda: table.take(chance.randrange(300)),
                lambda: [prove(row) for row in table.tab2list()],
                lambda: table.first(),
                lambda: len(table),
                lambda: table.info(),
                lambda: _core.scan(table, 0, 10) if kind != "ordered_set" else None,
                lambda: [prove(row) for row in table],
                lambda: table.insert_many(sealed(key, me) for key in range(10)),
                lambda: table.delete_all_objects(),
            ]
            try:
                while True:
                    chance.choice(acts)()
                    if table.info() is None:
                        table.lookup(1)
            except NoSuchTable as error:
                assert error.cause == "id"
                ended.append("id")

        def drop(turn: int = turn, table: Table = table) -> None:
            time.sleep(rng(turn).random() / 500)
            table.delete()

        for me in range(3):
            crew.add(use, me)
        crew.add(drop)
        crew.run()
        assert ended == ["id"] * 3
        assert table.info() is None


def test_tables_that_come_and_go_by_name_are_whole_or_absent() -> None:
    name = "test_concurrent: comes and goes"
    crew = Crew()

    def come_and_go() -> None:
        for turn in range(300 * ROUNDS):
            table = tsunami.new(name, type=("set", "bag")[turn % 2], keypos=turn % 3)  # type: ignore[arg-type]
            table.insert((turn, turn, turn))
            table.delete()
        crew.stop.set()

    def look() -> None:
        while not crew.stop.is_set():
            table = tsunami.whereis(name)
            if table is None:
                continue
            assert tsunami.whereis(name) in (table, None) or table.info() is None
            try:
                rows = table.tab2list()
                assert len(rows) <= 1 and all(len(set(row)) == 1 for row in rows)
            except NoSuchTable:
                pass
            for other in tsunami.all():
                assert isinstance(other, Table)

    crew.add(come_and_go)
    crew.add(look)
    crew.add(look)
    crew.run()
    assert tsunami.whereis(name) is None


def test_all_lists_the_tables_while_others_come_and_go() -> None:
    mine = [Table(stripes=1) for _ in range(20)]
    crew = Crew()

    def make() -> None:
        for _ in range(1500 * ROUNDS):
            some = [Table(stripes=1) for _ in range(3)]
            some[0].delete()
        crew.stop.set()

    def look() -> None:
        while not crew.stop.is_set():
            found = tsunami.all()
            assert set(mine) <= set(found)
            assert len(set(found)) == len(found)

    crew.add(make)
    crew.add(make)
    crew.add(look)
    crew.add(look)
    crew.run()


def test_one_thread_wins_each_name() -> None:
    crew = Crew()
    wins: list[int] = []
    rounds = 150 * ROUNDS

    def claim(me: int) -> None:
        for turn in range(rounds):
            try:
                tsunami.new(f"test_concurrent: {turn}").insert((me,))
                wins.append(turn)
            except tsunami.TableExists as error:
                assert error.cause == "already_exists"

    for me in range(4):
        crew.add(claim, me)
    try:
        crew.run()
        assert sorted(wins) == list(range(rounds))
    finally:
        for turn in range(rounds):
            if (table := tsunami.whereis(f"test_concurrent: {turn}")) is not None:
                table.delete()


def test_renames_under_readers_by_name() -> None:
    names = [f"test_concurrent: name {n}" for n in range(3)]
    table = tsunami.new(names[0])
    crew = Crew()

    def rename() -> None:
        for turn in range(1, 600 * ROUNDS):
            assert table.rename(names[turn % 3]) is table
        crew.stop.set()

    def look(me: int) -> None:
        chance = rng(me)
        while not crew.stop.is_set():
            assert tsunami.whereis(chance.choice(names)) in (table, None)
            assert table.name in names

    crew.add(rename)
    crew.add(look, 1)
    crew.add(look, 2)
    crew.run()
    table.delete()
    assert [tsunami.whereis(name) for name in names] == [None] * 3


def test_a_table_deleted_while_it_is_being_renamed_leaves_no_name() -> None:
    names = [f"test_concurrent: doomed {n}" for n in range(2)]
    for turn in range(150 * ROUNDS):
        table = tsunami.new(names[0])
        crew = Crew()

        def rename(table: Table = table) -> None:
            for step in range(1, 20):
                try:
                    table.rename(names[step % 2])
                except TsunamiError:
                    pass

        def drop(table: Table = table, turn: int = turn) -> None:
            for _ in range(rng(turn).randrange(10)):
                table.info("size")
            table.delete()

        crew.add(rename)
        crew.add(drop)
        crew.run()
        for name in names:
            assert tsunami.whereis(name) is None
            tsunami.new(name).delete()  # it is free


# ---- commit


def test_commit_moves_money_and_neither_makes_nor_loses_any() -> None:
    banks = [Table(stripes=2), Table(stripes=4), Table("set", keypos=1)]
    accounts = [(bank, number) for bank in range(3) for number in range(4)]
    crew = Crew()
    moved = [0]

    def spelled(bank: int, number: int, balance: int) -> Row:
        return (balance, number) if bank == 2 else (number, balance)

    def balance(bank: int, number: int) -> tuple[Row, int]:
        found = _core.entry(banks[bank], number)
        assert found is not None
        return found[0], found[0][0 if bank == 2 else 1]

    for bank, number in accounts:
        banks[bank].insert(spelled(bank, number, 100))

    def move(me: int) -> None:
        chance = rng(me)
        for _ in range(500 * ROUNDS):
            source, target = chance.sample(accounts, 2)
            while True:
                (row_a, a), (row_b, b) = balance(*source), balance(*target)
                amount = chance.randrange(0, 20)
                checks = [(banks[source[0]], source[1], row_a, None), (banks[target[0]], target[1], row_b, None)]
                puts = [
                    (banks[source[0]], spelled(*source, a - amount), None),
                    (banks[target[0]], spelled(*target, b + amount), None),
                ]
                if _core.commit(checks, puts, []):
                    moved[0] += 1
                    break

    def audit() -> None:
        """A sum that commit itself confirms, all accounts at one moment, is always the same."""
        confirmed = 0
        while not (confirmed and crew.stop.is_set()):  # once at the latest when nobody moves any more
            seen = [balance(*account) for account in accounts]
            checks = [(banks[bank], number, row, None) for (bank, number), (row, _) in zip(accounts, seen, strict=True)]
            if _core.commit(checks, [], []):
                assert sum(amount for _, amount in seen) == 1200
                confirmed += 1

    def finish() -> None:
        for mover in crew.members[:3]:
            mover.join()
        crew.stop.set()

    for me in range(3):
        crew.add(move, me)
    crew.add(finish)
    crew.add(audit)
    crew.run()
    assert sum(balance(*account)[1] for account in accounts) == 1200
    for bank in banks:
        bank.check()


def test_commit_puts_and_erases_are_one_moment() -> None:
    """A token is in exactly one of two tables; whoever asks through commit never finds it in both or in neither."""
    a, b = Table(stripes=4), Table(stripes=4)
    keys = range(6)
    a.insert([(key, "token") for key in keys])
    crew = Crew()

    def toss(me: int) -> None:
        chance = rng(me)
        for _ in range(800 * ROUNDS):
            key = chance.randrange(6)
            here, there = (a, b) if a.member(key) else (b, a)
            _core.commit([(here, key, (key, "token"), None)], [(there, (key, "token"), None)], [(here, key)])
        crew.stop.set()

    def look(me: int) -> None:
        chance = rng(me)
        row = "token"
        while not crew.stop.is_set():
            key = chance.randrange(6)
            in_both = [(a, key, (key, row), None), (b, key, (key, row), None)]
            in_neither = [(a, key, None, None), (b, key, None, None)]
            assert _core.commit(in_both, [], []) is False
            assert _core.commit(in_neither, [], []) is False

    crew.add(toss, 0)
    crew.add(toss, 1)
    crew.add(look, 2)
    crew.run()
    assert sorted([row[0] for row in a] + [row[0] for row in b]) == list(keys)


# ---- keyspaces: swap, deadlines


def test_swap_loses_no_row_and_no_count() -> None:
    a, b = _core.keyspace(14), _core.keyspace(15)
    a.delete_all_objects()
    b.delete_all_objects()
    crew = Crew()
    turns = 1500 * ROUNDS

    def count(me: int) -> None:
        chance = rng(me)
        for turn in range(turns):
            chance.choice((a, b)).update_counter(chance.randrange(20), 1, (0, 0))
            assert (a if turn % 2 else b).insert_new(((me, turn), 0)) is True
        crew.stop.set()

    def swap() -> None:
        while not crew.stop.is_set():
            _core.swap(a, b)
            _core.swap(b, a)
            _core.swap(a, b)
            for row in a.tab2list() + b.tab2list():
                assert len(row) == 2

    for me in range(3):
        crew.add(count, me)
    crew.add(swap)
    try:
        crew.run()
        rows = a.tab2list() + b.tab2list()
        assert sum(count for key, count in rows if isinstance(key, int)) == 3 * turns
        assert len([key for key, _ in rows if not isinstance(key, int)]) == 3 * turns
        a.check()
        b.check()
    finally:
        a.delete_all_objects()
        b.delete_all_objects()


def test_a_lock_with_a_deadline_has_one_holder_at_a_time() -> None:
    """What a distributed lock does: put a row with a deadline if the key is absent. Time goes on a little with each
    attempt, and the wheel is turned in another thread. Nobody gets the lock before the last holder's deadline."""
    table = Table(stripes=2)
    start = 1_700_000_000_000
    old = _core._knobs(clock_ms=start)
    now = [start]
    one_at_a_time = threading.Lock()
    holds: list[tuple[int, int]] = []
    crew = Crew()

    def expire() -> None:
        while not crew.stop.is_set():
            _core.expire(table, now[0], 5)

    def hold(me: int) -> None:
        chance = rng(me)
        for turn in range(1500 * ROUNDS):
            with one_at_a_time:
                now[0] += 1
                _core._knobs(clock_ms=now[0])
            deadline = now[0] + chance.randrange(3, 100)
            if _core.commit([(table, "lock", None, None)], [(table, ("lock", me), deadline)], []):
                taken = now[0]
                if taken < deadline:  # else it was late, and held the lock for no time at all
                    holds.append((taken, deadline))
            _core.commit([], [(table, (("other", me, turn % 50), turn), now[0] + chance.randrange(200))], [])
        crew.stop.set()

    crew.add(expire)
    for me in range(3):
        crew.add(hold, me)
    try:
        crew.run()
        holds.sort()
        assert len(holds) > 10
        for (_, deadline), (taken, _) in itertools.pairwise(holds):
            assert taken >= deadline, "taken before the deadline of the holder"
        table.check()
        _core._knobs(clock_ms=now[0] + 10**6)
        while _core.expire(table, now[0] + 10**6)[0]:
            pass
        assert len(table) == 0
        table.check()
    finally:
        _core._knobs(**old)


# ---- everything at once


@every_type
@pytest.mark.parametrize("stripes", [1, None])
def test_everything_at_once(kind: str, stripes: int | None) -> None:
    """No claim but these: rows are whole, check() holds, nobody hangs or falls over, and errors are ours."""
    table = Table(kind, stripes=stripes)  # type: ignore[arg-type]
    crew = Crew()

    def act(me: int) -> None:
        chance = rng(me)

        def key() -> Any:
            return chance.choice((chance.randrange(40), f"text {chance.randrange(40)}", (chance.randrange(5), [me])))

        acts: list[Callable[[], Any]] = [
            lambda: table.insert(sealed(key(), chance.randrange(10**6), chance.choice((0, 10, 600, 3000)))),
            lambda: table.insert([sealed(key(), me, n) for n in range(chance.randrange(6))]),
            lambda: table.insert_new([sealed(key(), me, n) for n in range(3)]),
            lambda: table.insert_many(sealed(key(), me) for _ in range(20)),
            lambda: [prove(row) for row in table.lookup(key())],
            lambda: [prove(row) for rows in table.lookup_many([key() for _ in range(20)]) for row in rows],
            lambda: [prove(row) for row in table.take(key())],
            lambda: table.delete(key()),
            lambda: [table.delete_object(row) for row in table.lookup(key())[:1]],
            lambda: table.next(key()),
            lambda: [prove(row) for row in table.tab2list()],
            lambda: [prove(row) for row in table],
            lambda: _core.scan(table, chance.randrange(2**64), 5),
            lambda: table.delete_all_objects() if chance.random() < 0.05 else None,
            lambda: table.safe_fixtable(chance.random() < 0.5),
            lambda: table.update_counter(key(), (1, 0)),
            lambda: table.init_table(sealed(key(), 1) for _ in range(5)) if chance.random() < 0.05 else None,
            lambda: _core.random_row(table),
            lambda: table.info(),
            lambda: table.slot(chance.randrange(10)),
        ]
        for _ in range(1000 * ROUNDS):
            try:
                chance.choice(acts)()
            except TsunamiError:
                pass

    for me in range(4):
        crew.add(act, me)
    crew.run()
    while table.info("fixed"):
        table.safe_fixtable(False)
    table.check()
    rows = table.tab2list()
    for row in rows:
        prove(row)
    assert len(rows) == len(table)
    if kind in SETS:
        assert len({exact_key(row[0]) for row in rows}) == len(rows)
