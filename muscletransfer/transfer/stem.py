"""Fit the first convolution of an encoder to another number of image channels, exactly."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from muscletransfer.encoders import build_encoder
from muscletransfer.errors import ChannelMismatchError
from muscletransfer.transfer.artifact import encoder_spec

__all__ = ["adapt_kernel", "adapt_stem"]


def adapt_kernel(weight: Tensor, source_channels: int, target_channels: int) -> Tensor:
    """Move a kernel from one number of image channels to another.

    On an image whose channels are all equal the new kernel gives what the old one gave. With fewer
    channels than before, kernel slice ``c`` is added to slice ``c % target_channels``: three to one
    is the sum over the channels. With more, channel ``j`` takes slice ``j % source_channels``,
    shared equally among the channels that take it: one to three is a third for each, three to four
    halves the first slice between channels 0 and 3.

    This is exact when the image was normalised by **one** mean and standard deviation. Weights
    that were trained with a mean for each channel met a constant offset between their channels;
    zero padding makes that offset differ at the image border, so no kernel can absorb it.

    .. versionadded:: 0.1

    Args:
        weight: Shape (O, blocks * source_channels, ...). More than one block means that the model
            stacks neighbouring pixels into channels before its first convolution, with the image
            channel running fastest (space-to-depth in timm).
        source_channels: Image channels of ``weight``.
        target_channels: Image channels wanted.

    Returns:
        Shape (O, blocks * target_channels, ...), same dtype.

    Example:
        >>> kernel = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
        >>> adapt_kernel(kernel, 3, 1).flatten().tolist()
        [7.0]
        >>> adapt_kernel(kernel, 3, 4).flatten().tolist()
        [0.5, 2.0, 4.0, 0.5]
    """
    out, inputs, *rest = weight.shape
    slices = weight.reshape(out, inputs // source_channels, source_channels, *rest).double()
    if target_channels >= source_channels:
        index = torch.arange(target_channels, device=weight.device) % source_channels
        times = index.bincount(minlength=source_channels)[index]
        adapted = slices[:, :, index] / times.reshape(-1, *[1] * len(rest))
    else:
        index = torch.arange(source_channels, device=weight.device) % target_channels
        shape = (out, inputs // source_channels, target_channels, *rest)
        adapted = slices.new_zeros(shape).index_add_(2, index, slices)
    return adapted.reshape(out, -1, *rest).to(weight.dtype)


def adapt_stem(
    state: Mapping[str, Tensor], encoder: nn.Module, source_channels: int, target_channels: int
) -> tuple[dict[str, Tensor], list[str]]:
    """Adapt every kernel of a state that reads the image.

    These are the kernels whose shape differs from the encoder's in the input channels only: one in
    most models, several where parallel branches read the image (MobileOne, RepVGG). Each result is
    run on a grey image beside the original, so a stem for which the rule is not exact (a
    convolution that standardises its weights) is refused and never silently changed.

    Args:
        state: The weights, for ``source_channels`` channels.
        encoder: The encoder to fit, with ``target_channels`` channels. It is not changed.
        source_channels: Image channels of the weights.
        target_channels: Image channels of the encoder.

    Returns:
        A new state, and the keys that were adapted; these in float32 at least.

    Raises:
        ChannelMismatchError: If a kernel cannot be adapted exactly.
    """
    wanted = encoder.state_dict()
    adapted = dict(state)
    keys: list[str] = []
    for key, source in state.items():
        target = wanted.get(key)
        if target is None or target.shape == source.shape:
            continue
        if not _reads_image(source, target, source_channels, target_channels):
            continue
        # In half precision sums and shares would be rounded, and not be exact.
        source = source.to(torch.promote_types(source.dtype, torch.float32))
        kernel = adapt_kernel(source, source_channels, target_channels)
        _check_exact(encoder, key, source, kernel, source_channels, target_channels)
        adapted[key] = kernel
        keys.append(key)
    if any(state[key].shape[1] != source_channels for key in keys):
        _check_order(encoder, state, adapted, source_channels, target_channels)
    return adapted, keys


def _reads_image(source: Tensor, target: Tensor, n: int, m: int) -> bool:
    """Whether two kernels differ by n against m image channels and in nothing else."""
    if source.ndim < 2 or source.ndim != target.ndim:
        return False
    if source.shape[:1] + source.shape[2:] != target.shape[:1] + target.shape[2:]:
        return False
    return source.shape[1] % n == 0 and source.shape[1] // n * m == target.shape[1]


def _check_exact(
    encoder: nn.Module, key: str, source: Tensor, kernel: Tensor, n: int, m: int
) -> None:
    """Run the layer with the old and the new kernel on a grey image and compare."""
    path, _, leaf = key.rpartition(".")
    layer = encoder.get_submodule(path)
    if not isinstance(layer, nn.Conv2d | nn.Linear) or leaf != "weight":
        raise ChannelMismatchError(
            f"Cannot adapt the stem from {n} to {m} channels: {key} belongs to a "
            f"{type(layer).__name__}, and only convolutions and linear layers can be adapted. "
            f"Create the encoder with in_channels={n} and repeat the image over its channels."
        )
    blocks = source.shape[1] // n
    size = () if isinstance(layer, nn.Linear) else tuple(2 * k + 8 for k in layer.kernel_size)
    generator = torch.Generator().manual_seed(0)
    grey = torch.rand(1, blocks, *size, generator=generator)
    before = _run(layer, source, grey.repeat_interleave(n, dim=1))
    after = _run(layer, kernel, grey.repeat_interleave(m, dim=1))
    scale = before.abs().max().clamp(min=1e-12)
    if (before - after).abs().max() > 1e-5 * scale:
        raise ChannelMismatchError(
            f"The stem {key} ({type(layer).__name__}) cannot be adapted from {n} to {m} channels "
            "exactly: it does not use its kernel as it stands (it standardises it, for example), "
            f"so the features would change. Create the encoder with in_channels={n} and repeat the "
            "image over its channels."
        )


@torch.no_grad()
def _check_order(
    encoder: nn.Module, state: Mapping[str, Tensor], adapted: Mapping[str, Tensor], n: int, m: int
) -> None:
    """Run whole encoders where pixels are stacked into channels: the order may be another one."""
    spec = encoder_spec(encoder)
    with torch.random.fork_rng(devices=[]):
        before = cast(nn.Module, build_encoder(dataclasses.replace(spec, in_channels=n))).eval()
        after = cast(nn.Module, build_encoder(spec)).eval()
    before.load_state_dict(state, strict=False)
    after.load_state_dict(adapted, strict=False)
    side = 4 * int(cast(Any, encoder).output_stride)
    size = getattr(encoder, "image_size", None) or (side, side)
    grey = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    expected = before(grey.expand(-1, n, -1, -1))
    found = after(grey.expand(-1, m, -1, -1))
    for a, b in zip(expected[1:], found[1:], strict=True):
        if a.numel() and (a - b).abs().max() > 1e-4 * a.abs().max().clamp(min=1e-12):
            raise ChannelMismatchError(
                f"The stem of {spec.name!r} cannot be adapted from {n} to {m} channels: it stacks "
                "pixels into channels in an order of its own, and the features would change. "
                f"Create the encoder with in_channels={n} and repeat the image over its channels."
            )


@torch.no_grad()
def _run(layer: nn.Conv2d | nn.Linear, kernel: Tensor, image: Tensor) -> Tensor:
    twin = copy.deepcopy(layer).cpu().float()
    twin.weight = nn.Parameter(kernel.detach().cpu().float())
    result: Tensor = twin.eval()(image)
    return result
