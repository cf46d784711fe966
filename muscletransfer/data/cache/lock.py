"""One builder at a time, the others wait; the system takes the lock back when its holder dies."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":  # there builders race, and the first to finish wins
    import fcntl

__all__ = ["is_stale", "lock_of", "one_at_a_time", "sweep_locks"]

_STALE_SECONDS = 3600


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until no other process holds this lock, and hold it for the block.

    It saves work and nothing depends on it: where a lock cannot be had (a read-only folder, a file
    system without locks), the block runs without.

    Args:
        path: The lock file; made, and removed at the end. What a killed process left of it locks
            nobody out.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with one_at_a_time(folder / "lock"):
        ...     pass
        >>> list(folder.iterdir())
        []
    """
    handle = _opened(path)
    try:
        if handle is not None and sys.platform != "win32":
            with contextlib.suppress(OSError):  # no locks here: go on without
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            # Those who wait for the removed file find the work done when their turn comes.
            path.unlink(missing_ok=True)
            os.close(handle)


def lock_of(directory: Path) -> Path:
    """Return the lock for building a folder of the cache, whose name is a hash."""
    return directory.with_name(f".lock-{directory.name}")


def sweep_locks(cache: Path) -> None:
    """Remove old locks of killed processes; one that is held stays, however old it is.

    Args:
        cache: The folder whose folders are locked by `lock_of`.
    """
    for lock in cache.glob(".lock-*"):
        if re.fullmatch(r"\.lock-[0-9a-f]{32}", lock.name) and is_stale(lock):
            with contextlib.suppress(OSError):  # held, or somebody else's in a shared cache
                _remove_free(lock)


def is_stale(path: Path) -> bool:
    """Whether a file or folder is there and was last changed more than an hour ago."""
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except OSError:
        return False


def _opened(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:  # the build itself will say that the folder cannot be written
        return None
    with contextlib.suppress(OSError):
        os.utime(handle)  # one that a killed process left is in use again: not to be swept
    return handle


def _remove_free(lock: Path) -> None:
    """Remove a lock unless it is held, which raises."""
    if sys.platform == "win32":  # nobody locks there
        lock.unlink()
        return
    handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # no locks here, so nobody holds one
            pass
        if is_stale(lock):  # else somebody has just taken it up
            lock.unlink()
    finally:
        os.close(handle)
