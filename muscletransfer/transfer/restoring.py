"""Tell a task's constructor that a checkpoint will fill it, so it need not fetch weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_restoring", "restoring"]

_RESTORING: ContextVar[bool] = ContextVar("muscletransfer_restoring", default=False)


@contextmanager
def restoring() -> Iterator[None]:
    """Mark that models built inside will be filled from a checkpoint.

    A task constructed here ignores its ``weights=`` argument, since every value is overwritten a
    moment later. So a reload needs neither the file it was pre-trained from nor the network. The
    mark holds for the current thread or asynchronous task only.

    .. versionadded:: 0.1

    Example:
        >>> with restoring():
        ...     is_restoring()
        True
        >>> is_restoring()
        False
    """
    token = _RESTORING.set(True)
    try:
        yield
    finally:
        _RESTORING.reset(token)


def is_restoring() -> bool:
    """Return whether code runs inside `restoring`.

    .. versionadded:: 0.1

    Example:
        >>> with restoring():
        ...     is_restoring()
        True
        >>> is_restoring()
        False
    """
    return _RESTORING.get()
