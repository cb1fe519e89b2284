"""Fairness: what a client waits for GET while another floods the server, and a third does not read what it asked for.

The one who is measured sends a GET and waits for its reply, again and again, on a connection of its own. Beside it:

    alone      nobody
    pipeline   one client sends 100 MB of SETs of 1 KB in one go, and reads the replies as they come
    slow       one client asks for a 1 MB value a thousand times, and reads 4 KB a millisecond
    both       both

The target is a p99.9 within twice that of `alone`. The server has one core; all clients share the other, and the
disturbers are as nice as can be, so that they take next to nothing of the measured client's time: what it waits for is
the server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import time

import common

import server as servers

PIPELINE_BYTES = 100 << 20
VALUE = b"x" * 1024
LARGE = 1 << 20


def floods(port: int) -> None:
    """Send a hundred megabytes of SETs, reading replies meanwhile, until it is ended."""
    os.nice(19)
    batch = b"".join(servers.request("SET", f"flood:{i}", VALUE) for i in range(1000))
    while True:
        with servers.connected(port) as sock:
            sock.setblocking(False)
            sent, left = 0, b""
            while sent < PIPELINE_BYTES:
                left = left or batch
                moved = False
                with contextlib.suppress(BlockingIOError):
                    n = sock.send(left)
                    sent, left, moved = sent + n, left[n:], True
                with contextlib.suppress(BlockingIOError):
                    moved = bool(sock.recv(1 << 20)) or moved
                if not moved:
                    time.sleep(0.0002)


def reads_slowly(port: int) -> None:
    """Ask for much, and read little of it."""
    os.nice(19)
    with servers.connected(port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        sock.sendall(servers.request("GET", "large") * 1000)
        while True:
            sock.recv(4096)
            time.sleep(0.001)


BESIDE = {"alone": (), "pipeline": (floods,), "slow": (reads_slowly,), "both": (floods, reads_slowly)}


def measured(port: int, seconds: float) -> list[float]:
    """The times of single GETs, in milliseconds, in order of length."""
    times = []
    request = servers.request("GET", "small")
    with servers.connected(port) as sock:
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            sock.sendall(request)
            sock.recv(4096)
            times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def beside(name: str, port: int, seconds: float) -> list[float]:
    processes = [multiprocessing.Process(target=each, args=(port,), daemon=True) for each in BESIDE[name]]
    for process in processes:
        process.start()
    time.sleep(0.5)
    try:
        return measured(port, seconds)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]


def run(quick: bool = False) -> common.Result:
    result = common.Result("fairness", common.head())
    with servers.beside_redis(result) as found:
        for server in found:
            servers.ask(server.port, servers.request("SET", "small", "x" * 16))
            servers.ask(server.port, servers.request("SET", "large", "x" * LARGE))
        # One after the other for each neighbour, so that both meet the machine in the same mood.
        alone: dict[str, float] = {}
        for name in BESIDE:
            for server in found:
                times = beside(name, server.port, 1.0 if quick else 5.0)
                p999 = at(times, 0.999)
                result.add(
                    "fairness", side=server.side, beside=name, gets=len(times), p50_ms=at(times, 0.5),
                    p99_ms=at(times, 0.99), p999_ms=p999, worst_ms=times[-1],
                    times=p999 / alone.setdefault(server.side, p999),
                )  # fmt: skip
    return result
