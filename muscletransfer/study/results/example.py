"""A small tidy table, to see on it what the statistics and reports of a study do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from muscletransfer.study.results.columns import empty_table

__all__ = ["example_table"]

_START = {"random": 0.5, "jigsaw": 0.6}


def example_table(
    ns: Sequence[int] = (5, 10), patients: int = 8, start: Mapping[str, float] = _START
) -> pd.DataFrame:
    """Return a table of made-up runs: Dice rises with n, and differs between patients.

    Dice is ``start + n / 100 + p / 50`` for patient ``p`` from 0, in one repeat and one fold;
    nothing is random and no mask is missed. Distances and measures are unknown.

    .. versionadded:: 0.1

    Args:
        ns: Labelled patients of the runs.
        patients: Test patients, one case each.
        start: Source to its Dice without a label; ``"random"`` transfers nothing.

    Returns:
        A tidy table; see :data:`muscletransfer.study.results.COLUMNS`.

    Example:
        >>> table = example_table()
        >>> len(table), sorted(set(table["source"])), sorted(set(table["n"]))
        (32, ['jigsaw', 'random'], [5, 10])
    """
    row = {
        "encoder": "timm/resnet18",
        "decoder": "unet",
        "freeze": "none",
        "fold": 0,
        "repeat": 0,
        "class_name": "muscle",
        "dta_unit": "mm",
        "failed": False,
    }
    rows = [
        {
            **row,
            "run_id": f"{source}{n}",
            "source": source,
            "transfer": "none" if source == "random" else "encoder",
            "n": n,
            "case": f"c{p}",
            "patient": f"P{p}",
            "dice": dice + n / 100 + p / 50,
        }
        for source, dice in start.items()
        for n in ns
        for p in range(patients)
    ]
    empty = empty_table()
    return pd.DataFrame(rows).reindex(columns=empty.columns).astype(empty.dtypes)
