"""Numbers a case, gathered over processes: one row a case, a case that comes twice counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["CaseRows"]


class CaseRows(Metric):
    """A table of floats with one row a case, exact on any number of processes.

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

    case: list[Tensor]
    values: list[Tensor]

    def __init__(self, columns: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = list(columns)
        for name in ("case", "values"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, case: Sequence[int], values: Sequence[Sequence[float]]) -> None:
        """Add rows.

        Args:
            case: One number a case, the same whenever the case comes again.
            values: One number a column, for each case; ``nan`` where there is none.
        """
        # MPS has no float64.
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        rows = torch.tensor([list(row) for row in values], dtype=kind, device=self.device)
        self.values.append(rows.reshape(-1, len(self.columns)))
        self.case.append(torch.tensor(list(case), dtype=torch.int64, device=self.device))

    def compute(self) -> dict[int, dict[str, float]]:
        """Return the rows of all processes by case number, in order; every process must call it."""
        if not len(self.case):
            return {}
        cases, values = dim_zero_cat(self.case).tolist(), dim_zero_cat(self.values).tolist()
        rows = dict(zip(cases, values, strict=True))
        return {case: dict(zip(self.columns, rows[case], strict=True)) for case in sorted(rows)}

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A process without cases has to gather zero rows of the right shape and type; torchmetrics
        # would put a 1-D float32 tensor there, which does not fit the others'.
        if not self.case:
            self.update([], [])
        super()._sync_dist(*args, **kwargs)
