"""What preparing writes: a manifest, masks, what was left out, and a sidecar of facts."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muscletransfer._version import __version__
from muscletransfer.data.archives.slices import is_corrected, remove_masks
from muscletransfer.data.files import write_text_atomic
from muscletransfer.data.indexing.records import Problem
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.manifest.sidecar import SIDECAR_FORMAT, read_sidecar, sidecar_path
from muscletransfer.data.splits import Split
from muscletransfer.errors import DataError, ManifestError

__all__ = [
    "CaseResult",
    "DataSetFacts",
    "Prepared",
    "write_prepared",
]

_SHOWN = 8
_CORRECTED = "was corrected since it was written, and stays, although no row names it any more"
_CORRECTED_WAY_OUT = "Name it in a manifest of your own, or remove it."


@dataclass(frozen=True)
class CaseResult:
    """What one case of a data set gave: rows for the manifest, and what is odd or missing."""

    rows: tuple[ManifestRow, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class DataSetFacts:
    """What a person must know of a data set to use its manifest rightly; goes into the sidecar.

    Args:
        name: What it is called.
        licence: Terms of use, or ``"unknown"``.
        citation: How to cite it.
        doi: Where it is published.
        classes: What each mask value is.
        columns: What each further column of the manifest is.
        notes: What else matters.
        verified: What of its layout is read from its publishers' own files or code.
        inferred: What is not.
    """

    name: str
    licence: str
    citation: str = ""
    doi: str = ""
    classes: Mapping[int, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    verified: Sequence[str] = ()
    inferred: Sequence[str] = ()


@dataclass(frozen=True)
class Prepared:
    """What was written.

    .. versionadded:: 0.1

    Args:
        manifest: The CSV.
        sidecar: Its JSON of facts.
        problems_csv: What was left out or should be looked at.
        rows: How many slices the manifest has.
        patients: Of how many patients.
        problems: What the other CSV holds.
        split: The publishers' split as JSON, where there is one.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.archives import prepare_totalsegmentator
        >>> from muscletransfer.data.archives.miniatures import write_miniature
        >>> root = Path(tempfile.mkdtemp())
        >>> tools = write_miniature("totalsegmentator", root / "tools", patients=1, size=32)
        >>> prepared = prepare_totalsegmentator(tools, root / "l3")
        >>> prepared.rows, prepared.patients, prepared.manifest.name
        (1, 1, 'manifest.csv')
    """

    manifest: Path
    sidecar: Path
    problems_csv: Path
    rows: int
    patients: int
    problems: tuple[Problem, ...]
    split: Path | None = None

    def summary(self) -> str:
        """Return a few lines for a terminal; they name no patient."""
        facts = read_sidecar(self.manifest)
        lines = [f"{self.manifest}: {self.rows} slices of {self.patients} patients"]
        if facts is not None:
            classes = ", ".join(f"{value} {name}" for value, name in facts["classes"].items())
            lines.append(f"{self.sidecar}: {facts['name']}; {classes}; licence: {facts['licence']}")
        if self.split is not None:
            lines.append(f"{self.split}: the published split")
        counts = Counter(
            (p.outcome, p.reason.split(": ")[-1].split(" (")[0]) for p in self.problems
        )
        lines.append(
            f"{self.problems_csv}: {len(self.problems) or 'nothing was'} left out or to check"
        )
        lines.extend(
            f"  {count} {outcome}: {reason[:90]}"
            for (outcome, reason), count in counts.most_common(_SHOWN)
        )
        if len(counts) > _SHOWN:
            lines.append(f"  and {len(counts) - _SHOWN} other reasons")
        return "\n".join(lines)


def class_names(table: Mapping[str | int, int]) -> dict[int, str]:
    """Return what each class is made of.

    Example:
        >>> class_names({"psoas_left": 1, "psoas_right": 1, "wall": 2})
        {1: 'psoas_left + psoas_right', 2: 'wall'}
    """
    names: dict[int, str] = {}
    for name, value in table.items():
        names[value] = f"{names[value]} + {name}" if value in names else str(name)
    return names


def write_prepared(
    folder: Path,
    results: Sequence[CaseResult],
    facts: DataSetFacts,
    split: Split | None = None,
) -> Prepared:
    """Write manifest, sidecar and problems; the manifest last, so that it names only what is there.

    Masks that only the manifest before named are removed once the new one is in place, those that
    somebody corrected excepted; other files may be those of a manifest that was renamed.

    Args:
        folder: Where to.
        results: What the cases gave.
        facts: For the sidecar.
        split: The publishers' split, where there is one.

    Returns:
        What was written.

    Raises:
        DataError: No case gave a row (``problems.csv`` is written and says why), or the folder
            cannot be written.
    """
    rows = tuple(row for result in results for row in result.rows)
    manifest = Path(os.path.abspath(folder)) / "manifest.csv"
    dropped = _dropped_masks(manifest, rows) if rows else set()
    corrected = sorted(path for path in dropped if is_corrected(path))
    problems = (
        *(problem for result in results for problem in result.problems),
        *(Problem(str(path), _CORRECTED, _CORRECTED_WAY_OUT, "check") for path in corrected),
    )
    listed = manifest.with_name("problems.csv")
    try:
        write_text_atomic(listed, _problems_text(problems))
        if not rows:
            first = "; ".join(dict.fromkeys(p.reason for p in problems[:3]))
            raise DataError(
                f"{facts.name}: none of {len(results)} cases can be used ({first or 'no cases'}); "
                f"wanted at least one. {listed} names each, with the way out."
            )
        split_path = None if split is None else split.save(manifest.with_name("split.json"))
        sidecar = write_text_atomic(sidecar_path(manifest), _facts_text(facts, rows))
        Manifest(rows, manifest).write(manifest)
        remove_masks(manifest.parent, dropped.difference(corrected))
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be written ({error.strerror}); wanted a folder "
            "that can be. Choose another with -o, or make room."
        ) from error
    patients = len({row.patient_id for row in rows})
    return Prepared(manifest, sidecar, listed, len(rows), patients, problems, split_path)


def _dropped_masks(manifest: Path, rows: Sequence[ManifestRow]) -> set[Path]:
    """Return masks that the manifest before names, and neither the rows nor another one there."""
    dropped = _masks_named_in(manifest) - {row.mask for row in rows if row.mask is not None}
    for other in manifest.parent.glob("*.csv") if dropped else ():
        if other != manifest:
            dropped -= _masks_named_in(other)
    return dropped


def _masks_named_in(manifest: Path) -> set[Path]:
    try:
        found, _ = Manifest.read_each(manifest, mask_column="mask")
    except ManifestError:  # the first one here, or another table
        return set()
    return {row.mask for row in found.rows if row.mask is not None}


def _facts_text(facts: DataSetFacts, rows: Sequence[ManifestRow]) -> str:
    plain = {
        "format": SIDECAR_FORMAT,
        "name": facts.name,
        "licence": facts.licence,
        "citation": facts.citation,
        "doi": facts.doi,
        "classes": {str(value): name for value, name in sorted(facts.classes.items())},
        "not_annotated": 255,
        "columns": dict(facts.columns),
        "notes": list(facts.notes),
        "layout": {"verified": list(facts.verified), "inferred": list(facts.inferred)},
        "rows": len(rows),
        "patients": len({row.patient_id for row in rows}),
        "written_by": f"muscletransfer {__version__}",
    }
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


def _problems_text(problems: Sequence[Problem]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "files", "outcome", "reason", "way_out"])
    for p in sorted(problems, key=lambda p: (p.outcome != "check", p.file, p.reason)):
        writer.writerow([p.file, p.files, p.outcome, " ".join(p.reason.split()), p.way_out])
    return text.getvalue()
