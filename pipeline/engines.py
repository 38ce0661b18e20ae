"""Where independent units of work run: the processes or threads of this machine.

What runs is a picklable function of one task; a finished unit leaves its mark in the file
system, so an engine keeps no state and may die at any moment.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Literal, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Engine = Literal["processes", "threads"]


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    engine: Engine = "processes",
    workers: int | None = None,
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in order of completion.

    An exception of a unit is raised here and the units not yet begun are dropped.
    """
    workers = min(workers or available_cpus(), len(tasks))
    if workers <= 1:
        yield from map(function, tasks)
        return
    pool = _pool(engine, workers)
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(engine: Engine, workers: int) -> Executor:
    if engine == "threads":
        return ThreadPoolExecutor(workers)
    # Spawned, not forked: the parent may hold threads and locks of Arrow.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
