"""Muscle area and density of the models against the reference: limits of agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from muscletransfer.agreement import bland_altman
from muscletransfer.report.agreement_figures import AgreementPanel
from muscletransfer.study.results import Arm

__all__ = ["MEASURES", "Measure", "agreement_of_measures", "measure_panel", "patient_means"]

_FEWEST = 3  # of Bland and Altman's method


@dataclass(frozen=True)
class Measure:
    """A muscle measure.

    Args:
        name: Short name.
        title: For figures.
        unit: Its unit.
        column: Of the model in the tidy table.
        reference: Of the reference.
    """

    name: str
    title: str
    unit: str
    column: str
    reference: str


MEASURES = (
    Measure("sma", "Muscle area", "cm\u00b2", "sma_cm2", "sma_reference_cm2"),
    Measure("smd", "Muscle density", "HU", "smd_hu", "smd_reference_hu"),
)


def patient_means(rows: pd.DataFrame, measure: Measure, keys: Sequence[str]) -> pd.DataFrame:
    """Model and reference of each patient, cases averaged.

    A missed mask has an area of 0 and no density.

    Args:
        rows: Of the tidy table.
        measure: Which measure.
        keys: Columns that tell groups apart.

    Returns:
        ``keys, patient, model, reference, n_lost``, one row a group and patient: means over the
        cases that have both, and how many cases have a reference and no measure of the model's;
        NaN where none has both.
    """
    model, wanted = rows[measure.column], rows[measure.reference]
    if measure.name == "sma":
        model = model.where(~(rows["failed"] & model.isna()), 0.0)
    both = model.notna() & wanted.notna()
    pairs = rows[[*keys, "patient"]].assign(
        model=model.where(both),
        reference=wanted.where(both),
        n_lost=(wanted.notna() & model.isna()).astype(int),
    )
    return (
        pairs.groupby([*keys, "patient"], sort=False, observed=True)
        .agg(model=("model", "mean"), reference=("reference", "mean"), n_lost=("n_lost", "sum"))
        .reset_index()
    )


def agreement_of_measures(table: pd.DataFrame, labels: Mapping[Arm, str]) -> pd.DataFrame:
    """Limits of agreement of every arm, n, repeat and class.

    Each repeat by itself: it is one model a fold, and patients are independent within it.

    Args:
        table: The tidy table.
        labels: Short names of the arms.

    Returns:
        One row a measure, arm, n, repeat and class with three patients or more: ``measure, unit,
        arm, source, encoder, decoder, transfer, n, repeat, class_name, n_patients, n_lost`` and the
        fields of :class:`muscletransfer.agreement.BlandAltman` that do not follow the size.
        Empty where there are no measures.
    """
    found: list[dict[str, object]] = []
    keys = [*Arm._fields, "n", "repeat", "class_name"]
    place = {arm: i for i, arm in enumerate(labels)}
    for measure in MEASURES:
        if table[measure.reference].isna().all():
            continue
        means = patient_means(table, measure, keys)
        values = means[["model", "reference", "n_lost"]].to_numpy()
        own = []
        groups: dict[Any, Any] = means.groupby(keys, sort=False).indices
        for key, rows in groups.items():
            arm = Arm(*(str(part) for part in key[:4]))
            pairs = values[rows]
            known = pairs[~np.isnan(pairs[:, 0])]
            if len(known) < _FEWEST:
                continue
            row: dict[str, object] = {"measure": measure.name, "unit": measure.unit}
            row |= {"arm": labels[arm]} | arm._asdict() | dict(zip(keys[4:], key[4:], strict=True))
            row |= {"n_patients": len(known), "n_lost": int(pairs[:, 2].sum())}
            limits = bland_altman(known[:, 0], known[:, 1])
            for name in ("bias", "lower", "upper"):
                row[name] = getattr(limits, name)
                row[f"{name}_low"], row[f"{name}_high"] = getattr(limits, f"{name}_ci")
            own.append((key[6], key[5], place[arm], key[4], row | {"sd": limits.sd}))
        found += [one[-1] for one in sorted(own, key=lambda one: one[:4])]
    return pd.DataFrame(found)


def measure_panel(
    table: pd.DataFrame, measure: Measure, arm: Arm, n: int, repeat: int, class_name: str
) -> AgreementPanel | None:
    """What a Bland-Altman plot of one model needs, or ``None`` with fewer than three patients."""
    same = (table[list(Arm._fields)] == list(arm)).all(axis=1)
    same &= (table["n"] == n) & (table["repeat"] == repeat) & (table["class_name"] == class_name)
    pairs = patient_means(table[same], measure, []).dropna()
    pairs = pairs[["model", "reference"]]
    if len(pairs) < _FEWEST or not np.isfinite(pairs.to_numpy()).all():
        return None
    model, reference = pairs["model"].to_numpy(), pairs["reference"].to_numpy()
    if math.isclose(float(np.ptp(model - reference)), 0) and math.isclose(float(np.ptp(model)), 0):
        return None  # all the same: nothing to draw
    return AgreementPanel(measure.title, measure.unit, {"models": (model, reference)})
