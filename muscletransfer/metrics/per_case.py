"""The part that the metric classes share: one row a case, exact on any number of processes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from muscletransfer.errors import DataError, EmptyMaskError, GeometryError
from muscletransfer.metrics.checks import BoolMask, list_values, to_array

__all__ = ["PerCaseMetric"]

_SCORED, _FAILED, _ABSENT, _SPURIOUS = 0, 1, 2, 3


class PerCaseMetric(Metric):
    """Base of the metrics that score each case by itself and then look over the cases.

    A subclass gives :meth:`score`. The state is one row a case (case id, a value and a status for
    each foreground class) and is gathered by concatenation, so an uneven number of cases in the
    processes is exact. Rows of a case seen before, which a distributed sampler makes by padding,
    are dropped when the figures are computed.

    Args:
        variant: What tells this metric from others of its kind. It becomes part of a state's name:
            ``MetricCollection`` updates only one of two metrics whose states have the same names
            and, on the first batch, the same values.
        num_classes: 1 for a mask of 0 and 1; K > 1 for class indices 0..K-1 with background 0.
        class_names: Names of the foreground classes for the result; default ``class_1``, ...
        ignore_index: Reference pixels of this value are outside in both masks; ``None``: none.
        kwargs: Passed to ``torchmetrics.Metric``.
    """

    full_state_update: bool | None = False
    is_differentiable: bool | None = False

    case: list[Tensor]
    status: list[Tensor]

    def __init__(
        self,
        variant: str,
        num_classes: int = 1,
        class_names: Sequence[str] | None = None,
        ignore_index: int | None = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_classes < 1:
            raise DataError(f"num_classes is {num_classes}; wanted 1 (one structure) or more.")
        self.num_classes = num_classes
        self.labels = [1] if num_classes == 1 else list(range(1, num_classes))
        self.class_names = list(class_names or [f"class_{label}" for label in self.labels])
        if len(set(self.class_names)) != len(self.labels) or len(self.class_names) != len(
            self.labels
        ):
            raise DataError(
                f"class_names is {self.class_names}; wanted {len(self.labels)} different name(s), "
                f"one a foreground class of num_classes={num_classes}."
            )
        self.ignore_index = ignore_index
        self._value_name = f"value_{variant}_{num_classes}_{ignore_index}"
        for state in ("case", self._value_name, "status"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def score(
        self, pred: BoolMask, target: BoolMask, spacing: Sequence[float] | ArrayLike | None
    ) -> float:
        """Score one structure of one case; the reference is never empty here.

        Args:
            pred: Bool mask.
            target: Bool mask of the same shape, not empty.
            spacing: As given to :meth:`update`.

        Returns:
            The figure.
        """
        raise NotImplementedError

    def update(
        self,
        preds: Sequence[Any] | Tensor,
        targets: Sequence[Any] | Tensor,
        case: Sequence[int] | Tensor,
        spacing: Sequence[Any] | None = None,
    ) -> None:
        """Score a batch of cases.

        Args:
            preds: One label map ``(H, W)`` or ``(Z, H, W)`` a case (a list, or a tensor with the
                batch first); the shapes may differ between cases.
            targets: One reference a case, of the same shape as its prediction.
            case: One integer a case that is the same whenever the case comes again.
            spacing: One spacing in mm a case, in array order; only distances need it.

        Raises:
            EmptyMaskError: A reference has no foreground at all.
            GeometryError: Shapes differ, or a spacing is missing or wrong.
            DataError: Counts differ, or a label map holds an unknown value.
        """
        try:
            ids = [operator.index(i) for i in case]
        except TypeError as error:
            raise DataError(
                f"case is {case!r}; wanted one integer a case, such as its row number in the "
                "manifest."
            ) from error
        counts = {"preds": len(preds), "targets": len(targets), "case": len(ids)}
        if spacing is not None:
            counts["spacing"] = len(spacing)
        if len(set(counts.values())) != 1:
            raise DataError(f"The batch is uneven: {counts}; wanted one of each a case.")
        rows = [
            self._row(pred, target, None if spacing is None else spacing[i], ids[i])
            for i, (pred, target) in enumerate(zip(preds, targets, strict=True))
        ]
        if not rows:
            return
        # Appended after all were scored, so that a bad case leaves the state as it was.
        self._append(ids, *zip(*rows, strict=True))

    def compute(self) -> dict[str, Tensor]:
        """Look over the cases.

        Returns:
            Scalars: ``mean``, ``median``, ``n_failed`` and ``n_cases``. A case fails when its
            prediction misses a structure altogether; its value is then 0 for Dice and ``inf`` for
            a distance. The median is over all cases. So is the mean of Dice; the mean of a
            distance is over the cases that did not fail (``inf`` when all did), so read it
            together with ``n_failed``. The value of a case with several classes is the mean over
            the foreground classes its reference has. With several classes also
            ``mean_<class>``, ``median_<class>``, ``n_failed_<class>``, ``n_cases_<class>`` (cases
            whose reference has it; no mean and median when there are none) and
            ``n_spurious_<class>`` (cases whose reference lacks it and whose prediction has it:
            neither figure is defined there, so they are counted instead).

        Raises:
            DataError: No case was scored since the last reset.
        """
        _, values, statuses = self._unique()
        per_case, failed = self._over_classes(values, statuses)
        result = self._aggregate(per_case, failed, "")
        if len(self.labels) == 1:
            return result
        for column, name in enumerate(self.class_names):
            status = statuses[:, column]
            there = status <= _FAILED
            if not there.any():  # a class that no reference has: counts, and no figure to give
                result |= self._counts(np.zeros(0, bool), f"_{name}")
            else:
                failed = status[there] == _FAILED
                result |= self._aggregate(values[there, column], failed, f"_{name}")
            result[f"n_spurious_{name}"] = self._count(status == _SPURIOUS)
        return result

    def per_case(self) -> dict[int, float]:
        """Value of each case, over all processes; every process has to call it.

        Returns:
            Case id to value, sorted by id; a failed case has its failure value (0 or inf).
        """
        with self._gathered():
            ids, values, statuses = self._unique()
        return dict(
            zip(ids.tolist(), self._over_classes(values, statuses)[0].tolist(), strict=True)
        )

    def per_case_class(self) -> dict[int, dict[str, float]]:
        """Value of each class of each case, over all processes; every process has to call it.

        Returns:
            Case id to class name to value; classes that the reference lacks are left out.
        """
        with self._gathered():
            ids, values, statuses = self._unique()
        return {
            case: {
                name: float(values[row, column])
                for column, name in enumerate(self.class_names)
                if statuses[row, column] <= _FAILED
            }
            for row, case in enumerate(ids.tolist())
        }

    def _append(self, case: Sequence[int], values: Sequence[Any], statuses: Sequence[Any]) -> None:
        width = len(self.labels)
        new = {
            "case": torch.tensor(case, dtype=torch.int64),
            self._value_name: torch.tensor(values, dtype=self._float).reshape(-1, width),
            "status": torch.tensor(statuses, dtype=torch.int64).reshape(-1, width),
        }
        for name, rows in new.items():
            getattr(self, name).append(rows.to(self.device))

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A process without cases has to gather zero rows of the right shape and type; torchmetrics
        # would put a 1-D float32 tensor there, which does not fit the others'.
        if len(self.case) == 0:
            self._append([], [], [])
        super()._sync_dist(*args, **kwargs)

    @property
    def _float(self) -> torch.dtype:
        return torch.float32 if self.device.type == "mps" else torch.float64

    def _gathered(self) -> Any:
        return self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync and not self._is_synced,
            should_unsync=self._should_unsync and not self._is_synced,
        )

    def _row(
        self, pred: Any, target: Any, spacing: Any, case: int
    ) -> tuple[list[float], list[int]]:
        try:
            found, wanted = to_array(pred), to_array(target)
        except DataError as error:
            raise DataError(f"Case {case}: {error}") from error
        if found.shape != wanted.shape:
            raise GeometryError(
                f"Case {case}: the prediction has shape {found.shape}, the reference "
                f"{wanted.shape}; wanted one grid. Bring the prediction back to the native grid."
            )
        if found.ndim not in (2, 3):
            raise DataError(
                f"Case {case}: the label map has shape {found.shape}; wanted (H, W) or (Z, H, W), "
                "one item of the batch a case, without a channel axis."
            )
        if self.ignore_index is not None:
            counted = wanted != self.ignore_index
            if not counted.all():
                found, wanted = np.where(counted, found, 0), np.where(counted, wanted, 0)
        self._check_values(found, f"Case {case}: the prediction")
        self._check_values(wanted, f"Case {case}: the reference")
        if not wanted.any():
            raise EmptyMaskError(
                f"Case {case}: the reference has no foreground, so there is nothing to score "
                "against. Check its mask file, or leave the case out of the manifest."
            )
        values, statuses = [], []
        for label in self.labels:
            pred_mask, target_mask = found == label, wanted == label
            there, predicted = bool(target_mask.any()), bool(pred_mask.any())
            if there:
                value = self.score(pred_mask, target_mask, spacing)
                status = _SCORED if predicted else _FAILED
            else:
                value, status = 0.0, _SPURIOUS if predicted else _ABSENT
            values.append(value)
            statuses.append(status)
        return values, statuses

    def _check_values(self, labels: NDArray[Any], what: str) -> None:
        if labels.dtype == np.bool_:
            return
        highest = max(self.labels)
        whole = labels.dtype.kind in "ui" or bool(np.array_equal(labels, np.floor(labels)))
        if not (whole and labels.min() >= 0 and labels.max() <= highest):
            raise DataError(
                f"{what} holds the values {list_values(labels)}; num_classes={self.num_classes} "
                f"allows whole numbers 0 to {highest}. Pass class indices, not scores."
            )

    def _unique(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """One row a case, sorted by case, so the sums do not depend on who scored what."""
        ids: NDArray[Any] = to_array(dim_zero_cat(self.case)) if len(self.case) else np.zeros(0)
        if ids.size == 0:
            raise DataError(
                f"{type(self).__name__} has scored no case since its last reset; call update() "
                "with at least one case first."
            )
        unique, first = np.unique(ids, return_index=True)
        values = to_array(dim_zero_cat(getattr(self, self._value_name)))[first]
        return unique, values.astype(np.float64), to_array(dim_zero_cat(self.status))[first]

    def _over_classes(
        self, values: NDArray[np.float64], statuses: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        there = statuses <= _FAILED
        per_case = np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1)
        return per_case, (statuses == _FAILED).any(axis=1)

    def _aggregate(
        self, values: NDArray[np.float64], failed: NDArray[np.bool_], suffix: str
    ) -> dict[str, Tensor]:
        finite = values[np.isfinite(values)]
        mean = float(finite.mean()) if finite.size else float("inf")
        # The middle two by hand: numpy interpolates between two infinities to NaN.
        ordered = np.sort(values)
        middle = ordered[[(len(ordered) - 1) // 2, len(ordered) // 2]]
        figures = {
            f"mean{suffix}": torch.tensor(mean, dtype=self._float, device=self.device),
            f"median{suffix}": torch.tensor(
                float(middle.sum() / 2), dtype=self._float, device=self.device
            ),
        }
        return figures | self._counts(failed, suffix)

    def _counts(self, failed: NDArray[np.bool_], suffix: str) -> dict[str, Tensor]:
        return {
            f"n_failed{suffix}": self._count(failed),
            f"n_cases{suffix}": self._count(np.ones(len(failed), bool)),
        }

    def _count(self, which: NDArray[np.bool_]) -> Tensor:
        return torch.tensor(int(np.count_nonzero(which)), dtype=torch.int64, device=self.device)
