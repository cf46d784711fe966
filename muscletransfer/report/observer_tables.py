"""The tables of an observer study, for files and for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from muscletransfer.observers import (
    Band,
    HumanLevel,
    ObserverStudy,
    agreement_table,
    icc_table,
    measure_spread,
    within_case_sd,
)

__all__ = ["METRICS", "band_row", "human_row", "shown", "study_bands", "study_tables"]

METRICS = ("dice", "dta_rms_mm")


def study_bands(study: ObserverStudy) -> tuple[list[Band], list[str]]:
    """Every band that a study can give, and why it cannot give others.

    Args:
        study: The study.

    Returns:
        The bands, and a reason for each kind that is lacking.
    """
    bands: list[Band] = []
    reasons: dict[str, None] = {}
    for metric in METRICS:
        found, lacking = study.bands(metric)
        bands += found
        reasons |= dict.fromkeys(lacking)
    return bands, list(reasons)


def study_tables(
    study: ObserverStudy, bands: Sequence[Band], human: Sequence[HumanLevel]
) -> dict[str, pd.DataFrame]:
    """Every table of a study by the name of its file.

    Args:
        study: The study.
        bands: Its bands.
        human: Outcomes of the human-level test.

    Returns:
        Name to table.
    """
    tables = {
        "pairwise": study.pairwise,
        "leave_one_out": study.leave_one_out,
        "against_reference": study.against_reference,
        "measures": study.measures,
        "agreement": agreement_table(study),
        "icc": icc_table(study),
        "spread": measure_spread(study),
        "within_case_sd": within_case_sd(study),
        "bands": pd.DataFrame([band_row(band) for band in bands]),
    }
    if human:
        tables["human_level"] = pd.DataFrame([human_row(found) for found in human])
        tables["human_level_cases"] = pd.concat(
            [found.per_case.assign(metric=found.metric) for found in human], ignore_index=True
        )
    return tables


def band_row(band: Band, short: bool = False) -> dict[str, object]:
    """A band as a row; ``short`` for the page, with few digits."""
    row: dict[str, object] = {
        "metric": band.metric,
        "against": band.against,
        "n_observers": len(band.per_observer),
        "n_cases": band.n_cases,
        "lowest": band.low,
        "mean": band.mean,
        "highest": band.high,
        "n_failed": band.n_failed,
        "model": band.model,
        "model_n_failed": band.model_n_failed,
    }
    if short:
        return shown(row)
    percentiles = {"percentile_low": band.percentile_low, "percentile_high": band.percentile_high}
    return {**row, **percentiles, "left_out": " ".join(band.left_out)}


def human_row(found: HumanLevel) -> dict[str, object]:
    """A human-level test as a row."""
    row: dict[str, object] = {
        "metric": found.metric,
        "margin": found.margin,
        "outcome": found.outcome,
        "model_observer": found.model_observer,
        "observer_observer": found.observer_observer,
        "difference": found.difference.mean,
        "difference_low": found.difference.ci[0],
        "difference_high": found.difference.ci[1],
        "confidence": found.difference.confidence,
        "n_cases": found.difference.n_cases,
        "n_patients": found.difference.n_patients,
        "bootstrap_repeats": found.difference.repeats,
        "seed": found.difference.seed,
    }
    if (other := found.leave_one_out) is not None:
        row |= {
            "leave_one_out_model": other.model,
            "leave_one_out_observers": other.observers,
            "leave_one_out_difference": other.difference.mean,
            "leave_one_out_difference_low": other.difference.ci[0],
            "leave_one_out_difference_high": other.difference.ci[1],
            "n_observers_matched": other.n_matched,
            "n_observers": len(other.per_observer),
        }
    return {**row, "sentence": found.sentence}


def shown(row: Mapping[Any, Any]) -> dict[str, object]:
    """Numbers as a reader wants them; what is not there is a dash."""
    texts: dict[str, object] = {}
    for name, value in row.items():
        if value is None or value != value:  # NaN
            texts[str(name)] = "-"
        else:
            texts[str(name)] = f"{value:.4g}" if isinstance(value, float) else value
    return texts
