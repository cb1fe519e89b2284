"""The same work in several processes that begin together. They are forks: what it takes to import is imported once."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier


def together(work: Callable[[], None], count: int) -> int:
    """How many of the processes failed."""
    context = multiprocessing.get_context("fork")
    all_there = context.Barrier(count)
    processes = [context.Process(target=_begin, args=(all_there, work)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(process.exitcode != 0 for process in processes)


def _begin(all_there: Barrier, work: Callable[[], None]) -> None:
    all_there.wait(60)
    work()
