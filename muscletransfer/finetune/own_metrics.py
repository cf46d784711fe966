"""Metrics of the user's own: a number a case on the native grid, beside Dice and distance."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor
from torchmetrics import Metric

from muscletransfer.class_paths import check_call, class_and_arguments, find_object
from muscletransfer.errors import ContractError, PluginError, SettingError, UnknownNameError
from muscletransfer.transfer import is_restoring

__all__ = ["OwnMetrics"]

_HINT = "Wanted the path of a function or class, such as torchmetrics.classification."
_HINT += "BinaryJaccardIndex, or the object itself."


class OwnMetrics:
    """Functions or torchmetrics metrics by name, each called with one case at a time.

    A function is called with ``(prediction, reference)``, class indices int64 (H, W) on the native
    grid with 255 in the reference where nobody looked, and with ``spacing`` ((sy, sx) in mm, or
    ``None``) if it takes an argument of that name. A ``Metric`` is reset for each case and called
    with both as (1, H, W). A class is built first; ``ignore_index=255``, and ``num_classes`` of a
    model with several, are set where it takes them.

    .. versionadded:: 0.1

    Args:
        metrics: By name: the path of a function or class, a dict with ``class_path`` and
            ``init_args``, or the object itself.
        num_classes: Classes of the model.
        taken: Names that the scores have already.

    Raises:
        SettingError: A name that cannot stand in a log, or is taken.
        UnknownNameError: A path that leads nowhere.
        PluginError: The module of a path fails to import.
        ContractError: Something cannot be called, or does not take its arguments.

    Example:
        >>> import torch
        >>> own = OwnMetrics({"error": lambda found, drawn: (found != drawn).float().mean()})
        >>> mask = torch.tensor([[0, 1]])
        >>> own.values(mask, torch.tensor([[1, 1]]), None)
        [0.5]
    """

    def __init__(
        self,
        metrics: Mapping[str, Any] | None = None,
        num_classes: int = 1,
        taken: Collection[str] = (),
    ) -> None:
        given = dict(metrics or {})
        for name in given:
            if not str(name).isidentifier() or name in taken:
                why = "is one that the scores have already" if name in taken else "is no plain word"
                raise SettingError(
                    f"the metric name {name!r} {why}; wanted another, to be logged as val_<name>."
                )
        self.names = list(given)
        self._missing: str | None = None
        self._calls: dict[str, Callable[..., Any]] = {}
        try:
            self._calls = {name: _build(name, value, num_classes) for name, value in given.items()}
        except (UnknownNameError, PluginError) as error:
            if not is_restoring():
                raise
            self.forget(f"{', '.join(self.names)} ({error})")

    def forget(self, what: str) -> None:
        """Note that a checkpoint could name the metrics but not carry them.

        Args:
            what: What the checkpoint says of them.
        """
        self._missing = what

    def values(
        self, prediction: Tensor, reference: Tensor, spacing: tuple[float, float] | None
    ) -> list[float]:
        """Measure one case.

        Args:
            prediction: Class indices (H, W).
            reference: Class indices (H, W), 255 where nobody looked.
            spacing: (sy, sx) in mm; ``None`` when unknown.

        Returns:
            One number a metric, in the order of ``names``.

        Raises:
            ContractError: A metric returned no number, or cannot be had after a reload.
        """
        if self._missing is not None:
            raise ContractError(
                f"this model was trained with metrics of your own, {self._missing}, which the "
                "checkpoint could not carry. To validate or test it, pass them again: "
                "SegmentationFineTuner.load_from_checkpoint(path, metrics=...)."
            )
        pair = prediction.long(), reference.long()
        return [_number(name, call(*pair, spacing)) for name, call in self._calls.items()]


def _build(name: str, value: Any, num_classes: int) -> Callable[..., Any]:
    """Return a function of (prediction, reference, spacing)."""
    what = f"the metric {name!r}"
    kwargs: dict[str, Any] = {}
    if isinstance(value, str | Mapping):
        path, kwargs, others = class_and_arguments(value, what)
        if others:
            raise SettingError(f"{what} has {', '.join(others)}; wanted class_path and init_args.")
        value = find_object(path, "metric", hint=_HINT)
    if isinstance(value, type):
        presets = {"ignore_index": 255, "num_classes": num_classes if num_classes > 1 else None}
        takes = inspect.signature(value).parameters
        kwargs = {k: v for k, v in presets.items() if k in takes and v is not None} | kwargs
        check_call(value, what, **kwargs)
        try:
            value = value(**kwargs)
        except (TypeError, ValueError) as error:  # torchmetrics takes any argument and then looks
            raise ContractError(f"{what} cannot be made with {kwargs}: {error}") from error
    elif kwargs:
        value = functools.partial(value, **kwargs)
    if not callable(value):
        raise ContractError(
            f"{what} is a {type(value).__name__}; wanted a function of (prediction, reference), or "
            "a torchmetrics Metric."
        )
    return _OneMetric(value) if isinstance(value, Metric) else _OneFunction(value, what)


class _OneMetric:
    """Measures a case with a torchmetrics metric."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def __call__(self, prediction: Tensor, reference: Tensor, spacing: object) -> Any:
        # Not compute(), which would wait for other processes: each measures its own cases, and the
        # table of all cases is gathered later.
        value = self.metric(prediction[None], reference[None])
        self.metric.reset()
        return value


class _OneFunction:
    """Measures a case with a function."""

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self.function = function
        self.wants_spacing = "spacing" in inspect.signature(function).parameters
        check_call(function, what, None, None, **self._more(None))

    def __call__(self, prediction: Tensor, reference: Tensor, spacing: object) -> Any:
        return self.function(prediction, reference, **self._more(spacing))

    def _more(self, spacing: object) -> dict[str, Any]:
        return {"spacing": spacing} if self.wants_spacing else {}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"the metric {name!r} returned {value!r}; wanted one number a case. Average over the "
            "classes (average='macro'), or take one of them."
        ) from error
