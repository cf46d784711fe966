"""TotalSegmentator: its published data set, or a folder of what the program wrote for your CT."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.data.archives.prepared import (
    CaseResult,
    DataSetFacts,
    Prepared,
    class_names,
    write_prepared,
)
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
from muscletransfer.data.io.grids import read_grid
from muscletransfer.data.levels import find_level
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.outlines import read_outlines
from muscletransfer.data.outlines.names import (
    TOTALSEGMENTATOR,
    Structures,
    class_table,
    label_names,
)
from muscletransfer.data.splits import Split, nested_subsets
from muscletransfer.errors import (
    DataError,
    EmptyMaskError,
    ManifestError,
    UnknownNameError,
)

__all__ = ["MUSCLES_AT_L3", "prepare_totalsegmentator"]

MUSCLES_AT_L3 = {"autochthon_*": 1, "iliopsoas_*": 2}
_IMAGES = ("ct.nii.gz", "ct.nii", "image.nii.gz", "ct.nrrd", "ct.mha")
_IMAGE_FOLDERS = ("ct", "dicom", "DICOM")
_LABELS = ("total.nii.gz", "segmentations.nii.gz", "segmentation.nii.gz", "total_multilabel.nii.gz")
_SPLITS = ("train", "val", "test")
_SEX = {"m": "M", "f": "F"}


@dataclass(frozen=True)
class _Job:
    folder: Path
    output: Path
    table: dict[str | int, int]
    vertebra: str | int
    neighbours: int
    resample: bool
    meta: dict[str, str]


def prepare_totalsegmentator(
    root: str | Path,
    output: str | Path,
    *,
    structures: Structures | None = None,
    vertebra: str = "vertebrae_L3",
    neighbours: int = 0,
    resample: bool = False,
    licence: str | None = None,
    workers: int = 0,
    progress: bool = False,
) -> Prepared:
    """Turn TotalSegmentator's data set, or its output for your CT, into a manifest of L3 slices.

    Layout of the data set: ``s0000/ct.nii.gz``, ``s0000/segmentations/<structure>.nii.gz``, ...
    and ``meta.csv`` (semicolons; ``image_id``, ``gender``, ``split``, ...). A folder of your own
    has the same cases without ``meta.csv``; the CT may be ``image.nii.gz`` or a folder ``dicom``,
    and the labels one file (``total.nii.gz``, from ``--ml``). Each case is one patient.

    The slice through the middle of the vertebra is taken, with neighbours if asked; cases that do
    not show it are listed in ``problems.csv``. Column ``split`` is as published, and ``split.json``
    holds the same for ``LowDataModule(split=...)``.

    .. versionadded:: 0.1

    Args:
        root: The folder with the cases.
        output: Folder to write manifest, masks, sidecar and problems to; not the root.
        structures: Which structures become which class, as in `read_outlines`; the muscles that are
            labelled at L3 by default (`MUSCLES_AT_L3`).
        vertebra: The level.
        neighbours: How many slices on either side to take too.
        resample: Take the nearest voxel of labels on another grid than the CT.
        licence: Terms of your own CT, for the sidecar; the published data set has its own.
        workers: Processes; 0 for this one alone.
        progress: Show a progress bar.

    Returns:
        What was written.

    Raises:
        DataError: No case can be used, or ``output`` is the data set's own folder.
        ImageReadError: No case is found.
        ManifestError: ``meta.csv`` is damaged.

    Example:
        >>> MUSCLES_AT_L3
        {'autochthon_*': 1, 'iliopsoas_*': 2}
    """
    root, output = Path(os.path.abspath(root)), Path(output)  # "." names no case
    table = class_table(MUSCLES_AT_L3 if structures is None else structures)
    check_output(root, output)
    folders = case_folders(
        root, _is_case, "folders such as s0000 with ct.nii.gz and segmentations/"
    )
    meta = _read_meta(root)
    jobs = [
        _Job(f, output, table, vertebra, neighbours, resample, meta.get(f.name, {}))
        for f in folders
    ]
    results = each_case(_case, jobs, workers, "TotalSegmentator", progress)
    used = {row.patient_id for result in results for row in result.rows}
    facts = _facts(table, vertebra, licence, published=bool(meta))
    return write_prepared(output, results, facts, _split(meta, used))


def _is_case(folder: Path) -> bool:
    return _labels_of(folder) is not None


def _labels_of(folder: Path) -> Path | None:
    structures = folder / "segmentations"
    if structures.is_dir():
        return structures
    return next((folder / name for name in _LABELS if (folder / name).is_file()), None)


def _image_of(folder: Path) -> Path | None:
    files = [folder / name for name in _IMAGES if (folder / name).is_file()]
    folders = [folder / name for name in _IMAGE_FOLDERS if (folder / name).is_dir()]
    return next(iter([*files, *folders]), None)


def _read_meta(root: Path) -> dict[str, dict[str, str]]:
    path = root / "meta.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=";")
            records = [{k: (v or "").strip() for k, v in r.items() if k} for r in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error}); wanted the data set's own."
        ) from error
    if records and not {"image_id", "split"} <= set(records[0]):
        raise ManifestError(
            f"{path}: has the columns {', '.join(records[0])}; wanted image_id and split among "
            "them, separated by semicolons. Take the file that came with the data set."
        )
    return {r["image_id"]: r for r in records}


def _case(job: _Job) -> CaseResult:
    image, labels = _image_of(job.folder), _labels_of(job.folder)
    assert labels is not None  # what made it a case
    if image is None:
        return _left_out(
            job,
            f"has no CT (looked for {', '.join((*_IMAGES, *_IMAGE_FOLDERS))})",
            "Copy it there.",
        )
    notes: list[str] = []
    try:
        # Its own output, so values without names (which a conversion drops) are no guess here.
        bare = labels.is_file() and not label_names(labels)
        names = TOTALSEGMENTATOR if bare else None
        with told_apart(notes):
            grid = read_grid(image)
            level = find_level(
                grid,
                labels=labels,
                vertebra=job.vertebra,
                names=names,
                neighbours=job.neighbours,
                other_grid=job.resample,
            )
            mask = read_outlines(labels, grid, job.table, names=names, resample=job.resample)
            rows = []
            for index in level.slices:
                if has_foreground(mask.labels[index]):
                    drawn = mask.labels[index]
                    path = write_slice_mask(job.output, job.folder.name, index, drawn, grid)
                    rows.append(_row(job, image, path, index, level.slice_index))
    except EmptyMaskError:
        return _left_out(job, f"does not show {job.vertebra}", "Nothing to do: another body part.")
    except (DataError, UnknownNameError) as error:
        return _left_out(job, reason(error, labels), "See its message.")
    if not rows:
        return _left_out(
            job, "none of the structures is on the slice", "Name others with structures=."
        )
    checks = tuple(
        Problem(
            str(job.folder),
            note.removeprefix(f"{grid.path}: ").rstrip("."),
            "Look at its slice.",
            outcome="check",
        )
        for note in notes
    )
    return CaseResult(tuple(rows), checks)


def _row(job: _Job, image: Path, mask: Path, index: int, middle: int) -> ManifestRow:
    extra = {"from_middle": str(index - middle)} if job.neighbours else {}
    if job.meta:
        extra["split"] = job.meta.get("split", "")
    return ManifestRow(
        patient_id=job.folder.name,
        image=image,
        mask=mask,
        slice_index=index,
        label=str(job.vertebra).removeprefix("vertebrae_"),
        sex=_SEX.get(job.meta.get("gender", "").lower()[:1]),
        extra=extra,
    )


def _left_out(job: _Job, why: str, way_out: str) -> CaseResult:
    return CaseResult(problems=(Problem(str(job.folder), why, way_out),))


def _split(meta: Mapping[str, Mapping[str, str]], used: set[str]) -> Split | None:
    roles = {
        role: sorted(p for p in used if meta.get(p, {}).get("split") == role) for role in _SPLITS
    }
    if not roles["train"]:
        return None
    order = nested_subsets(roles["train"], [len(roles["train"])])[len(roles["train"])]
    return Split(tuple(order), tuple(roles["val"]), tuple(roles["test"]))


def _facts(
    table: Mapping[str | int, int], vertebra: str | int, licence: str | None, published: bool
) -> DataSetFacts:
    notes = [
        f"Slices through the middle of the body of {vertebra}.",
        "The task 'total' labels the back muscles (autochthon) and the iliopsoas at L3 and not the "
        "abdominal wall: together they are not the whole skeletal muscle area.",
        "Outlines are a model's, at best corrected by a person; they are no observer's.",
    ]
    columns = {"label": "the level"}
    if published:
        columns["split"] = "train, val or test, as published; split.json holds the same"
    return DataSetFacts(
        name="TotalSegmentator data set" if published else "TotalSegmentator output",
        licence="CC BY 4.0" if published and licence is None else licence or "unknown",
        citation="Wasserthal et al., TotalSegmentator: robust segmentation of 104 anatomic "
        "structures in CT images, Radiol Artif Intell 2023;5(5):e230024",
        doi="10.5281/zenodo.6802613" if published else "",
        classes=class_names(table),
        columns=columns,
        notes=notes,
        verified=[
            "folders sNNNN with ct.nii.gz and segmentations/<structure>.nii.gz",
            "meta.csv with semicolons and the columns image_id and split (train, val, test)",
            "names and values of version 2",
        ],
        inferred=["gender m or f", "that each image is another patient"],
    )
