"""Work shared out over threads, or over processes that never run the caller's script again."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar, cast

from muscletransfer.errors import DataError, SettingError

__all__ = ["can_start_processes", "map_in_processes", "map_in_threads", "map_shared"]

Job = TypeVar("Job")
Result = TypeVar("Result")

_WAITING = 4  # jobs a process that are given out ahead
_NONE = object()

_swapping = threading.Lock()


def can_start_processes() -> bool:
    """Whether this process may have children; a daemonic one of `multiprocessing` may not."""
    return not multiprocessing.current_process().daemon


def map_in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Result]:
    """Apply a function to jobs in other processes and give the results in order.

    Processes are spawned, not forked: threads of torch, ITK or BLAS would not survive a fork.
    Unlike plain `multiprocessing`, they do not import the caller's ``__main__``, so a script
    without an ``if __name__ == "__main__"`` guard neither runs twice nor hangs.

    Args:
        function: Importable by name from a module (not defined in ``__main__``).
        jobs: Arguments that can be pickled.
        workers: Processes; with 0, or one job, all runs in this process.

    Yields:
        One result a job.

    Raises:
        DataError: A process was killed, usually by the system for want of memory.
        SettingError: The function is one of ``__main__``.

    Example:
        >>> list(map_in_processes(abs, [-1, -2], workers=0))
        [1, 2]
    """
    workers = min(workers, len(jobs))
    if workers < 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with _processes(function, workers) as pool:
        yield from _in_order(pool, function, jobs, workers)


def map_shared(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Result]:
    """Apply a function to jobs in this process and in others, and give results as they come.

    As `map_in_processes`, but this process works too: it does the first jobs while the others
    start, and there is one fewer to start.

    Args:
        function: Importable by name from a module (not defined in ``__main__``).
        jobs: Arguments that can be pickled.
        workers: Processes, this one among them.

    Yields:
        One result a job, in any order.

    Raises:
        DataError: A process was killed, usually by the system for want of memory.
        SettingError: The function is one of ``__main__``.

    Example:
        >>> sorted(map_shared(abs, [-1, -2], workers=0))
        [1, 2]
    """
    others = min(workers, len(jobs)) - 1
    if others < 1:
        yield from map(function, jobs)
        return
    left = iter(jobs)
    with _processes(function, others) as pool:
        running: set[Future[Result]] = set()
        try:
            while True:
                done = {future for future in running if future.done()}
                running -= done
                yield from (future.result() for future in done)
                # Two ahead of each: none waits for work, and few are left with them in the end.
                given = islice(left, 2 * others - len(running))
                running |= {pool.submit(function, job) for job in given}
                own = next(left, _NONE)
                if own is _NONE:
                    break
                yield function(cast("Job", own))
            yield from (future.result() for future in running)
        finally:
            for future in running:
                future.cancel()


@contextmanager
def _processes(function: Callable[..., object], workers: int) -> Iterator[ProcessPoolExecutor]:
    if getattr(function, "__module__", None) == "__main__":
        raise SettingError(
            f"{getattr(function, '__name__', function)} is defined in the script that runs, which "
            "other processes do not import; wanted a function of a module, or workers=0."
        )
    try:
        with ProcessPoolExecutor(workers, mp_context=_Context()) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {workers} worker processes was killed, most likely because memory ran out; "
            "wanted all to finish. Use fewer workers (0 works in this process alone)."
        ) from error


def map_in_threads(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Result]:
    """Apply a function to jobs in threads and give the results in order.

    For work that numpy, zlib, hashlib, Pillow, ITK or the system does: they let other threads run,
    and a thread starts in no time, where a process first imports for half a second.

    Args:
        function: Safe to run several times at once.
        jobs: Its arguments.
        workers: Threads; with 0, or one job, all runs in this one.

    Yields:
        One result a job.

    Example:
        >>> list(map_in_threads(abs, [-1, -2], workers=2))
        [1, 2]
    """
    workers = min(workers, len(jobs))
    if workers < 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from _in_order(pool, function, jobs, workers)


def _in_order(
    pool: Executor, function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Result]:
    # Few jobs wait at a time: results that pile up behind a slow one would fill the memory.
    running: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            running.append(pool.submit(function, job))
            if len(running) >= _WAITING * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:  # of an error, or of a caller who wants no more
            future.cancel()


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - the name that multiprocessing calls
        with _without_main():
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    Process = _Process


@contextmanager
def _without_main() -> Iterator[None]:
    """Show multiprocessing an empty ``__main__`` while it notes what a new process imports."""
    with _swapping:
        real = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = real
