"""arq's functions and worker."""

import os
from typing import Any

from arq import Retry
from arq.connections import RedisSettings


async def add(_: dict[str, Any], x: int, y: int) -> int:
    return x + y


async def stubborn(context: dict[str, Any]) -> int:
    if context["job_try"] < 3:
        raise Retry(defer=0.05)
    return int(context["job_try"])


class WorkerSettings:
    functions = [add, stubborn]
    redis_settings = RedisSettings.from_dsn(os.environ["TSUNAMI_URL"])
    poll_delay = 0.05
    health_check_interval = 1
