"""Latency: what one client waits, and what the coroutines of a program wait that serves its tables from its own loop.

`latency`: redis-benchmark without pipelining, GET and SET, with 1 and with 50 clients, each server in turn (as in
server.py). With one client it is the time of a round trip; with fifty it is mostly the queue in front of the server.

`ticker`: a program that serves with `await tsunami_server.start()` sleeps for 1 ms again and again beside it, and notes
by how much it wakes too late: with no load, and under redis-benchmark at full load. Once on the native loop
(`tsunami_server.new_event_loop`), once on asyncio's own, which rounds its waits up to whole milliseconds and serves its
clients in Python: the row without load says what any program sees there.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from statistics import median

import common

import server

ONE_CLIENT, FIFTY = 15_000, 120_000


def run(quick: bool = False) -> common.Result:
    """Sections `latency` and `ticker`, in ms."""
    result = common.Result("latency", common.head())
    if shutil.which("redis-benchmark") is None:
        result.absent("all", "redis-benchmark is not installed")
        return result
    scale, rounds = (4, 1) if quick else (1, 3)
    samples = defaultdict(list)
    with server.all_servers(result) as servers:
        for clients, requests in ((1, ONE_CLIENT), (50, FIFTY)):
            for command in ("get", "set"):
                for _ in range(rounds):
                    for s in servers:
                        key = clients, command, s.side
                        samples[key].append(server.one(s, command, 1, requests // scale, clients))
    for (clients, command, side), runs in samples.items():
        result.add(
            "latency", clients=clients, command=command, side=side, p50_ms=median(r.p50 for r in runs),
            p99_ms=median(r.p99 for r in runs), p999_ms=median(r.p999 for r in runs),
            worst_ms=median(r.worst for r in runs), rounds=len(runs),
        )  # fmt: skip
    for loop in ("native", "asyncio"):
        tickers(result, loop, scale)
    return result


def tickers(result: common.Result, loop: str, scale: int) -> None:
    child = common.start(
        common.python("latency.py", loop), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    first = child.stdout.readline().strip()
    if not first.isdigit():
        result.absent(f"ticker,{loop}", (child.communicate()[1].strip().splitlines() or ["did not start"])[-1])
        return
    embedded = server.Server("embedded", int(first), child)
    server.fill(embedded.port)
    try:
        for load, pipeline, requests in (("none", 0, 0), ("pipeline_1", 1, 200_000), ("pipeline_64", 64, 4_000_000)):
            print("begin", file=child.stdin, flush=True)
            child.stdout.readline()
            if pipeline:
                server.one(embedded, "set", pipeline, requests // scale)
            else:
                time.sleep(2 / scale)
            print("end", file=child.stdin, flush=True)
            words = dict(w.split("=") for w in child.stdout.readline().split())
            result.add("ticker", loop=loop, load=load, **{k: float(v) if "." in v else v for k, v in words.items()})
    finally:
        child.communicate(timeout=20)


# ---- the child: a program that serves


class Ticker:
    """Notes how late each wake-up is, while it is told to."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            self.late.append((time.perf_counter() - due) * 1000)

    def talk(self, loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
        """Answer the driver, from a thread of its own; the end of its input is the end."""
        for line in sys.stdin:
            if line.strip() == "begin":
                self.late = []
                print("ok", flush=True)
            else:
                print(self.report(sorted(self.late)), flush=True)
        loop.call_soon_threadsafe(end.set)

    @staticmethod
    def report(late: list[float]) -> str:
        def at(p: float) -> float:
            return late[min(len(late) - 1, int(p * len(late)))]

        figures = {"p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "worst_ms": late[-1]}
        return " ".join([f"ticks={len(late)}", *(f"{k}={v:.3f}" for k, v in figures.items())])


async def child() -> None:
    import tsunami_server

    served = await tsunami_server.start(port=0)
    print(served.port, flush=True)
    ticker, end = Ticker(), asyncio.Event()
    task = asyncio.create_task(ticker.run())
    threading.Thread(target=ticker.talk, args=(asyncio.get_running_loop(), end), daemon=True).start()
    await end.wait()
    task.cancel()


if __name__ == "__main__":
    import tsunami_server

    with asyncio.Runner(loop_factory=tsunami_server.new_event_loop if sys.argv[1] == "native" else None) as runner:
        runner.run(child())
