"""The tidy table of a study: one row a run, test case and class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError

__all__ = [
    "CASE_COLUMNS",
    "COLUMNS",
    "ORDER",
    "RUN_COLUMNS",
    "UNITS",
    "Arm",
    "check_table",
    "empty_table",
    "find_problems",
    "with_kinds",
]

Kind = Literal["text", "integer", "number", "flag"]

#: What a row says of its run; the same in all rows of a run.
#:
#: .. versionadded:: 0.1
RUN_COLUMNS: Mapping[str, Kind] = {
    "run_id": "text",
    "source": "text",  # name of the source, as in the configuration
    "encoder": "text",
    "decoder": "text",
    "transfer": "text",  # "none", "encoder" or "encoder+decoder"
    "freeze": "text",  # "none" or what stayed as it was transferred
    "n": "integer",  # labelled patients for training
    "fold": "integer",
    "repeat": "integer",
}

#: What a run writes of each test case (and class) into its ``cases.csv``.
#:
#: .. versionadded:: 0.1
CASE_COLUMNS: Mapping[str, Kind] = {
    "case": "text",
    "patient": "text",  # pseudonym
    "class_name": "text",
    "dice": "number",
    "dta_rms": "number",  # RMS distance-to-agreement, infinite where the prediction is empty
    "dta_unit": "text",  # "mm" or "px"
    "sma_cm2": "number",
    "smd_hu": "number",
    "sma_reference_cm2": "number",
    "smd_reference_hu": "number",
    "failed": "flag",  # the prediction is empty
}

#: What a distance may be measured in.
UNITS = ("mm", "px")

#: All columns of the tidy table, in order.
#:
#: .. versionadded:: 0.1
COLUMNS: Mapping[str, Kind] = {**RUN_COLUMNS, **CASE_COLUMNS}

#: Rows are sorted by these, so that the same runs always give the same table.
ORDER = (
    *("source", "encoder", "decoder", "transfer", "n", "repeat", "fold"),
    *("run_id", "case", "class_name"),
)


class Arm(NamedTuple):
    """What one learning curve is drawn of.

    .. versionadded:: 0.1

    Args:
        source: Name of the source.
        encoder: Encoder.
        decoder: Decoder.
        transfer: ``"none"``, ``"encoder"`` or ``"encoder+decoder"``.

    Example:
        >>> str(Arm("jigsaw", "timm/resnet18", "unet", "encoder"))
        'jigsaw, timm/resnet18, unet, encoder'
    """

    source: str
    encoder: str
    decoder: str
    transfer: str

    def __str__(self) -> str:
        return ", ".join(self)


def empty_table() -> pd.DataFrame:
    """Return the table of no runs, with all columns.

    .. versionadded:: 0.1

    Example:
        >>> len(empty_table()), "dice" in empty_table()
        (0, True)
    """
    types = {"text": "str", "integer": "int64", "number": "float64", "flag": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=types[kind]) for name, kind in COLUMNS.items()})


def check_table(table: pd.DataFrame) -> None:
    """Refuse a table that is not a tidy table of a study.

    .. versionadded:: 0.1

    Args:
        table: Such as :func:`muscletransfer.study.results.read_results` returns.

    Raises:
        DataError: A column is missing or of another type, a row is impossible (see
            :func:`find_problems`), or the same case of the same arm, n, fold and repeat is there
            twice.

    Example:
        >>> check_table(empty_table())
    """
    if lacking := [name for name in COLUMNS if name not in table]:
        raise DataError(
            f"The table lacks the column(s) {', '.join(lacking)}; wanted {', '.join(COLUMNS)}."
        )
    for name, kind in COLUMNS.items():
        if (len(table) or kind != "text") and not _is_of(table[name], kind):
            raise DataError(
                f"Column {name!r} of the table holds {table[name].dtype} values; wanted {kind}s. "
                "Read the files of a study with muscletransfer.study.results.read_results, which "
                "knows the kinds; correct the column in a table of your own."
            )
    for run, problem in find_problems(table).items():
        raise DataError(f"Run {run!r}: {problem}.")
    _check_once(table)


def with_kinds(table: pd.DataFrame) -> pd.DataFrame:
    """Undo what a reader of CSV guesses: numbers of cases are names, and n is a whole number.

    Args:
        table: Such as ``pandas.read_csv`` returns; it is not changed.

    Returns:
        The table with whole numbers as text where a name is wanted, nothing as empty text, and
        numbers without fractions as whole ones where those are wanted, and 0 and 1 as flags.

    Example:
        >>> found = with_kinds(pd.DataFrame({"case": [0, 1], "n": [5.0, 10.0]}))
        >>> found["case"].tolist(), found["n"].tolist()
        (['0', '1'], [5, 10])
    """
    changed: dict[str, pd.Series] = {}
    for name, kind in COLUMNS.items():
        if name not in table:
            continue
        values = table[name]
        if kind == "text" and pd.api.types.is_integer_dtype(values):
            changed[name] = values.astype(str)
        elif kind == "text" and values.isna().any():
            changed[name] = values.astype(object).fillna("").astype(str)
        elif kind == "number" and pd.api.types.is_integer_dtype(values):
            changed[name] = values.astype("float64")
        elif kind == "flag" and pd.api.types.is_numeric_dtype(values) and values.isin((0, 1)).all():
            changed[name] = values.astype(bool)
        elif kind == "integer" and pd.api.types.is_float_dtype(values) and _are_whole(values):
            changed[name] = values.astype("int64")
    return table.assign(**changed) if changed else table


def find_problems(table: pd.DataFrame) -> dict[str, str]:
    """Find runs with rows that no test can have given.

    Args:
        table: With all columns, each of its type.

    Returns:
        Run to its first problem: a row without patient, case or Dice, a Dice outside 0 to 1, a
        negative distance or one without unit, a missed mask with another Dice than 0, an infinite
        distance that is no missed mask, or a case and class that is there twice.

    Example:
        >>> find_problems(empty_table())
        {}
    """
    dice, distance, failed = table["dice"], table["dta_rms"], table["failed"]
    found: dict[str, str] = {}
    for wrong, text in (
        (_without(table["patient"]), "a row has no patient"),
        (_without(table["case"]), "a row has no case"),
        (dice.isna(), "a row has no Dice"),
        ((dice < 0) | (dice > 1), "a Dice is not between 0 and 1"),
        (distance < 0, "a distance is below 0"),
        (distance.notna() & ~table["dta_unit"].isin(UNITS), "a distance has no unit (mm or px)"),
        (failed & (dice > 0), "a case is marked as failed, but its Dice is not 0"),
        (np.isinf(distance) & ~failed, "a distance is infinite, but its case did not fail"),
        (table.duplicated(["run_id", "case", "class_name"]), "a case and class is there twice"),
    ):
        if wrong.any():
            for _, row in table[wrong].drop_duplicates("run_id").iterrows():
                where = f"(case {row['case']!r}, Dice {row['dice']:g})"
                found.setdefault(str(row["run_id"]), f"{text} {where}")
    return found


def _are_whole(values: pd.Series) -> bool:
    return bool(np.isfinite(values).all() and (values % 1 == 0).all())


def _without(values: pd.Series) -> pd.Series:
    return values.isna() | (values == "")


def _check_once(table: pd.DataFrame) -> None:
    """Two runs of one place in the design would count twice, and under other settings."""
    key = [*Arm._fields, "n", "fold", "repeat", "case", "class_name"]
    twice = table.duplicated(key, keep=False)
    if twice.any():
        first = table[twice].iloc[0]
        same = table[twice & (table[key] == first[key]).all(axis=1)]
        runs = sorted(set(same["run_id"]))
        why = (
            "Runs of several plans are mixed: collect those of one plan (run_ids=)."
            if len(runs) > 1
            else "A case stands in its run more than once."
        )
        raise DataError(
            f"Case {first['case']!r} of arm {Arm(*first[list(Arm._fields)])} with n = "
            f"{first['n']}, fold {first['fold']}, repeat {first['repeat']} is there {len(same)} "
            f"times, in run(s) {', '.join(runs)}. {why}"
        )


def _is_of(values: pd.Series, kind: Kind) -> bool:
    checks = {
        "text": pd.api.types.is_string_dtype,
        "integer": pd.api.types.is_integer_dtype,
        "number": pd.api.types.is_float_dtype,
        "flag": pd.api.types.is_bool_dtype,
    }
    return bool(checks[kind](values))
