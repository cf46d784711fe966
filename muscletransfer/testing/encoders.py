"""The contract of an encoder, checked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.encoders.registry import _find_builder
from muscletransfer.errors import ContractError
from muscletransfer.pretext.unused import unused_parameters
from muscletransfer.registry import owner_of
from muscletransfer.testing.report import (
    Checks,
    ContractReport,
    same_draws,
    untouched_random_state,
)
from muscletransfer.transfer import Provenance, load_encoder, save_encoder

__all__ = ["check_encoder"]


def check_encoder(
    name: str, *, channels: Sequence[int] = (1, 3, 4), depth: int = 5, **kwargs: Any
) -> ContractReport:
    """Check that a registered encoder keeps its contract.

    With each number of channels: shapes and strides on an image that is not square, whose sides
    are odd multiples; finite features; an image of another size works or is refused with a message;
    gradients reach every parameter; features in evaluation are the same twice and draw no random
    numbers; two builds from one seed agree; saved and loaded weights give the same features.

    .. versionadded:: 0.1

    Args:
        name: A registered name.
        channels: Numbers of image channels to try.
        depth: Number of halvings.
        **kwargs: Further arguments of the builder.

    Returns:
        What held.

    Raises:
        ContractError: When something does not hold; the message lists each, with what to change.
        UnknownNameError: When the name is not registered.

    Example:
        >>> check_encoder("timm/resnet18", channels=[1]).subject
        'timm/resnet18'
    """
    checks = Checks(name, owner_of(_find_builder(name)))
    for count in channels:
        spec = EncoderSpec(name, count, depth, kwargs)
        built: list[nn.Module] = []
        with checks(f"builds for {count} channel(s)"):
            built += [_build(spec), _build(spec)]
        if built:
            _check(checks, built[0], built[1], spec)
    return checks.finish()


def _build(spec: EncoderSpec) -> Any:
    return same_draws(lambda: build_encoder(spec))


def _check(checks: Checks, encoder: Any, twin: Any, spec: EncoderSpec) -> None:
    count = spec.in_channels
    height, width = _size(encoder)
    image = torch.rand(2, count, height, width, generator=torch.Generator().manual_seed(0))
    encoder.eval()
    with checks(f"pyramid for {count} channel(s)"), torch.no_grad():
        _check_pyramid(encoder, image)
    with checks(f"other sizes for {count} channel(s)"), torch.no_grad():
        _check_other_size(encoder, count, height, width)
    with checks(f"same features twice for {count} channel(s)"), torch.no_grad():
        with untouched_random_state("forward in evaluation", "Draw in training only."):
            once, again = encoder(image), encoder(image)
        if not _equal(once, again):
            raise ContractError("two passes differ; in evaluation forward must not keep state.")
    with checks(f"one seed, one encoder for {count} channel(s)"):
        ours, theirs = encoder.state_dict(), twin.state_dict()
        differing = [k for k in ours if k not in theirs or not torch.equal(ours[k], theirs[k])]
        if differing:
            raise ContractError(
                f"two builds after torch.manual_seed(0) differ in {differing[0]}. Initialise with "
                "torch's generator, from nothing else."
            )
    with checks(f"gradients reach every parameter for {count} channel(s)"):
        _check_gradients(encoder, image)
    with checks(f"saved and loaded features for {count} channel(s)"):
        _check_saving(encoder, spec, image)


def _size(encoder: Any) -> tuple[int, int]:
    fixed = getattr(encoder, "image_size", None)
    if fixed is not None:
        return int(fixed[0]), int(fixed[1])
    multiple = int(getattr(encoder, "multiple", encoder.output_stride))
    least = -(-int(getattr(encoder, "least", 0)) // multiple)
    return max(3, least) * multiple, max(5, least) * multiple


def _check_pyramid(encoder: Any, image: Tensor) -> None:
    features = encoder(image)
    height, width = image.shape[-2:]
    strides = [min(2**level, encoder.output_stride) for level in range(len(encoder.out_channels))]
    wanted = [
        (len(image), channels, height // stride, width // stride)
        for channels, stride in zip(encoder.out_channels, strides, strict=True)
    ]
    found = [tuple(feature.shape) for feature in features]
    if found != wanted:
        raise ContractError(
            f"forward returned {found} for {tuple(image.shape)}; out_channels "
            f"{encoder.out_channels} and output_stride {encoder.output_stride} promise {wanted}. "
            "Mend out_channels, output_stride or forward."
        )
    if not all(bool(feature.isfinite().all()) for feature in features):
        raise ContractError("forward gives NaN or infinite values for an image in [0, 1].")


def _check_other_size(encoder: Any, channels: int, height: int, width: int) -> None:
    """A size that does not fit is refused in words, or works."""
    odd = torch.rand(1, channels, height + 1, width - 1)
    try:
        features = encoder(odd)
    except ValueError as error:
        if str(height + 1) not in str(error):
            raise ContractError(
                f"the error on an image of {height + 1} x {width - 1} does not say the size: "
                f"{error}. Say what was found and which sizes work."
            ) from error
        return
    except Exception as error:
        raise ContractError(
            f"forward failed on an image of {height + 1} x {width - 1} with {type(error).__name__}:"
            f" {error}. Raise ImageSizeError (muscletransfer.errors) that says which sizes work, "
            "or set `multiple` and check it first."
        ) from error
    if len(features) != len(encoder.out_channels):
        raise ContractError("forward returns another number of features on an odd size.")


def _check_gradients(encoder: nn.Module, image: Tensor) -> None:
    encoder.train()
    encoder.zero_grad()
    features = encoder(image)
    sum(f.square().sum() for f in features[1:] if f.numel()).backward()
    unused = unused_parameters(encoder)
    encoder.zero_grad()
    encoder.eval()
    if unused:
        raise ContractError(
            f"no feature depends on {', '.join(unused[:6])} ({len(unused)} in all). Use them, "
            "remove them, or rest them with requires_grad_(False): training on several processes "
            "waits for the gradient of each."
        )


def _check_saving(encoder: Any, spec: EncoderSpec, image: Tensor) -> None:
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = save_encoder(
            encoder, f"{folder}/encoder.safetensors", provenance=Provenance(task="check")
        )
        fresh: Any = build_encoder(spec)
        load_encoder(fresh, path)
        if not _equal(encoder.eval()(image), fresh.eval()(image)):
            raise ContractError(
                "an encoder that was saved and loaded gives other features: something that "
                "matters is no parameter and no buffer. Use register_buffer for it."
            )


def _equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)
