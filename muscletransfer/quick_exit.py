"""A process of ours that has done its work ends at once."""

from __future__ import annotations

import atexit
import gc

__all__ = ["exit_quickly"]


def exit_quickly() -> None:
    """Spare this process the search for cycles at its end.

    Before it leaves, Python looks for cycles among the million objects that torch and lightning
    brought in, which takes a second and frees nothing that the end of the process does not free.
    What was registered with `atexit` is still called, files are closed and buffers written.

    For a process that is ours from start to end: a command, a worker. Not for one that only
    imported the library.

    Example:
        >>> exit_quickly()
    """
    atexit.unregister(gc.freeze)  # once is enough
    atexit.register(gc.freeze)
