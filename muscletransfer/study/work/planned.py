"""What a job starts from must still be what was planned: its id tells of those files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from muscletransfer.data.files import digest
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.sources.opening import open_source
from muscletransfer.errors import DataError
from muscletransfer.folders import default_cache_dir
from muscletransfer.study.plan.cases import digests_of
from muscletransfer.study.plan.leakage import collection_key

__all__ = ["check_weights", "planned_images"]

_DIGITS = 64  # of a SHA-256; the version of a package stands for weights of a name


def planned_images(where: Mapping[str, Any], options: Mapping[str, Any]) -> list[ImageSource]:
    """Open the images of a pre-training, and raise unless they are those that were planned.

    Test patients were looked for among these: rows that came later would not be left out.

    Args:
        where: ``sources`` on this machine, with their ``key``; drawn images have none.
        options: Options of the images: ``label_column``, ``mask_column``, ``where``, ``slices``.

    Returns:
        The collections, without the study's outlines, which a source task must not see.

    Raises:
        DataError: Rows or files were changed.
        ManifestError: A list is wrong by now.
    """
    found = []
    for one in where["sources"]:
        source = open_source(
            one["path"],
            one["kind"],
            label_column=options["label_column"],
            mask_column=one.get("mask_column") or options["mask_column"],
            where=options["where"] or None,
            slices=options["slices"],
        )
        if one.get("key") is not None:
            _check(source, one, options["label_column"])
        if one.get("drop_masks"):
            rows = tuple(replace(row, mask=None) for row in source.manifest.rows)
            source = replace(source, manifest=Manifest(rows, source.manifest.path))
        found.append(source)
    return found


def _check(source: ImageSource, planned: Mapping[str, Any], label_column: str) -> None:
    digests = digests_of(source.manifest.rows, masks=True)
    key = collection_key(source, digests, label_column, drop_masks=planned["drop_masks"])
    if key != planned["key"]:
        raise DataError(
            f"{planned['path']}: its rows or files were changed after the study was planned, so "
            "weights would be filed under other images' id, and who tests might be among "
            "them. Start the study again, which plans it anew."
        )


def check_weights(file: str | None, planned: str | None) -> None:
    """Raise unless a weight file is the one that was planned.

    Args:
        file: Its path; of weights of another kind anything.
        planned: Its digest in the specification; of weights of another kind anything.

    Raises:
        DataError: It was changed, or cannot be read.
    """
    if file is None or planned is None or len(planned) != _DIGITS:
        return
    try:
        found = digest(Path(file), default_cache_dir() / "digests")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from error
    if found != planned:
        raise DataError(
            f"{file}: was changed after the study was planned, so a result would be filed under "
            "other weights' id. Start the study again, which plans it anew."
        )
