"""Independent tasks over processes, in order, with one BLAS thread each."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

LOG_SECONDS = 10.0
"""Seconds between two lines on progress."""

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


def run_tasks(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], processes: int, what: str
) -> list[Result]:
    """Calls ``function(*task)`` for each task.

    Processes and not threads: liblinear draws its permutations from one generator of the whole process and
    scikit-learn trains without holding the interpreter's lock, so fits in two threads would disturb each other's
    random numbers (scikit-learn ``svm/src/newrand/newrand.h``, ``svm/_liblinear.pyx``). Large arrays reach the
    processes as memory maps. BLAS has one thread everywhere, so that no sum depends on ``processes``.

    Args:
        function: A function at the top of a module; what it returns can be pickled.
        tasks: Arguments of each call.
        processes: How many at a time; 1 runs in this process.
        what: What the tasks are, for the log.

    Returns:
        Results in the order of the tasks.
    """
    return list(log_progress(_results(function, tasks, processes), len(tasks), what))


def _results(function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], processes: int) -> Iterator[Result]:
    if processes <= 1:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            for task in tasks:
                yield function(*task)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=min(processes, len(tasks)), return_as="generator")
        yield from parallel(delayed(function)(*task) for task in tasks)


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Gives torch, and numpy's BLAS, so many CPU threads inside."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(limits=threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def log_progress(results: Iterable[Result], total: int, what: str) -> Iterator[Result]:
    """Passes results on and writes a log line every ten seconds and at the end."""
    started = last = time.monotonic()
    for done, result in enumerate(results, start=1):
        yield result
        now = time.monotonic()
        if now - last >= LOG_SECONDS or done == total:
            logger.info("%s: %d of %d in %.0f s", what, done, total, now - started)
            last = now
