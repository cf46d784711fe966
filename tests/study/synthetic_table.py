"""A tidy table of a study whose truth is known: curves, label-saving factors, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from muscletransfer.study.results import COLUMNS, Arm

ENCODER, DECODER = "timm/resnet18", "unet"
NS = (5, 10, 25, 50, 75, 100, 125)


@dataclass(frozen=True)
class Truth:
    """Dice = 1 - a - b (factor n)^-c: a source needs 1 / factor of the labels scratch needs."""

    a: float = 0.06
    b: float = 1.0
    c: float = 0.7
    factors: Mapping[str, float] = field(
        default_factory=lambda: {"random": 1.0, "jigsaw": 3.0, "classification": 1.0}
    )

    def dice(self, source: str, n: float) -> float:
        return 1 - self.a - self.b * (self.factors[source] * n) ** -self.c


def arm(source: str) -> Arm:
    return Arm(source, ENCODER, DECODER, "none" if source == "random" else "encoder")


def make_table(
    truth: Truth | None = None,
    patients: int = 40,
    ns: Sequence[int] = NS,
    repeats: int = 2,
    folds: int = 4,
    patient_spread: float = 0.03,
    noise: float = 0.02,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw a study: every patient is tested in one fold by every source, n and repeat.

    A patient's expected Dice is the curve plus an effect of the patient (the same everywhere,
    uniform in +-``patient_spread``); each result adds noise (uniform in +-``noise``), so nothing is
    cut off at 0 or 1 and the mean over patients is the curve.
    """
    truth = truth or Truth()
    reach = patient_spread + noise
    assert max(truth.dice(s, n) for s in truth.factors for n in ns) + reach <= 1
    assert min(truth.dice(s, n) for s in truth.factors for n in ns) - reach >= 0
    rng = np.random.default_rng(seed)
    names = [f"P{i:03d}" for i in range(patients)]
    effect = rng.uniform(-patient_spread, patient_spread, patients)
    area = rng.uniform(90, 180, patients)
    density = rng.uniform(25, 50, patients)
    fold = np.arange(patients) % folds
    parts = []
    for source in truth.factors:
        for n in ns:
            for repeat in range(repeats):
                dice = truth.dice(source, n) + effect + rng.uniform(-noise, noise, patients)
                part = pd.DataFrame({"case": names, "patient": names, "fold": fold, "dice": dice})
                part["repeat"], part["n"], part["source"] = repeat, n, source
                part["run_id"] = [f"{source}-{n}-{f}-{repeat}" for f in fold]
                part["dta_rms"] = 1 + 30 * (1 - dice) + rng.uniform(0, 0.5, patients)
                part["sma_cm2"] = area * (1 + 0.3 * (1 - dice) * rng.choice([-1, 1], patients))
                part["smd_hu"] = density - 20 * (1 - dice) * rng.uniform(0, 1, patients)
                part["sma_reference_cm2"], part["smd_reference_hu"] = area, density
                parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["transfer"] = np.where(table["source"] == "random", "none", "encoder")
    table["encoder"], table["decoder"], table["freeze"] = ENCODER, DECODER, "none"
    table["class_name"], table["dta_unit"], table["failed"] = "muscle", "mm", False
    return table[list(COLUMNS)]


def miss(table: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """The table with the masks of some rows missed."""
    table = table.copy()
    table.loc[rows, ["dice", "dta_rms", "sma_cm2", "smd_hu"]] = [0.0, np.inf, 0.0, np.nan]
    table.loc[rows, "failed"] = True
    return table
