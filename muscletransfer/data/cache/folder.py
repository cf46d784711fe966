"""A folder that appears whole or not at all, whoever else builds it, whenever one is killed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from muscletransfer.data.cache.lock import is_stale
from muscletransfer.errors import DataError

__all__ = ["building"]

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
    mine = re.compile(rf"\.building-{re.escape(socket.gethostname())}-(\d+)-[0-9a-f]{{8}}(-old)?")
    for path in folder.glob(".building-*"):
        found = mine.fullmatch(path.name)  # the folder may be the user's: nothing else is ours
        if found and is_stale(path) and not _is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
