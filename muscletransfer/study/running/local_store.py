"""The study folder on a local or shared file system."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from muscletransfer.errors import StudyError
from muscletransfer.study.running.owners import is_mark_of_dead, process_mark
from muscletransfer.study.running.store import Store
from muscletransfer.study.running.syncing import sync_folder, sync_tree

__all__ = ["LocalStore"]

_STALE_SECONDS = 3600
_OF_WRITE = re.compile(r"\..+\.[0-9a-f]+\.\d+-\w+")  # what `write` calls a file until it is whole


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
                if not _OF_WRITE.fullmatch(path.name) or not path.is_file():
                    continue  # somebody else's
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
