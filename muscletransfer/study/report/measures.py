"""Muscle area and density of the models against the reference: limits of agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from muscletransfer.agreement import bland_altman
from muscletransfer.report.agreement_figures import AgreementPanel
from muscletransfer.study.results import Arm

__all__ = ["MEASURES", "Measure", "agreement_of_measures", "measure_panel", "patient_pairs"]

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


def patient_pairs(rows: pd.DataFrame, measure: Measure) -> tuple[pd.DataFrame, int]:
    """Model and reference of each patient, cases averaged.

    A missed mask has an area of 0 and no density.

    Args:
        rows: Of the tidy table: one arm, n, repeat and class.
        measure: Which measure.

    Returns:
        ``model, reference``, one row a patient that has both, and how many cases had a reference
        and no measure of the model's.
    """
    model, wanted = rows[measure.column], rows[measure.reference]
    if measure.name == "sma":
        model = model.where(~(rows["failed"] & model.isna()), 0.0)
    known = wanted.notna()
    lost = int((known & model.isna()).sum())
    pairs = pd.DataFrame({"patient": rows["patient"], "model": model, "reference": wanted})
    pairs = pairs[known & model.notna()]
    return pairs.groupby("patient")[["model", "reference"]].mean(), lost


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
    found = []
    keys = [*Arm._fields, "n", "repeat", "class_name"]
    for measure in MEASURES:
        if table[measure.reference].isna().all():
            continue
        for key, rows in table.groupby(keys, sort=False):
            pairs, lost = patient_pairs(rows, measure)
            if len(pairs) < _FEWEST:
                continue
            arm = Arm(*(str(part) for part in key[:4]))
            limits = asdict(bland_altman(pairs["model"], pairs["reference"]))
            row: dict[str, object] = {"measure": measure.name, "unit": measure.unit}
            row["arm"] = labels[arm]
            row |= arm._asdict() | dict(zip(keys[4:], key[4:], strict=True))
            row |= {"n_patients": len(pairs), "n_lost": lost}
            for name in ("bias", "lower", "upper"):
                row[name] = limits[name]
                row[f"{name}_low"], row[f"{name}_high"] = limits[f"{name}_ci"]
            found.append({**row, "sd": limits["sd"], "slope": limits["slope"]})
    table_of_limits = pd.DataFrame(found)
    if found:
        order = {arm: place for place, arm in enumerate(labels.values())}
        place = table_of_limits["arm"].map(order)
        table_of_limits = (
            table_of_limits.assign(place=place)
            .sort_values(["measure", "class_name", "repeat", "place", "n"], kind="stable")
            .drop(columns="place")
            .reset_index(drop=True)
        )
    return table_of_limits


def measure_panel(
    table: pd.DataFrame, measure: Measure, arm: Arm, n: int, repeat: int, class_name: str
) -> AgreementPanel | None:
    """What a Bland-Altman plot of one model needs, or ``None`` with fewer than three patients."""
    same = (table[list(Arm._fields)] == list(arm)).all(axis=1)
    same &= (table["n"] == n) & (table["repeat"] == repeat) & (table["class_name"] == class_name)
    pairs, _ = patient_pairs(table[same], measure)
    if len(pairs) < _FEWEST or not np.isfinite(pairs.to_numpy()).all():
        return None
    model, reference = pairs["model"].to_numpy(), pairs["reference"].to_numpy()
    if math.isclose(float(np.ptp(model - reference)), 0) and math.isclose(float(np.ptp(model)), 0):
        return None  # all the same: nothing to draw
    return AgreementPanel(measure.title, measure.unit, {"models": (model, reference)})
