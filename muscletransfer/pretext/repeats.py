"""Images that a process gets a second time, so that all have equally many: they are not scored."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DistributedSampler
from torchmetrics import Metric

__all__ = ["first_rows", "leaves_metrics_alone", "rows_that_count"]

_IN_TURN = (DistributedSampler.__iter__, DistributedSamplerWrapper.__iter__)


def rows_that_count(trainer: Trainer | None, loader: int, index: int, rows: int) -> int:
    """Return how many rows of an evaluation batch are no repeats; repeats stand last.

    A ``DistributedSampler``, which Lightning gives each loader, deals out items in turn and begins
    anew where the count does not divide. One with an order of its own may do otherwise: all rows
    count.

    Args:
        trainer: The Trainer in whose evaluation the batch came.
        loader: Number of the data loader.
        index: Number of the batch.
        rows: Images of the batch.

    Returns:
        0 to ``rows``.
    """
    if trainer is None or trainer.world_size == 1:
        return rows
    source = trainer._evaluation_loop._combined_loader.flattened[loader]  # type: ignore[union-attr]
    batches = getattr(source, "batch_sampler", None)
    sampler = getattr(batches, "sampler", None) or getattr(source, "sampler", None)
    size = getattr(batches, "batch_size", None)
    if not isinstance(sampler, DistributedSampler) or not isinstance(size, int):
        return rows
    if type(sampler).__iter__ not in _IN_TURN:
        return rows
    items = len(sampler.dataset)  # type: ignore[arg-type]
    own = -(-(items - sampler.rank) // sampler.num_replicas)
    return max(0, min(rows, own - index * size))


def first_rows(batch: Any, count: int, rows: int) -> Any:
    """Keep the first rows of whatever in a batch has one an image.

    Args:
        batch: Tensors, lists and mappings of them.
        count: How many to keep.
        rows: Images of the batch.

    Example:
        >>> first_rows({"case": ["a", "b", "a"], "step": 7}, 2, 3)
        {'case': ['a', 'b'], 'step': 7}
    """
    if isinstance(batch, Mapping):
        return {key: first_rows(value, count, rows) for key, value in batch.items()}
    is_rows = isinstance(batch, list | tuple) or (isinstance(batch, Tensor) and batch.ndim > 0)
    return batch[:count] if is_rows and len(batch) == rows else batch


@contextlib.contextmanager
def leaves_metrics_alone(module: nn.Module) -> Iterator[None]:
    """Take back what is added to the metrics of a module inside the block.

    Example:
        >>> import torch
        >>> from torchmetrics import MeanMetric
        >>> scores = nn.ModuleDict({"mean": MeanMetric()})
        >>> scores["mean"].update(1.0)
        >>> with leaves_metrics_alone(scores):
        ...     scores["mean"].update(5.0)
        >>> scores["mean"].compute()
        tensor(1.)
    """
    metrics = [part for part in module.modules() if isinstance(part, Metric)]
    before = [copy.deepcopy(metric.metric_state) for metric in metrics]
    yield
    for metric, states in zip(metrics, before, strict=True):
        metric._computed = None
        for name, state in states.items():
            setattr(metric, name, state)
