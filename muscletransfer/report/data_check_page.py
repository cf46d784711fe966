"""The page of a manifest check: problems first, then what the data is."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muscletransfer.data.checking import Finding, ManifestCheck
from muscletransfer.data.checking.facts import RowFacts, read_case
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest.sidecar import read_sidecar
from muscletransfer.report.contact_sheet import Thumbnail, contact_sheet
from muscletransfer.report.html import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_data_check"]

_SHEET, _MARKED, _PAIRS, _ROWS = 30, 10, 6, 300


def write_data_check(check: ManifestCheck, path: str | os.PathLike[str]) -> Path:
    """Write a check as one HTML file.

    Args:
        check: What `check_manifest` returned.
        path: The file to write.

    Returns:
        The path written.
    """
    manifest = check.manifest
    page = Page(
        f"Check of {manifest.path.name}",
        f"{len(manifest)} rows of {len(manifest.patients)} patients.",
    )
    page.text(_verdict(check), note=True)
    if check.about_volumes:
        page.text(check.about_volumes)
    if check.findings:
        page.heading("Problems")
        page.table([_finding_row(check, f) for f in check.findings], prose=True)
    if check.pairs:
        page.heading("Slices of different patients that look alike")
        page.text(
            "Likeness is the correlation of what tells bodies apart: copies and re-exports of one "
            "slice have 0.85 and more, neighbouring slices of one person mostly 0.5 to 0.9, and "
            "different people seldom more than 0.4."
        )
        page.figure(_pair_figure(check), "Each pair side by side, the most alike first.")
    _ranges(page, check)
    if check.folds:
        page.heading("Folds")
        page.text(f"Column {check.fold_column!r}.")
        page.table([{"fold": f.fold, "patients": f.patients, "rows": f.rows} for f in check.folds])
    if check.facts:
        page.heading("Overlays")
        thumbnails = _sheet(check)
        page.figure(
            contact_sheet(thumbnails, None if _is_plain(check) else (-150.0, 250.0)),
            f"{len(thumbnails)} of {len(check.facts)} slices, those with a problem first (red), "
            "then evenly spaced; line of the CSV and patient. Outlines by class; orange: not "
            "annotated.",
        )
        _all_rows(page, check)
    _about(page, check)
    return page.write(path)


def _verdict(check: ManifestCheck) -> str:
    errors, warnings = len(check.errors), len(check.warnings)
    if errors:
        return (
            f"{errors} error{'s' if errors > 1 else ''} and {warnings} "
            f"warning{'s' if warnings != 1 else ''}: mend the errors before training. A patient, "
            "or a copy of a slice, on both sides of a split makes every score too good."
        )
    if warnings:
        return f"No error; {warnings} warning{'s' if warnings > 1 else ''} to look at."
    return (
        "No problem was found. Look at the overlays all the same: no program knows what is right."
    )


def _finding_row(check: ManifestCheck, finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.severity,
        "found": finding.what,
        "where": check.lines(finding.rows),
        "way out": finding.way_out,
    }


def _ranges(page: Page, check: ManifestCheck) -> None:
    table = check.ranges()
    if not table:
        return
    page.heading("What the data is")
    page.table(table)
    figure = _histograms(check)
    if figure is not None:
        page.figure(figure, "One count a slice.")


def _histograms(check: ManifestCheck) -> Figure | None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    known = [f for f in check.facts if f.spacing is not None]
    shown = [
        ("pixel width (mm)", [f.spacing[1] for f in known if f.spacing]),
        ("field of view, width (mm)", [f.field_of_view[1] for f in known]),
        ("median of the body (HU)", [f.middle for f in check.facts if check.is_ct]),
        ("mask area (cm2)", [f.area for f in known if not math.isnan(f.area)]),
    ]
    shown = [(name, values) for name, values in shown if len(values) > 1]
    if not shown:
        return None
    figure = Figure(figsize=(11, 2.3), layout="constrained")
    for axes, (name, values) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True
    ):
        axes.hist(values, bins=min(20, max(5, len(values) // 3)), color="#0072B2")
        axes.set_xlabel(name, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _pair_figure(check: ManifestCheck) -> Figure:
    thumbnails = []
    for pair in check.pairs[:_PAIRS]:
        for index in (pair.first, pair.second):
            found = _thumbnail(check, index, f" ({pair.likeness:.2f})", True)
            if found is not None:
                thumbnails.append(found)
    return contact_sheet(thumbnails, None if _is_plain(check) else (-150.0, 250.0), columns=4)


def _sheet(check: ManifestCheck) -> list[Thumbnail]:
    usable = [f.index for f in check.facts]
    bad = list(dict.fromkeys(i for f in check.findings for i in f.rows if i in set(usable)))
    marked = bad[:_MARKED]
    others = [i for i in usable if i not in set(marked)]
    room = _SHEET - len(marked)
    if len(others) > room:
        others = [others[int(k)] for k in np.linspace(0, len(others) - 1, room)]
    found = [_thumbnail(check, i, "", True) for i in marked]
    found.extend(_thumbnail(check, i, "", False) for i in others)
    return [t for t in found if t is not None]


def _thumbnail(check: ManifestCheck, index: int, after: str, marked: bool) -> Thumbnail | None:
    row = check.manifest.rows[index]
    case = read_case(row, check.is_ct and not is_plain(row.image), masks=True)
    if isinstance(case, str):
        return None  # a failure is in the table of problems already
    rows, columns = (-1 if f else 1 for f in case.geometry.flip)
    view = (slice(None, None, rows), slice(None, None, columns))
    mask = None if case.native_mask is None else case.native_mask[view]
    patient = row.patient_id if len(row.patient_id) <= 14 else row.patient_id[:13] + "…"
    return Thumbnail(case.native[view], mask, f"{row.line}: {patient}{after}", marked)


def _all_rows(page: Page, check: ManifestCheck) -> None:
    page.heading("Every slice")
    facts: Sequence[RowFacts] = check.facts
    if len(facts) > _ROWS:
        page.text(f"The first {_ROWS} of {len(facts)}.")
    page.table([_row(check, f) for f in facts[:_ROWS]])


def _row(check: ManifestCheck, facts: RowFacts) -> dict[str, object]:
    row = check.manifest.rows[facts.index]
    height, width = facts.field_of_view
    return {
        "line": row.line,
        "patient": row.patient_id,
        "image": row.image.name + ("" if row.slice_index is None else f" [{row.slice_index}]"),
        "size": f"{facts.shape[0]} x {facts.shape[1]}",
        "pixel (mm)": "unknown"
        if facts.spacing is None
        else f"{facts.spacing[0]:.3f} x {facts.spacing[1]:.3f}",
        "field of view (mm)": "" if math.isnan(height) else f"{height:.0f} x {width:.0f}",
        "1st, median, 99th": f"{facts.low:.0f}, {facts.middle:.0f}, {facts.high:.0f}",
        "mask": ""
        if math.isnan(facts.area)
        else f"{facts.area:.1f} cm2"
        if facts.spacing
        else f"{facts.area:.0f} pixels",
        "classes": ", ".join(str(c) for c in facts.classes if c),
    }


def _about(page: Page, check: ManifestCheck) -> None:
    facts = read_sidecar(check.manifest.path)
    if facts is None:
        return
    page.heading("The data set")
    rows = {
        "name": facts["name"],
        "licence": facts["licence"],
        "citation": facts["citation"],
        "doi": facts["doi"],
        "classes": ", ".join(f"{k} {v}" for k, v in facts["classes"].items()),
    }
    page.preformatted("\n".join(f"{k}: {v}" for k, v in rows.items() if v))
    for note in facts["notes"]:
        page.text(str(note))


def _is_plain(check: ManifestCheck) -> bool:
    return not check.is_ct or all(is_plain(row.image) for row in check.manifest.rows)
