"""Fairness: what a client waits for GET while another floods the server, and a third does not read what it asked for.

The one who is measured sends a GET and waits for its reply, again and again, on a connection of its own. Beside it:

    alone      nobody
    pipeline   one client sends 100 MB of SETs of 1 KB in one go, and reads the replies as they come
    slow       one client asks for a 1 MB value a thousand times, and reads 4 KB a millisecond
    both       both

The target is a p99.9 within twice that of `alone`. The disturbers are processes of their own; on a machine with fewer
free cores than three they also take the measured client's time, which no server can give back: the same run against
redis-server says how much of it that is.

    bench/fairness.py [SECONDS]        about five times so many seconds for each server (default 3)
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PIPELINE_BYTES = 100 << 20
VALUE = b"x" * 1024
LARGE = 1 << 20


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def floods(port: int) -> None:
    """Send a hundred megabytes of SETs, reading replies meanwhile, until it is ended."""
    batch = b"".join(command(b"SET", b"flood:%d" % i, VALUE) for i in range(1000))
    while True:
        with connected(port) as sock:
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
    with connected(port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        sock.sendall(command(b"GET", b"large") * 1000)
        while True:
            sock.recv(4096)
            time.sleep(0.001)


def measured(port: int, seconds: float) -> list[float]:
    """The times of single GETs, in milliseconds, in order of length."""
    times = []
    request = command(b"GET", b"small")
    with connected(port) as sock:
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            sock.sendall(request)
            sock.recv(4096)
            times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def beside(port: int, disturbers: tuple[object, ...], seconds: float) -> list[float]:
    processes = [multiprocessing.Process(target=each, args=(port,), daemon=True) for each in disturbers]  # type: ignore[arg-type]
    for process in processes:
        process.start()
    time.sleep(0.5)
    try:
        return measured(port, seconds)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def server(side: str) -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        if side == "redis":
            words = ["redis-server", "--save", "", "--dir", directory]
        else:
            words = [sys.executable, "-m", "tsunami_server"]
        process = subprocess.Popen(
            [*words, "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parent,
        )
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), connected(port) as sock:
                    sock.sendall(command(b"SET", b"small", b"x" * 16) + command(b"SET", b"large", b"x" * LARGE))
                    while sock.recv(4096).count(b"OK") < 1:
                        pass
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()


def at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]


BESIDE: dict[str, tuple[object, ...]] = {
    "alone": (),
    "pipeline": (floods,),
    "slow": (reads_slowly,),
    "both": (floods, reads_slowly),
}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    sides = ["tsunami"] + (["redis"] if shutil.which("redis-server") else [])
    heads = ("server", "beside", "GETs", "p50 ms", "p99 ms", "p99.9 ms", "worst ms", "p99.9 / alone")
    print("{:8} {:9} {:>7} {:>8} {:>8} {:>9} {:>9} {:>14}".format(*heads))
    for side in sides:
        with server(side) as port:
            base = 0.0
            for name, disturbers in BESIDE.items():
                times = beside(port, disturbers, seconds)
                base = base or at(times, 0.999)
                print(
                    f"{side:8} {name:9} {len(times):7} {at(times, 0.5):8.3f} {at(times, 0.99):8.3f} "
                    f"{at(times, 0.999):9.3f} {times[-1]:9.3f} {at(times, 0.999) / base:14.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
