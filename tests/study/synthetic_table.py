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
    effect = rng.uniform(-patient_spread, patient_spread, patients)
    area, density = rng.uniform(90, 180, patients), rng.uniform(25, 50, patients)
    sources = list(truth.factors)
    shape = len(sources), len(ns), repeats, patients
    at, which, repeat, who = (axis.ravel() for axis in np.indices(shape))
    curve = np.array([[truth.dice(source, n) for n in ns] for source in sources])
    dice = curve[at, which] + effect[who] + rng.uniform(-noise, noise, at.size)
    error = 1 - dice
    names = np.array([f"P{i:03d}" for i in range(patients)], dtype=object)[who]
    source, n, fold = np.array(sources, dtype=object)[at], np.array(ns)[which], who % folds
    runs = zip(source, n, fold, repeat, strict=True)
    columns = {
        "run_id": [f"{s}-{k}-{f}-{r}" for s, k, f, r in runs],
        "source": source,
        "encoder": ENCODER,
        "decoder": DECODER,
        "transfer": np.where(source == "random", "none", "encoder").astype(object),
        "freeze": "none",
        "n": n,
        "fold": fold,
        "repeat": repeat,
        "case": names,
        "patient": names,
        "class_name": "muscle",
        "dice": dice,
        "dta_rms": 1 + 30 * error + rng.uniform(0, 0.5, at.size),
        "dta_unit": "mm",
        "sma_cm2": area[who] * (1 + 0.3 * error * rng.choice([-1, 1], at.size)),
        "smd_hu": density[who] - 20 * error * rng.uniform(0, 1, at.size),
        "sma_reference_cm2": area[who],
        "smd_reference_hu": density[who],
        "failed": False,
    }
    return pd.DataFrame(columns)[list(COLUMNS)]


def miss(table: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """The table with the masks of some rows missed."""
    table = table.copy()
    table.loc[rows, ["dice", "dta_rms", "sma_cm2", "smd_hu"]] = [0.0, np.inf, 0.0, np.nan]
    table.loc[rows, "failed"] = True
    return table
