"""What is checked before an image enters an encoder, and of a module that wants to be one."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from muscletransfer.errors import ChannelMismatchError, ContractError, ImageSizeError

__all__ = ["check_image", "check_members", "dry_run"]

_EXAMPLE = """An encoder looks like this:

    class MyEncoder(nn.Module):
        out_channels = [1, 16, 32]      # channels at strides 1, 2, 4, ...; the first: the image's
        output_stride = 4               # stride of the last feature

        def forward(self, x):           # (B, C, H, W) -> [x, (B, 16, H/2, W/2), (B, 32, H/4, W/4)]
            ..."""


class _Pyramid(Protocol):
    @property
    def out_channels(self) -> list[int]: ...

    @property
    def output_stride(self) -> int: ...


def check_image(
    x: Tensor,
    in_channels: int,
    multiple: int,
    image_size: tuple[int, int] | None,
    name: str,
    least: int = 0,
) -> None:
    """Check that an encoder can take a batch of images.

    Args:
        x: The images, wanted as (B, C, H, W).
        in_channels: Number of channels the encoder was built for.
        multiple: Height and width must be multiples of this (pixels).
        image_size: The one height and width that a fixed-size model takes, or ``None``.
        name: The encoder's name, for the message.
        least: Height and width must not be below this (pixels).

    Raises:
        ImageSizeError: When ``x`` is no batch of images, or its height or width does not fit; the
            message has the nearest sizes that do.
        ChannelMismatchError: When the number of channels is another one.

    Example:
        >>> import torch
        >>> check_image(torch.zeros(1, 1, 100, 128), 1, 32, None, "timm/resnet18")
        Traceback (most recent call last):
        muscletransfer.errors.ImageSizeError: The encoder 'timm/resnet18' got images of 100 x 128...
    """
    if x.ndim != 4:
        raise ImageSizeError(
            f"The encoder {name!r} got a tensor of shape {tuple(x.shape)}; wanted a batch of "
            f"images (B, C, H, W). A single image gets its batch with x[None]."
        )
    channels, height, width = (int(n) for n in x.shape[1:])
    if channels != in_channels:
        raise ChannelMismatchError(
            f"The encoder {name!r} was built for {in_channels} image channel(s) and got images of "
            f"shape {tuple(x.shape)} with {channels}. Build it with in_channels={channels}, or "
            f"change the channels of the preprocessing."
        )
    if image_size is not None and (height, width) != image_size:
        raise ImageSizeError(
            f"The encoder {name!r} takes images of exactly {image_size[0]} x {image_size[1]} "
            f"pixels and got {height} x {width}. Build it with img_size=({height}, {width}), or "
            f"resize the images to {image_size[0]} x {image_size[1]}."
        )
    if height % multiple or width % multiple:
        lower = [max(multiple, n // multiple * multiple) for n in (height, width)]
        upper = [-(-n // multiple) * multiple for n in (height, width)]
        raise ImageSizeError(
            f"The encoder {name!r} got images of {height} x {width} pixels; wanted height and "
            f"width to be multiples of {multiple}. Pad to {upper[0]} x {upper[1]}, crop or resize "
            f"to {lower[0]} x {lower[1]}, or use a smaller depth."
        )
    if min(height, width) < least:
        raise ImageSizeError(
            f"The encoder {name!r} got images of {height} x {width} pixels; wanted at least "
            f"{least} x {least}. Pad or resize them, or use a smaller depth."
        )


def check_members(module: nn.Module, name: str) -> None:
    """Check that a module has the members of an encoder and that they make sense.

    Args:
        module: The module.
        name: What to call it in the message.

    Raises:
        ContractError: When it is no ``nn.Module``, or members are missing or of another type; the
            message lists all of them and shows an example.
    """
    if not isinstance(module, nn.Module):
        raise ContractError(f"{name} is no encoder: wanted an nn.Module, found {module!r}.")
    troubles = []
    channels: Any = getattr(module, "out_channels", None)
    if channels is None:
        troubles.append("out_channels is missing")
    elif not _is_counts(channels) or len(channels) < 2:
        troubles.append(
            f"out_channels is {channels!r}, wanted a list of at least two whole numbers"
        )
    stride = getattr(module, "output_stride", None)
    if stride is None:
        troubles.append("output_stride is missing")
    elif not isinstance(stride, int) or isinstance(stride, bool) or stride < 1:
        troubles.append(f"output_stride is {stride!r}, wanted a whole number")
    elif not troubles and stride > 2 ** (len(channels) - 1):
        troubles.append(
            f"output_stride is {stride}, but {len(channels) - 1} level(s) below the image end at "
            f"stride {2 ** (len(channels) - 1)}"
        )
    if type(module).forward is nn.Module.forward:
        troubles.append("forward is missing")
    if troubles:
        raise ContractError(f"{name} is no encoder: {'; '.join(troubles)}. {_EXAMPLE}")


def dry_run(module: Any, name: str) -> None:
    """Send one blank image through a foreign encoder and check the shapes that come out.

    The module is left as it was: evaluation mode for the moment, no gradients, no change of its
    buffers. A module that takes one size only says so in an attribute ``image_size``.

    Args:
        module: A module that passed :func:`check_members`.
        name: What to call it in the message.

    Raises:
        ContractError: When the forward pass fails, or a feature has another shape than
            ``out_channels`` and ``output_stride`` promise.
    """
    channels, stride = list(module.out_channels), int(module.output_stride)
    multiple = int(getattr(module, "multiple", stride))
    side = -(-max(64, 2 * multiple, int(getattr(module, "least", 0))) // multiple) * multiple
    height, width = getattr(module, "image_size", None) or (side, side)
    parameter = next(module.parameters(), torch.zeros(()))
    blank = parameter.new_zeros(1, channels[0], height, width)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            features = module(blank)
    except Exception as error:
        raise ContractError(
            f"{name} failed on a blank image of shape {tuple(blank.shape)}: "
            f"{type(error).__name__}: {error}. A module that takes one size only says so in an "
            f"attribute image_size = (height, width). {_EXAMPLE}"
        ) from error
    finally:
        for part, mode in modes.items():
            part.training = mode
    wanted = [
        (1, c, height // min(2**level, stride), width // min(2**level, stride))
        for level, c in enumerate(channels)
    ]
    if not isinstance(features, list | tuple) or not all(torch.is_tensor(f) for f in features):
        raise ContractError(
            f"{name} returned {type(features).__name__} from forward; wanted a list of "
            f"{len(channels)} tensors. {_EXAMPLE}"
        )
    found = [tuple(feature.shape) for feature in features]
    if found != wanted:
        actual = [shape[1] if len(shape) == 4 else 0 for shape in found]
        repair = (
            f"Set out_channels to {actual}, or mend forward."
            if len(actual) == len(channels) and actual != channels
            else "Mend forward, or say the right output_stride."
        )
        raise ContractError(
            f"{name} returned features of shapes {found} for a blank image of shape "
            f"{tuple(blank.shape)}; out_channels {channels} and output_stride {stride} promise "
            f"{wanted}. {repair} {_EXAMPLE}"
        )


def _is_counts(values: object) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values
    )
