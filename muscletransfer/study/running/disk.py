"""A full disk is no fault of a job: it is told apart, and the study stops."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muscletransfer.errors import DiskFullError

__all__ = ["disk_full_error", "is_disk_full", "stops_when_full"]

_NUMBERS = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_WORDS = ("no space left on device", "disk quota exceeded")
_NOTHING_LEFT = 1 << 20  # bytes


def is_disk_full(error: BaseException, folder: Path | None = None) -> bool:
    """Tell whether an error comes from a full disk or quota.

    Libraries lose the number on the way (safetensors keeps the words only, torch nothing), so
    causes and words are looked at, and for any error at last the room that is left.

    Args:
        error: What a body or the engine raised.
        folder: Where was written to.

    Example:
        >>> is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
        True
        >>> is_disk_full(ValueError("no"))
        False
    """
    seen: set[int] = set()
    chain: list[BaseException] = [error]
    while chain:
        one = chain.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OSError) and one.errno in _NUMBERS:
            return True
        if any(words in _message(one) for words in _WORDS):
            return True
        chain += [e for e in (one.__cause__, one.__context__) if e is not None]
    try:
        return folder is not None and shutil.disk_usage(folder).free < _NOTHING_LEFT
    except OSError:  # the folder itself is gone: another matter
        return False


def _message(error: BaseException) -> str:
    try:
        return str(error).lower()
    except Exception:  # the error of a body may not even know its own words
        return ""


def disk_full_error(where: str, what: str) -> DiskFullError:
    """Build the error that a full disk stops a study with.

    Example:
        >>> print(disk_full_error("/study", "job a1"))
        /study: the disk or quota is full (found while writing job a1). ...
    """
    return DiskFullError(
        f"{where}: the disk or quota is full (found while writing {what}). All finished jobs are "
        "whole and stay; what was in progress was removed. Free some room and start the same study "
        "again: it goes on where it stopped."
    )


@contextmanager
def stops_when_full(where: str, what: str) -> Iterator[None]:
    """Turn a full disk inside the block into a `DiskFullError`.

    Example:
        >>> with stops_when_full("/study", "a claim"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        muscletransfer.errors.DiskFullError: /study: the disk or quota is full ...
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskFullError) or error.errno not in _NUMBERS:
            raise
        raise disk_full_error(where, what) from error
