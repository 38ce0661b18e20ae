"""Where independent units of work run: processes or threads of this machine, or a Ray cluster.

What runs is a picklable function of one task; a finished unit leaves its mark in the file
system, so an engine keeps no state and may die at any moment.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Literal, TypeVar

from pipeline.errors import PipelineError

Task = TypeVar("Task")
Result = TypeVar("Result")
Engine = Literal["processes", "threads", "ray"]


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

    An exception of a unit is raised here and the units not yet begun are dropped. Raises
    PipelineError where a worker is killed.
    """
    if engine == "ray":
        yield from _run_on_ray(function, tasks)
        return
    workers = min(workers or available_cpus(), len(tasks))
    if workers <= 1:
        yield from map(function, tasks)
        return
    with open_pool(workers, engine) as pool:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()


@contextmanager
def open_pool(workers: int, engine: Engine = "processes") -> Iterator[Executor]:
    """Processes or threads for functions that can be pickled; they end with this process.

    What has not begun when the block ends is dropped. Raises PipelineError where one is killed.
    """
    pool: Executor
    if engine == "threads":
        pool = ThreadPoolExecutor(workers)
    else:  # spawned, not forked: the parent may hold threads and locks of Arrow
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, spawn, _start_worker)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise PipelineError(
            "A worker process ended amid its work: it was killed (is there memory enough?), or the"
            ' script that calls this lacks `if __name__ == "__main__":`, which workers need.'
        ) from error
    finally:
        try:
            pool.shutdown(wait=True, cancel_futures=True)
        except RuntimeError:  # told to end (SIGTERM) while the pool started its own thread
            for worker in multiprocessing.active_children():
                worker.kill()
                worker.join()


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when its parent is killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_on_ray(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """On the cluster that RAY_ADDRESS names, or one started on this machine for the occasion.

    The nodes must see the same files and have this project installed.
    """
    try:
        import ray
    except ImportError as error:
        raise PipelineError(
            "The engine ray is not installed; run pip install -e '.[ray]'."
        ) from error
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    try:
        remote = ray.remote(num_cpus=1, max_retries=2)(function)
        waiting = [remote.remote(task) for task in tasks]
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            yield ray.get(done[0])
    finally:
        if started:
            ray.shutdown()
