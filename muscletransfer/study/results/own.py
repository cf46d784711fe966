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
    its distance is infinite.

    .. versionadded:: 0.1

    Args:
        table: One row a run, test case and class, such as ``pandas.read_csv`` returns; it is not
            changed. Several cases of a patient need ``case``, several trainings at one n
            ``repeat``, and distances their ``dta_unit`` (``"mm"`` or ``"px"``).
        reference: The source from scratch.

    Returns:
        The table with all of :data:`~muscletransfer.study.results.COLUMNS`, and those of one's own.

    Raises:
        DataError: A column that is needed is missing, or the table is not what it should be; see
            :func:`~muscletransfer.study.results.check_table`.

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
    check_table(whole)
    return whole
