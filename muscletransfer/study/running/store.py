"""The study folder as the engine sees it: few operations, each of them whole or not at all."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from pathlib import Path

__all__ = ["FINISHED", "Store"]

FINISHED = "job.json"
"""Written last into the folder of a job; on a remote store it is what makes the folder finished."""


class Store(ABC):
    """Names are relative to the study folder and use ``/``.

    Args:
        url: The study folder: a path, or a URL that fsspec knows.
    """

    poll: float = 0.5
    """Seconds between two looks at what other drivers do; a look costs a few requests."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Tell whether a file or folder is there."""

    @abstractmethod
    def is_finished(self, name: str) -> bool:
        """Tell whether the folder of a job is there, whole."""

    @abstractmethod
    def finished(self, parent: str) -> set[str]:
        """Return the names of all whole job folders in a folder, in one look."""

    @abstractmethod
    def names(self, parent: str) -> list[str]:
        """Return what a folder holds, sorted, hidden files left out; nothing without a folder."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes; FileNotFoundError when there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file: readers see the old one or the new one, never a part."""

    @abstractmethod
    def take(self, name: str, source: str) -> bool:
        """Make ``name`` with the contents of ``source``; False when it is there already.

        Of several processes that try at once, one gets True.
        """

    def sweep(self) -> None:  # noqa: B027 - most stores have nothing to sweep
        """Remove what writers left behind that were killed."""

    @abstractmethod
    def beat(self, name: str) -> None:
        """Show that the owner of a file is alive; FileNotFoundError when it was removed."""

    @abstractmethod
    def last_beat(self, name: str) -> Hashable:
        """Return a value that changes with every `beat`."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing when there is none."""

    @abstractmethod
    def make_folder(self, name: str) -> None:
        """Make a new working folder, where the store has folders."""

    @abstractmethod
    def install(self, working: str, final: str) -> None:
        """Put a whole working folder in place; when one stands there, the first stays."""

    @abstractmethod
    def workspace(
        self, name: str, needs: Iterable[str]
    ) -> contextlib.AbstractContextManager[tuple[Path, dict[str, Path]]]:
        """Give a worker its working folder and the needed folders as paths of this machine."""

    @abstractmethod
    def publish(self, folder: Path, name: str) -> None:
        """Bring a workspace to where `install` finds it, on the disk for good."""
