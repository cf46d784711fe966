"""Dice of each structure by itself, where a study has several."""

from __future__ import annotations

import pandas as pd

from muscletransfer.agreement.checks import percent
from muscletransfer.study.report.cells import Cell, Head, count, interval, number, table, text
from muscletransfer.study.results import Arm
from muscletransfer.study.statistics import StudyAnalysis, patient_values, summarise

__all__ = ["structure_summary", "structure_table"]


def structure_summary(rows: pd.DataFrame, analysis: StudyAnalysis) -> pd.DataFrame:
    """Summarise Dice of every structure, as the summary does over all of them.

    Args:
        rows: The tidy table.
        analysis: Its statistics.

    Returns:
        One row a structure, arm and n: ``class_name`` and the columns of
        :func:`muscletransfer.study.statistics.summarise`; empty with one structure.
    """
    names = list(dict.fromkeys(rows["class_name"]))
    if len(names) < 2:
        return pd.DataFrame()
    found = []
    for name in names:
        values = patient_values(rows[rows["class_name"] == name], analysis.reference)
        own = summarise(values, analysis.confidence, analysis.resamples, analysis.seed)
        own = own[own["metric"] == "dice"]
        own.insert(0, "class_name", name)
        found.append(own)
    return pd.concat(found, ignore_index=True)


def structure_table(found: pd.DataFrame, analysis: StudyAnalysis) -> str:
    """The summary of structures as a table of the page."""
    rows = []
    for row in found.to_dict("records"):
        arm = Arm(*(str(row[name]) for name in Arm._fields))
        rows.append(
            [
                text(row["class_name"]),
                text(analysis.labels[arm]),
                count(row["n"]),
                count(row["n_patients"]),
                interval(row["median"], row["q25"], row["q75"]),
                number(row["worst"]),
                interval(row["mean"], row["mean_low"], row["mean_high"]),
                Cell(f"{row['n_failed']} of {row['n_rows']}", str(row["n_failed"])),
            ]
        )
    heads = [
        Head("Structure", "text"),
        Head("Source", "text"),
        Head("n"),
        Head("Patients"),
        Head("Median, quartiles"),
        Head("Worst"),
        Head(f"Mean, {percent(analysis.confidence)} interval"),
        Head("Missed masks"),
    ]
    return table("structures", heads, rows)
