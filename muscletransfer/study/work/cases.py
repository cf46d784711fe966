"""``cases.csv``: one row a test case and class, from the fine-tuner's table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["COLUMNS", "case_rows", "write_cases"]

COLUMNS = (
    "case",
    "patient",
    "class_name",
    "dice",
    "dta_rms",
    "dta_unit",
    "sma_cm2",
    "smd_hu",
    "sma_reference_cm2",
    "smd_reference_hu",
    "failed",
)


def case_rows(
    table: Sequence[Mapping[str, Any]], patients: Sequence[str], class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Turn rows of `SegmentationFineTuner.case_table` into rows of the study.

    Args:
        table: One row a case.
        patients: Patient of each case number.
        class_names: Names of the foreground classes.

    Yields:
        One row a case and class that the reference has; what does not exist is empty.

    Example:
        >>> table = [{"case": 0, "dice": 0.9, "dta_rms_mm": 1.5, "sma_cm2": 150.0, "failed": False}]
        >>> row = next(case_rows(table, ["P1"], ["muscle"]))
        >>> row["patient"], row["dta_unit"], row["sma_cm2"], row["smd_hu"], row["failed"]
        ('P1', 'mm', 150.0, '', False)
    """
    several = len(class_names) > 1
    for row in table:
        unit = "mm" if "dta_rms_mm" in row else "px"
        for name in class_names:
            end = f"_{name}" if several else ""
            if f"dice{end}" not in row:
                continue  # the reference lacks the class: there is nothing to compare with
            distance = row[f"dta_rms_{unit}{end}"]
            yield {
                "case": row["case"],
                "patient": patients[row["case"]],
                "class_name": name,
                "dice": row[f"dice{end}"],
                "dta_rms": distance,
                "dta_unit": unit,
                "sma_cm2": _known(row, f"sma_cm2{end}"),
                "smd_hu": _known(row, f"smd_hu{end}"),
                "sma_reference_cm2": _known(row, f"reference_sma_cm2{end}"),
                "smd_reference_hu": _known(row, f"reference_smd_hu{end}"),
                "failed": math.isinf(distance),
            }


def write_cases(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write the rows; floats with all digits, so that equal runs give equal files."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _known(row: Mapping[str, Any], key: str) -> Any:
    value = row.get(key, "")
    return "" if isinstance(value, float) and math.isnan(value) else value
