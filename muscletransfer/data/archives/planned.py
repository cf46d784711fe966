"""An export with CT series and their outlines (RTSTRUCT, DICOM-SEG), matched by series."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.archives.prepared import (
    CaseResult,
    DataSetFacts,
    Prepared,
    class_names,
    write_prepared,
)
from muscletransfer.data.archives.slices import (
    check_output,
    each_case,
    has_foreground,
    reason,
    told_apart,
    write_slice_mask,
)
from muscletransfer.data.dicom.series_list import is_series_list, read_list
from muscletransfer.data.indexing import index_images
from muscletransfer.data.indexing.records import Problem
from muscletransfer.data.indexing.walk import find_files
from muscletransfer.data.io.grids import ImageGrid, read_grid
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import ALIASES, ManifestRow
from muscletransfer.data.outlines import read_outlines
from muscletransfer.data.outlines.dicom_objects import dicom_kind, open_object, parsing
from muscletransfer.data.outlines.names import Structures, class_table, matching
from muscletransfer.data.outlines.rtstruct import CLOSED
from muscletransfer.errors import DataError, MuscleTransferError, UnknownNameError

__all__ = ["prepare_planned"]

_KEPT = ("series", ALIASES)


@dataclass(frozen=True)
class _Object:
    """An outline file: what it refers to, whose it says it is, when it was made, what it holds.

    ``drawn`` has the structures that are not empty, by the number that `read_outlines` knows.
    """

    path: Path
    series: frozenset[str]
    patient: str
    made: str
    images: frozenset[str]
    drawn: Mapping[int, str]


@dataclass(frozen=True)
class _Series:
    """A row of the index and its images; phases that share a series UID are a row each."""

    row: ManifestRow
    images: frozenset[str]


@dataclass(frozen=True)
class _Job:
    outlines: _Object
    row: ManifestRow
    output: Path
    table: dict[str | int, int]


def prepare_planned(
    root: str | Path,
    output: str | Path,
    structures: Structures,
    *,
    links: str | Path | None = None,
    key: str | Path | None = None,
    licence: str | None = None,
    workers: int = 0,
    progress: bool = False,
) -> Prepared:
    """Turn an export of CT series with RTSTRUCT or DICOM-SEG outlines into a manifest.

    The tree may have any shape: series are found and sorted as `index_images` does, under
    pseudonyms, and each outline file goes to the series that it refers to. Every slice with an
    outline becomes a row. Of several outline files for one series the latest that has the
    structures is taken. Outline files whose series is not there, that name another patient, or
    that lack the structures are listed in ``problems.csv``.

    .. versionadded:: 0.1

    Args:
        root: The folder with the export.
        output: Folder to write manifest, masks, sidecar and problems to; not the root.
        structures: ROI names or segment labels, as in `read_outlines`.
        links: Also write which pseudonym is which patient, to this file; see `index_images`.
        key: File with a secret that pseudonyms are made from; see `index_images`.
        licence: Terms of the data, for the sidecar.
        workers: Processes; 0 for this one alone.
        progress: Show a progress bar.

    Returns:
        What was written.

    Raises:
        DataError: No CT series, or no outline that fits one.
        MissingDependencyError: The ``dicom`` extra is not installed.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.archives.miniatures import write_miniature
        >>> root = Path(tempfile.mkdtemp())
        >>> export = write_miniature("planned", root / "export", patients=1, size=96)
        >>> prepare_planned(export, root / "planned", "Muscle L3").patients
        1
    """
    root, output = Path(root), Path(output)
    table = class_table(structures)
    check_output(root, output)
    index = index_images(
        root, output / "images.csv", problems=output / "images_problems.csv",
        links=links, key=key, workers=workers, progress=progress,
    )  # fmt: skip
    rows = Manifest.read(index.manifest).rows
    by_series: dict[str, list[_Series]] = {}
    for row in rows:
        grid = read_grid(row.image)
        if grid.series:
            by_series.setdefault(grid.series, []).append(_Series(row, frozenset(grid.instances)))
    objects, problems = _outline_files(root, output)
    jobs, unmatched = _match(objects, by_series, output, table)
    results = [CaseResult(problems=(*problems, *unmatched))]
    results.extend(each_case(_case, jobs, workers, "outlines", progress))
    return write_prepared(output, results, _facts(table, licence))


def _outline_files(root: Path, output: Path) -> tuple[list[_Object], list[Problem]]:
    files, problems = find_files([root], [output])
    found: list[_Object] = []
    for name in files:
        path = Path(name)
        try:
            if dicom_kind(path):
                found.append(_read_object(path))
        except (OSError, DataError) as error:
            problems.append(Problem(name, str(error).removeprefix(f"{name}: "), "Export it again."))
    return found, problems


def _read_object(path: Path) -> _Object:
    data = open_object(path, pixels=False)
    with parsing(path, "an RTSTRUCT or a segmentation"):
        series = {
            str(item.SeriesInstanceUID)
            for frame in data.get("ReferencedFrameOfReferenceSequence", [])
            for study in frame.get("RTReferencedStudySequence", [])
            for item in study.get("RTReferencedSeriesSequence", [])
        }
        series |= {str(item.SeriesInstanceUID) for item in data.get("ReferencedSeriesSequence", [])}
        made = "".join(
            str(data.get(name, ""))
            for name in ("StructureSetDate", "StructureSetTime", "ContentDate", "ContentTime")
        )
        patient = str(data.get("PatientID", "")).strip()
        return _Object(path, frozenset(series), patient, made, _images_of(data), _drawn_in(data))


def _images_of(data: Any) -> frozenset[str]:
    """UIDs of the images that an outline file was drawn on."""
    found = [
        image
        for roi in data.get("ROIContourSequence", [])
        for contour in roi.get("ContourSequence", [])
        for image in contour.get("ContourImageSequence", [])
    ]
    for series in data.get("ReferencedSeriesSequence", []):
        found.extend(series.get("ReferencedInstanceSequence", []))
    return frozenset(str(image.ReferencedSOPInstanceUID) for image in found)


def _drawn_in(data: Any) -> dict[int, str]:
    found = {int(s.SegmentNumber): str(s.SegmentLabel) for s in data.get("SegmentSequence", [])}
    full = {
        int(roi.ReferencedROINumber)
        for roi in data.get("ROIContourSequence", [])
        if any(c.get("ContourGeometricType") in CLOSED for c in roi.get("ContourSequence", []))
    }
    for order, roi in enumerate(data.get("StructureSetROISequence", []), 1):
        if int(roi.ROINumber) in full:
            found[order] = str(roi.ROIName)
    return found


def _holds(item: _Object, table: Mapping[str | int, int]) -> bool:
    """Whether an outline file has every structure asked for."""
    try:
        for wanted in table:
            if isinstance(wanted, str):
                matching(wanted, item.drawn.values(), str(item.path))
            elif wanted not in item.drawn:
                return False
    except UnknownNameError:
        return False
    return True


def _match(
    objects: Sequence[_Object],
    by_series: dict[str, list[_Series]],
    output: Path,
    table: dict[str | int, int],
) -> tuple[list[_Job], list[Problem]]:
    chosen: dict[Path, tuple[_Object, ManifestRow]] = {}
    problems: list[Problem] = []
    whole = {item.path for item in objects if _holds(item, table)}
    latest = sorted(objects, key=lambda o: (o.path in whole, o.made, str(o.path)), reverse=True)
    for item in latest:
        here = sorted(item.series & set(by_series))
        if not here:
            problems.append(
                Problem(
                    str(item.path),
                    "refers to a series that is not here, or not axial CT "
                    f"({' or '.join(sorted(item.series)) or 'it names none'})",
                    "Export the series that it was drawn on, too.",
                )
            )
            continue
        parts = [part for uid in here for part in by_series[uid]]
        shared = [len(part.images & item.images) for part in parts]
        if shared.count(max(shared)) > 1:
            which = "as many of one as of another" if max(shared) else "images of none of them"
            series = "a series that is" if len(here) == 1 else f"{len(here)} series that are"
            problems.append(
                Problem(
                    str(item.path),
                    f"refers to {series} {len(parts)} phases or reconstructions, and names {which}",
                    "Export the one that it was drawn on, or outlines that name its images.",
                )
            )
            continue
        row = parts[shared.index(max(shared))].row
        if row.image in chosen:
            other = chosen[row.image][0]
            why = f"{other.path.name}, made later, outlines the same series"
            if other.path in whole and item.path not in whole:
                why = f"lacks what {other.path.name} has and was asked for, on the same series"
            problems.append(
                Problem(
                    str(item.path),
                    why,
                    "Keep one of them in the tree; several observers go into a manifest each.",
                )
            )
        else:
            chosen[row.image] = item, row
    return [_Job(item, row, output, table) for item, row in chosen.values()], problems


def _case(job: _Job) -> CaseResult:
    path, notes = job.outlines.path, []
    messages: list[str] = []
    try:
        other = _other_patient(job)
        if other:
            return CaseResult(problems=(Problem(str(path), other, "Check whose it is."),))
        with told_apart(messages):
            grid = read_grid(job.row.image)
            mask = read_outlines(path, grid, job.table)
            rows = _rows(job, grid, mask.labels)
        notes = [m.removeprefix(f"{path}: ").rstrip(".") for m in messages]
    except (DataError, UnknownNameError) as error:
        return CaseResult(problems=(Problem(str(path), reason(error, path), "See its message."),))
    if not rows:
        why = "its contours enclose no pixel centre"
        return CaseResult(problems=(Problem(str(path), why, "Look at it in its own program."),))
    checks = tuple(Problem(str(path), n, "Look at the outline.", outcome="check") for n in notes)
    return CaseResult(tuple(rows), checks)


def _rows(job: _Job, grid: ImageGrid, labels: np.ndarray) -> list[ManifestRow]:
    name = f"{job.row.patient_id}_{job.row.extra.get('series', 'S01')}"
    rows = []
    for index, drawn in enumerate(labels):
        if has_foreground(drawn):
            path = write_slice_mask(job.output, name, index, drawn, grid)
            rows.append(
                ManifestRow(
                    patient_id=job.row.patient_id,
                    image=job.row.image,
                    mask=path,
                    slice_index=index,
                    height_m=job.row.height_m,
                    sex=job.row.sex,
                    bmi=job.row.bmi,
                    extra={k: job.row.extra[k] for k in _KEPT if k in job.row.extra},
                )
            )
    return rows


def _other_patient(job: _Job) -> str:
    """Return what is wrong when the outline and its CT name two patients; ids stay unprinted."""
    image = job.row.image
    first = read_list(image).files[0] if is_series_list(image) else image
    if not job.outlines.patient or os.path.isdir(first):
        return ""
    try:
        there = str(open_object(Path(first), pixels=False).get("PatientID", "")).strip()
    except MuscleTransferError:
        return ""  # reading the image says what is wrong with it
    if there and there != job.outlines.patient:
        return "names another patient than the series that it refers to"
    return ""


def _facts(table: dict[str | int, int], licence: str | None) -> DataSetFacts:
    return DataSetFacts(
        name="outlines of a planning system",
        licence=licence or "unknown",
        classes=class_names(table),
        columns={
            "series": "number of the series of the patient, as in images.csv",
            ALIASES: "pseudonyms of further ids of the patient, where there is a key and any",
        },
        notes=[
            "One row for each slice with an outline; patients have pseudonyms.",
            "A pixel is inside an outline when its centre is.",
        ],
    )
