"""How many processors there are to use, found without importing anything."""

from __future__ import annotations

import os

__all__ = ["count_cpus"]


def count_cpus() -> int:
    """Return how many processors this process may use.

    Example:
        >>> count_cpus() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
