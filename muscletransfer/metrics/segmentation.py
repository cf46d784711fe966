"""The torchmetrics classes: Dice and distance-to-agreement over many cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from numpy.typing import ArrayLike

from muscletransfer.metrics.checks import BoolMask, check_spacing
from muscletransfer.metrics.functional import (
    Direction,
    Statistic,
    _dice_compute,
    _dice_update,
    _distance_compute,
    _distance_update,
    check_option,
)
from muscletransfer.metrics.per_case import PerCaseMetric

__all__ = ["DiceScore", "DistanceToAgreement"]


class DiceScore(PerCaseMetric):
    """Dice per case, then over cases; see :func:`muscletransfer.metrics.dice`.

    A case whose prediction is empty has Dice 0, is part of every mean and counts in ``n_failed``.
    A reference without any foreground is an error. A case id that comes twice counts once, so the
    repeated samples of a distributed sampler change nothing.

    .. versionadded:: 0.1

    Args:
        num_classes: 1 for masks of 0 and 1; K > 1 for class indices 0..K-1, background 0.
        class_names: Names of the foreground classes for the result; default ``class_1``, ...
        ignore_index: Reference pixels of this value are outside in both masks; ``None``: none.
        kwargs: Passed to ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> metric = DiceScore()
        >>> target = torch.tensor([[0, 1, 1]])
        >>> metric.update([torch.tensor([[1, 1, 0]]), 0 * target], [target, target], case=[7, 8])
        >>> metric.per_case()
        {7: 0.5, 8: 0.0}
        >>> result = metric.compute()
        >>> float(result["mean"]), int(result["n_failed"])
        (0.25, 1)
    """

    higher_is_better: bool | None = True

    def __init__(
        self,
        num_classes: int = 1,
        class_names: Sequence[str] | None = None,
        ignore_index: int | None = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__("dice", num_classes, class_names, ignore_index, **kwargs)

    def score(
        self, pred: BoolMask, target: BoolMask, spacing: Sequence[float] | ArrayLike | None
    ) -> float:
        """Dice of one structure; the spacing is not used.

        Args:
            pred: Bool mask.
            target: Bool mask of the same shape, not empty.
            spacing: Not used.

        Returns:
            Dice in [0, 1].
        """
        return _dice_compute(*_dice_update(pred, target))


class DistanceToAgreement(PerCaseMetric):
    """Distance-to-agreement in mm per case, then over cases.

    See :func:`muscletransfer.metrics.distance_to_agreement` for the definition. A case whose
    prediction is empty has distance ``inf`` and counts in ``n_failed``: the mean is over the other
    cases, the median over all. A reference without any foreground is an error. A case id that
    comes twice counts once.

    .. versionadded:: 0.1

    Args:
        statistic: ``"rms"``, ``"mean"``, ``"max"`` or ``"p95"``.
        direction: ``"both"``, ``"pred_to_target"`` or ``"target_to_pred"``.
        num_classes: 1 for masks of 0 and 1; K > 1 for class indices 0..K-1, background 0.
        class_names: Names of the foreground classes for the result; default ``class_1``, ...
        ignore_index: Reference pixels of this value are outside in both masks; ``None``: none.
        kwargs: Passed to ``torchmetrics.Metric``.

    Raises:
        UnknownNameError: No such statistic or direction.

    Example:
        >>> import torch
        >>> metric = DistanceToAgreement("rms")
        >>> target = torch.zeros(8, 8, dtype=torch.uint8)
        >>> target[2:6, 3] = 1
        >>> pair = [target.roll(2, 1), 0 * target]
        >>> metric.update(pair, [target, target], case=[0, 1], spacing=[(1.0, 0.8)] * 2)
        >>> metric.per_case()
        {0: 1.6, 1: inf}
        >>> {name: float(value) for name, value in metric.compute().items()}
        {'mean': 1.6, 'median': inf, 'n_failed': 1.0, 'n_cases': 2.0}
    """

    higher_is_better: bool | None = False

    def __init__(
        self,
        statistic: Statistic = "rms",
        direction: Direction = "both",
        num_classes: int = 1,
        class_names: Sequence[str] | None = None,
        ignore_index: int | None = 255,
        **kwargs: Any,
    ) -> None:
        check_option("statistic", statistic, get_args(Statistic))
        check_option("direction", direction, get_args(Direction))
        variant = f"distance_{statistic}_{direction}"
        super().__init__(variant, num_classes, class_names, ignore_index, **kwargs)
        self.statistic: Statistic = statistic
        self.direction: Direction = direction

    def score(
        self, pred: BoolMask, target: BoolMask, spacing: Sequence[float] | ArrayLike | None
    ) -> float:
        """Distance-to-agreement of one structure.

        Args:
            pred: Bool mask.
            target: Bool mask of the same shape, not empty.
            spacing: Millimetres in array order.

        Returns:
            Millimetres; ``inf`` for an empty prediction.

        Raises:
            GeometryError: The spacing is missing or wrong.
        """
        distances = _distance_update(pred, target, check_spacing(spacing, pred.ndim))
        return _distance_compute(distances, self.statistic, self.direction)
