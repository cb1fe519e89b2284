"""What holds for every test: hypothesis profiles, peers, which build is under test, a report of hangs.

Fixtures here are of general use; those of one subject stand in its test file, and plain helpers in `_support.py`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _support import PEERS, PEERS_REQUIRED, PROFILE, effort, free_port
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import _erlang

# A slow machine is no failure of the code: pytest-timeout ends what hangs. Under CI the same examples run every time,
# so that a change is blamed for its own mistakes only; developers' runs and `make stress` go looking for new examples.
_COMMON = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], print_blob=True
)
settings.register_profile("default", _COMMON, max_examples=effort(100))
settings.register_profile("ci", _COMMON, max_examples=effort(100), derandomize=True)
settings.register_profile("stress", _COMMON, max_examples=effort(100), stateful_step_count=100)
settings.register_profile("sanitized", _COMMON, max_examples=effort(100), derandomize=True)
settings.load_profile(PROFILE)


def pytest_sessionstart() -> None:
    missing = [program for program in PEERS if shutil.which(program) is None]
    if PEERS_REQUIRED and missing:
        pytest.exit(f"missing peers, which are required here: {', '.join(missing)}", returncode=3)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The processes of one run must agree on the names of the tests, which therefore hold no addresses."""
    if wrong := [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]{6}", item.nodeid)]:
        raise pytest.UsageError("tests named after an address, give them ids: " + ", ".join(wrong))


def pytest_report_header() -> list[str]:
    try:
        import tsunami._core as engine
    except ImportError as error:  # the layer test reads sources and needs no build
        return [f"tsunami: not built ({error}), profile {PROFILE}"]
    return [f"tsunami: {engine.__file__}, profile {PROFILE}"]


@pytest.fixture(scope="session", autouse=True)
def _the_build_under_test() -> Iterator[None]:
    """Under a sanitizer (tools/sanitized): the build that it names is what was imported, not the normal one."""
    if build := os.environ.get("TSUNAMI_BUILD"):
        import tsunami._core

        assert Path(tsunami._core.__file__).is_relative_to(build)
    yield


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """A TCP port of the loopback that is free."""
    return free_port()


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server in this process, on its own thread, for the tests of one file. Files that need another kind say so."""
    from _redis import our_server

    with our_server() as server:
        yield server


@pytest.fixture(scope="module")
def ours(server: Any) -> int:
    """The port of `server`."""
    return int(server.port)


@pytest.fixture(scope="module")
def theirs() -> Iterator[int]:
    """The port of a real redis-server to compare with."""
    from _redis import redis_server

    with redis_server() as port:
        yield port


@pytest.fixture(scope="session")
def erlang() -> "Iterator[_erlang.Erlang]":
    """A real Erlang to ask (`_erlang`), one for the whole run."""
    import _erlang

    emulator = _erlang.Erlang()
    yield emulator
    emulator.close()
