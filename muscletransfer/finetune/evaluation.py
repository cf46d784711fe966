"""A batch of validation, test or prediction: from logits to the native grid of each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import SliceGeometry
from muscletransfer.errors import DataError
from muscletransfer.finetune.checks import batch_value
from muscletransfer.finetune.native import native_prediction, same_grid
from muscletransfer.finetune.scoring import NativeScores

__all__ = ["predict_batch", "score_batch"]


def score_batch(
    scores: NativeScores,
    logits: Tensor,
    losses: Sequence[float],
    batch: Mapping[str, Any],
    preprocessing: PreprocessingSpec | None,
) -> None:
    """Score each case of a batch on its native grid.

    Args:
        scores: Takes the cases.
        logits: (B, K, h, w).
        losses: The loss of each case.
        batch: As the data module gave it. Without ``geometry`` and ``native_mask`` the network's
            own grid and mask are scored, in pixels.
        preprocessing: What brought the images to the network grid; tells CT from other images.

    Raises:
        DataError: An entry is missing or of another length than the batch.
        EmptyMaskError: A reference has no foreground.
    """
    cases = _cases(batch, len(logits))
    geometries = _geometries(batch, logits)
    if "native_mask" in batch or "geometry" in batch:
        references = _items(batch, "native_mask", len(logits))
    else:
        references = list(batch_value(batch, "mask"))
    is_ct = preprocessing is not None and preprocessing.hu_window is not None
    hu = _items(batch, "native_hu", len(logits)) if is_ct and "native_hu" in batch else None
    spec = preprocessing or PreprocessingSpec()
    predictions = [
        native_prediction(one, geometry, spec).mask
        for one, geometry in zip(logits, geometries, strict=True)
    ]
    spacings = [geometry.spacing for geometry in geometries]
    scores.update(cases, predictions, references, spacings, losses, hu)


def predict_batch(
    logits: Tensor, batch: Mapping[str, Any], preprocessing: PreprocessingSpec | None
) -> list[dict[str, Any]]:
    """Predict each case of a batch on its native grid.

    Args:
        logits: (B, K, h, w).
        batch: As the data module gave it.
        preprocessing: What brought the images to the network grid.

    Returns:
        One dict a case: ``case``, ``mask`` uint8 (H, W), ``probability`` float16 (H, W) (of the
        structure, or of the winning class) and ``max_probability``, all on the CPU.

    Raises:
        DataError: An entry is missing or of another length than the batch.
    """
    cases = _cases(batch, len(logits))
    spec = preprocessing or PreprocessingSpec()
    found = []
    for case, one, geometry in zip(cases, logits, _geometries(batch, logits), strict=True):
        native = native_prediction(one, geometry, spec)
        found.append(
            {
                "case": case,
                "mask": native.mask,
                "probability": native.probability.to(torch.float16),
                "max_probability": float(native.probability.max()),
            }
        )
    return found


def _cases(batch: Mapping[str, Any], count: int) -> list[int]:
    cases: list[int] = torch.as_tensor(batch_value(batch, "case")).tolist()
    _check_length("case", len(cases), count)
    return cases


def _geometries(batch: Mapping[str, Any], logits: Tensor) -> list[SliceGeometry]:
    if "geometry" not in batch:
        height, width = logits.shape[2:]
        return [same_grid((int(height), int(width)))] * len(logits)
    geometries = list(batch["geometry"])
    _check_length("geometry", len(geometries), len(logits))
    return geometries


def _items(batch: Mapping[str, Any], key: str, count: int) -> list[Tensor]:
    items = list(batch_value(batch, key))
    _check_length(key, len(items), count)
    return items


def _check_length(key: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise DataError(
            f"the batch has {found} entries in {key!r} and {wanted} images; wanted one a case."
        )
