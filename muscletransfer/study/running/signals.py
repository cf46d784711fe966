"""SIGTERM (of a batch system, of a container's end) stops a study as cleanly as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stops_on_terminate"]


@contextmanager
def stops_on_terminate() -> Iterator[None]:
    """Raise SystemExit on SIGTERM within the block, so that ``finally`` clauses run.

    A handler that somebody else has set (Ray's driver sets one) stays in place.

    Example:
        >>> other = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        >>> with stops_on_terminate():
        ...     signal.raise_signal(signal.SIGTERM)
        Traceback (most recent call last):
        SystemExit: 143
        >>> _ = signal.signal(signal.SIGTERM, other)
    """
    # Handlers can be set in the main thread alone, and somebody else's own handler stays.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
