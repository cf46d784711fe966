"""Measure the training images of a run, for the `TrainingProfile` in its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from muscletransfer.data.datamodules.labelled import unasked
from muscletransfer.errors import DataError
from muscletransfer.finetune.areas import area_columns, area_values
from muscletransfer.finetune.familiarity import FeatureReference
from muscletransfer.finetune.layout import layout_features
from muscletransfer.finetune.spread import Spread

__all__ = ["evaluating", "gather_features", "gather_spreads"]

MOST_IMAGES = 64
"""Training images whose features are kept, and validation images; more make a larger file."""


def gather_features(encoder: nn.Module, source: Any) -> FeatureReference | None:
    """Describe the features of a data module's training and validation images.

    Args:
        encoder: The encoder; its mode is left as it was.
        source: A data module with ``plain_batches``; see `LowDataModule.plain_batches`.

    Returns:
        ``None`` with fewer than four patients.
    """
    like = next(encoder.parameters())
    found: list[Tensor] = []
    patients: list[Hashable] = []
    with unasked(source), evaluating(encoder), torch.no_grad():
        for role in ("train", "val"):
            for batch in source.plain_batches(role, MOST_IMAGES):
                image = batch["image"].to(like.device, like.dtype)
                found.append(layout_features(image, encoder(image)).cpu())
                patients += _patients(source, batch)
    return FeatureReference.of(torch.cat(found), patients) if found else None


def gather_spreads(
    source: Any, labels: list[int], is_ct: bool
) -> tuple[Spread | None, Spread | None]:
    """Sum up area and density of the training outlines on their native grids.

    Args:
        source: As for `gather_features`.
        labels: The foreground classes; their areas are added.
        is_ct: Whether the images hold HU.

    Returns:
        Spread of the logarithm of the area in cm2, and of the mean HU; ``None`` where unknown.
    """
    areas: list[float] = []
    densities: list[float] = []
    with unasked(source):
        for batch in source.plain_batches("train", 10_000):
            values = batch.get("native_hu") if is_ct else None
            for item, geometry in enumerate(batch["geometry"]):
                labelled = batch["native_mask"][item]
                mask = torch.isin(labelled, torch.tensor(labels, dtype=labelled.dtype))
                hu = None if values is None else values[item]
                area, density = _measured(mask.to(torch.uint8), geometry.spacing, hu)
                areas.append(math.log(area) if area > 0 else math.nan)
                densities.append(density)
    return Spread.of(areas), Spread.of(densities)


def _measured(
    mask: Tensor, spacing: tuple[float, float] | None, hu: Tensor | None
) -> tuple[float, float]:
    try:
        found = area_values(mask, mask, spacing, hu, labels=[1])
    except DataError:  # images without HU in a CT data set: then no range of HU is known
        found = area_values(mask, mask, spacing, None, labels=[1])
    named = dict(zip(area_columns([""]), found, strict=True))
    return named["area_cm2"], named["smd_hu"]


def _patients(source: Any, batch: Mapping[str, Any]) -> list[Hashable]:
    """Whose images these are; another patient's each where the source does not say."""
    cases = [int(case) for case in batch["case"]]
    if not hasattr(source, "case_row"):
        return [("case", case) for case in cases]
    # they are labelled ones, even while others are predicted; an override need not take the keyword
    takes = "predicted" in signature(source.case_row).parameters
    which = {"predicted": False} if takes else {}
    return [source.case_row(case, **which).patient_id for case in cases]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode; afterwards each part is in the mode it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
