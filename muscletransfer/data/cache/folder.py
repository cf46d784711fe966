"""A folder that appears whole or not at all, whoever else builds it, whenever one is killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from muscletransfer.errors import DataError

__all__ = ["building"]

_STALE_SECONDS = 3600


_FOR_THE_CACHE = "a folder for the cache. Pass cache_dir, or set MUSCLETRANSFER_CACHE."


@contextmanager
def building(
    directory: Path, is_whole: Callable[[], bool], wanted: str = _FOR_THE_CACHE
) -> Iterator[Path]:
    """Give a temporary folder beside ``directory`` and rename it there when the block succeeds.

    Args:
        directory: What to build.
        is_whole: Whether someone else has built it meanwhile.
        wanted: End of the error message when the folder cannot be made, with the way out.

    Raises:
        DataError: The folder beside it cannot be made.
    """
    name = f".building-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = directory.parent / name
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f"{directory.parent}: cannot be written ({error.strerror}); wanted {wanted}"
        ) from error
    try:
        _sweep(directory.parent)
        yield temporary
        _install(temporary, directory, is_whole)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _install(temporary: Path, directory: Path, is_whole: Callable[[], bool]) -> None:
    try:
        temporary.rename(directory)
        return
    except OSError:
        if is_whole():
            return  # another process was first; its cache is the same
    # What stands there is damaged: move it aside, for it may still be mapped by someone.
    aside = temporary.with_name(temporary.name + "-old")
    try:
        directory.rename(aside)
    except FileNotFoundError:
        pass  # another process has just moved it
    else:
        shutil.rmtree(aside, ignore_errors=True)
    try:
        temporary.rename(directory)
    except OSError:
        if not is_whole():
            raise


def _sweep(folder: Path) -> None:
    """Remove what builds on this machine left behind when they were killed."""
    mine = f".building-{socket.gethostname()}-"
    for path in folder.glob(f"{mine}*"):
        pid = path.name.removeprefix(mine).split("-")[0]
        try:
            old = time.time() - path.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if old and pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
    for lock in folder.glob(".lock-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > _STALE_SECONDS:
                lock.unlink()  # of a killed process; who still waits on it loses nothing


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
