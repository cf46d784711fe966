"""Numbers a case, gathered over processes: one row a case, a case that comes twice counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["CaseRows"]


class CaseRows(Metric):
    """A table of floats with one row a case, exact on any number of processes.

    The state is a tensor, also when no case has come yet, so that a process without cases can take
    part in the gathering.

    Args:
        columns: Names of the numbers.

    Example:
        >>> table = CaseRows(["area"])
        >>> table.update([8, 7, 7], [[1.0], [2.0], [2.0]])
        >>> table.compute()
        {7: {'area': 2.0}, 8: {'area': 1.0}}
    """

    full_state_update: bool | None = False
    is_differentiable: bool | None = False
    higher_is_better: bool | None = None

    case: Tensor
    values: Tensor

    def __init__(self, columns: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = list(columns)
        self.add_state("case", torch.zeros(0, dtype=torch.int64), dist_reduce_fx="cat")
        empty = torch.zeros(0, len(self.columns), dtype=torch.float64)
        self.add_state("values", empty, dist_reduce_fx="cat")

    def update(self, case: Sequence[int], values: Sequence[Sequence[float]]) -> None:
        """Add rows.

        Args:
            case: One number a case, the same whenever the case comes again.
            values: One number a column, for each case; ``nan`` where there is none.
        """
        self.case = torch.cat([self.case, torch.tensor(list(case)).to(self.case)])
        rows = torch.tensor([list(row) for row in values], dtype=torch.float64)
        rows = rows.reshape(len(values), len(self.columns))
        self.values = torch.cat([self.values, rows.to(self.values)])

    def compute(self) -> dict[int, dict[str, float]]:
        """Return the rows of all processes by case number, in order; every process must call it."""
        rows = dict(zip(self.case.tolist(), self.values.tolist(), strict=True))
        return {case: dict(zip(self.columns, rows[case], strict=True)) for case in sorted(rows)}
