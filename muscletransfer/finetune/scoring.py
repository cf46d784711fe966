"""Scores of a validation or test run on the native grid: a figure a case, then over the cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from muscletransfer.errors import DataError, SettingError
from muscletransfer.finetune.areas import area_columns, area_values
from muscletransfer.finetune.case_rows import CaseRows
from muscletransfer.finetune.own_metrics import OwnMetrics
from muscletransfer.metrics import DiceScore, DistanceToAgreement

__all__ = ["NativeScores", "summarise"]

_TAKEN = {"case", "loss", "in_mm", "dice", "dta_rms_mm", "dta_rms_px", "failed", "n_failed"}


class NativeScores(nn.Module):
    """Dice, RMS distance-to-agreement and areas of each case.

    Args:
        num_classes: Classes of the model.
        class_names: Names of the foreground classes; ``class_1``, ``class_2``, ... by default.
        metrics: Metrics of the user's own by name, see `OwnMetrics`.

    Raises:
        SettingError: Another number of names than of foreground classes, or a name twice.
        UnknownNameError, PluginError, ContractError: As `OwnMetrics`.

    Example:
        >>> import torch
        >>> scores = NativeScores()
        >>> mask = torch.zeros(8, 8, dtype=torch.uint8)
        >>> mask[2:6, 2:6] = 1
        >>> scores.update([4], [mask], [mask], [(10.0, 10.0)], losses=[0.1])
        >>> scores.table()[0]["area_cm2"]
        16.0
        >>> summarise(scores.table())
        {'loss': 0.1, 'dice': 1.0, 'dta_rms_mm': 0.0, 'n_failed': 0.0}
    """

    def __init__(
        self,
        num_classes: int = 1,
        class_names: Sequence[str] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        foreground = max(1, num_classes - 1)
        names = list(class_names or [f"class_{i + 1}" for i in range(foreground)])
        if len(set(names)) != foreground or len(names) != foreground:
            raise SettingError(
                f"class_names is {names}; wanted {foreground} different name(s), one for each "
                f"foreground class of num_classes={num_classes}."
            )
        self.class_names = names
        # With one class the figures need no class in their names.
        self.suffixes = [""] if foreground == 1 else [f"_{name}" for name in names]
        self.dice = DiceScore(num_classes, names)
        self.distance = DistanceToAgreement("rms", num_classes=num_classes, class_names=names)
        self.areas = area_columns(self.suffixes)
        self.own = OwnMetrics(metrics, num_classes, taken={*_TAKEN, *self.areas, *self._by_class()})
        self.rows = CaseRows(["loss", "in_mm", *self.areas, *self.own.names])

    def update(
        self,
        case: Sequence[int],
        predictions: Sequence[Tensor],
        references: Sequence[Tensor],
        spacings: Sequence[tuple[float, float] | None],
        losses: Sequence[float],
        hu: Sequence[Tensor | None] | None = None,
    ) -> None:
        """Add the cases of a batch.

        Args:
            case: The number of each case in the manifest.
            predictions: Class indices (H, W) of each case on its native grid.
            references: The same, drawn by a person; 255 where they did not look.
            spacings: (sy, sx) in mm, ``None`` when unknown.
            losses: The loss of each case.
            hu: HU (H, W) of each case, for the measures within the muscle window; ``None`` for
                images that are not CT.

        Raises:
            EmptyMaskError: A reference has no foreground.
            GeometryError: A prediction is on another grid than its reference.
            DataError: ``hu`` holds no Hounsfield units.
        """
        self.dice.update(predictions, references, case)
        steps = [spacing or (1.0, 1.0) for spacing in spacings]
        self.distance.update(predictions, references, case, steps)
        images: Sequence[Tensor | None] = hu or [None] * len(case)
        labels = range(1, len(self.suffixes) + 1)
        rows = []
        for i, spacing in enumerate(spacings):
            try:
                areas = area_values(predictions[i], references[i], spacing, images[i], labels)
            except DataError as error:  # the measures know no case
                raise type(error)(f"Case {case[i]}: {error}") from error
            own = self.own.values(predictions[i], references[i], spacing)
            rows.append([losses[i], float(spacing is not None), *areas, *own])
        self.rows.update(case, rows)

    def table(self) -> list[dict[str, Any]]:
        """Return one row a case over all processes; every process must call it.

        Returns:
            Rows sorted by case number: ``case``, ``loss``, ``dice``, ``dta_rms_mm`` (or
            ``dta_rms_px``), ``failed``, then areas where they are known. With several classes,
            ``dice`` and the distance are means over the foreground classes that the reference has,
            and each class has columns of its own.
        """
        others = self.rows.compute()
        if not others:
            return []
        dice, distance = self.dice.per_case_class(), self.distance.per_case_class()
        return [self._row(case, dice[case], distance[case], others[case]) for case in others]

    def reset(self) -> None:
        """Forget all cases."""
        for metric in (self.dice, self.distance, self.rows):
            metric.reset()

    def _row(
        self,
        case: int,
        dice: dict[str, float],
        distance: dict[str, float],
        others: dict[str, float],
    ) -> dict[str, Any]:
        unit = "mm" if others["in_mm"] else "px"
        row: dict[str, Any] = {
            "case": case,
            "loss": others["loss"],
            "dice": sum(dice.values()) / len(dice),
            f"dta_rms_{unit}": sum(distance.values()) / len(distance),
            "failed": any(map(math.isinf, distance.values())),
        }
        if len(self.suffixes) > 1:
            row |= {f"dice_{name}": value for name, value in dice.items()}
            row |= {f"dta_rms_{unit}_{name}": value for name, value in distance.items()}
        row |= {key: others[key] for key in self.areas if not math.isnan(others[key])}
        return row | {name: others[name] for name in self.own.names}

    def summary(self, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Average the rows of :meth:`table` over the cases, those of own metrics included.

        Args:
            rows: What :meth:`table` returned.

        Returns:
            As `summarise`, and the plain mean of each own metric: a case without a number shows.
        """
        if not rows:
            return {}
        own = {name: _mean([row[name] for row in rows]) for name in self.own.names}
        return summarise(rows) | own

    def _by_class(self) -> list[str]:
        starts = ("dice", "dta_rms_mm", "dta_rms_px")
        return [f"{start}_{name}" for start in starts for name in self.class_names]


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Average the rows of `NativeScores.table` over the cases.

    Loss and Dice are plain means, so that a case without a number shows. Distances are reported as
    ``dta_rms_mm`` over the cases whose spacing is known and as
    ``dta_rms_px`` over the others. The mean distance leaves out the cases that failed (an empty
    prediction, or a missed class) and is ``inf`` when all did; ``n_failed`` counts them.

    Args:
        rows: One dict a case.

    Returns:
        ``loss``, ``dice``, ``dta_rms_mm`` and/or ``dta_rms_px``, ``n_failed``; with several
        classes ``dice_<name>`` and ``dta_rms_mm_<name>`` too. Empty when there is no row.

    Example:
        >>> row = {"case": 1, "loss": 0.2, "dice": 0.9, "dta_rms_mm": 1.5, "failed": False}
        >>> summarise([row, row | {"dice": 0.0, "dta_rms_mm": math.inf, "failed": True}])
        {'loss': 0.2, 'dice': 0.45, 'dta_rms_mm': 1.5, 'n_failed': 1.0}
    """
    if not rows:
        return {}
    keys = dict.fromkeys(key for row in rows for key in row)
    averaged = [key for key in keys if key == "loss" or key.startswith(("dice", "dta_rms"))]
    means = {}
    for key in averaged:
        mean = _mean_of_finite if key.startswith("dta_rms") else _mean
        means[key] = mean([row[key] for row in rows if key in row])
    return means | {"n_failed": float(sum(row["failed"] for row in rows))}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_of_finite(values: Sequence[float]) -> float:
    """Mean over what is finite; ``inf`` when nothing is, as the metrics have it."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.inf
