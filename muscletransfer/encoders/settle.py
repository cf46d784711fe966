"""Finish an encoder of another library: which images it takes, which parameters it uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from muscletransfer.encoders.probe import probe
from muscletransfer.errors import ContractError

__all__ = ["settle"]

# Multiples of the output stride to try: most encoders take the first, a patch of 14 pixels the
# seventh, attention in blocks (HaloNet) a power of two.
_FACTORS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)


@dataclass(frozen=True)
class _Facts:
    """What holds for all encoders of one recipe."""

    multiple: int
    least: int
    unused: frozenset[str]


_KNOWN: dict[str, _Facts] = {}


def settle(encoder: nn.Module, recipe: str) -> nn.Module:
    """Try an encoder once, note the image sizes it takes, and rest parameters without use.

    Sets ``multiple`` (height and width must be multiples of it) and ``least`` (and not below it).

    Libraries leave stages below the asked depth, and heads, in their encoders. Such parameters
    cost weight decay, and training on several devices fails on a parameter that never gets a
    gradient; so their ``requires_grad`` is switched off. They stay in the state, so published
    weights still fit.

    Args:
        encoder: An encoder with ``name``, ``out_channels``, ``output_stride``, ``image_size``.
        recipe: What the encoder was built from; encoders of one recipe are tried once a process.

    Returns:
        The same module.

    Raises:
        ContractError: When it runs on no image, or its features are no pyramid.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> encoder = create_encoder("smp/resnet18", depth=4)
        >>> encoder.multiple, encoder.model.layer4[0].conv1.weight.requires_grad
        (16, False)
    """
    if recipe not in _KNOWN:
        _KNOWN[recipe] = _find(encoder)
    facts = _KNOWN[recipe]
    settled = cast(Any, encoder)
    settled.multiple, settled.least = facts.multiple, facts.least
    for name in facts.unused:
        encoder.get_parameter(name).requires_grad_(False)
    return encoder


def _find(encoder: nn.Module) -> _Facts:
    stride, fixed = int(cast(Any, encoder).output_stride), cast(Any, encoder).image_size
    sizes = [(2 * k * stride, 3 * k * stride) for k in _FACTORS] if fixed is None else [fixed]
    probed = probe(encoder, sizes, strict=True)
    used = probed.first_features()
    unused = frozenset(name for name, _ in encoder.named_parameters() if name not in used)
    height, width = probed.size
    if fixed is not None or height == 2 * stride:
        return _Facts(stride, 0, unused)
    # It failed below this size: is one more stride enough, or must it be a multiple?
    try:
        probe(encoder, [(height + stride, width)], strict=True)
    except ContractError:
        return _Facts(height // 2, 0, unused)
    return _Facts(stride, height, unused)
