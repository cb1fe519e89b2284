"""Node's clients and queues: node-redis, ioredis, BullMQ and bee-queue, each a small program in tests/node.

Their packages stand in build/node, where `make test` has npm install them (tests/node/package.json). A program asserts
what it expects and says `done` at its end: a promise that nobody fulfils ends a Node program silently.
"""

import os
import subprocess
from pathlib import Path

import pytest
from _applications import server, url
from _server import Process
from _support import PEERS_REQUIRED, peer

PROGRAMS = Path(__file__).parent / "node"
MODULES = PROGRAMS.parent.parent / "build" / "node" / "node_modules"


def run(program: str, *words: str | int) -> None:
    node = peer("node")
    if not MODULES.is_dir():
        message = f"{MODULES} is missing (make test installs it with npm)"
        pytest.fail(message, pytrace=False) if PEERS_REQUIRED else pytest.skip(message)
    done = subprocess.run(
        [node, PROGRAMS / program, *map(str, words)],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0 and done.stdout.endswith("done"), done.stdout + done.stderr


@pytest.mark.peer("node")
@pytest.mark.parametrize("resp", [2, 3])
def test_node_redis(server: Process, url: str, resp: int) -> None:
    run("node_redis.js", server.port, resp)


@pytest.mark.peer("node")
@pytest.mark.parametrize("program", ["ioredis.js", "bullmq.js", "bee_queue.js"])
def test_a_program_of_node(server: Process, url: str, program: str) -> None:
    run(program, server.port)
