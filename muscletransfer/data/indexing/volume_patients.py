"""Whose a NIfTI, NRRD or MHA file is: such files name no patient, their folders or names do."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from muscletransfer.data.indexing.records import Problem, VolumeFile
from muscletransfer.data.io.volume import VOLUME_SUFFIXES
from muscletransfer.errors import SettingError

__all__ = ["Owner", "patients_of_volumes"]

_BIDS = re.compile(r"(?:^|[/\\])(sub-[A-Za-z0-9]+)")
_BIDS_ROOT = re.compile(r"[/\\](sub-[A-Za-z0-9]+)(?:[/\\]ses-[A-Za-z0-9]+)?$")


class Owner(NamedTuple):
    """Whose a volume is: a text equal for one patient, and whether it is but a place of files."""

    key: str
    is_place: bool


def patients_of_volumes(
    volumes: Sequence[VolumeFile], rule: str, problems: list[Problem], root: str
) -> list[Owner]:
    """Say whose each volume is.

    Args:
        volumes: The files.
        rule: ``"file"``: each file is another patient; ``"folder"``: files of one folder are of
            one; ``"auto"``: the subject of a BIDS name (``sub-01``) where a path below the root
            has one, of the others the file when all lie in one folder, else the folder; or a
            regular expression with one group, which is searched in the whole path.
        problems: Gets a line for what "auto" may have got wrong.
        root: The folder that places are told from, so that a tree that was moved keeps its names.

    Returns:
        An owner a volume.

    Raises:
        SettingError: The expression is none, has no group, or does not fit a path.
    """
    paths = [volume.path for volume in volumes]
    if rule == "file":
        return [_file(path, root) for path in paths]
    if rule == "folder":
        return [_folder(path, root) for path in paths]
    if rule != "auto":
        return [Owner(key, False) for key in _by_expression(paths, rule)]
    subjects = _subjects(paths, root, problems)
    others = [path for path in paths if path not in subjects]
    folders = Counter(os.path.dirname(path) for path in others)
    where, by_place = ("file", _file) if len(folders) == 1 else ("folder", _folder)
    if others and subjects:
        problems.append(
            Problem(
                others[0],
                f"{len(others)} of {len(paths)} volumes have no subject (sub-...) in their path: "
                f"patients are told by their {where}",
                "Name them as the others, move them elsewhere, or index with an expression that "
                "finds the patient in the path.",
                "check",
                len(others),
            )
        )
    if where == "folder":
        _tell_doubts(folders, problems)
    return [
        Owner(subjects[path], False) if path in subjects else by_place(path, root) for path in paths
    ]


def _subjects(paths: Sequence[str], root: str, problems: list[Problem]) -> dict[str, str]:
    """Return the subject of each path that has one; folders above the root name nobody's."""
    found: dict[str, str] = {}
    folders: dict[str, set[str]] = {}
    for path in paths:
        below = os.path.relpath(path, root)
        if match := _BIDS.search(below):
            found[path] = match.group(1)
            folders.setdefault(match.group(1), set()).add(below[: match.start()] or ".")
    several = {name: sorted(held) for name, held in folders.items() if len(held) > 1}
    if several:
        name, held = min(several.items())
        problems.append(
            Problem(
                next(path for path in paths if found.get(path) == name),
                f"{len(several)} subjects lie in several folders each, as {name} in {held[0]} and "
                f"{held[1]}, and are taken for one patient each",
                "If they are data sets of other people, index each on its own, or with an "
                "expression that holds the folder, as '([^/]+/sub-[A-Za-z0-9]+)'.",
                "check",
                len(several),
            )
        )
    own = _BIDS_ROOT.search(root)
    if found or own is None:
        return found
    if len(paths) > 1:
        problems.append(
            Problem(
                root,
                f"{len(paths)} volumes are taken for one patient, {own.group(1)}, after the folder "
                "that holds them all",
                "If they are of several, index with --patient folder or file, or with an "
                "expression that finds the patient in the path.",
                "check",
                len(paths),
            )
        )
    return dict.fromkeys(paths, own.group(1))


def _file(path: str, root: str) -> Owner:
    return Owner(_stem(os.path.relpath(path, root)), True)


def _folder(path: str, root: str) -> Owner:
    return Owner(os.path.relpath(os.path.dirname(path), root), True)


def _tell_doubts(folders: Counter[str], problems: list[Problem]) -> None:
    """Tell where one folder may hold several patients, or several folders one."""
    if not folders:
        return
    root = os.path.commonpath(folders)
    for folder, count in sorted(folders.items()):
        if count > 1:
            problems.append(
                Problem(
                    folder,
                    f"{count} volumes of this folder are taken for one patient, since there are "
                    f"{len(folders)} folders with volumes in {root} and the files do not say",
                    "If each file is another patient, index with --patient file, or give an "
                    "expression that finds the patient in the path.",
                    "check",
                    count,
                )
            )
    below: dict[str, list[str]] = {}
    for folder in sorted(folders):
        below.setdefault(os.path.relpath(folder, root).split(os.sep)[0], []).append(folder)
    several = [group for group in below.values() if len(group) > 1]
    if several:
        a, b = several[0][:2]
        problems.append(
            Problem(
                a,
                f"{sum(map(len, several))} folders with volumes share a folder below {root}, as "
                f"this one and {os.path.relpath(b, root)}, and are taken for a patient each",
                "If they are scans of one patient, index with an expression that finds the patient "
                "in the path, or they may be in two folds.",
                "check",
                sum(map(len, several)),
            )
        )


def _by_expression(paths: Sequence[str], rule: str) -> list[str]:
    wanted = "wanted auto, file, folder, or a regular expression with one group, as 'case_([0-9]+)'"
    try:
        expression = re.compile(rule)
    except re.error as error:
        raise SettingError(
            f"patient is {rule!r}, which is no expression ({error}); {wanted}."
        ) from None
    if expression.groups != 1:
        raise SettingError(f"patient is {rule!r} with {expression.groups} groups; {wanted}.")
    found = []
    for path in paths:
        match = expression.search(path)
        if match is None or not match.group(1):
            raise SettingError(f"patient is {rule!r}, which finds nothing in {path}; {wanted}.")
        found.append(match.group(1))
    return found


def _stem(path: str) -> str:
    lower = path.lower()
    suffix = max((s for s in VOLUME_SUFFIXES if lower.endswith(s)), key=len)
    return path[: -len(suffix)]
