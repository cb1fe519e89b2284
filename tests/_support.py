"""What several test files need and pytest does not have: peers, ports, effort, processes, waiting, measuring.

Not fixtures (those of general use are in conftest.py), nothing about tables or RESP.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

# default: a developer's run. ci: the same examples every time. stress: long. sanitized: the build is ten times slower.
PROFILE: Final = os.environ.get("TSUNAMI_PROFILE", "default")
_EFFORT: Final = {"default": 1.0, "ci": 1.0, "stress": 20.0, "sanitized": 0.2}

PEERS: Final = ("redis-server", "redis-cli", "redis-benchmark", "erl", "node")
PEERS_REQUIRED: Final = os.environ.get("TSUNAMI_PEERS") == "required"


def effort(n: int) -> int:
    """How often to do what is done n times in a normal run: more under `make stress`, less under a sanitizer."""
    return max(1, round(n * _EFFORT[PROFILE]))


def peer(program: str) -> str:
    """The path of another project's program. Without it the test is skipped, and fails where peers are required."""
    path = shutil.which(program)
    if path is None:
        message = f"{program} is not installed (tools/need peers)"
        if PEERS_REQUIRED:
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return path


def free_port() -> int:
    """A TCP port of the loopback that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def seconds(work: Callable[[], object]) -> float:
    """How long it takes: the best of three, since the machine may be busy with other things."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def end(process: "subprocess.Popen[Any]", limit_s: float) -> bool:
    """Ask a process to end, and kill it if it has not in time. Did it end by itself?"""
    process.terminate()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return as soon as the condition holds; AssertionError, naming what was awaited, if it does not come to hold."""
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
