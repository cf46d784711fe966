"""Fold batch norms into the convolutions before them: the same numbers with a pass less."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from muscletransfer.encoders.small_maps import SmallMapConv2d

__all__ = ["fold_norms"]

_CONVOLUTIONS = (nn.Conv2d, SmallMapConv2d)  # not others that derive: they may do more


def fold_norms(network: nn.Module, image: Tensor) -> nn.Module:
    """Return a copy of a network for evaluation, its batch norms folded where that is exact.

    Which convolution feeds which norm is seen while the image goes through. The copy is then
    compared with the original on the image; where a convolution feeds something else as well, they
    differ, and the network is returned as it was.

    Args:
        network: In evaluation mode, in float32.
        image: (1, C, H, W), any picture that the network takes.

    Returns:
        The folded copy, or the network itself.

    Example:
        >>> plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> folded = fold_norms(plain, torch.rand(1, 1, 8, 8))
        >>> [type(part).__name__ for part in folded]
        ['Conv2d', 'Identity', 'ReLU']
    """
    folded = copy.deepcopy(network)
    pairs, before = _pairs(folded, image)
    for convolution, norm in pairs:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        convolution.weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.bias = bias
    _replace(folded, {id(norm) for _, norm in pairs})
    with torch.no_grad():
        after = folded(image)
    scale = float(before.abs().max())
    return (
        folded if torch.allclose(before, after, rtol=0, atol=1e-3 * max(scale, 1e-6)) else network
    )


def _pairs(
    network: nn.Module, image: Tensor
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], Tensor]:
    """Return convolutions with the norm after them, each used once, and the network's output."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # keeps outputs alive, so ids stay unique
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    uses: dict[int, int] = {}

    def note(part: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        uses[id(part)] = uses.get(id(part), 0) + 1
        if isinstance(part, nn.Conv2d):  # of which only such are hooked
            outputs[id(output)] = part, output
        elif id(inputs[0]) in outputs and isinstance(part, nn.BatchNorm2d):
            pairs.append((outputs[id(inputs[0])][0], part))

    parts = [p for p in network.modules() if type(p) in (*_CONVOLUTIONS, nn.BatchNorm2d)]
    hooks = [part.register_forward_hook(note) for part in parts]
    try:
        with torch.no_grad():
            given: Tensor = network(image)
    finally:
        for hook in hooks:
            hook.remove()
    once = [
        (convolution, norm)
        for convolution, norm in pairs
        if uses[id(convolution)] == uses[id(norm)] == 1 and norm.running_mean is not None
    ]
    return once, given


def _replace(network: nn.Module, norms: set[int]) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in norms:
                setattr(parent, name, nn.Identity())
