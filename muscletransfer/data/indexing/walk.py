"""Every regular file of a tree, once, in a fixed order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from muscletransfer.data.dicom.series_list import SUFFIX
from muscletransfer.data.indexing.records import Problem
from muscletransfer.errors import ImageReadError, close_matches

__all__ = ["common_folder", "find_files"]


def find_files(sources: Iterable[Path], leave: Iterable[Path]) -> tuple[list[str], list[Problem]]:
    """List the files of folders and their subfolders.

    Hidden files, DICOMDIR and series lists are passed over without a word.

    Args:
        sources: Folders or files.
        leave: Files and folders not to look into, such as the outputs of an earlier run.

    Returns:
        Absolute paths, sorted, and what could not be looked into.

    Raises:
        ImageReadError: A source does not exist.
    """
    left = {os.path.abspath(p) for p in leave}
    files: set[str] = set()
    problems: list[Problem] = []
    seen: set[tuple[int, int]] = set()
    for source in sources:
        if not source.exists():
            near = []
            if source.parent.is_dir():
                near = close_matches(source.name, [p.name for p in source.parent.iterdir()])
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ImageReadError(f"{source}: does not exist; wanted a folder of images.{hint}")
        if source.is_dir():
            _walk(os.path.abspath(source), left, files, problems, seen)
        else:
            files.add(os.path.abspath(source))
    return sorted(files), problems


def _walk(
    root: str,
    left: set[str],
    files: set[str],
    problems: list[Problem],
    seen: set[tuple[int, int]],
) -> None:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder)
            entries = list(os.scandir(folder))
        except OSError as error:
            problems.append(
                Problem(folder, f"cannot be looked into ({error.strerror})", "Change its rights.")
            )
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above would never end
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(".") or entry.path in left or _is_ours(entry.name):
                continue
            if not _is_text(entry.name):
                what = os.fsencode(entry.path).decode("utf-8", "backslashreplace")
                way_out = "Rename it, for instance with convmv; a folder with all that is in it."
                problems.append(Problem(what, "has a name that is no UTF-8", way_out))
                continue
            try:
                mode = os.stat(entry.path).st_mode
            except OSError as error:
                problems.append(
                    Problem(entry.path, f"cannot be read ({error.strerror})", "Copy it again.")
                )
                continue
            if stat.S_ISDIR(mode):
                waiting.append(entry.path)
            elif stat.S_ISREG(mode):
                files.add(entry.path)
            else:  # opening a pipe or a device could wait for ever
                problems.append(Problem(entry.path, "is no regular file", "Nothing to do."))


def _is_text(name: str) -> bool:
    """Whether a manifest can hold the name; those of old exports may be in another encoding."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_ours(name: str) -> bool:
    return name.upper() == "DICOMDIR" or name.endswith(SUFFIX)


def common_folder(sources: Iterable[Path]) -> str:
    """Return the folder that holds all sources, or is the only one; absolute."""
    folders = [os.path.abspath(s if s.is_dir() else s.parent) for s in sources]
    return os.path.commonpath(folders)
