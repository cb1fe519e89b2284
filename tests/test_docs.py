"""Every example that the project shows is executed: README, docs/*.md, and the docstrings of all modules.

In Markdown, by the language of the fence:

    python       with prompts: a doctest; without: it must run. Blocks of one file share their names.
    redis-cli    lines `127.0.0.1:6379> COMMAND`, each followed by what the real redis-cli prints for it on a terminal;
                 all blocks of a file speak to one fresh server. A line of dots matches whatever was printed.
    console      not run; but each `make VERB` in it must be a verb of the Makefile.

Other fences (drawings, grammars) are not examples.
"""

import doctest
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from _support import peer

import tsunami

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
PROMPT = "127.0.0.1:6379> "


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line it begins at."""

    language: str
    text: str
    line: int


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text()
    found = [
        Block(match[1], match[2], text.count("\n", 0, match.start(2)))
        for match in re.finditer(r"^```([\w-]*)\n(.*?)^```$", text, flags=re.M | re.S)
    ]
    return [block for block in found if block.language in languages]


@pytest.fixture(autouse=True)
def _no_tables_left() -> Iterator[None]:
    """Examples name their tables as they like, and may leave them."""
    before = set(map(id, tsunami.all()))
    yield
    for table in tsunami.all():
        if id(table) not in before:
            table.delete()


def run_examples(text: str, names: dict[str, object], title: str, file: str, line: int = 0) -> int:
    """Run the prompts in a text; AssertionError with doctest's own report if any of them fails; how many there were."""
    test = doctest.DocTestParser().get_doctest(text, names, title, file, line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    result = runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert result.failed == 0, "".join(report)
    return result.attempted


# ---- Markdown


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        if ">>>" in block.text:
            assert run_examples(block.text, names, page.name, str(page), block.line) > 0
        else:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


class Server:
    """A server of our own in a process of its own, as a reader of the docs would start it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tsunami_server", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.said = ""
        try:
            self.port = self._port()
        except BaseException:
            self.close()
            raise

    def _port(self) -> int:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            self.said += raw.decode()
            if match := re.search(r"127\.0\.0\.1:(\d+)", self.said):
                return int(match[1])
        raise AssertionError(f"the server ended and had said: {self.said}")

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()
    assert started.process.returncode == 0, "SIGTERM drains, and that is success"


def ask(commands: list[str], port: int) -> list[str]:
    """What redis-cli prints on a terminal for each of the commands, sent over one connection."""
    end = "--- answered ---"
    lines = "".join(f"{command}\nECHO '{end}'\n" for command in commands)
    done = subprocess.run(
        [peer("redis-cli"), "--no-raw", "-p", str(port)], input=lines, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split(f'"{end}"\n')
    assert len(answers) == len(commands) + 1, done.stdout
    return [answer.rstrip("\n") for answer in answers[:-1]]


def examples(block: Block) -> list[tuple[str, str]]:
    """The commands of a redis-cli block, and what stands below each."""
    parts = ("\n" + block.text).split("\n" + PROMPT)
    assert parts[0].strip() == "", f"line {block.line}: text before the first prompt"
    return [(command, shown.rstrip()) for command, _, shown in (part.partition("\n") for part in parts[1:])]


def matches(shown: str, printed: str) -> bool:
    pattern = re.escape(shown).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, printed.rstrip(), flags=re.S) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "redis-cli")], ids=lambda page: page.name)
def test_redis_cli_prints_what_the_page_shows(page: Path, server: Server) -> None:
    expected = [example for block in blocks(page, "redis-cli") for example in examples(block)]
    printed = ask([command for command, _ in expected], server.port)
    for (command, shown), answer in zip(expected, printed, strict=True):
        assert matches(shown, answer), f"{page.name}: {command}\nshown:\n{shown}\nprinted:\n{answer}"


def test_the_readme_shows_both_doors() -> None:
    assert blocks(ROOT / "README.md", "python") and blocks(ROOT / "README.md", "redis-cli")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_of_make_that_a_page_names_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"^([a-z]+):", makefile, flags=re.M))
    assert verbs == {"serve", "test", "check", "bench", "stress", "asan", "tsan", "docs"}
    named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text()))
    assert named <= verbs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


# ---- docstrings


def modules() -> Iterator[str]:
    """All modules of both packages, none of them imported yet: one that cannot be must fail its own test."""
    for package in ("tsunami", "tsunami_server"):
        found = importlib.util.find_spec(package)
        assert found is not None and found.submodule_search_locations
        directory = Path(next(iter(found.submodule_search_locations)))
        for path in [*directory.rglob("*.py"), *directory.glob("*.so")]:
            parts = [package, *path.relative_to(directory).parts]
            name = ".".join([*parts[:-1], parts[-1].partition(".")[0]]).removesuffix(".__init__")
            if not name.endswith("__main__"):
                yield name


def docstrings(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Docstrings of a module, its functions, classes and methods; also of compiled ones, which doctest passes by."""
    yield module.__name__, module.__doc__ or ""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        yield f"{module.__name__}.{name}", inspect.getdoc(value) or ""
        if inspect.isclass(value):
            for part, member in vars(value).items():
                documented = getattr(member, "__doc__", None)
                if isinstance(documented, str) and (callable(member) or inspect.isdatadescriptor(member)):
                    yield f"{module.__name__}.{name}.{part}", inspect.cleandoc(documented)


@pytest.mark.parametrize("name", sorted(modules()))
def test_the_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    tsunami.keyspace(0).delete_all_objects()  # other tests of this process may have left keys
    for title, text in docstrings(module):
        if ">>>" in text:
            names = {**vars(module), "tsunami": tsunami, "__name__": "__main__"}
            assert run_examples(text, names, title, getattr(module, "__file__", name) or name) > 0


def test_the_public_door_has_examples() -> None:
    engine = importlib.import_module("tsunami._core")
    shown = {title for title, text in docstrings(engine) if ">>>" in text}
    for name in ("insert", "lookup", "update_counter", "safe_fixtable", "take"):
        assert f"tsunami._core.Table.{name}" in shown


def test_every_public_name_of_the_package_is_documented() -> None:
    undocumented = [
        name
        for name in tsunami.__all__
        if callable(getattr(tsunami, name))
        and name not in ("Row", "TableType", "Protection")
        and not getattr(tsunami, name).__doc__
    ]
    assert undocumented == []
