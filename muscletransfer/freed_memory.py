"""Memory that training frees and wants again a moment later stays in the process.

Every step allocates the same activations and gradients. glibc hands large blocks back to the system
as soon as they are free, and the next step gets them as new pages, one page fault for every 4 KiB:
a tenth of the step of a small U-Net, a fifth at 256 pixels and batch 16 (two cores).
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

#: Set to "0" in the environment to leave the allocator as it is.
SWITCH = "MUSCLETRANSFER_KEEP_MEMORY"

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MOST = 1 << 30
_MOST_OF_OLD_GLIBC = 32 << 20  # before 2.35 mmap's threshold could not be higher
_OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory for what it allocates next.

    It calls glibc's ``mallopt`` and lasts until the process ends; the peak of memory grows by some
    percent at most. Training on a CPU does it by itself, unless the environment has
    ``MUSCLETRANSFER_KEEP_MEMORY=0`` or settings of its own for the allocator
    (``MALLOC_TRIM_THRESHOLD_``, ``GLIBC_TUNABLES``, another allocator by ``LD_PRELOAD``).

    Returns:
        Whether it was done; ``False`` on systems without glibc.

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    libc = _glibc()
    if libc is None or os.environ.get(SWITCH) == "0" or _is_set_by_the_user():
        return False
    mapped = any(libc.mallopt(_M_MMAP_THRESHOLD, size) for size in (_MOST, _MOST_OF_OLD_GLIBC))
    return bool(mapped and libc.mallopt(_M_TRIM_THRESHOLD, _MOST))


def give_back_freed_memory() -> None:
    """Hand what is free back to the system once, as after training.

    Example:
        >>> give_back_freed_memory()
    """
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _is_set_by_the_user() -> bool:
    environment = os.environ
    return (
        any(name in environment for name in _OWN_SETTINGS)
        or "malloc" in environment.get("GLIBC_TUNABLES", "")
        or "malloc" in environment.get("LD_PRELOAD", "")  # jemalloc, tcmalloc, mimalloc
    )
