"""Which figures a human-level test can be about, and their values case by case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.metrics.functional import check_option
from muscletransfer.observers.inputs import MODEL
from muscletransfer.observers.result import ObserverStudy

__all__ = ["Score", "left_out_scores", "pair_scores", "score_of"]


@dataclass(frozen=True)
class Score:
    """A figure that says how well two masks agree.

    Args:
        metric: Column of the study's tables.
        name: What a sentence calls it.
        unit: Its unit, with a space in front; empty for Dice.
        higher_is_better: True for Dice; distances and sizes of differences are better when lower.
        measure: Column of the study's measures that it needs of every observer, or ``None``.
    """

    metric: str
    name: str
    unit: str
    higher_is_better: bool
    measure: str | None

    @property
    def perfect(self) -> float:
        """The value of two masks that are the same."""
        return 1.0 if self.higher_is_better else 0.0


_SCORES = {
    score.metric: score
    for score in (
        Score("dice", "Dice", "", True, None),
        Score("dta_rms_mm", "RMS distance-to-agreement", " mm", False, "sma_outline_cm2"),
        Score("sma_difference_cm2", "difference in muscle area", " cm2", False, "sma_cm2"),
        Score("sma_difference_percent", "difference in muscle area", " %", False, "sma_cm2"),
        Score("smd_difference_hu", "difference in muscle density", " HU", False, "smd_hu"),
        Score(
            "sma_outline_difference_cm2", "difference in outlined area", " cm2", False,
            "sma_outline_cm2",
        ),
        Score(
            "sma_outline_difference_percent", "difference in outlined area", " %", False,
            "sma_outline_cm2",
        ),
    )
}  # fmt: skip


def score_of(metric: str) -> Score:
    """Return what is known of a figure.

    Args:
        metric: Column of the study's tables.

    Returns:
        The score.

    Raises:
        UnknownNameError: No such figure.

    Example:
        >>> score_of("dta_rms_mm").unit
        ' mm'
    """
    check_option("metric", metric, list(_SCORES))
    return _SCORES[metric]


def pair_scores(study: ObserverStudy, score: Score) -> tuple[pd.DataFrame, list[str]]:
    """Every agreement of a model with an observer, and of two observers, on the model's cases.

    An observer without a value of its own in a case (an empty mask has no distance and no density)
    is left out of that case. A model without one has failed: its value is infinite.

    Args:
        study: A study with a model.
        score: What is compared.

    Returns:
        ``case, observer, other, value`` (two observers from both sides), and a note for what was
        left out.

    Raises:
        DataError: The study has no model.
    """
    _check_model(study)
    rows = study.rows(score.metric, "pairwise", not score.higher_is_better)
    absent = _absent(study, score)
    for side in ("observer", "other"):
        rows = rows[~_among(rows, side, absent)]
    notes = [f"case {case!r}: {who!r} has no {score.name}, so left out" for case, who in absent]
    return _failures_kept(rows)[["case", "observer", "other", "value"]], notes


def left_out_scores(study: ObserverStudy, score: Score) -> pd.DataFrame:
    """Each observer, and the model, against the consensus of the other observers.

    Args:
        study: A study with a model.
        score: What is compared.

    Returns:
        One row a case and observer left out: ``case, left_out, observer_value, model_value``;
        empty where no case has three observers.
    """
    _check_model(study)
    table = study.leave_one_out
    table = table[table["case"].isin(study.model_cases)]
    value = table[score.metric] if score.higher_is_better else table[score.metric].abs()
    rows = _failures_kept(table.assign(value=value))
    rows = rows[~_among(rows, "left_out", _absent(study, score))]
    wide = rows.assign(who=np.where(rows["observer"] == MODEL, "model_value", "observer_value"))
    if wide.empty:
        return pd.DataFrame(columns=["case", "left_out", "observer_value", "model_value"])
    wide = wide.pivot(index=["case", "left_out"], columns="who", values="value").reset_index()
    wide.columns.name = None
    return wide.dropna()


def _check_model(study: ObserverStudy) -> None:
    if not study.model_cases:
        raise DataError(
            "The study has no model, so nothing can be held against the observers; pass model= to "
            "observer_study."
        )


def _absent(study: ObserverStudy, score: Score) -> list[tuple[str, str]]:
    """Cases and observers without a value of their own; a model stays, as a failure."""
    if score.measure is None:
        return []
    table = study.measures[~study.measures["observer"].isin([MODEL, "reference"])]
    table = table[table["case"].isin(study.model_cases)]
    none = ~(table["sma_outline_cm2"] > 0) | table[score.measure].isna()
    if score.metric.endswith("_percent"):
        none |= ~(table[score.measure] > 0)
    return list(table.loc[none, ["case", "observer"]].itertuples(index=False, name=None))


def _among(rows: pd.DataFrame, side: str, keys: list[tuple[str, str]]) -> pd.Series:
    return pd.Series(
        [key in set(keys) for key in zip(rows["case"], rows[side], strict=True)],
        index=rows.index,
        dtype=bool,
    )


def _failures_kept(rows: pd.DataFrame) -> pd.DataFrame:
    failed = rows["value"].isna() & (rows["observer"] == MODEL)
    return rows.assign(value=rows["value"].mask(failed, math.inf))
