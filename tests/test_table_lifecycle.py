"""Tables come and go: types and options, names, rename, whereis, all, delete, info, repr.

ETS's rules for tables by example, as far as they concern tables without owners; and what a table is as a Python object
(a base class, a dictionary key) and refuses to be (pickled, copied).
"""

import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref
from typing import Any

import pytest
from _tabletools import TYPES, every_type, fails

import tsunami
from tsunami import Atom, BadArgument, BadType, NoSuchTable, Table, TableExists, TsunamiError


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Any:
    """A name that is this test's alone; whatever has it afterwards is deleted."""
    name = request.node.nodeid
    yield name
    for used in (name, name + " renamed"):
        if (table := tsunami.whereis(used)) is not None:
            table.delete()


# ---- new


@every_type
@pytest.mark.parametrize("keypos", [0, 1, 5])
def test_a_table_tells_its_type_and_keypos(kind: str, keypos: int) -> None:
    table = Table(kind, keypos=keypos)
    assert (table.type, table.keypos, table.name) == (kind, keypos, None)
    assert (table.info("type"), table.info("keypos")) == (kind, keypos)
    table.insert(tuple(range(keypos + 1)))
    assert table.member(keypos) is True


def test_a_table_is_a_set_with_the_key_in_front_unless_told_otherwise() -> None:
    table = Table()
    assert (table.type, table.keypos) == ("set", 0)
    assert Table(type="bag").type == "bag"


@pytest.mark.parametrize("stripes", [1, 2, 4, 64, 1024])
def test_the_number_of_stripes_is_the_one_asked_for(stripes: int) -> None:
    table = Table(stripes=stripes)
    assert table.info("stripes") == stripes
    table.insert([(key,) for key in range(5000)])
    table.check()


def test_a_number_of_stripes_that_is_no_power_of_two_is_rounded_up_or_refused() -> None:
    try:
        table = Table(stripes=5)
    except BadArgument as error:
        assert "5" in str(error)
    else:
        assert table.info("stripes") == 8


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("heap",), {}, BadArgument),
        (("",), {}, BadArgument),
        (("Set",), {}, BadArgument),
        ((1,), {}, BadType),
        ((None,), {}, BadType),
        ((b"set",), {}, BadType),
        ((), {"keypos": -1}, BadArgument),
        ((), {"keypos": "0"}, BadType),
        ((), {"keypos": 1.0}, BadType),
        ((), {"keypos": None}, BadType),
        ((), {"stripes": 0}, BadArgument),
        ((), {"stripes": -4}, BadArgument),
        ((), {"stripes": 2**40}, BadArgument),
        ((), {"stripes": 2**80}, BadArgument),
        ((), {"keypos": 2**80}, BadArgument),
        ((), {"stripes": "4"}, BadType),
    ],
)
def test_options_that_mean_nothing_are_refused_and_named(arguments: Any, options: Any, error: Any) -> None:
    wrong = repr(next(iter(arguments or options.values())))
    with fails(error, naming=wrong):
        Table(*arguments, **options)
    if error is BadArgument:
        with fails(error, naming=wrong):
            tsunami.new(None, *arguments, **options)


def test_unknown_options_and_wrong_numbers_of_arguments_are_type_errors(name: str) -> None:
    table: Any = Table()
    calls: list[Any] = [
        lambda: Table(color="red"),  # type: ignore[call-arg]
        lambda: Table("set", 1),  # type: ignore[misc]
        lambda: tsunami.new(),  # type: ignore[call-arg]
        lambda: tsunami.new(name, "set", 0),  # type: ignore[misc]
        lambda: tsunami.whereis(),  # type: ignore[call-arg]
        lambda: tsunami.all(1),  # type: ignore[call-arg]
        lambda: table.insert(),
        lambda: table.insert((1,), (2,)),
        lambda: table.insert(rows=(1,)),
        lambda: table.insert_new(),
        lambda: table.lookup(),
        lambda: table.lookup(1, 2),
        lambda: table.lookup(key=1),
        lambda: table.lookup_element(1),
        lambda: table.lookup_element(1, 2, 3, 4),
        lambda: table.member(),
        lambda: table.member(1, 2),
        lambda: table.take(),
        lambda: table.delete(1, 2),
        lambda: table.delete_object(),
        lambda: table.delete_all_objects(1),
        lambda: table.update_counter(1),
        lambda: table.update_counter(1, 2, (3,), 4),
        lambda: table.update_element(1),
        lambda: table.next(),
        lambda: table.first(1),
        lambda: table.slot(),
        lambda: table.tab2list(1),
        lambda: table.foldl(lambda row, acc: acc),
        lambda: table.safe_fixtable(),
        lambda: table.rename(),
        lambda: table.info("size", 1),
        lambda: table.get(),
        lambda: table.pop(),
        lambda: table.pop(1, 2, 3),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(TypeError):
            call()
            pytest.fail(f"call {number} went through")
    assert tsunami.whereis(name) is None
    assert len(table) == 0


# ---- names


@every_type
def test_a_named_table_is_found_as_the_same_object(kind: str, name: str) -> None:
    table = tsunami.new(name, type=kind)
    assert (table.name, table.info("name"), table.info("named_table")) == (name, name, True)
    assert tsunami.whereis(name) is table
    assert tsunami.whereis(Atom(name)) is table
    assert table in tsunami.all()
    assert (table.type, len(table)) == (kind, 0)


def test_an_atom_is_a_name_too(name: str) -> None:
    table = tsunami.new(Atom(name))
    assert tsunami.whereis(name) is table
    assert table.name == name


def test_a_name_in_use_is_refused_and_the_old_table_stays(name: str) -> None:
    table = tsunami.new(name)
    table.insert((1,))
    with fails(TableExists, "already_exists", naming=name):
        tsunami.new(name)
    with fails(TableExists, "already_exists"):
        tsunami.new(Atom(name), "bag")
    assert tsunami.whereis(name) is table
    assert table.tab2list() == [(1,)]


def test_a_table_that_could_not_be_made_leaves_no_name_behind(name: str) -> None:
    for options in ({"type": "heap"}, {"keypos": -1}, {"stripes": 0}):
        with pytest.raises(TsunamiError):
            tsunami.new(name, **options)  # type: ignore[arg-type]
        assert tsunami.whereis(name) is None


@pytest.mark.parametrize("bad", [1, b"bytes", 1.5, ["a"], object(), True])
def test_a_name_is_text_or_an_atom(bad: Any) -> None:
    with fails(BadType):
        tsunami.new(bad)
    with fails(BadType):
        tsunami.whereis(bad)
    with fails(BadType):
        Table().rename(bad)


def test_whereis_of_a_name_not_in_use_is_none(name: str) -> None:
    assert tsunami.whereis(name) is None
    assert tsunami.whereis("") is None


def test_a_named_table_lives_without_anybody_holding_it(name: str) -> None:
    tsunami.new(name).insert((1, "still here"))
    gc.collect()
    found = tsunami.whereis(name)
    assert found is not None and found.lookup(1) == [(1, "still here")]


def test_the_name_is_free_when_delete_returns_and_for_another_table_at_once(name: str) -> None:
    for turn in range(100):
        table = tsunami.new(name)
        table.insert((turn,))
        assert table.delete() is True
        assert tsunami.whereis(name) is None
        with fails(NoSuchTable, "id"):
            table.lookup(turn)
        assert table not in tsunami.all()


def test_an_old_object_never_sees_the_new_table_of_its_name(name: str) -> None:
    old = tsunami.new(name)
    old.delete()
    new = tsunami.new(name)
    new.insert((1,))
    with fails(NoSuchTable, "id"):
        old.lookup(1)
    with fails(NoSuchTable, "id"):
        old.delete()
    assert tsunami.whereis(name) is new
    assert len(new) == 1


def test_rename_frees_the_old_name_and_takes_the_new_one(name: str) -> None:
    table = tsunami.new(name)
    table.insert((1,))
    new = name + " renamed"
    assert table.rename(new) is table
    assert (tsunami.whereis(name), tsunami.whereis(new)) == (None, table)
    assert (table.name, table.info("name"), table.lookup(1)) == (new, new, [(1,)])
    other = tsunami.new(name)
    assert tsunami.whereis(name) is other
    other.delete()


def test_rename_to_a_name_in_use_is_refused_its_own_included(name: str) -> None:
    table, other = tsunami.new(name), tsunami.new(name + " renamed")
    with pytest.raises(TableExists):
        table.rename(name + " renamed")
    with pytest.raises(TableExists):
        table.rename(name)
    assert (tsunami.whereis(name), tsunami.whereis(name + " renamed")) == (table, other)
    table.rename(Atom("free " + name)).delete()


def test_two_hundred_names_in_one_registry(name: str) -> None:
    tables = {f"{name}-{n}": tsunami.new(f"{name}-{n}") for n in range(200)}
    assert all(tsunami.whereis(text) is table for text, table in tables.items())
    assert set(tables.values()) <= set(tsunami.all())
    for table in list(tables.values())[::2]:
        table.delete()
    assert [tsunami.whereis(text) is None for text in tables] == [True, False] * 100
    for table in list(tables.values())[1::2]:
        table.delete()


def test_names_may_hold_any_text() -> None:
    for text in ("", " ", "\0", "a\0b", "é", "\U0001f30a", "x" * 255, "'quoted'"):
        table = tsunami.new(text)
        assert tsunami.whereis(text) is table
        assert table.name == text
        table.delete()


# ---- unnamed tables


def test_an_unnamed_table_is_collected_when_nobody_holds_it() -> None:
    for kind in TYPES:
        table = Table(kind)  # type: ignore[arg-type]
        table.insert([(key, "x" * 100) for key in range(1000)])
        gone = weakref.ref(table)
        del table
        gc.collect()
        assert gone() is None


def test_unnamed_tables_come_and_go_without_growing_the_process() -> None:
    for _ in range(2000):
        table = Table(stripes=4)
        table.insert([(1, "x" * 50_000), (2,)])
    assert len(table) == 2


def test_a_table_can_be_a_value_of_another_and_of_itself() -> None:
    outer, inner = Table(), Table()
    outer.insert((1, inner))
    assert outer.lookup_element(1, 1) is inner
    with fails(BadType, naming="Table"):
        outer.lookup(inner)


# ---- keyspaces


def test_a_keyspace_is_the_same_table_each_time_and_survives_a_delete() -> None:
    space = tsunami.keyspace(11)
    assert tsunami.keyspace(11) is space
    assert (space.type, space.keypos) == ("set", 0)
    try:
        space.delete()
    except TsunamiError:
        pass
    tsunami.keyspace(11).insert((b"k", b"v"))
    assert tsunami.keyspace(11).lookup(b"k") == [(b"k", b"v")]
    tsunami.keyspace(11).delete_all_objects()
    for bad in (-1, 16, 2**70):
        with fails(BadArgument, naming=str(bad)):
            tsunami.keyspace(bad)
    for wrong in ("0", None, 1.0, True):
        with fails(BadType):
            tsunami.keyspace(wrong)  # type: ignore[arg-type]


# ---- info


@every_type
def test_info_has_all_items_and_each_by_itself(kind: str) -> None:
    table = Table(kind, keypos=1, stripes=2)
    table.insert([(0, key) for key in range(10)])
    items = table.info()
    assert {"size", "memory", "type", "keypos", "name", "named_table", "stripes", "id", "fixed"} <= set(items)
    assert {item: table.info(item) for item in items if item != "memory"} == {
        item: value for item, value in items.items() if item != "memory"
    }
    assert (items["size"], items["type"], items["keypos"], items["stripes"]) == (
        10,
        kind,
        1,
        1 if kind == "ordered_set" else 2,
    )
    assert (items["named_table"], items["fixed"]) == (False, False)
    assert isinstance(items["memory"], int) and items["memory"] > 0


def test_info_refuses_an_unknown_item_and_names_it() -> None:
    with fails(BadArgument, naming="'colour'"):
        Table().info("colour")
    for bad in (1, None, b"size"):
        with fails(BadType):
            Table().info(bad)  # type: ignore[call-overload]


def test_ids_are_unique() -> None:
    tables = [Table() for _ in range(50)]
    assert len({table.info("id") for table in tables}) == 50


def test_info_of_a_deleted_table_is_none_also_for_an_unknown_item() -> None:
    table = Table()
    table.delete()
    assert (table.info(), table.info("size"), table.info("colour")) == (None, None, None)


# ---- what a table is as a Python object


@every_type
def test_repr_shows_type_name_and_size(kind: str, name: str) -> None:
    table = tsunami.new(name, type=kind)
    table.insert([(1,), (2,)])
    for part in (kind, repr(name), "2"):
        assert part in repr(table)
    assert kind in repr(Table(kind))
    table.delete()
    assert "deleted" in repr(table)


def test_tables_are_compared_by_identity_and_can_be_dictionary_keys() -> None:
    a, b = Table(), Table()
    assert a == a and a != b
    assert {a: 1, b: 2}[a] == 1


def test_a_table_can_be_subclassed() -> None:
    class Users(Table):
        def __init__(self) -> None:
            super().__init__("set", keypos=1, stripes=2)
            self.writes = 0

        def add(self, name: str, key: int) -> None:
            self.writes += 1
            self.insert((name, key))

    users = Users()
    users.add("alice", 1)
    assert (users.lookup(1), users.keypos, users.writes) == ([("alice", 1)], 1, 1)
    gone = weakref.ref(users)
    del users
    gc.collect()
    assert gone() is None


def test_a_subclass_that_forgets_to_call_init_is_an_empty_set() -> None:
    class Forgetful(Table):
        def __init__(self) -> None:
            pass

    try:
        table = Forgetful()
        table.insert((1,))
        assert table.lookup(1) == [(1,)]
        table.check()
    except TsunamiError:
        pass  # saying so is as good; falling over is not


def test_a_second_init_does_no_harm() -> None:
    table = Table("bag", keypos=1)
    table.insert((1, 2))
    try:
        table.__init__("set")  # type: ignore[misc]
    except TsunamiError:
        pass
    table.check()
    assert len(table) in (0, 1)


@every_type
@pytest.mark.parametrize("call", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pickling_and_copying_are_refused_with_a_reason(kind: str, call: Any) -> None:
    with pytest.raises(TypeError, match=r"(?i)table"):
        call(Table(kind))


def test_a_table_takes_no_attributes_that_nobody_declared() -> None:
    with pytest.raises(AttributeError):
        Table().rowz = 1  # type: ignore[attr-defined]
    for attribute in ("name", "type", "keypos"):
        with pytest.raises(AttributeError):
            setattr(Table(), attribute, 1)


def test_the_errors_are_the_builtins_a_python_programmer_would_catch() -> None:
    table = Table()
    with pytest.raises(KeyError):
        table[1]
    with pytest.raises(TypeError):
        table.insert(1)  # type: ignore[call-overload]
    with pytest.raises(ValueError):
        table.insert(())
    table.insert((1, 1))
    with pytest.raises(LookupError):
        table.update_counter(1, (9, 1))
    table.delete()
    with pytest.raises(LookupError):
        table.lookup(1)
    with pytest.raises(ValueError):
        Table("heap")  # type: ignore[arg-type]


def test_the_message_of_a_missing_key_is_a_sentence_not_a_repr_of_one() -> None:
    with pytest.raises(KeyError) as info:
        Table()["absent"]
    assert "'absent'" in str(info.value)
    assert not str(info.value).startswith(("'", '"'))


# ---- the process around it


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_a_program_ends_cleanly_with_tables_of_every_kind_alive() -> None:
    ended = run(
        """
import threading, tsunami

class Talker:
    def __init__(self, table): self.table = table
    def __del__(self):
        try:
            self.table.insert((0, "late")); self.table.lookup(0); self.table.tab2list()
        except tsunami.TsunamiError:
            pass

tables = [tsunami.new("named", type="bag"), tsunami.Table(), tsunami.keyspace(0), tsunami.Table("duplicate_bag")]
for table in tables:
    table.insert([(key, Talker(table), [table]) for key in range(50)])
    table.safe_fixtable(True)
iterator = iter(tables[0]); next(iterator)

def hammer():
    while True:
        tables[1].insert((1, object())); tables[1].lookup(1); tables[1].tab2list()

for _ in range(3):
    threading.Thread(target=hammer, daemon=True).start()
print("end")
"""
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_its_own_copy_of_the_tables() -> None:
    ended = run(
        """
import os, tsunami

table = tsunami.new("t")
table.insert([(key, object()) for key in range(1000)])
child = os.fork()
if child == 0:
    table.delete(1)
    table.insert((2, "child"))
    table.check()
    os._exit(0 if len(table) == 999 and tsunami.whereis("t") is table else 1)
assert os.waitpid(child, 0)[1] == 0
assert len(table) == 1000 and table.member(1)
table.check()
print("end")
"""
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")
