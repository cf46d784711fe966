"""ICC(2,1) of all observers together, also where not everyone outlined everything."""

from __future__ import annotations

import pandas as pd

from muscletransfer.agreement import icc2_1
from muscletransfer.errors import DataError
from muscletransfer.observers.inputs import MODEL
from muscletransfer.observers.result import ObserverStudy

__all__ = ["icc_table"]

_FEWEST = 3  # cases a part should have before one with more raters is preferred


def icc_table(study: ObserverStudy, confidence: float = 0.95) -> pd.DataFrame:
    """ICC(2,1) of all observers together, and of the observers with the model.

    ICC(2,1) wants a complete table. From an incomplete design the largest complete part is taken:
    observers are left out one at a time, those with the fewest cases first, and the part with the
    most ratings counts.

    .. versionadded:: 0.1

    Args:
        study: What :func:`muscletransfer.observers.observer_study` returned.
        confidence: Of the intervals.

    Returns:
        One row a measure and group of raters: ``measure, raters, n_raters, n_cases, left_out``,
        ``icc, icc_low, icc_high`` and ``note``, which says why there is none.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {f"c{i}": {"A": np.eye(9), "B": np.tri(9, k=i)} for i in range(3)}
        >>> icc_table(observer_study(masks, dict.fromkeys(masks, (10, 10))))["n_cases"].tolist()
        [3]
    """
    rows = []
    for measure in ("sma_cm2", "smd_hu", "sma_outline_cm2"):
        if measure not in study.measures:
            continue
        wide = study.measures.pivot(index="case", columns="observer", values=measure)
        groups = {"observers": [name for name in study.observers if name in wide]}
        if MODEL in wide:
            groups["observers and model"] = [*groups["observers"], MODEL]
        for raters, names in groups.items():
            part, left_out = _largest_complete(wide[names], MODEL if MODEL in names else "")
            row: dict[str, object] = {
                "measure": measure,
                "raters": raters,
                "n_raters": part.shape[1],
                "n_cases": part.shape[0],
                "left_out": " ".join(left_out),
            }
            try:
                found = icc2_1(part.to_numpy(), confidence)
            except DataError as error:
                rows.append({**row, "note": str(error)})
                continue
            low, high = found.ci
            row |= {"icc": found.icc, "icc_low": low, "icc_high": high, "note": ""}
            rows.append(row)
    columns = ["measure", "raters", "n_raters", "n_cases", "left_out"]
    return pd.DataFrame(rows, columns=[*columns, "icc", "icc_low", "icc_high", "note"])


def _largest_complete(table: pd.DataFrame, stays: str = "") -> tuple[pd.DataFrame, list[str]]:
    """The complete part with the most ratings, leaving out those with the fewest cases first.

    Args:
        table: Cases by raters.
        stays: The rater whose reliability is asked for and who is never left out.
    """
    if stays:
        table = table[table[stays].notna()]
    counts = table.notna().sum()
    names = sorted(map(str, table), key=lambda name: (name != stays, -int(counts[name]), name))
    best, kept = table.dropna(), list(names)
    for count in range(len(names) - 1, 1, -1):
        part = table[names[:count]].dropna()
        if part.size > best.size or (len(best) < _FEWEST <= len(part)):
            best, kept = part, names[:count]
    return best, sorted(set(names) - set(kept))
