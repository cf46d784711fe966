"""The study folder as the engine sees it: few operations, each of them whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from muscletransfer.errors import StudyError
from muscletransfer.study.running.owners import is_mark_of_dead, process_mark
from muscletransfer.study.running.syncing import sync_folder, sync_tree

__all__ = ["FINISHED", "LocalStore", "Store", "open_store"]

FINISHED = "job.json"
"""Written last into the folder of a job; on a remote store it is what makes the folder finished."""

_STALE_SECONDS = 3600


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


class LocalStore(Store):
    """A folder of a local or shared (NFS, Lustre) file system.

    Example:
        >>> import tempfile
        >>> store = LocalStore(Path(tempfile.mkdtemp()))
        >>> store.write("plans/a.json", b"{}")
        >>> store.take("claims/a", "plans/a.json"), store.take("claims/a", "plans/a.json")
        (True, False)
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        super().__init__(str(self.root))

    def exists(self, name: str) -> bool:  # noqa: D102 - documented in Store
        return (self.root / name).exists()

    def is_finished(self, name: str) -> bool:  # noqa: D102
        path = self.root / name
        if path.is_dir():  # put there by one rename: whole or not there
            return True
        # NFS may remember for a while that a name was not there; opening its folder asks anew.
        with contextlib.suppress(FileNotFoundError), os.scandir(path.parent):
            pass
        return path.is_dir()

    def finished(self, parent: str) -> set[str]:  # noqa: D102
        return set(self.names(parent))

    def names(self, parent: str) -> list[str]:  # noqa: D102
        try:
            return sorted(n for n in os.listdir(self.root / parent) if not n.startswith("."))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:  # noqa: D102
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{process_mark()}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def take(self, name: str, source: str) -> bool:  # noqa: D102
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A hard link needs no room, has its contents from the first moment, and shows the
            # beats of its source.
            os.link(self.root / source, path)
        except FileExistsError:
            return False
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            return self._create(path, self.read(source))
        return True

    @staticmethod
    def _create(path: Path, data: bytes) -> bool:
        try:
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        return True

    def sweep(self) -> None:  # noqa: D102
        for parent in ("plans", "drivers"):
            for path in (self.root / parent).glob(".*"):
                with contextlib.suppress(FileNotFoundError):
                    old = time.time() - path.stat().st_mtime > _STALE_SECONDS
                    if old or is_mark_of_dead(path.suffix[1:]):
                        path.unlink()

    def beat(self, name: str) -> None:  # noqa: D102
        os.utime(self.root / name)

    def last_beat(self, name: str) -> Hashable:  # noqa: D102
        return (self.root / name).stat().st_mtime_ns

    def remove(self, name: str) -> None:  # noqa: D102
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # a dying worker may still write there
        else:
            path.unlink(missing_ok=True)

    def make_folder(self, name: str) -> None:  # noqa: D102
        (self.root / name).mkdir(parents=True)

    def install(self, working: str, final: str) -> None:  # noqa: D102
        target = self.root / final
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            (self.root / working).rename(target)
        except OSError:
            if not target.is_dir():
                raise
            self.remove(working)
        else:
            sync_folder(target.parent)

    @contextmanager
    def workspace(  # noqa: D102
        self, name: str, needs: Iterable[str]
    ) -> Iterator[tuple[Path, dict[str, Path]]]:
        folder = self.root / name
        if not folder.is_dir():
            raise StudyError(
                f"{folder}: not found on this machine; wanted the working folder that the driver "
                "made. Workers on several machines need a study folder on a file system that all "
                "share under the same path, or the URL of a remote one."
            )
        yield folder, {need: self.root / need for need in needs}

    def publish(self, folder: Path, name: str) -> None:  # noqa: D102
        sync_tree(folder)


def open_store(folder: str | Path) -> Store:
    """Open a study folder, local, shared or remote.

    Args:
        folder: A path, or a URL of fsspec (``s3://bucket/study``, ``gs://...``, ``sftp://...``).

    Returns:
        The store.

    Example:
        >>> type(open_store("studies/one")).__name__
        'LocalStore'
    """
    if "://" in str(folder):
        from muscletransfer.study.running.remote import RemoteStore

        return RemoteStore(str(folder))
    return LocalStore(Path(folder))
