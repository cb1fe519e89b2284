"""A Celery application: broker and results on the same server."""

import os

import celery

app = celery.Celery("tasks", broker=os.environ["TSUNAMI_URL"], backend=os.environ["TSUNAMI_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 60},
    task_acks_late=True,
    result_expires=300,
    worker_hijack_root_logger=False,
    worker_send_task_events=True,
)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def stubborn(self: celery.Task, goal: int) -> int:
    """Gives in at the third try."""
    if self.request.retries < goal:
        raise self.retry(countdown=0.05)
    return int(self.request.retries)


@app.task
def fails() -> None:
    raise ValueError("on purpose")
