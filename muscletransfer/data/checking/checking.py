"""`check_manifest`: read every row as training would, and say what is wrong with which."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from muscletransfer.data.checking.facts import Group, RowFacts, RowFailure, look_at_group
from muscletransfer.data.checking.findings import (
    Finding,
    between_rows,
    of_folds,
    of_pairs,
    of_values,
)
from muscletransfer.data.checking.likeness import Pair, find_pairs
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.parallel import map_in_processes
from muscletransfer.data.splits.drawing import fold_name, in_fold_order
from muscletransfer.errors import ManifestError, close_matches

__all__ = ["FoldCount", "ManifestCheck", "check_manifest"]

_FOLD_COLUMNS = ("fold", "split")
_SHOWN = 12


@dataclass(frozen=True)
class FoldCount:
    """How many patients and rows a fold has.

    .. versionadded:: 0.1

    Example:
        >>> FoldCount(fold="1", patients=3, rows=7)
        FoldCount(fold='1', patients=3, rows=7)
    """

    fold: str
    patients: int
    rows: int


@dataclass(frozen=True, eq=False)
class ManifestCheck:
    """What a check found.

    .. versionadded:: 0.1

    Args:
        manifest: The rows that could be read from the CSV; ``index`` below counts these.
        facts: Of the rows whose files could be used.
        findings: Errors first.
        pairs: Rows of different patients that look alike.
        fold_column: Column of folds, or None.
        folds: Patients and rows of each.
        is_ct: Whether values were read as HU.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.synthetic import make_cohort
        >>> cohort = make_cohort(Path(tempfile.mkdtemp()) / "c", patients=2, size=96, seed=1)
        >>> check = check_manifest(cohort.manifest)
        >>> check.is_ct, [finding.severity for finding in check.errors]
        (True, [])
    """

    manifest: Manifest
    facts: tuple[RowFacts, ...]
    findings: tuple[Finding, ...]
    pairs: tuple[Pair, ...]
    fold_column: str | None
    folds: tuple[FoldCount, ...]
    is_ct: bool

    @property
    def errors(self) -> list[Finding]:
        """What must be mended."""
        return [f for f in self.findings if f.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """What should be looked at."""
        return [f for f in self.findings if f.severity == "warning"]

    @property
    def about_volumes(self) -> str:
        """A sentence on rows that name a whole volume; empty where there are none."""
        counts = [f.volume for f in self.facts if f.volume]
        if not counts:
            return ""
        return (
            f"{len(counts)} rows name a whole volume ({sum(counts)} slices in all), as pretext "
            "images may; the middle slice of each was looked at. Fine-tuning needs a slice_index."
        )

    def lines(self, rows: Iterable[int]) -> str:
        """Return the lines of rows in the CSV, shortened."""
        lines = [self.manifest.rows[i].line for i in rows]
        shown = ", ".join(map(str, lines[:6])) + (
            f" and {len(lines) - 6} more" if lines[6:] else ""
        )
        return f"line{'s' if len(lines) > 1 else ''} {shown}" if lines else ""

    def ranges(self) -> list[dict[str, str]]:
        """Return smallest, median and largest of what was measured, as rows of a table."""
        fov = [f.field_of_view for f in self.facts]
        known = [f for f in self.facts if f.spacing is not None]
        unit = "HU" if self.is_ct else "value"
        columns: list[tuple[str, list[float], int]] = [
            ("pixel height (mm)", [f.spacing[0] for f in known if f.spacing], 3),
            ("pixel width (mm)", [f.spacing[1] for f in known if f.spacing], 3),
            ("rows", [float(f.shape[0]) for f in self.facts], 0),
            ("columns", [float(f.shape[1]) for f in self.facts], 0),
            ("field of view, height (mm)", [h for h, _ in fov], 0),
            ("field of view, width (mm)", [w for _, w in fov], 0),
            (f"{unit}, 1st percentile", [f.low for f in self.facts], 0),
            (f"{unit}, median of the body", [f.middle for f in self.facts], 0),
            (f"{unit}, 99th percentile", [f.high for f in self.facts], 0),
            ("mask area (cm2)", [f.area for f in known], 1),
            ("mask in -29 to 150 HU (%)", [100 * f.in_window for f in self.facts], 0),
            ("not annotated (%)", [100 * f.unlabelled for f in self.facts], 0),
        ]
        table = []
        for name, values, digits in columns:
            finite = [v for v in values if not math.isnan(v)]
            if finite and not (name.startswith("not annotated") and max(finite) == 0):
                low, middle, high = np.percentile(finite, (0, 50, 100))
                table.append(
                    {
                        "": name,
                        "smallest": f"{low:.{digits}f}",
                        "median": f"{middle:.{digits}f}",
                        "largest": f"{high:.{digits}f}",
                        "rows": str(len(finite)),
                    }
                )
        return table

    def summary(self) -> str:
        """Return the check as text for a terminal: problems first, then ranges and folds."""
        lines = [
            f"{self.manifest.path}: {len(self.manifest)} rows of {len(self.manifest.patients)} "
            f"patients; errors: {len(self.errors)}, warnings: {len(self.warnings)}"
        ]
        for finding in self.findings[:_SHOWN]:
            where = self.lines(finding.rows)
            lines.append(f"  {finding.severity}: {finding.what}{f'; {where}' if where else ''}")
            if finding.kind not in ("row", "file"):  # their messages end with the way out
                lines.append(f"    {finding.way_out}")
        if len(self.findings) > _SHOWN:
            lines.append(f"  and {len(self.findings) - _SHOWN} more; -o report.html shows all")
        if self.about_volumes:
            lines.append(f"  {self.about_volumes}")
        for row in self.ranges():
            lines.append(
                f"  {row['']}: {row['smallest']} to {row['largest']}, median {row['median']}"
            )
        for fold in self.folds:
            lines.append(
                f"  {self.fold_column} {fold.fold}: {fold.patients} patients, {fold.rows} rows"
            )
        return "\n".join(lines)


def check_manifest(
    manifest: str | Path,
    *,
    mask_column: str = "mask",
    fold_column: str | None = None,
    is_ct: bool = True,
    workers: int = 0,
    progress: bool = False,
) -> ManifestCheck:
    """Check a manifest before anything is trained on it.

    Every image and mask is read as training would read it; files that cannot be used, masks that do
    not fit, patients in two folds, and slices of two patients that are the same are errors.

    .. versionadded:: 0.1

    Args:
        manifest: The CSV.
        mask_column: Column of the masks; a manifest without masks is checked without.
        fold_column: Column of the folds; ``fold`` or ``split`` where there is one.
        is_ct: Whether values are HU; plain images never are.
        workers: Processes; 0 for this one alone.
        progress: Show a progress bar.

    Returns:
        What was found.

    Raises:
        ManifestError: The CSV cannot be read, lacks a column, or no row of it can be read.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.synthetic import make_cohort
        >>> cohort = make_cohort(Path(tempfile.mkdtemp()) / "c", patients=3, size=192, seed=1)
        >>> check = check_manifest(cohort.manifest)
        >>> len(check.errors), len(check.facts)
        (0, 3)
    """
    path = Path(manifest)
    read, refused = Manifest.read_each(path, mask_column=mask_column)
    if not len(read):
        line, _, error = refused[0]
        raise ManifestError(
            f"{path}: none of {len(refused)} rows can be read. Line {line}: {error}"
        )
    column = _fold_column(read, fold_column)
    findings = [
        Finding("error", str(error).removeprefix(f"{path} "), "As the message says.", (), "row")
        for _, _, error in refused
    ]
    findings.extend(between_rows(read.rows))
    facts, failures = _look(read.rows, is_ct, workers, progress)
    findings.extend(
        Finding("error", _short(f.message, path), "As the message says.", (f.index,), "file")
        for f in failures
    )
    ct = {f.index: is_ct and not is_plain(read.rows[f.index].image) for f in facts}
    pairs = _pairs(facts, read.rows)
    if column is not None:
        findings.extend(of_folds(read.rows, column))
    findings.extend(of_pairs(pairs, read.rows, column))
    findings.extend(of_values(facts, ct))
    findings.sort(key=lambda f: f.severity != "error")
    folds = () if column is None else _count(read.rows, column)
    return ManifestCheck(read, tuple(facts), tuple(findings), tuple(pairs), column, folds, is_ct)


def _look(
    rows: Sequence[ManifestRow], is_ct: bool, workers: int, progress: bool
) -> tuple[list[RowFacts], list[RowFailure]]:
    groups: dict[Path, list[tuple[int, ManifestRow]]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.image].append((index, row))
    jobs = [
        Group(tuple(g), is_ct and not is_plain(image), masks=True) for image, g in groups.items()
    ]
    facts: list[RowFacts] = []
    failures: list[RowFailure] = []
    with tqdm(total=len(rows), desc="reading rows", unit="row", disable=not progress) as bar:
        for found in map_in_processes(look_at_group, jobs, workers):
            facts.extend(f for f in found if isinstance(f, RowFacts))
            failures.extend(f for f in found if isinstance(f, RowFailure))
            bar.update(len(found))
    return sorted(facts, key=lambda f: f.index), sorted(failures, key=lambda f: f.index)


def _pairs(facts: Sequence[RowFacts], rows: Sequence[ManifestRow]) -> list[Pair]:
    if len(facts) < 2:
        return []
    found = find_pairs(
        np.stack([f.fingerprint for f in facts]),
        [rows[f.index].patient_id for f in facts],
        [f.digest for f in facts],
    )
    return [Pair(facts[p.first].index, facts[p.second].index, p.likeness, p.exact) for p in found]


def _fold_column(manifest: Manifest, wanted: str | None) -> str | None:
    known = list(dict.fromkeys(c for row in manifest.rows for c in row.extra))
    if wanted is None:
        return next((c for c in _FOLD_COLUMNS if c in known), None)
    if wanted not in known:
        near = close_matches(wanted, known)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ManifestError(
            f"{manifest.path}: no column {wanted!r} to take folds from.{hint} Found "
            f"{', '.join(known) or 'none'}."
        )
    return wanted


def _count(rows: Sequence[ManifestRow], column: str) -> tuple[FoldCount, ...]:
    patients: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        value = fold_name(row.extra.get(column, "")) or "(none)"
        patients[value].add(row.patient_id)
        counts[value] += 1
    return tuple(FoldCount(v, len(patients[v]), counts[v]) for v in in_fold_order(counts))


def _short(message: str, path: Path) -> str:
    return message.removeprefix(f"{path} ")
