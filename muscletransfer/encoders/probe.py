"""Run an encoder on a small image to learn what it does, without changing it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from muscletransfer.errors import ContractError

__all__ = ["Probe", "first_features", "probe", "usual_sizes"]


@dataclass(frozen=True)
class Probe:
    """What one forward pass gave.

    Attributes:
        size: Height and width of the image (pixels).
        copies: Stand-ins of the parameters by name; the features can be differentiated by them.
        features: The pyramid.
    """

    size: tuple[int, int]
    copies: dict[str, Tensor]
    features: list[Tensor]

    def first_features(self) -> dict[str, int]:
        """Return the index of the first feature that each parameter acts on, by name."""
        found: dict[str, int] = {}
        for index, feature in enumerate(self.features):
            rest = [n for n, copy in self.copies.items() if n not in found and copy.requires_grad]
            if not feature.requires_grad or not rest:
                continue
            inputs = [self.copies[name] for name in rest]
            grads = torch.autograd.grad(feature.sum(), inputs, retain_graph=True, allow_unused=True)
            found |= {n: index for n, grad in zip(rest, grads, strict=True) if grad is not None}
        return found


def first_features(encoder: nn.Module) -> dict[str, int]:
    """Find the first feature of the pyramid that each parameter acts on.

    Each feature of one small image is differentiated, so it holds for any encoder and needs no
    list of layer names.

    Args:
        encoder: A module with ``out_channels`` and ``output_stride``, on any device.

    Returns:
        Index of the feature by the parameter's name; parameters that act on none are not in it.

    Raises:
        ContractError: When the encoder takes no image of the sizes that were tried.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> found = first_features(create_encoder("timm/resnet18"))
        >>> found["model.conv1.weight"], found["model.layer4.0.conv1.weight"]
        (1, 5)
    """
    return probe(encoder, usual_sizes(encoder)).first_features()


def usual_sizes(encoder: nn.Module) -> list[tuple[int, int]]:
    """List the heights and widths to try: small ones first, the only one where there is one."""
    fixed = getattr(encoder, "image_size", None)
    if fixed is not None:
        return [(int(fixed[0]), int(fixed[1]))]
    smallest = 2 * int(getattr(encoder, "multiple", cast(Any, encoder).output_stride))
    least = max(smallest, int(getattr(encoder, "least", 0)))
    return [(size, size) for size in sorted({least, 224, 256, 384})]


def probe(encoder: nn.Module, sizes: Sequence[tuple[int, int]], *, strict: bool = False) -> Probe:
    """Run an encoder on a blank image of the first size that it takes.

    It runs without numbers where the encoder allows it (meta device), and so costs neither memory
    nor arithmetic. The encoder's values, gradients, norm statistics and the global random state
    stay as they are.

    Args:
        encoder: A module with ``out_channels``, on any device.
        sizes: Heights and widths to try.
        strict: Whether a size counts only when the features are the pyramid that the encoder
            promises.

    Returns:
        The features and the stand-ins that they can be differentiated by.

    Raises:
        ContractError: When it takes none of the sizes.
    """
    own = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
    problems: list[str] = []
    # Some layers read numbers while they run, which the meta device does not have.
    for device in dict.fromkeys([torch.device("meta"), own]):
        for size in sizes:
            try:
                found = _run(encoder, device, size)
                if strict:
                    _check_pyramid(encoder, size, [tuple(f.shape[1:]) for f in found.features])
                return found
            except (ValueError, RuntimeError, AssertionError, IndexError) as error:
                problems.append(f"{size[0]} x {size[1]}: {type(error).__name__}: {error}")
    name = getattr(encoder, "name", type(encoder).__name__)
    raise ContractError(
        f"The encoder {name!r} could not run on images of {cast(Any, encoder).out_channels[0]} "
        f"channel(s) and any of {len(sizes)} sizes that were tried. Found: {problems[-1]}"
    )


def _check_pyramid(encoder: Any, size: tuple[int, int], found: list[tuple[int, ...]]) -> None:
    strides = [min(2**level, encoder.output_stride) for level in range(len(encoder.out_channels))]
    wanted = [
        (channels, size[0] // stride, size[1] // stride)
        for channels, stride in zip(encoder.out_channels, strides, strict=True)
    ]
    if found != wanted:
        raise ValueError(f"features of shapes {found} are no pyramid; wanted {wanted}")


def _run(encoder: nn.Module, device: torch.device, size: tuple[int, int]) -> Probe:
    # Detached copies: gradients flow although the parameters may be frozen, and batch norm counts
    # its statistics in the copies.
    copies = {
        name: parameter.detach().to(device).requires_grad_(parameter.is_floating_point())
        for name, parameter in encoder.named_parameters()
    }
    buffers = {name: buffer.to(device, copy=True) for name, buffer in encoder.named_buffers()}
    dtype = next((copy.dtype for copy in copies.values()), torch.float32)
    channels = int(cast(Any, encoder).out_channels[0])
    devices = [device] if device.type == "cuda" else []
    meta = device.type == "meta"
    fitting = _FittingKernels() if meta else nullcontext()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices), torch.enable_grad(), fitting:
        image = torch.zeros(2, channels, *size, device=device, dtype=dtype)
        features = functional_call(encoder, copies | buffers, (image,))
    return Probe(size, copies, list(features))


class _FittingKernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse a convolution whose kernel is larger than what it is given.

    Every device does. The meta device of torch 2.6 does not, and gives the shape that integer
    division makes of a negative number; so a size that no image can have would count as one.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.convolution.default and not args[6]:  # transposed ones grow
            image, weight, _, _, padding, dilation = args[:6]
            for side, kernel, pad, step in zip(
                image.shape[2:], weight.shape[2:], padding, dilation, strict=True
            ):
                if side + 2 * pad < step * (kernel - 1) + 1:
                    raise RuntimeError(
                        f"a kernel of {tuple(weight.shape[2:])} does not fit {tuple(image.shape)}"
                    )
        return func(*args, **(kwargs or {}))
