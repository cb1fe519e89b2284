"""Imports, cimports and includes go down only (docs/architecture.md, "Rooms").

Read from the sources, without importing or building anything. The tables at the top are the rule; a file that is in
none of them fails, so that a new room is given its place here when it is made.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "src_cython" / "tsunami"

# ---- the rule, for Python: a module may import modules of its own line of a lower line, and never of a higher one.
# Within a line modules do not know each other, except in the packages that are written with a star: those share a base.
FLOORS: list[set[str]] = [
    {"tsunami._core"},
    {"tsunami.listing", "tsunami.literal", "tsunami.persistence"},
    {"tsunami.querytext"},
    {"tsunami.matchspec"},
    {"tsunami"},
    {"tsunami._wire", "tsunami.cli"},
    {"tsunami_server.config", "tsunami_server.files", "tsunami_server.glob", "tsunami_server.command"},
    {f"tsunami_server.{name}" for name in ("arguments", "keyspace", "observe", "rules", "terms")},
    {"tsunami_server.eviction"},
    {"tsunami_server.values.value", "tsunami_server.values.choice", "tsunami_server.scanning"},
    {f"tsunami_server.values.{kind}" for kind in ("hash", "set", "zset", "list", "stream")},
    {"tsunami_server.values.timed"},
    {"tsunami_server.values.step"},
    {"tsunami_server.values"},
    {"tsunami_server.pubsub"},
    {"tsunami_server.notifications", "tsunami_server.tracking"},
    {"tsunami_server.signals"},
    {"tsunami_server.blocking"},
    {f"tsunami_server.{name}" for name in ("shared", "configfile", "logs", "tls", "users")},
    {"tsunami_server.session"},
    {"tsunami_server.scripting.doors"},
    {"tsunami_server.scripting.caller"},
    {"tsunami_server.scripting.engine"},
    {"tsunami_server.scripting.scripts"},
    {"tsunami_server.scripting"},
    {"tsunami_server.commands.*"},
    {f"tsunami_server.{name}" for name in ("transport", "doors", "systemd", "docs", "metrics")},
    {"tsunami_server.app"},
    {"tsunami_server.embed"},
    {"tsunami_server"},
    {"tsunami_server.__main__"},
]

# The outside world, and the only modules that may touch it.
SOCKETS = {"asyncio", "uvloop", "socket", "selectors", "select", "ssl", "socketserver"}
MAY_USE_SOCKETS = {
    "tsunami.cli": "a client, with a socket of its own",
    "tsunami._wire": "the stub names the base class of NativeSelector",
    "tsunami_server.transport": "sockets -> Conn",
    "tsunami_server.shared": "timers and events of CLIENT PAUSE; no sockets",
    "tsunami_server.blocking": "futures and timers of clients that wait; no sockets",
    "tsunami_server.app": "brings everything together on the loop",
    "tsunami_server.doors": "opens what is listened on",
    "tsunami_server.systemd": "sockets that were opened for us; tells systemd how we are",
    "tsunami_server.tls": "makes ssl's contexts; no sockets",
    "tsunami_server.embed": "runs the app in a thread or in the program's own loop",
    "tsunami_server.__main__": "runs the app",
}

# ---- the rule, for the engine: what each extension may cimport of ours.
CIMPORTS = {"_core": set[str](), "_wire": {"tsunami._core"}}

# Names that a floor uses although a higher floor defines them: name -> why. There should be few.
FORWARD_HOOKS: dict[str, str] = {
    "object_put": "a reference term's object is kept by the table the row is packed for; the codec asks for its slot",
    "object_get": "as object_put",
    "object_drop": "as object_put",
    "Collection": "an object that Table knows when it is given one; its fields are Tables, so its class stands behind",
    "collection_inside": "as Collection",
    "table_drop": "the last release of a table empties it, which only the floor of its type can do",
}


# ---- Python


def modules() -> dict[str, Path]:
    """Every module of both packages by the name it is imported by; for the extensions, their stubs."""
    found = {}
    for package, directory in (("tsunami", ROOT / "tsunami"), ("tsunami_server", ROOT / "server")):
        for path in [*directory.rglob("*.py"), *directory.glob("*.pyi")]:
            parts = [package, *path.relative_to(directory).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def floor_of(module: str) -> int:
    for number, floor in enumerate(FLOORS):
        if module in floor or any(name.endswith(".*") and (module + ".").startswith(name[:-1]) for name in floor):
            return number
    raise LookupError(f"{module} has no place in FLOORS")


def imported(module: str, path: Path) -> Iterator[str]:
    """What a module imports when it runs, as far as it is known by name. Imports for type checkers do not run."""
    tree = ast.parse(path.read_text())
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in modules() else base


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down_only(module: str) -> None:
    here = floor_of(module)
    for target in imported(module, modules()[module]):
        if target.split(".")[0] not in ("tsunami", "tsunami_server"):
            continue
        siblings = module.startswith("tsunami_server.commands") and target.startswith("tsunami_server.commands")
        assert floor_of(target) < here or siblings, f"{module} imports {target}, which does not lie below it"


@pytest.mark.parametrize("module", sorted(modules()))
def test_only_the_outermost_rooms_know_of_sockets_and_loops(module: str) -> None:
    outside = {target.split(".")[0] for target in imported(module, modules()[module])} & SOCKETS
    assert not outside or module in MAY_USE_SOCKETS, f"{module} imports {outside}"


def test_no_module_of_the_package_imports_the_server() -> None:
    for module, path in modules().items():
        if not module.startswith("tsunami_server"):
            assert not any(target.startswith("tsunami_server") for target in imported(module, path)), module


# ---- the engine


def code(path: Path) -> str:
    """A Cython source without its comments and without what stands in quotes."""
    text = path.read_text()
    text = re.sub(r'[rbuf]*("""|\'\'\')(.*?)\1', '""', text, flags=re.S)
    text = re.sub(r'[rbuf]*"(?:[^"\\\n]|\\.)*"|[rbuf]*\'(?:[^\'\\\n]|\\.)*\'', '""', text)
    return re.sub(r"#.*", "", text)


def includes(path: Path) -> list[Path]:
    """The files that a file includes, in order."""
    return [ENGINE / Path(name).name for name in re.findall(r'^include\s+"([^"]+)"', path.read_text(), flags=re.M)]


def whole(path: Path) -> list[Path]:
    """A floor: its file, and what that includes in turn, which are parts of the same floor."""
    return [path, *(part for name in includes(path) for part in whole(name))]


def floors_of(root: Path) -> list[list[Path]]:
    """The floors of an extension from the ground up."""
    return [whole(path) for path in includes(root)]


DEFINITION = re.compile(
    r"""^(?:cdef|cpdef|ctypedef|class)\b      # at the left margin; def is for Python only
        (?!\s+extern)
        [^\n(=:]*?                                 # inline, public, the result's type
        \b(\w+)\s*(?:\((?!\s*\*)|\[|:|=|$)         # the last word before its arguments, block or value""",
    re.VERBOSE | re.MULTILINE,
)
NOT_NAMES = {"enum", "void", "uint64_t"}  # where an enum has no name, where a definition is too odd for the pattern
FUNCTION_POINTER = re.compile(r"^ctypedef[^\n]*\(\s*\*\s*(\w+)\s*\)", re.MULTILINE)


@cache
def defined(path: Path) -> frozenset[str]:
    """The C functions, structs, classes, types, variables and constants that a file defines for others."""
    text = code(path)
    members = [
        name
        for block in re.findall(r"^(?:cdef|ctypedef) enum[^\n]*:\n((?:[ \t]+[^\n]*\n|\n)+)", text, flags=re.M)
        for name in re.findall(r"^\s+(\w+)", block, flags=re.M)
    ]
    return frozenset([*DEFINITION.findall(text), *FUNCTION_POINTER.findall(text), *members]) - NOT_NAMES


@cache
def mentioned(path: Path) -> frozenset[str]:
    """The names a file uses. Its own members and variables may be called as others call their functions."""
    text = code(path)
    structs = re.findall(r"^c(?:def|typedef) struct[^\n]*:\n((?:[ \t]+[^\n]*\n|\n)+)", text, flags=re.M)
    declarations = [*"".join(structs).splitlines(), *re.findall(r"^\s+cdef [^\n(]*$", text, flags=re.M)]
    own = {name for line in declarations for name in re.findall(r"\b(\w+)\s*(?:\[[^\]]*\]\s*)?(?:,|=|$)", line)}
    own |= {name for line in declarations for name in re.findall(r"\(\*(\w+)\)\(", line)}
    return frozenset(re.findall(r"(?<![\w.])([A-Za-z_]\w*)", text)) - own


def every(names: Callable[[Path], frozenset[str]], floor: list[Path]) -> frozenset[str]:
    return frozenset[str]().union(*map(names, floor))


ROOTS = [path for path in (ENGINE / "_core.pyx", ENGINE / "_wire.pyx") if path.exists()]


def arrows_up(root: Path) -> Iterator[tuple[str, str, str]]:
    """Each name that a floor uses and only a higher one defines: the lower floor, the name, the higher floor."""
    floors = floors_of(root)
    for number, floor in enumerate(floors):
        below = frozenset[str]().union(*(every(defined, lower) for lower in floors[: number + 1]))
        for higher in floors[number + 1 :]:
            for name in sorted(every(defined, higher) & every(mentioned, floor) - below):
                yield floor[0].name, name, higher[0].name


@pytest.mark.parametrize("root", ROOTS, ids=lambda path: path.stem)
def test_a_floor_uses_nothing_of_the_floors_above(root: Path) -> None:
    assert len(floors_of(root)) > 1, "the root file includes its floors"
    wrong = [f"{low} uses {name} of {high}" for low, name, high in arrows_up(root) if name not in FORWARD_HOOKS]
    assert not wrong, "\n".join(wrong)


def test_every_forward_hook_is_needed() -> None:
    needed = {name for root in ROOTS for _, name, _ in arrows_up(root)}
    assert needed >= FORWARD_HOOKS.keys()


@pytest.mark.parametrize("root", ROOTS, ids=lambda path: path.stem)
def test_an_extension_cimports_only_what_lies_below_it(root: Path) -> None:
    for path in [root, root.with_suffix(".pxd"), *chain(*floors_of(root))]:
        if path.exists():
            found = set(re.findall(r"^\s*(?:from|cimport)\s+(tsunami[\w.]*)", code(path), flags=re.M))
            assert found <= CIMPORTS[root.stem], f"{path.name} cimports {found - CIMPORTS[root.stem]}"


def test_every_part_of_the_engine_is_included_once() -> None:
    included = [part for root in ROOTS for part in chain(*floors_of(root))]
    assert sorted(included) == sorted(ENGINE.glob("*.pxi"))
