"""Results that other programs made, as a tidy table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.study.results.columns import COLUMNS, Arm, check_table, with_kinds

__all__ = ["complete_table"]

_NEEDED = ("source", "n", "patient", "dice")
_RUN = (*Arm._fields, "n", "fold", "repeat")


def complete_table(table: pd.DataFrame, reference: str = "random") -> pd.DataFrame:
    """Return results of one's own as the tidy table that the statistics of a study take.

    Four columns are needed: ``source``, ``n`` (labelled patients), ``patient`` and ``dice``. Every
    other one that is not there is filled in: one encoder and decoder named ``"own"``, fold and
    repeat 0, the patient as the case, distance and measures as not known. ``transfer`` becomes
    ``"none"`` for the reference and ``"encoder"`` for other sources. A mask counts as missed where
    its distance is infinite, or its ``failed`` is true (or 1).

    .. versionadded:: 0.1

    Args:
        table: One row a run, test case and class, such as ``pandas.read_csv`` returns; it is not
            changed. Several cases of a patient need ``case``, several trainings at one n
            ``repeat``, and distances their ``dta_unit`` (``"mm"`` or ``"px"``).
        reference: The source from scratch.

    Returns:
        The table with all of :data:`~muscletransfer.study.results.COLUMNS`, and those of one's own.

    Raises:
        DataError: A column that is needed is missing or has empty cells, rows are not told apart,
            a missed mask has no distance where others have one, or the table is not what it should
            be; see :func:`~muscletransfer.study.results.check_table`.

    Example:
        >>> dice = {"patient": ["A", "B"] * 2, "source": ["random"] * 2 + ["mine"] * 2}
        >>> table = complete_table(pd.DataFrame(dice).assign(n=5, dice=[0.8, 0.7, 0.9, 0.85]))
        >>> table["transfer"].tolist(), table["run_id"].iloc[-1]
        (['none', 'none', 'encoder', 'encoder'], 'mine-own-own-encoder-5-0-0')
    """
    if lacking := [name for name in _NEEDED if name not in table]:
        raise DataError(
            f"The table lacks the column(s) {', '.join(lacking)}; wanted at least "
            f"{', '.join(_NEEDED)}. It has {', '.join(map(str, table.columns)) or 'none'}."
        )
    for name in (*_NEEDED, "fold", "repeat"):
        if name in table and (empty := table[name].isna()).any():
            raise DataError(
                f"Column {name!r} of the table is empty in {int(empty.sum())} row(s), the first "
                f"of index {table.index[empty][0]!r}; wanted a value in each. Fill them or leave "
                "the rows out; a missed mask has Dice 0 and, where there are distances, inf."
            )
    whole = with_kinds(table)
    if "dta_rms" not in whole:
        whole = whole.assign(dta_rms=np.nan)
    filled = {
        "encoder": "own",
        "decoder": "own",
        "transfer": np.where(whole["source"] == reference, "none", "encoder"),
        "freeze": "none",
        "fold": 0,
        "repeat": 0,
        "case": whole["patient"],
        "class_name": "muscle",
        "dta_unit": "",
        "failed": np.isinf(whole["dta_rms"]),
    }
    whole = whole.assign(**{name: value for name, value in filled.items() if name not in whole})
    if "run_id" not in whole:
        names = whole[list(_RUN)].astype(str)
        whole = whole.assign(run_id=names.agg("-".join, axis=1) if len(names) else "")
    whole = whole.assign(**{name: np.nan for name in COLUMNS if name not in whole})
    whole = whole[[*COLUMNS, *(name for name in whole.columns if name not in COLUMNS)]]
    _check_apart(whole, table.columns)
    check_table(whole)
    missed = whole["failed"] if "failed" in table else whole["dice"] == 0
    if (lost := missed & whole["dta_rms"].isna()).any() and whole["dta_rms"].notna().any():
        raise DataError(
            f"{int(lost.sum())} missed mask(s) (Dice 0) have no distance, such as of patient "
            f"{whole.loc[lost, 'patient'].iloc[0]!r}, and others have one; wanted inf, so that "
            "they are not left out of the distances. Write inf in dta_rms; of a mask that is not "
            "empty, whose distance is not known, write 0 in a column `failed`."
        )
    return whole


def _check_apart(whole: pd.DataFrame, given: pd.Index) -> None:
    twice = whole.duplicated([*Arm._fields, "n", "fold", "repeat", "case", "class_name"])
    if twice.any():
        row = whole[twice].iloc[0]
        ways = {
            "case": "several slices of a patient",
            "class_name": "several structures",
            "repeat": "several trainings",
        }
        lacking = [f"`{name}` for {why}" for name, why in ways.items() if name not in given]
        raise DataError(
            f"A case and class is there twice: source {row['source']!r}, n = {row['n']}, patient "
            f"{row['patient']!r}, case {row['case']!r}; wanted columns that tell rows apart. "
            + (f"Give {', '.join(lacking)}." if lacking else "Remove one of the rows.")
        )
