"""A study folder behind a URL: a bucket or a server, through fsspec.

Such stores rename no folder in one step, so a folder counts from the moment its ``job.json`` is
there, which is written last. A body works in a scratch folder of its machine.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from muscletransfer.errors import StudyError
from muscletransfer.study.running.local_store import LocalStore
from muscletransfer.study.running.store import FINISHED, Store

__all__ = ["RemoteStore", "fetch_folders"]

P = ParamSpec("P")
T = TypeVar("T")


def _reaching(
    method: Callable[Concatenate[RemoteStore, P], T],
) -> Callable[Concatenate[RemoteStore, P], T]:
    """Let a method raise an error of the system with the URL, whatever the store's package raises.

    Errors of botocore, for one, are no `OSError`.
    """

    @functools.wraps(method)
    def reach(store: RemoteStore, /, *given: P.args, **more: P.kwargs) -> T:
        try:
            return method(store, *given, **more)
        except OSError:
            raise
        except Exception as error:
            raise OSError(
                f"{store.url}: the store cannot be used ({type(error).__name__}: {error}). Check "
                "the URL, the network and the credentials, and start again"
            ) from error

    return reach


class RemoteStore(Store):
    """A store on any file system of fsspec that can create a file exclusively.

    Amazon S3, Google Cloud Storage and Azure can; where a system cannot, two drivers that claim one
    job in the same instant may both do it, and the first whole folder stays.

    Args:
        url: Such as ``s3://bucket/study``.
        options: For the file system (credentials, endpoint); by default those of its environment.

    Raises:
        StudyError: The package behind the URL's protocol is not installed.

    Example:
        >>> store = RemoteStore("memory://study")
        >>> store.write("plans/a.json", b"{}")
        >>> store.names("plans")
        ['a.json']
    """

    poll = 5.0

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url.rstrip("/"))
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as error:
            raise StudyError(
                f"{url}: no such store can be opened ({error}). Install the fsspec package of its "
                "protocol (s3fs, gcsfs, adlfs, ...), or use a folder."
            ) from error
        # Listings are remembered by many file systems; what other machines do must be seen.
        self.fs.use_listings_cache = False

    @_reaching
    def exists(self, name: str) -> bool:  # noqa: D102 - documented in Store
        self.fs.invalidate_cache()
        return bool(self.fs.exists(self._path(name)))

    def is_finished(self, name: str) -> bool:  # noqa: D102
        return self.exists(f"{name}/{FINISHED}")

    @_reaching
    def finished(self, parent: str) -> set[str]:  # noqa: D102
        self.fs.invalidate_cache()
        marks = self.fs.glob(self._path(f"{parent}/*/{FINISHED}"))
        return {posixpath.basename(posixpath.dirname(mark)) for mark in marks}

    @_reaching
    def names(self, parent: str) -> list[str]:  # noqa: D102
        self.fs.invalidate_cache()
        try:
            listed = self.fs.ls(self._path(parent), detail=False)
        except FileNotFoundError:
            return []
        return sorted({posixpath.basename(path.rstrip("/")) for path in listed} - {""})

    @_reaching
    def read(self, name: str) -> bytes:  # noqa: D102
        return bytes(self.fs.cat_file(self._path(name)))

    @_reaching
    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        self._make_parent(name)
        self.fs.pipe_file(self._path(name), data)

    @_reaching
    def take(self, name: str, source: str) -> bool:  # noqa: D102
        self._make_parent(name)
        try:
            if isinstance(self.fs, LocalFileSystem):
                os.link(self._path(source), self._path(name))
            else:
                self.fs.pipe_file(self._path(name), self.read(source), mode="create")
        except FileExistsError:
            return False
        return True

    def beat(self, name: str) -> None:  # noqa: D102
        values = json.loads(self.read(name))
        values["beats"] = values.get("beats", 0) + 1
        self.write(name, json.dumps(values).encode())

    def last_beat(self, name: str) -> Hashable:  # noqa: D102
        return self.read(name)

    @_reaching
    def remove(self, name: str) -> None:  # noqa: D102
        self.fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self._path(name), recursive=True)

    def make_folder(self, name: str) -> None:
        """Do nothing: a bucket has no empty folders, and elsewhere they come with their files."""

    @_reaching
    def install(self, working: str, final: str) -> None:  # noqa: D102
        if self.is_finished(final):
            self.remove(working)
            return
        self.remove(final)  # what a driver that died had copied so far
        files = self._files(working)
        for file in sorted(files, key=lambda name: name == FINISHED):  # the mark comes last
            self._make_parent(f"{final}/{file}")
            self.fs.copy(self._path(f"{working}/{file}"), self._path(f"{final}/{file}"))
        self.remove(working)

    @contextmanager
    def workspace(  # noqa: D102
        self, name: str, needs: Iterable[str]
    ) -> Iterator[tuple[Path, dict[str, Path]]]:
        scratch = Path(tempfile.mkdtemp(prefix="muscletransfer-study-"))
        try:
            found = {}
            for number, need in enumerate(needs):
                found[need] = scratch / f"need-{number}" / posixpath.basename(need)
                self.fetch(need, found[need])
            folder = scratch / "folder"
            folder.mkdir()
            yield folder, found
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @_reaching
    def publish(self, folder: Path, name: str) -> None:  # noqa: D102
        files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        for file in sorted(files, key=lambda name: name == FINISHED):
            self._make_parent(f"{name}/{file}")
            self.fs.put_file(str(folder / file), self._path(f"{name}/{file}"))

    @_reaching
    def fetch(self, name: str, folder: Path) -> None:
        """Copy a folder of the store to this machine.

        Args:
            name: Relative to the study folder.
            folder: Where to; made.
        """
        folder.mkdir(parents=True)
        for file in sorted(self._files(name), key=lambda name: name == FINISHED):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            self.fs.get_file(self._path(f"{name}/{file}"), str(folder / file))

    def _files(self, name: str) -> list[str]:
        self.fs.invalidate_cache()
        base = self._path(name)
        return [posixpath.relpath(path, base) for path in self.fs.find(base)]

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def _make_parent(self, name: str) -> None:
        self.fs.makedirs(posixpath.dirname(self._path(name)), exist_ok=True)


def fetch_folders(url: str, folder: str | Path, parents: Iterable[str] = ("runs",)) -> int:
    """Copy finished folders of a remote study here, those that are not here yet, and its plans.

    Results and reports read a local folder; after this they can.

    .. versionadded:: 0.1

    Args:
        url: The study's URL.
        folder: The local study folder; made.
        parents: Which kinds: ``"runs"``, ``"pretexts"``.

    Returns:
        How many folders were copied.

    Example:
        >>> fetch_folders("memory://empty", tempfile.mkdtemp())
        0
    """
    store, here = RemoteStore(url), LocalStore(Path(folder))
    for name in store.names("plans"):  # which runs belong together; every start changes one
        if name.endswith(".json"):
            here.write(f"plans/{name}", store.read(f"plans/{name}"))
    count = 0
    for parent in parents:
        for name in sorted(store.finished(parent)):
            target = Path(folder) / parent / name
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as temporary:
                store.fetch(f"{parent}/{name}", Path(temporary) / name)
                (Path(temporary) / name).rename(target)
            count += 1
    return count
