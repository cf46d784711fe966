"""Muscle measures of a whole manifest: one row a case and muscle group."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.case_files import case_names
from muscletransfer.data.manifest.rows import COLUMNS, ManifestRow
from muscletransfer.errors import DataError, ManifestError, SettingError
from muscletransfer.measures.adipose import adipose_measures
from muscletransfer.measures.case import MeasuredCase, read_case
from muscletransfer.measures.muscle import FIGURES, muscle_measures
from muscletransfer.measures.windows import Window, hu_windows
from muscletransfer.metrics.functional import check_option

__all__ = ["ALL", "measure_manifest"]

#: What the row over all muscles of a case is called in the column ``group``.
ALL = "all"

OnError = Literal["raise", "report"]


def measure_manifest(
    manifest: str | Path | Manifest,
    groups: Mapping[str, int] | None = None,
    windows: Mapping[str, Window] | None = None,
    mask_column: str = "mask",
    body_column: str = "body_mask",
    cavity_column: str = "cavity_mask",
    keep: Sequence[str] = (),
    on_error: OnError = "raise",
) -> pd.DataFrame:
    r"""Measure every case of a manifest.

    Each case has a row ``all`` over its whole outline and one for each named group. The columns are
    those of :func:`muscletransfer.measures.muscle_measures`, for the raw outline
    (``sma_outline_cm2``, ``smd_outline_hu``) and for outline and window (``sma_cm2``, ``smd_hu``),
    with the windows used. ``sat_cm2`` and ``vat_cm2`` are there where the manifest has outlines of
    body and cavity; ``smi_cm2_m2`` where it has ``height_m``; published cut-offs where it has
    ``sex`` or ``bmi``, reported and never a diagnosis. A measure that a row does not have is
    empty.

    .. versionadded:: 0.1

    Args:
        manifest: ``patient_id,image,mask[,slice_index,height_m,sex,bmi,body_mask,cavity_mask]``.
            A row without ``slice_index`` is measured over all its slices.
        groups: Name to code of each muscle group in the masks; without it masks are 0 and 1.
        windows: Changes to :data:`muscletransfer.measures.HU_WINDOWS`, inclusive.
        mask_column: The column that holds the masks.
        body_column: The column with the outline of the body.
        cavity_column: The column with the outline of the abdominal cavity.
        keep: Columns of the manifest to copy, such as ``["observer"]``.
        on_error: ``"raise"`` at the first case that cannot be measured, or ``"report"``: its row
            then has no measures and says why in ``problem``, and the other cases go on.

    Returns:
        The table, in the order of the manifest. ``warning`` holds what is doubtful about a case.

    Raises:
        ManifestError: Something is wrong with the manifest.
        DataError: A case cannot be measured, with ``on_error="raise"``; the message names its row.
        SettingError: A group is called ``all``.
        UnknownNameError: No such window or choice.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.synthetic import make_cohort
        >>> cohort = make_cohort(Path(tempfile.mkdtemp()) / "c", patients=2, size=64, seed=1)
        >>> table = measure_manifest(cohort.manifest)
        >>> table[["case", "group", "slices_count"]].values.tolist()
        [['P0001_slice000', 'all', 1], ['P0002_slice000', 'all', 1]]
        >>> bool((table.sma_cm2 <= table.sma_outline_cm2).all())
        True
    """
    check_option("rule for errors", on_error, get_args(OnError))
    hu_windows(windows)  # a wrong window is nobody's case: said before any file is read
    if groups is not None and ALL in groups:
        raise SettingError(f"A group is called {ALL!r}, as the row over all muscles is; rename it.")
    if not isinstance(manifest, Manifest):
        manifest = Manifest.read(
            manifest, need_masks=True, mask_column=mask_column, allow_repeats=True
        )
    _check_keep(manifest, keep)
    rows: list[dict[str, Any]] = []
    for name, row in zip(case_names(manifest), manifest, strict=True):
        head = {"case": name, "patient_id": row.patient_id, "slice_index": row.slice_index}
        head |= {column: row.extra.get(column, "") for column in keep}
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = list(_rows_of(row, groups, windows, body_column, cavity_column))
        except DataError as error:
            message = str(error)
            if not message.startswith(row.where):
                message = f"{row.where}: {message}"
            if on_error == "raise":
                raise type(error)(message) from error
            rows.append({**head, "group": ALL, "warning": "", "problem": message})
            continue
        doubts = " ".join(dict.fromkeys(str(entry.message) for entry in caught))
        rows += [{**head, **figures, "warning": doubts, "problem": ""} for figures in found]
    return _in_order(rows)


def _rows_of(
    row: ManifestRow,
    groups: Mapping[str, int] | None,
    windows: Mapping[str, Window] | None,
    body_column: str,
    cavity_column: str,
) -> Iterable[dict[str, Any]]:
    """Figures of a case: over all muscles, then group by group."""
    case = read_case(row, body_column, cavity_column)
    found = muscle_measures(
        case.hu, case.labels, case.spacing, row.height_m, row.sex, row.bmi, windows, groups
    )
    shared: dict[str, Any] = {
        "height_m": row.height_m,
        "sex": row.sex,
        "bmi_kg_m2": row.bmi,
        "spacing_y_mm": case.spacing[1],
        "spacing_x_mm": case.spacing[2],
    }
    shared |= {key: value for key, value in found.items() if "_window_" in key}
    of_groups = {f"{group}_{figure}" for group in groups or () for figure in FIGURES}
    total = {k: v for k, v in found.items() if k not in shared and k not in of_groups}
    total.setdefault("slices_count", 1)
    total["slices_count"] = int(total["slices_count"])
    fat = _fat(case, windows)
    shared |= {key: value for key, value in fat.items() if "_window_" in key}
    yield {"group": ALL, **total, **{k: v for k, v in fat.items() if k not in shared}, **shared}
    for group, code in (groups or {}).items():
        own: dict[str, Any] = {figure: found[f"{group}_{figure}"] for figure in FIGURES}
        drawn = int((case.labels == code).any(axis=(1, 2)).sum())
        own["slices_count"] = drawn if len(case.labels) > 1 else 1
        if row.height_m is not None:
            own["smi_cm2_m2"] = own["sma_cm2"] / row.height_m**2
        yield {"group": group, **own, **shared}


def _fat(case: MeasuredCase, windows: Mapping[str, Window] | None) -> dict[str, float]:
    if case.body is None or case.cavity is None:
        return {}
    if len(case.hu) != 1:
        raise DataError(
            f"outlines of body and cavity were given for {len(case.hu)} slices; wanted one slice. "
            "Name it in slice_index."
        )
    hu, body, cavity, muscle = (a[0] for a in (case.hu, case.body, case.cavity, case.labels))
    return adipose_measures(hu, body, cavity, case.spacing[1:], muscle != 0, windows)


def _check_keep(manifest: Manifest, keep: Sequence[str]) -> None:
    known = {column for row in manifest for column in row.extra}
    for column in keep:
        if column in COLUMNS or column not in known:
            raise ManifestError(
                f"{manifest.path}: no further column {column!r} to keep; there is "
                f"{', '.join(sorted(known)) or 'none'}."
            )


def _in_order(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns by kind, whatever the first row has: measures, cut-offs, what was used, remarks."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    used = ("height_m", "sex", "bmi_kg_m2", "spacing_y_mm", "spacing_x_mm")

    def kind(name: str) -> int:
        if name in ("warning", "problem"):
            return 4
        if "_window_" in name:
            return 3
        return 2 if name in used else 1 if "cutoff" in name else 0

    table = pd.DataFrame(list(rows), columns=sorted(names, key=kind))
    for column in ("slice_index", "slices_count"):
        if column in table:
            table[column] = table[column].astype("Int64")
    for column in [name for name in names if name.endswith("_below_cutoff")]:
        # True, False or not known; an object column of NaN and bool would be read as numbers.
        known = [None if pd.isna(value) else bool(value) for value in table[column]]
        table[column] = pd.array(known, dtype="boolean")
    return table
