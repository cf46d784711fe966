"""A side of a benchmark in a process of its own, which takes turns with the others.

What one side sets for its process then neither helps nor hinders another: training with the library
tells the allocator to keep freed memory, a script of somebody else's does not.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self


class OwnProcess:
    """Steps of a loop that somebody else's process makes.

    Args:
        loop: A function of a module, which returns the seconds of one step after the other.
        arguments: For it; they travel by pickle.
    """

    def __init__(self, loop: Callable[..., Iterator[float]], *arguments: Any) -> None:
        way = multiprocessing.get_start_method()
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, loop, arguments, way))
        self._process.start()
        there.close()

    def take(self, steps: int) -> list[float]:
        """Seconds of so many steps; meanwhile this process waits."""
        self._here.send(steps)
        return list(self._here.recv())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self._here.close()  # at which the other side ends
        self._process.join()


def _serve(
    connection: Connection,
    loop: Callable[..., Iterator[float]],
    arguments: tuple[Any, ...],
    way: str,
) -> None:
    # Its loader processes start as those of a script do, which this process stands for.
    multiprocessing.set_start_method(way, force=True)
    steps = loop(*arguments)
    while True:
        try:
            count = connection.recv()
        except EOFError:
            os._exit(0)  # nothing is left to do, and Python's own end takes a second
        connection.send([next(steps) for _ in range(count)])
