"""Figures of an observer study: who lies where, and what the human-level test found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.observers import Band, HumanLevel, ObserverStudy
from muscletransfer.observers.agreement_table import OTHERS, REFERENCE, agreement_pairs
from muscletransfer.observers.inputs import MODEL
from muscletransfer.observers.scores import score_of
from muscletransfer.report.agreement_figures import (
    AgreementPanel,
    IntervalRow,
    bland_altman_figure,
    interval_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "band_figure",
    "error_figure",
    "human_level_figure",
    "icc_figure",
    "study_agreement_figures",
]

TITLES = {
    "sma_cm2": "muscle area",
    "smd_hu": "muscle density",
    "sma_outline_cm2": "outlined area",
    "dice": "Dice",
    "dta_rms_mm": "RMS distance-to-agreement (mm)",
}
UNITS = {"cm2": "cm2", "hu": "HU"}
_AGAINST = {
    "reference": "against the reference",
    "leave_one_out": "against the consensus\nof the others",
    "pairwise": "against one another",
}

# File name, against whom, the model (True), observers (False) or both (None), and a caption.
_PLOTS = (
    ("model_reference", REFERENCE, True, "The model against the reference"),
    ("observers_reference", REFERENCE, False, "Every observer against the reference"),
    (
        "observers_others",
        OTHERS,
        None,
        "Every observer against the mean of the others, and the model against the mean of all",
    ),
)


def band_figure(bands: Mapping[str, Sequence[Band]]) -> Figure:
    """Draw each observer's figure and the model's, one panel a metric, one row a comparison.

    Args:
        bands: Metric to its bands, such as against the reference and among observers.

    Returns:
        The figure.

    Raises:
        DataError: No bands.
    """
    from matplotlib.figure import Figure

    if not bands:
        raise DataError("No bands were given; wanted at least one metric.")
    height = 1.5 + 0.55 * max(len(rows) for rows in bands.values())
    figure = Figure(figsize=(5.0 * len(bands) + 1.2, height), layout="constrained")
    panels = figure.subplots(1, len(bands), squeeze=False, sharey=True)[0]
    for axes, (metric, rows) in zip(panels, bands.items(), strict=True):
        for y, band in enumerate(rows):
            values = np.array(list(band.per_observer.values()))
            finite = values[np.isfinite(values)]
            if finite.size:
                axes.plot(
                    [finite.min(), finite.max()], [y, y], color="#bbbbbb", lw=9, alpha=0.6,
                    solid_capstyle="butt", label="range of observers" if y == 0 else None,
                )  # fmt: skip
            axes.plot(
                finite, [y] * finite.size, "o", color="#0072B2", ms=5, alpha=0.8,
                label="one observer" if y == 0 else None,
            )  # fmt: skip
            if band.model is not None and np.isfinite(band.model):
                axes.plot(
                    band.model, y, "D", color="#D55E00", ms=7,
                    label="model" if y == 0 else None,
                )  # fmt: skip
        axes.set_yticks(range(len(rows)), [_AGAINST[band.against] for band in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{TITLES.get(metric, metric)}, mean over cases")
        axes.grid(axis="x", color="#e5e5e5", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure


def human_level_figure(results: Sequence[HumanLevel]) -> list[Figure]:
    """Draw model-observer minus observer-observer with its interval, beside 0 and the margin.

    Args:
        results: Outcomes of the human-level test, of one metric each.

    Returns:
        One figure a metric; none where the difference is infinite.
    """
    figures = []
    for found in results:
        score = score_of(found.metric)
        if not np.isfinite(found.difference.mean):
            continue
        rows = [_row("model, with the observers", found.difference.mean, found.difference.ci, True)]
        if found.leave_one_out is not None and np.isfinite(found.leave_one_out.difference.mean):
            other = found.leave_one_out.difference
            rows.append(_row("model, with their consensus", other.mean, other.ci, True))
        rows += [
            IntervalRow(f"without {name}", value, value, value)
            for name, value in found.without.items()
            if np.isfinite(value)
        ]
        edge = -found.margin if score.higher_is_better else found.margin
        better = "right" if score.higher_is_better else "left"
        figures.append(
            interval_figure(
                rows,
                f"{score.name}: model minus human{score.unit and f' ({score.unit.strip()})'}; "
                f"better to the {better}",
                {"no difference": 0.0, "margin that was chosen": edge},
            )
        )
    return figures


def icc_figure(pairs: pd.DataFrame, groups: pd.DataFrame, measure: str) -> Figure | None:
    """Draw ICC(2,1) of all observers, and of everyone with the reference.

    Args:
        pairs: From ``agreement_table``.
        groups: From ``icc_table``.
        measure: Which measure.

    Returns:
        The figure, or ``None`` where no ICC is defined.
    """
    rows = []
    for row in groups[(groups["measure"] == measure) & groups["icc"].notna()].to_dict("records"):
        label = f"all {row['raters']} ({row['n_raters']})"
        rows.append(_row(label, row["icc"], (row["icc_low"], row["icc_high"])))
    known = pairs[(pairs["measure"] == measure) & (pairs["second"] == REFERENCE)]
    if "icc" in known:
        for row in known[known["icc"].notna()].to_dict("records"):
            marked, label = row["first"] == MODEL, f"{row['first']} and reference"
            rows.append(_row(label, row["icc"], (row["icc_low"], row["icc_high"]), marked))
    return interval_figure(rows, f"ICC(2,1) of {TITLES[measure]}") if rows else None


def error_figure(study: ObserverStudy, pairs: pd.DataFrame, measure: str) -> Figure | None:
    """Draw relative errors of an area: each case, and the mean with its interval.

    Args:
        study: The study.
        pairs: From ``agreement_table``.
        measure: An area.

    Returns:
        The figure, against the reference or, without one, the mean of the other observers;
        ``None`` where no relative error is defined.
    """
    against = REFERENCE if not study.against_reference.empty else OTHERS
    known = pairs[(pairs["measure"] == measure) & (pairs["second"] == against)]
    if "mean_error_percent" not in known:
        return None
    means = {
        str(row["first"]): row
        for row in known[known["mean_error_percent"].notna()].to_dict("records")
    }
    rows = []
    for who, second, pair in agreement_pairs(study, measure):
        if second != against or who not in means:
            continue
        pair = pair.dropna()
        pair = pair[pair["second"] > 0]
        errors = 100 * (pair["first"] - pair["second"]) / pair["second"]
        own = means[who]
        ends = own["mean_error_low_percent"], own["mean_error_high_percent"]
        rows.append(_row(who, own["mean_error_percent"], ends, who == MODEL, errors.tolist()))
    label = f"error of the {TITLES[measure]} from the {against} (%)"
    return interval_figure(rows, label, {"no error": 0.0}) if rows else None


def study_agreement_figures(study: ObserverStudy) -> Iterator[tuple[str, str, Figure]]:
    """Bland-Altman plots of a study: model and observers against the reference and each other.

    Args:
        study: The study.

    Yields:
        A file name, a caption and the figure.
    """
    measures = [m for m in ("sma_cm2", "smd_hu") if m in study.measures] or ["sma_outline_cm2"]
    for name, against, whose, caption in _PLOTS:
        panels = []
        for measure in measures:
            series = {
                who: (pair["first"].to_numpy(), pair["second"].to_numpy())
                for who, second, given in agreement_pairs(study, measure)
                if second == against
                and (whose is None or (who == MODEL) == whose)
                and len(pair := given.dropna())
            }
            if sum(len(a) for a, _ in series.values()) >= 3:
                unit = UNITS[measure.rpartition("_")[2]]
                panels.append(AgreementPanel(TITLES[measure], unit, series, against))
        if panels:
            yield f"bland_altman_{name}", caption, bland_altman_figure(panels)


def _row(
    label: str,
    value: float,
    interval: tuple[float, float],
    marked: bool = False,
    points: Sequence[float] = (),
) -> IntervalRow:
    return IntervalRow(label, float(value), float(interval[0]), float(interval[1]), points, marked)
