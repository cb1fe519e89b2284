"""Dramatiq's actors, with results."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

URL = os.environ["TSUNAMI_URL"]
broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)
tries: list[int] = []


@dramatiq.actor(store_results=True)
def add(x: int, y: int) -> int:
    return x + y


@dramatiq.actor(store_results=True, max_retries=5, min_backoff=20, max_backoff=50)
def stubborn() -> int:
    tries.append(1)
    if len(tries) < 3:
        raise ValueError("not yet")
    return len(tries)
