"""Jobs for RQ's workers."""

from rq import get_current_job


def add(x: int, y: int) -> int:
    return x + y


def fails() -> None:
    raise ValueError("on purpose")


def told() -> str:
    """Leaves word of how far it has come."""
    job = get_current_job()
    assert job is not None
    job.meta["progress"] = 100
    job.save_meta()
    return str(job.id)
