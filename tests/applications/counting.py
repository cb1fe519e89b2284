"""A program that reads a number, waits, and writes one more: wrong without a lock, right with one of these."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import redis
import redis_lock
from together import together

ROUNDS = 10


def count(client: redis.Redis, key: str, lock: Callable[[], AbstractContextManager[object]]) -> None:
    for _ in range(ROUNDS):
        with lock():
            number = int(client.get(key) or 0)  # type: ignore[arg-type]
            time.sleep(0.001)
            client.set(key, number + 1)


def main() -> None:
    with redis.Redis.from_url(os.environ["TSUNAMI_URL"]) as client:
        count(client, "by redis-py", lambda: client.lock("lock of redis-py", timeout=20, sleep=0.003))
        count(client, "by python-redis-lock", lambda: redis_lock.Lock(client, "lock", expire=20))


if __name__ == "__main__":
    sys.exit(together(main, int(sys.argv[1])))
