"""SAROS: 900 CT of which every fifth slice is annotated, with five folds and a test set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from muscletransfer.data.archives.prepared import (
    CaseResult,
    Prepared,
    write_prepared,
)
from muscletransfer.data.archives.saros_info import FOLDS, SAROS_REGIONS, read_info, saros_facts
from muscletransfer.data.archives.slices import (
    case_folders,
    check_output,
    each_case,
    has_foreground,
    reason,
    told_apart,
    write_slice_mask,
)
from muscletransfer.data.indexing.records import Problem
from muscletransfer.data.io import read_mask
from muscletransfer.data.io.grids import ImageGrid, read_grid
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.outlines.names import Structures, class_table, matching
from muscletransfer.data.outlines.regrid import onto_grid
from muscletransfer.data.types import Array
from muscletransfer.errors import DataError, SettingError

__all__ = ["SAROS_REGIONS", "SarosSlices", "prepare_saros"]

SarosSlices: TypeAlias = Literal["all", "abdomen"]

_NOT_ANNOTATED = 255
_TORSO = 1


@dataclass(frozen=True)
class _Job:
    folder: Path
    output: Path
    table: dict[int, int]
    slices: str
    torso_only: bool
    resample: bool
    patient: str
    split: str


def prepare_saros(
    root: str | Path,
    output: str | Path,
    *,
    info: str | Path | None = None,
    structures: Structures = "muscle",
    slices: SarosSlices = "all",
    torso_only: bool = False,
    patient_column: str | None = None,
    resample: bool = False,
    workers: int = 0,
    progress: bool = False,
) -> Prepared:
    """Turn a downloaded SAROS data set into a manifest of its annotated slices.

    Layout: ``case_000/image.nii.gz``, ``body-regions.nii.gz``, ``body-parts.nii.gz``, ... as its
    publishers' ``download.py`` leaves them, and the spreadsheet "Segmentation Info" (CSV).

    Columns: ``fold`` (``1`` to ``5``, or ``test``), ``subset`` (``folds`` or ``test``), ``split``
    as published, and ``case``. Train with ``LowDataModule(manifest, where={"subset": "folds"},
    fold_column="fold", fold=k)``; with all rows and ``fold=5`` the test set tests.

    .. versionadded:: 0.1

    Args:
        root: The folder with the cases.
        output: Folder to write manifest, masks, sidecar and problems to; not the root.
        info: The spreadsheet; by default a CSV with the columns id and split in the root, or beside
            it.
        structures: Regions to keep (see `SAROS_REGIONS`), as in `read_outlines`.
        slices: ``"all"`` annotated slices that show them, or ``"abdomen"``: those with an abdominal
            and without a thoracic cavity. SAROS has no labels of vertebrae, so L3 is not known.
        torso_only: Leave out what lies in arms, legs and head (by ``body-parts.nii.gz``).
        patient_column: Column of the spreadsheet that says whose case it is; some patients have two
            CT.
        resample: Take the nearest voxel of segmentations on another grid than the image.
        workers: Processes; 0 for this one alone.
        progress: Show a progress bar.

    Returns:
        What was written.

    Raises:
        DataError: No case can be used, or ``output`` is the data set's own folder.
        ImageReadError: No case is found.
        ManifestError: The spreadsheet is missing, or lacks a column or fold.
        UnknownNameError: No region of that name, with close matches.
        SettingError: ``slices`` is something else.

    Example:
        >>> SAROS_REGIONS["muscle"]
        2
    """
    root, output = Path(os.path.abspath(root)), Path(output)  # "." names no case
    if slices not in get_args(SarosSlices):
        raise SettingError(
            f"slices is {slices!r}; wanted one of {', '.join(get_args(SarosSlices))}."
        )
    named = class_table(structures)
    table = _values(named)
    check_output(root, output)
    folders = case_folders(
        root, _is_case, "folders such as case_000 with image.nii.gz and body-regions.nii.gz"
    )
    splits, patients = read_info(root, info, patient_column)
    jobs = [
        _Job(f, output, table, slices, torso_only, resample, patients.get(f.name, f.name), split)
        for f in folders
        if (split := splits.get(f.name)) is not None
    ]
    results = each_case(_case, jobs, workers, "SAROS", progress)
    results.append(_left_out(root, folders, splits))
    return write_prepared(output, results, saros_facts(named, patients, slices, torso_only))


def _is_case(folder: Path) -> bool:
    return (folder / "body-regions.nii.gz").is_file()


def _values(named: Mapping[str | int, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for wanted, target in named.items():
        if isinstance(wanted, int):
            if wanted not in SAROS_REGIONS.values():
                raise DataError(f"SAROS has no region {wanted}; wanted 1 to {len(SAROS_REGIONS)}.")
            found[wanted] = target
        else:
            for name in matching(wanted, SAROS_REGIONS, "SAROS", "region"):
                found[SAROS_REGIONS[name]] = target
    return found


def _case(job: _Job) -> CaseResult:
    image = job.folder / "image.nii.gz"
    segmentation = job.folder / "body-regions.nii.gz"
    notes: list[str] = []
    try:
        if not image.is_file():
            return _problem(
                job.folder, "has no image.nii.gz", "Fetch the CT with SAROS's download.py."
            )
        grid = read_grid(image)
        grid.check_axial()
        regions = _on_grid(segmentation, grid, job.resample)
        unknown = set(np.unique(regions).tolist()) - {0, _NOT_ANNOTATED, *SAROS_REGIONS.values()}
        if unknown:
            raise DataError(f"{segmentation}: holds the values {sorted(unknown)}; wanted 0 to 13")
        parts = (
            _on_grid(job.folder / "body-parts.nii.gz", grid, job.resample)
            if job.torso_only
            else None
        )
        rows = []
        for index in _annotated(regions):
            if job.slices == "abdomen" and not _is_abdomen(regions[index]):
                continue
            labels = _classes(regions[index], job.table, None if parts is None else parts[index])
            if has_foreground(labels):
                with told_apart(notes):
                    path = write_slice_mask(job.output, job.folder.name, index, labels, grid)
                rows.append(_row(job, image, path, index))
    except DataError as error:
        return _problem(
            job.folder, reason(error, segmentation), "Fetch the case again; see its message."
        )
    if not rows:
        return _problem(
            job.folder, "no annotated slice shows the structures asked for", "Nothing to do."
        )
    checks = (Problem(str(job.folder), n.rstrip("."), "Nothing to do.", "check") for n in notes)
    return CaseResult(tuple(rows), tuple(checks))


def _on_grid(path: Path, grid: ImageGrid, resample: bool) -> Array:
    found: Array = onto_grid(
        read_mask(path), grid, resample=resample, outside=_NOT_ANNOTATED
    ).labels
    return found


def _annotated(regions: Array) -> list[int]:
    """Return the annotated slices; DICOM-SEG has no 255, and leaves the others all 0."""
    marked = (regions != _NOT_ANNOTATED).any(axis=(1, 2))
    if marked.all():
        marked = (regions != 0).any(axis=(1, 2))
    return [int(k) for k in np.flatnonzero(marked)]


def _is_abdomen(regions: Array) -> bool:
    present = set(np.unique(regions).tolist())
    return SAROS_REGIONS["abdominal_cavity"] in present and (
        SAROS_REGIONS["thoracic_cavity"] not in present
    )


def _classes(regions: Array, table: Mapping[int, int], parts: Array | None) -> Array:
    labels = np.where(regions == _NOT_ANNOTATED, _NOT_ANNOTATED, 0).astype(np.uint8)
    for value, target in table.items():
        chosen = regions == value
        if parts is not None:
            labels[chosen & (parts == _NOT_ANNOTATED)] = _NOT_ANNOTATED
            chosen &= parts == _TORSO
        labels[chosen] = target
    return labels


def _row(job: _Job, image: Path, mask: Path, index: int) -> ManifestRow:
    fold = FOLDS[job.split]
    return ManifestRow(
        patient_id=job.patient,
        image=image,
        mask=mask,
        slice_index=index,
        extra={
            "fold": fold,
            "subset": "test" if fold == "test" else "folds",
            "split": job.split,
            "case": job.folder.name,
        },
    )


def _problem(folder: Path, why: str, way_out: str) -> CaseResult:
    return CaseResult(problems=(Problem(str(folder), why, way_out),))


def _left_out(root: Path, folders: list[Path], splits: Mapping[str, str]) -> CaseResult:
    unlisted = [
        Problem(str(f), "is not in the spreadsheet, so its fold is unknown", "Nothing to do.")
        for f in folders
        if f.name not in splits
    ]
    absent = sorted(set(splits) - {f.name for f in folders})
    if absent:
        unlisted.append(
            Problem(
                str(root / absent[0]),
                f"{len(absent)} cases of the spreadsheet are not in the folder",
                "Fetch them with SAROS's download.py; some collections ask for access first.",
                files=len(absent),
            )
        )
    return CaseResult(problems=tuple(unlisted))
