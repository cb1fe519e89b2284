"""Collections, scripts, messages and transactions beside redis-server: CPU for each command, and memory.

CPU is the server's over the run (all threads, from schedstat) divided by the commands; the servers stand on one core,
the client on the other, and take turns. Single commands are sent by redis-benchmark, with random members out of
100,000; MULTI ... EXEC and PUBLISH by a driver of our own over plain sockets, since redis-benchmark knows no such
requests. A transaction is counted as one: twelve commands, and as many transactions in one packet as the pipeline says.

Memory is what the resident set grows by, the data being sent through the same client to both.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import common

import server as servers

PIPELINES = (1, 16, 64)
REQUESTS = {1: 40_000, 16: 300_000, 64: 600_000}
MEMBERS = 100_000
LISTENERS = 50
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
RANDOM = "__rand_int__"

# name -> the words of redis-benchmark. What they meet is made by `prepare`.
COMMANDS = {
    "HSET": f"HSET hash field:{RANDOM} value",
    "HSET, small": f"HSET hash:{RANDOM} field value",
    "HGET": "HGET ten field:3",
    "HGETALL(10)": "HGETALL ten",
    "LPUSH": "LPUSH list element",
    "RPOP": "RPOP list",
    "LRANGE(100)": "LRANGE hundred 0 99",
    "SADD": f"SADD set member:{RANDOM}",
    "SISMEMBER": f"SISMEMBER set member:{RANDOM}",
    "ZADD": f"ZADD zset {RANDOM} member:{RANDOM}",
    "ZRANGE(100)": "ZRANGE zhundred 0 99",
    "ZRANGE(100), large": "ZRANGE zset 0 99",
    "ZRANK": f"ZRANK zset member:{RANDOM}",
}
SCRIPTS = {"EVALSHA return 1": "return 1", "EVALSHA lock release": RELEASE}


@dataclass
class Sample:
    cpu_us: float


class Link:
    """A socket that sends requests and counts the lines of replies."""

    def __init__(self, port: int) -> None:
        self.sock = servers.connected(port)

    def send(self, data: bytes, lines: int) -> bytes:
        """The replies to data, which have so many lines."""
        self.sock.sendall(data)
        got = bytearray()
        while got.count(b"\r\n") < lines:
            more = self.sock.recv(1 << 18)
            if not more:
                raise RuntimeError("the server closed the connection")
            got += more
        return bytes(got)

    def close(self) -> None:
        self.sock.close()


def prepare(port: int) -> dict[str, str]:
    """What the commands meet; the SHA1 of each script."""
    link = Link(port)
    link.send(servers.request("FLUSHALL"), 1)
    link.send(servers.request("HSET", "ten", *(w for i in range(10) for w in (f"field:{i}", f"value:{i}"))), 1)
    link.send(servers.request("RPUSH", "hundred", *(f"element:{i}" for i in range(100))), 1)
    link.send(servers.request("ZADD", "zhundred", *(w for i in range(100) for w in (i, f"member:{i:012d}"))), 1)
    loaded = {name: link.send(servers.request("SCRIPT", "LOAD", text), 2) for name, text in SCRIPTS.items()}
    link.close()
    return {name: reply.split()[1].decode() for name, reply in loaded.items()}


def benchmark(server: servers.Server, words: str, pipeline: int, requests: int) -> Sample:
    """redis-benchmark with a command of one's own."""
    line = ["redis-benchmark", "-p", str(server.port), "-P", str(pipeline), "-n", str(requests), "-c", "50"]
    line += ["-r", str(MEMBERS), "-q", *words.split()]
    before = common.cpu_ns(server.process.pid)
    client = common.start(line, common.DRIVER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _ = client.communicate(timeout=300)
    spent = common.cpu_ns(server.process.pid) - before
    if client.returncode or "rror" in text:
        raise RuntimeError(f"redis-benchmark {words} against {server.side}: {text.strip()[-200:]}")
    return Sample(spent / 1000 / requests)


def transactions(server: servers.Server, pipeline: int, requests: int) -> Sample:
    """MULTI, ten SETs, EXEC: microseconds for all of it."""
    sets = b"".join(servers.request("SET", f"key:{i}", "x" * 16) for i in range(10))
    batch = (servers.request("MULTI") + sets + servers.request("EXEC")) * pipeline
    return driven(server, batch, (1 + 10 + 1 + 10) * pipeline, pipeline, requests)


def driven(server: servers.Server, batch: bytes, lines: int, counted: int, requests: int) -> Sample:
    link = Link(server.port)
    link.send(batch, lines)
    before = common.cpu_ns(server.process.pid)
    rounds = max(requests // counted, 1)
    for _ in range(rounds):
        link.send(batch, lines)
    spent = common.cpu_ns(server.process.pid) - before
    link.close()
    return Sample(spent / 1000 / (rounds * counted))


def publishing(server: servers.Server, pipeline: int, requests: int) -> Sample:
    """PUBLISH to so many listeners: microseconds for each message, all its copies included."""
    listeners = [Link(server.port) for _ in range(LISTENERS)]
    for link in listeners:
        link.send(servers.request("SUBSCRIBE", "news"), 6)
    publisher = Link(server.port)
    batch = servers.request("PUBLISH", "news", "x" * 32) * pipeline
    rounds = max(requests // pipeline, 1)
    before = common.cpu_ns(server.process.pid)
    for _ in range(rounds):
        publisher.send(batch, pipeline)
        for link in listeners:
            link.send(b"", 7 * pipeline)
    spent = common.cpu_ns(server.process.pid) - before
    for link in (publisher, *listeners):
        link.close()
    return Sample(spent / 1000 / (rounds * pipeline))


# ---- memory


def hashes(link: Link) -> None:
    """100,000 hashes of five short fields."""
    names = ("name", "email", "city", "age", "score")
    for start in range(0, MEMBERS, 200):
        batch = b"".join(
            servers.request("HSET", f"user:{i}", *(w for n in names for w in (n, f"{n[:3]}{i % 1000}")))
            for i in range(start, start + 200)
        )
        link.send(batch, 200)


def zset(link: Link) -> None:
    """One sorted set of a million members."""
    for start in range(0, 1_000_000, 500):
        words = (w for i in range(start, start + 500) for w in (i * 7919 % 1_000_003, f"member:{i}"))
        link.send(servers.request("ZADD", "board", *words), 1)


SHAPES: dict[str, Callable[[Link], None]] = {
    "100,000 hashes of 5 fields": hashes,
    "one sorted set of 1,000,000": zset,
}


def memory(result: common.Result, shape: str) -> None:
    """In servers of their own: what has been freed before would not be seen."""
    with servers.beside_redis(result) as found:
        for server in found:
            link = Link(server.port)
            link.send(servers.request("SET", "warm", "up"), 1)
            before = common.rss(server.process.pid)
            SHAPES[shape](link)
            grown = common.rss(server.process.pid) - before
            link.close()
            result.add("value_memory", what=shape.replace(" ", "_"), side=server.side, mb=grown / 1e6)


# ---- all of it


def run(quick: bool = False) -> common.Result:
    """The sections: `values` (CPU) and `value_memory`."""
    result = common.Result("values", common.head())
    if shutil.which("redis-benchmark") is None:
        result.absent("all", "redis-benchmark is not installed")
        return result
    cpu(result, quick)
    for shape in SHAPES:
        if not quick or "hashes" in shape:
            memory(result, shape)
    return result


def cpu(result: common.Result, quick: bool) -> None:
    samples: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    scale, rounds = (10, 1) if quick else (1, 3)
    with servers.beside_redis(result) as found:
        shas = {server.side: prepare(server.port) for server in found}
        for pipeline in PIPELINES:
            requests = REQUESTS[pipeline] // scale
            for _ in range(rounds):
                for name, words in COMMANDS.items():
                    for server in found:
                        samples[name, pipeline, server.side].append(benchmark(server, words, pipeline, requests).cpu_us)
                for name in SCRIPTS:
                    keys = "1 lock token" if "lock" in name else "0"
                    for server in found:
                        words = f"EVALSHA {shas[server.side][name]} {keys}"
                        took = benchmark(server, words, pipeline, requests // 3).cpu_us
                        samples[name, pipeline, server.side].append(took)
                for server in found:
                    took = transactions(server, pipeline, requests // 10).cpu_us
                    samples["MULTI 10 SET EXEC", pipeline, server.side].append(took)
                    took = publishing(server, pipeline, requests // 60).cpu_us
                    samples["PUBLISH to 50", pipeline, server.side].append(took)
    for (name, pipeline, side), runs in samples.items():
        result.add(
            "values",
            command=name.replace(" ", "_"),
            pipeline=pipeline,
            side=side,
            cpu_us=median(runs),
            rounds=len(runs),
        )
