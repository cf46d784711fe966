"""Tables of the page, cell by cell from the tables of the statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from muscletransfer.agreement.bootstrap import FEWEST_PATIENTS
from muscletransfer.agreement.checks import percent
from muscletransfer.study.report.cells import (
    Cell,
    Head,
    count,
    interval,
    number,
    p_value,
    pill,
    table,
    text,
)
from muscletransfer.study.results import Arm
from muscletransfer.study.statistics import StudyAnalysis
from muscletransfer.study.statistics.metrics import METRICS

__all__ = [
    "agreement_table",
    "human_matrix",
    "human_table",
    "paired_table",
    "saving_table",
    "summary_table",
]

#: Decimals of each figure.
DIGITS = {"dice": 3, "dta_rms": 2, "sma_error_percent": 1, "smd_error_hu": 1}

OUTCOMES = {
    "as_good": ("as good", "good"),
    "worse": ("worse", "bad"),
    "cannot_tell": ("cannot tell", ""),
}

_MOST_ROWS = 600


def summary_table(analysis: StudyAnalysis, metric: str) -> str:
    """Every arm and n of one figure."""
    digits = DIGITS[metric]
    rows = []
    for row in _records(analysis.summary[analysis.summary["metric"] == metric]):
        cells = [
            text(analysis.labels[_arm(row)]),
            count(row["n"]),
            count(row["n_patients"]),
            interval(row["median"], row["q25"], row["q75"], digits),
            number(row["worst"], digits),
            interval(row["mean"], row["mean_low"], row["mean_high"], digits),
            Cell(f"{row['n_failed']} of {row['n_rows']}", str(row["n_failed"])),
        ]
        if metric == "dice":
            cells.append(number(row["sd_between_repeats"], 4))
        rows.append(cells)
    heads = [
        Head("Source", "text"),
        Head("n"),
        Head("Patients"),
        Head("Median, quartiles"),
        Head("Worst"),
        Head(f"Mean, {percent(analysis.confidence)} interval"),
        Head("Missed masks"),
    ]
    if metric == "dice":
        heads.append(Head("SD between repeats"))
    return table(f"summary-{metric}", heads, rows)


def paired_table(analysis: StudyAnalysis, metric: str) -> tuple[str, int]:
    """Paired tests of one figure; how many were left out because there are too many."""
    found = analysis.paired[analysis.paired["metric"] == metric]
    kept = found
    if len(found) > _MOST_ROWS:
        scratch = {analysis.labels[a] for a in analysis.arms if a.source == analysis.reference}
        kept = found[found["second"].isin(scratch)].head(_MOST_ROWS)
    digits = DIGITS[metric]
    rows = [
        [
            count(row["n"]),
            text(row["first"]),
            text(row["second"]),
            count(row["n_patients"]),
            interval(
                row["median_difference"], row["median_low"], row["median_high"], digits + 1, True
            ),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            _better(row),
        ]
        for row in _records(kept)
    ]
    share = f"{percent(analysis.confidence)} interval"
    heads = [
        Head("n"),
        Head("First", "text"),
        Head("Second", "text"),
        Head("Patients"),
        Head(f"Median of first minus second, {share}"),
        Head("p"),
        Head("p (Holm)"),
        Head("Better", "text"),
    ]
    return table(f"paired-{metric}", heads, rows, find=True), len(found) - len(kept)


def saving_table(analysis: StudyAnalysis) -> str:
    """The factor of every arm as a whole and at each n."""
    rows = []
    found = analysis.tables()["saving"]
    spent = (
        found.dropna(subset="factor_with_selection")
        if "factor_with_selection" in found
        else found[:0]
    )
    few = {analysis.labels[one.arm] for one in analysis.saving if one.headline.few_patients}
    selection = len(spent) > 0 and not np.allclose(spent["factor_with_selection"], spent["factor"])
    for row in _records(found):
        whole = pd.isna(row["n"])
        cells = [
            text(row["arm"]),
            Cell("all", "0") if whole else count(row["n"]),
            Cell("", "") if whole else number(row["dice"]),
            Cell("", "") if whole else _bounded(row["labels_from_scratch"], row["bound"], 1),
            _factor(row, "factor", "", row["arm"] in few),
        ]
        if selection:
            cells.append(
                Cell("", "")
                if whole
                else _factor(row, "factor_with_selection", "_with_selection", row["arm"] in few)
            )
        rows.append(cells)
    share = f"{percent(analysis.confidence)} interval"
    heads = [
        Head("Source", "text"),
        Head("n"),
        Head("Dice of its curve"),
        Head("Labels from scratch for it"),
        Head(f"Factor, {share}"),
    ]
    if selection:
        heads.append(Head(f"With labels of selection, {share}"))
    return table("saving", heads, rows)


def human_matrix(analysis: StudyAnalysis) -> str:
    """Verdicts, an arm a row and an n a column."""
    human = analysis.human
    assert human is not None  # asked for by the caller
    found = {(v.arm, v.n): v for v in human.verdicts}
    rows = []
    for arm in analysis.arms:
        cells = [text(analysis.labels[arm])]
        for n in analysis.ns:
            verdict = found.get((arm, n))
            if verdict is None:
                cells.append(Cell("\u2013"))
                continue
            words, tone = OUTCOMES[verdict.outcome]
            cells.append(pill(words, tone, verdict.outcome, verdict.sentence))
        least = human.smallest_n.get(arm)
        cells.append(Cell("none" if least is None else f"<b>{least}</b>"))
        rows.append(cells)
    heads = [Head("Source"), *(Head(f"n = {n}") for n in analysis.ns), Head("Smallest n")]
    return table("human-matrix", heads, rows, kind="matrix")


def human_table(analysis: StudyAnalysis, digits: int) -> str:
    """Verdicts with their numbers."""
    human = analysis.human
    assert human is not None  # asked for by the caller
    rows = []
    for verdict in human.verdicts:
        words, tone = OUTCOMES[verdict.outcome]
        repeats = f"{verdict.repeats_as_good} of {len(verdict.by_repeat)}"
        rows.append(
            [
                text(analysis.labels[verdict.arm]),
                count(verdict.n),
                number(verdict.model_observer, digits),
                number(verdict.observer_observer, digits),
                interval(verdict.difference, verdict.low, verdict.high, digits + 1, True),
                count(verdict.n_patients),
                Cell(repeats, str(verdict.repeats_as_good)),
                pill(words, tone),
            ]
        )
    heads = [
        Head("Source", "text"),
        Head("n"),
        Head("Model with an observer"),
        Head("Two observers"),
        Head(f"Difference, {percent(human.confidence)} interval"),
        Head("Patients"),
        Head("Repeats as good"),
        Head("Verdict", "text"),
    ]
    return table("human", heads, rows)


def agreement_table(limits: pd.DataFrame, measure: str, repeat: int, classes: bool) -> str:
    """Limits of agreement of one measure and repeat, every arm and n."""
    own = limits[(limits["measure"] == measure) & (limits["repeat"] == repeat)]
    digits = 2 if measure == "sma" else 1
    rows = []
    for row in _records(own):
        ends = [
            interval(row[name], row[f"{name}_low"], row[f"{name}_high"], digits, True)
            for name in ("bias", "lower", "upper")
        ]
        cells = [text(row["arm"]), count(row["n"]), count(row["n_patients"]), *ends]
        rows.append(([text(row["class_name"])] if classes else []) + [*cells, count(row["n_lost"])])
    unit = str(own["unit"].iloc[0])
    heads = [Head("Structure", "text")] if classes else []
    heads += [
        Head("Source", "text"),
        Head("n"),
        Head("Patients"),
        Head(f"Bias ({unit}), 95% interval"),
        Head("Lower limit, 95% interval"),
        Head("Upper limit, 95% interval"),
        Head("Cases without"),
    ]
    return table(f"agreement-{measure}", heads, rows)


def metric_title(metric: str, unit: str) -> str:
    """Name of a figure with its unit."""
    label = METRICS[metric].label
    return f"{label} ({unit})" if metric == "dta_rms" and unit else label


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _arm(row: Mapping[str, Any]) -> Arm:
    return Arm(*(str(row[name]) for name in Arm._fields))


def _better(row: Mapping[str, Any]) -> Cell:
    if not row["better"]:
        return Cell('<span class="soft">not settled</span>', "", kind="text")
    return pill(str(row[row["better"]]), "good", str(row[row["better"]]))


def _bounded(value: float, bound: str, digits: int) -> Cell:
    sign = {"at_least": "\u2265\u00a0", "at_most": "\u2264\u00a0"}.get(bound, "")
    cell = number(value, digits)
    return cell if math.isnan(value) else Cell(sign + cell.html, cell.value)


def _factor(row: Mapping[str, Any], name: str, ending: str, few: bool) -> Cell:
    """A factor with its interval; where it is a bound, or not known, it says so."""
    value, bound = float(row[name]), str(row[f"bound{ending}"])
    low, high = float(row[f"low{ending}"]), float(row[f"high{ending}"])
    cell = interval(value, low, high, 2)
    if math.isnan(value):
        return Cell("not known", "", kind="")
    reach = f'{cell.html.split(" ", 1)[0]} <span class="range">'
    if few:
        reach += f"no interval: fewer than {FEWEST_PATIENTS} patients"
    elif low <= 0 and math.isinf(high):
        reach += "not bounded by what was measured"
    elif low <= 0:
        reach += f"at most {high:.2f}"
    elif math.isinf(high):
        reach += f"at least {low:.2f}"
    else:
        reach += f"{low:.2f} to {high:.2f}"
    sign = {"at_least": "\u2265\u00a0", "at_most": "\u2264\u00a0"}.get(bound, "")
    return Cell(f"{sign}{reach}</span>", cell.value, cell.low, cell.high)
