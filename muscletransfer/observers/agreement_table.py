"""Bland-Altman, ICC and relative error of areas and densities, for everyone against someone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pandas as pd

from muscletransfer.agreement import bland_altman, icc2_1, relative_error
from muscletransfer.errors import DataError
from muscletransfer.observers.inputs import MODEL
from muscletransfer.observers.result import ObserverStudy

__all__ = ["agreement_pairs", "agreement_table"]

OTHERS = "mean of the other observers"
REFERENCE = "reference"
_FEWEST = 3  # cases that limits of agreement want


def agreement_pairs(study: ObserverStudy, measure: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Pairs of measurements of the same cases: everyone against someone.

    Args:
        study: What :func:`muscletransfer.observers.observer_study` returned.
        measure: Column of ``study.measures``.

    Yields:
        Who, against whom, and a table of ``first`` and ``second`` by case: everyone against the
        reference; every observer against the mean of the other observers, and the model against
        the mean of all; every two observers, and the model against each.
    """
    wide = study.measures.pivot(index="case", columns="observer", values=measure)
    observers = [name for name in study.observers if name in wide]
    model = [MODEL] if MODEL in wide else []
    if REFERENCE in wide:
        for who in (*model, *observers):
            yield who, REFERENCE, _pair(wide[who], wide[REFERENCE])
    for who in (*model, *observers):
        others = wide[[name for name in observers if name != who]]
        yield who, OTHERS, _pair(wide[who], others.mean(axis=1))
    for who, other in itertools.product(model, observers):
        yield who, other, _pair(wide[who], wide[other])
    for who, other in itertools.combinations(observers, 2):
        yield who, other, _pair(wide[who], wide[other])


def agreement_table(study: ObserverStudy, confidence: float = 0.95) -> pd.DataFrame:
    """Agreement of areas and densities: bias, limits, ICC and relative error with intervals.

    Cases that one side did not outline, or without a density (an empty mask), are left out and
    counted.
    With fewer than three cases there are no figures, and ``note`` says so. Intervals take cases as
    independent; ``note`` says where patients have several.

    .. versionadded:: 0.1

    Args:
        study: What :func:`muscletransfer.observers.observer_study` returned.
        confidence: Of the intervals.

    Returns:
        One row a measure and pair: ``measure`` (with the unit of bias, limits and SD), ``first``,
        ``second``, ``n_cases``, ``n_left_out``, the figures, and ``note``.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {f"c{i}": {"A": np.eye(10), "B": np.ones((10, 10))} for i in range(3)}
        >>> table = agreement_table(observer_study(masks, dict.fromkeys(masks, (10, 10))))
        >>> table.loc[0, ["first", "second"]].tolist(), float(table.loc[0, "bias"])
        (['A', 'mean of the other observers'], -90.0)
    """
    repeated = len(set(study.patients.values())) < len(study.patients)
    rows = []
    for measure in ("sma_cm2", "smd_hu", "sma_outline_cm2"):
        if measure not in study.measures:
            continue
        for first, second, pair in agreement_pairs(study, measure):
            known = pair.dropna()
            row: dict[str, object] = {
                "measure": measure,
                "first": first,
                "second": second,
                "n_cases": len(known),
                "n_left_out": len(pair) - len(known),
            }
            notes = ["several cases of a patient count as independent"] * repeated
            if len(known) < _FEWEST:
                notes = [f"{len(known)} case(s); wanted {_FEWEST} at least"]
            else:
                row |= _figures(known, measure.endswith("_cm2"), confidence, notes)
            rows.append({**row, "note": "; ".join(notes)})
    table = pd.DataFrame(rows)
    return table[[*(name for name in table if name != "note"), "note"]]


def _pair(first: pd.Series, second: pd.Series) -> pd.DataFrame:
    """Both sides on the cases that either has in the study; a case of neither is nobody's loss."""
    return pd.DataFrame({"first": first, "second": second}).dropna(how="all")


def _figures(
    known: pd.DataFrame, is_area: bool, confidence: float, notes: list[str]
) -> dict[str, object]:
    found = bland_altman(known["first"], known["second"], confidence)
    figures: dict[str, object] = {"bias": found.bias, "sd": found.sd}
    for name in ("bias", "lower", "upper", "slope", "spread_slope"):
        low, high = getattr(found, f"{name}_ci")
        figures |= {name: getattr(found, name), f"{name}_low": low, f"{name}_high": high}
    figures["spread_grows"] = found.spread_grows
    try:
        icc = icc2_1(known[["first", "second"]].to_numpy(), confidence)
    except DataError as error:
        notes.append(f"no ICC: {error}")
        figures |= dict.fromkeys(("icc", "icc_low", "icc_high"), math.nan)
    else:
        figures |= {"icc": icc.icc, "icc_low": icc.ci[0], "icc_high": icc.ci[1]}
    if is_area:  # Hounsfield units have no true zero, so a share of them means nothing
        outlined = known[known["second"] > 0]
        if len(outlined) < len(known):
            notes.append(
                f"{len(known) - len(outlined)} case(s) without area have no relative error"
            )
        if len(outlined) >= _FEWEST:
            share = relative_error(outlined["first"], outlined["second"], confidence)
            figures |= {
                "mean_error_percent": share.mean_percent,
                "mean_error_low_percent": share.mean_ci_percent[0],
                "mean_error_high_percent": share.mean_ci_percent[1],
                "mean_absolute_error_percent": share.mean_absolute_percent,
                "median_absolute_error_percent": share.median_absolute_percent,
                "worst_error_percent": share.worst_percent,
            }
    return figures
