"""Huey's tasks, in its queues with and without priorities."""

import os

from huey import PriorityRedisHuey, RedisHuey

huey = RedisHuey("plain", url=os.environ["TSUNAMI_URL"])
ranked = PriorityRedisHuey("ranked", url=os.environ["TSUNAMI_URL"], notify_result=True)
order: list[int] = []


@huey.task()
def add(x: int, y: int) -> int:
    return x + y


@huey.task(retries=2, retry_delay=0)
def stubborn() -> int:
    order.append(1)
    if len(order) < 3:
        raise ValueError("not yet")
    return len(order)


@ranked.task()
def note(rank: int) -> list[int]:
    order.append(rank)
    return list(order)
