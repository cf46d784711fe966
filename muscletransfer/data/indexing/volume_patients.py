"""Whose a NIfTI, NRRD or MHA file is: such files name no patient, their folders or names do."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

from muscletransfer.data.indexing.records import Problem, VolumeFile
from muscletransfer.data.indexing.walk import common_folder
from muscletransfer.data.io.volume import VOLUME_SUFFIXES
from muscletransfer.errors import SettingError

__all__ = ["patients_of_volumes"]

_BIDS = re.compile(r"(?:^|[/\\])(sub-[A-Za-z0-9]+)")


def patients_of_volumes(
    volumes: Sequence[VolumeFile], rule: str, problems: list[Problem]
) -> list[str]:
    """Say whose each volume is.

    Args:
        volumes: The files.
        rule: ``"file"``: each file is another patient; ``"folder"``: files of one folder are of
            one; ``"auto"``: BIDS names (``sub-01``) where there are any, the file when all lie in
            one folder, else the folder; or a regular expression with one group, which is searched
            in the path.
        problems: Gets a line for each folder whose files "auto" took for one patient.

    Returns:
        A text a volume, equal for one patient.

    Raises:
        SettingError: The expression is none, has no group, or does not fit a path.
    """
    if not volumes:
        return []
    paths = [volume.path for volume in volumes]
    if rule == "file":
        return [_stem(path) for path in paths]
    if rule == "folder":
        return [os.path.dirname(path) for path in paths]
    if rule != "auto":
        return _by_expression(paths, rule)
    bids = [_BIDS.search(path) for path in paths]
    if all(bids):
        return [match.group(1) for match in bids if match]
    folders = Counter(os.path.dirname(path) for path in paths)
    if len(folders) == 1:
        return [_stem(path) for path in paths]
    root = str(common_folder(paths))
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
    return [os.path.dirname(path) for path in paths]


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
