"""What is wrong with a manifest, the worst first, each with the way out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from muscletransfer.data.checking.facts import RowFacts
from muscletransfer.data.checking.likeness import SAME, Pair
from muscletransfer.data.manifest.rows import ManifestRow, patient_names, slice_key
from muscletransfer.data.splits.drawing import fold_name

__all__ = ["Finding", "Severity", "between_rows", "of_folds", "of_pairs", "of_values"]

Severity = Literal["error", "warning"]

_ON_AIR = 0.2
_EDGE = 0.02
_SPACING_MM = (0.3, 2.0)
_AREA_FACTOR = 2.5
_SOFT_HU = (-150.0, 150.0)
_ENOUGH = 8
_RARE = 0.05


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    .. versionadded:: 0.1

    Args:
        severity: ``"error"``: results would be wrong, or training stops; ``"warning"``: look at it.
        what: What was found.
        way_out: What to do.
        rows: Indices of the rows it is about.
        kind: One word, to group by.

    Example:
        >>> finding = Finding("error", "2 images are missing", "Correct their paths.", rows=(0, 4))
        >>> finding.severity, len(finding.rows)
        ('error', 2)
    """

    severity: Severity
    what: str
    way_out: str
    rows: tuple[int, ...] = ()
    kind: str = ""


def between_rows(rows: Sequence[ManifestRow]) -> list[Finding]:
    """Find images that belong to two patients, names of two patients, and slices twice."""
    owners: dict[object, dict[str, int]] = defaultdict(dict)
    called: dict[str, dict[str, int]] = defaultdict(dict)
    seen: dict[object, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for name in patient_names(row):
            called[name].setdefault(row.patient_id, index)
        owners[row.image].setdefault(row.patient_id, index)
        seen[slice_key(row)].append(index)
    found = [
        Finding(
            "error",
            f"{rows[next(iter(ids.values()))].image.name} belongs to {len(ids)} patients: "
            f"{', '.join(map(repr, ids))}",
            "Give it one patient_id, or it can be in training and test at once.",
            tuple(ids.values()),
            "patients",
        )
        for ids in owners.values()
        if len(ids) > 1
    ]
    found.extend(
        Finding(
            "error" if name in ids else "warning",  # an index gives no name to two patients
            f"{len(ids)} patients have the name {name!r} (patient_id or aliases): "
            f"{', '.join(map(repr, ids))}",
            "If they are one person, give them one patient_id, or one can be in training and test "
            "at once; if not, remove the name from the aliases.",
            tuple(ids.values()),
            "patients",
        )
        for name, ids in sorted(called.items())
        if len(ids) > 1
    )
    found.extend(
        Finding(
            "error",
            f"{rows[same[0]].image.name} slice {rows[same[0]].slice_index} is in {len(same)} rows",
            "Remove all but one (several observers go into a manifest of their own).",
            tuple(same),
            "repeated",
        )
        for same in seen.values()
        if len(same) > 1 and len({rows[i].patient_id for i in same}) == 1
    )
    return found


def of_folds(rows: Sequence[ManifestRow], column: str) -> list[Finding]:
    """Find patients in two folds, and rows without one."""
    folds: dict[str, dict[str, int]] = defaultdict(dict)
    empty: list[int] = []
    for index, row in enumerate(rows):
        value = fold_name(row.extra.get(column, ""))
        if value:
            folds[row.patient_id].setdefault(value, index)
        else:
            empty.append(index)
    found = [
        Finding(
            "error",
            f"patient {patient!r} is in {len(values)} folds of column {column!r}: "
            f"{', '.join(values)}",
            "Give all rows of a patient one fold.",
            tuple(values.values()),
            "folds",
        )
        for patient, values in folds.items()
        if len(values) > 1
    ]
    if empty:
        found.append(
            Finding(
                "error",
                f"no {column!r} given ({_counted(empty)})",
                "Fill the column in, or leave it out and let folds be dealt.",
                tuple(empty),
                "folds",
            )
        )
    return found


def of_pairs(
    pairs: Sequence[Pair], rows: Sequence[ManifestRow], column: str | None
) -> list[Finding]:
    """Turn look-alikes into findings: the same slice under two patients is an error."""
    found = []
    for pair in pairs:
        a, b = rows[pair.first], rows[pair.second]
        folds = [fold_name(r.extra.get(column, "")) if column else "" for r in (a, b)]
        where = f", in the folds {folds[0]} and {folds[1]}" if folds[0] != folds[1] else ""
        names = f"patients {a.patient_id!r} and {b.patient_id!r}"
        if pair.exact:
            what = f"{names} have a slice with the very same pixels{where}"
        elif pair.likeness >= SAME:
            what = f"{names} have nearly the same slice (likeness {pair.likeness:.2f}){where}"
        else:
            what = f"{names} look alike (likeness {pair.likeness:.2f}){where}"
        sure = pair.exact or pair.likeness >= SAME
        found.append(
            Finding(
                "error" if sure else "warning",
                what,
                "Look at both. If they are one person, give them one patient_id; if it is a copy, "
                "remove it.",
                (pair.first, pair.second),
                "likeness",
            )
        )
    return found


def of_values(facts: Sequence[RowFacts], is_ct: Mapping[int, bool]) -> list[Finding]:
    """Find what is odd in grids, values and masks.

    Args:
        facts: Of the rows that could be read.
        is_ct: By row, whether its values are HU.
    """
    return [
        *_grids(facts),
        *_hounsfield([f for f in facts if is_ct[f.index]]),
        *_masks(facts),
    ]


def _grids(facts: Sequence[RowFacts]) -> list[Finding]:
    low, high = _SPACING_MM
    unknown = [f.index for f in facts if f.spacing is None]
    odd = [f.index for f in facts if f.spacing is not None and not _within(f.spacing, low, high)]
    return [
        *_one(
            "warning",
            "no known pixel spacing, so nothing is measured in mm or cm2",
            "Give spacing_x_mm and spacing_y_mm.",
            unknown,
            "spacing",
        ),
        *_one(
            "warning",
            f"pixels outside {low:g} to {high:g} mm, unusual for CT",
            "Check the spacing in the files.",
            odd,
            "spacing",
        ),
    ]


def _hounsfield(facts: Sequence[RowFacts]) -> list[Finding]:
    low, high = _SOFT_HU
    return [
        *_one(
            "error",
            f"more than {_ON_AIR:.0%} of the mask lies on air",
            "The mask belongs to another image or is flipped: look at the overlays.",
            [f.index for f in facts if f.on_air > _ON_AIR],
            "fit",
        ),
        *_one(
            "warning",
            f"the median of the body is not between {low:g} and {high:g} HU",
            "Check slope and intercept: values may be shifted.",
            [f.index for f in facts if not low <= f.middle <= high],
            "hounsfield",
        ),
        *_one(
            "warning",
            "no air around the body",
            "Check that values are HU, and that padding is near -1000.",
            [f.index for f in facts if f.low > -500 and f.edge <= 0.5],
            "hounsfield",
        ),
        *_one(
            "warning",
            "the body is cut off by the field of view",
            "Areas are too small where muscle is cut: look at them.",
            [f.index for f in facts if f.edge > _EDGE],
            "field of view",
        ),
    ]


def _masks(facts: Sequence[RowFacts]) -> list[Finding]:
    masked = [f for f in facts if not math.isnan(f.area)]
    if not masked:
        return []
    found: list[Finding] = []
    without = [f.index for f in facts if math.isnan(f.area)]
    known = [f for f in masked if f.spacing is not None]
    far: list[int] = []
    if len(known) >= _ENOUGH:
        middle = float(np.median([f.area for f in known]))
        far = [
            f.index
            for f in known
            if not _within((f.area / middle,), 1 / _AREA_FACTOR, _AREA_FACTOR)
        ]
    holders: dict[int, list[int]] = defaultdict(list)
    for f in masked:
        for value in f.classes:
            holders[value].append(f.index)
    rare = {v: i for v, i in holders.items() if len(i) < _RARE * len(masked)}
    found.extend(
        _one("warning", "no mask, while others have one", "Outline or remove.", without, "mask")
    )
    found.extend(
        _one(
            "warning",
            f"a mask {_AREA_FACTOR:g} times larger or smaller than the median",
            "Look at the overlays: another level, a missing part, or a wrong file.",
            far,
            "mask",
        )
    )
    found.extend(
        Finding(
            "warning",
            f"class {value} occurs in {len(index)} of {len(masked)} masks only",
            "Map it to another class, or check that it is meant.",
            tuple(index),
            "classes",
        )
        for value, index in sorted(rare.items())
    )
    return found


def _one(
    severity: Severity, what: str, way_out: str, rows: Sequence[int], kind: str
) -> list[Finding]:
    if not rows:
        return []
    return [Finding(severity, f"{what} ({_counted(rows)})", way_out, tuple(rows), kind)]


def _counted(rows: Sequence[int]) -> str:
    return f"{len(rows)} row{'s' if len(rows) > 1 else ''}"


def _within(values: Sequence[float], low: float, high: float) -> bool:
    return all(low <= v <= high for v in values)
