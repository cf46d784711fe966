"""From logits on the network grid to class indices on the grid of the file."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import SliceGeometry
from muscletransfer.losses import activate

__all__ = ["NativePrediction", "native_from_probabilities", "native_prediction", "same_grid"]


@dataclass(frozen=True)
class NativePrediction:
    """What the network says about one slice, on the slice's own grid.

    Args:
        mask: uint8 (H, W) class indices, 0 background, on the CPU.
        probability: float32 (H, W) in [0, 1], on the CPU: of the structure with one class, of the
            winning class with several.
    """

    mask: Tensor
    probability: Tensor


def native_prediction(
    logits: Tensor, geometry: SliceGeometry, preprocessing: PreprocessingSpec
) -> NativePrediction:
    """Bring one slice's logits to its native grid and decide there.

    Probabilities (not labels) are interpolated, so the outline is as smooth as the native grid
    allows. One class: the structure is where its probability is above 0.5. Several: the largest
    probability wins. Native pixels that the network never saw are background.

    Args:
        logits: (K, h, w) of one slice, any float type and device.
        geometry: How the slice came to the network grid.
        preprocessing: What brought it there.

    Returns:
        Mask and probability, on the CPU.

    Raises:
        GeometryError: The logits are of another size than the geometry's network grid.

    Example:
        >>> spec = PreprocessingSpec(size=8)
        >>> geometry = spec.geometry((16, 16), (0.8, 0.8))
        >>> native_prediction(torch.full((1, 8, 8), 4.0), geometry, spec).mask.sum().item()
        256
    """
    probabilities = activate(logits.detach().float().unsqueeze(0))[0]
    return native_from_probabilities(probabilities, geometry, preprocessing)


def native_from_probabilities(
    probabilities: Tensor, geometry: SliceGeometry, preprocessing: PreprocessingSpec
) -> NativePrediction:
    """Do what `native_prediction` does from probabilities, such as the mean of several networks.

    Args:
        probabilities: (K, h, w) of one slice: sigmoid for K = 1, softmax otherwise.
        geometry: How the slice came to the network grid.
        preprocessing: What brought it there.

    Returns:
        Mask and probability, on the CPU.

    Raises:
        GeometryError: As `native_prediction`.
    """
    scores = preprocessing.invert(probabilities, geometry)
    if len(scores) == 1:
        probability = scores[0]
        mask = probability > 0.5
    else:
        probability, mask = scores.max(dim=0)
    return NativePrediction(mask.to(torch.uint8).cpu(), probability.cpu())


def same_grid(shape: tuple[int, int]) -> SliceGeometry:
    """Return the geometry of a slice that is already on the network grid, of unknown spacing.

    Args:
        shape: (h, w) of the network grid.

    Example:
        >>> same_grid((4, 6)).native_shape
        (4, 6)
    """
    return SliceGeometry(shape, None, shape, (1.0, 1.0), (0.0, 0.0))
