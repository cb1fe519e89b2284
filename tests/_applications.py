"""Where the tests of applications run: a server process for each file, and programs that end with their test.

Not fixtures of general use, no tests. The programs themselves stand in tests/applications: one file for each, which is
both what the test imports (to ask for work) and what another process runs (to do it). They are told where the server is
by TSUNAMI_URL. They know nothing of tests, so that each can be tried by hand:

    TSUNAMI_URL=redis://127.0.0.1:6379/0 PYTHONPATH=tests/applications python -m celery -A celery_tasks worker

A library that is missing is an error, not a reason to skip: `make test` installs them all (the extra `applications`).
"""

import contextlib
import gc
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import redis
from _server import Process, tsunami_server
from _support import end

APPLICATIONS = Path(__file__).parent / "applications"


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    """A server of the test file's own."""
    with tsunami_server() as process:
        yield process


@pytest.fixture
def url(server: Process) -> Iterator[str]:
    """The address of an empty server."""
    with redis.Redis(port=server.port) as client:
        client.flushall()
    yield f"redis://127.0.0.1:{server.port}/0"
    gc.collect()  # results of libraries that say good-bye to the server do so while it is there


def environment(url: str) -> dict[str, str]:
    paths = [str(APPLICATIONS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "TSUNAMI_URL": url, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def application(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of tests/applications, made anew for this server."""
    monkeypatch.setenv("TSUNAMI_URL", url)
    monkeypatch.syspath_prepend(str(APPLICATIONS))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


@contextlib.contextmanager
def program(*words: str, url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`python words...` for as long as the block; what it said is shown if the block fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *words], env=environment(url), cwd=APPLICATIONS, stdout=said, stderr=said
        )
        try:
            yield process
        except BaseException as error:
            said.seek(0)
            error.add_note(f"{' '.join(words)} said:\n{said.read().decode(errors='replace')[-8000:]}")
            raise
        finally:
            end(process, 15)


def output(*words: str, url: str, seconds: float = 90) -> str:
    """What `python words...` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, *words],
        env=environment(url),
        cwd=APPLICATIONS,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
