"""The labelled cases of a run, read on the worker's machine and checked against the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.splits import Split, make_folds, make_split, predefined_folds
from muscletransfer.errors import DataError
from muscletransfer.study.plan.cases import digests_of, rows_key
from muscletransfer.study.plan.ids import content_key
from muscletransfer.study.plan.specs import RunSpec

__all__ = ["labelled_cases"]


def labelled_cases(spec: RunSpec, where: Mapping[str, Any]) -> tuple[Manifest, Split]:
    """Read the manifest and draw the split of a run.

    Args:
        spec: The run.
        where: ``manifest``, ``mask_column``, ``where``, ``fold_column``, ``verify``.

    Returns:
        The rows, and who trains, validates and tests.

    Raises:
        DataError: Files or splits are not those that were planned.
        ManifestError: The manifest is wrong.
    """
    path = Path(where["manifest"])
    manifest = Manifest.read(path, need_masks=True, mask_column=where.get("mask_column", "mask"))
    if where.get("where"):
        manifest = manifest.where(**where["where"])
    seed = spec.settings["data_seed"]
    if where.get("fold_column"):
        folds = predefined_folds(manifest, where["fold_column"])
    else:
        folds = make_folds(manifest.patients, spec.num_folds, seed)
    split = make_split(
        folds,
        spec.n,
        fold=spec.fold,
        seed=seed,
        repeat=spec.repeat,
        val_patients=spec.settings["selection"]["validation_patients"],
    )
    same = content_key([split.train, split.val, split.test]) == spec.split_key
    if same and where.get("verify"):
        same = rows_key(manifest.rows, digests_of(manifest.rows, masks=True)) == spec.data_key
    if not same:
        raise DataError(
            f"{path}: its rows or files were changed after the study was planned, so a result "
            "would be filed under another cohort's id. Start the study again, which plans it anew."
        )
    return manifest, split
