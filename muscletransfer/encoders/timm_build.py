"""Calling timm: one construction for all, and its errors in our words."""

from __future__ import annotations

import inspect
import re
from typing import Any

import timm
import torch

from muscletransfer.errors import ContractError, UnknownNameError, close_matches

__all__ = [
    "check_arguments",
    "check_tag",
    "create",
    "fixed_size",
    "no_dilation",
    "outline",
    "size_that_fits",
]

# Arguments of timm.create_model that the library sets itself, and what the user does instead.
_RESERVED = {
    "pretrained": "weights are an act of their own: load_encoder(encoder, 'imagenet')",
    "pretrained_cfg": "weights are an act of their own: load_encoder(encoder, 'imagenet')",
    "pretrained_cfg_overlay": "weights are an act of their own: load_encoder(encoder, 'imagenet')",
    "checkpoint_path": "weights are an act of their own: load_encoder(encoder, 'file.safetensors')",
    "cache_dir": "weights are an act of their own: load_encoder(encoder, 'imagenet')",
    "in_chans": "the number of channels is in_channels",
    "features_only": "an encoder always gives features",
    "feature_cls": "an encoder always gives features",
    "out_indices": "the number of levels is depth",
    "num_classes": "an encoder has no classifier",
}
_PROBE = "muscletransfer_probe"


def check_tag(model: str) -> None:
    """Check the pretrained tag of a name such as ``resnet18.a1_in1k``, if there is one.

    Raises:
        UnknownNameError: When timm has the model but no such tag of it.

    Example:
        >>> check_tag("resnet18.a1_in1k")
        >>> check_tag("resnet18.a1")
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: timm has no weights tagged 'a1' ... Did you mean ...
    """
    architecture, _, tag = model.partition(".")
    if not tag:
        return
    tagged = list(timm.list_models(f"{architecture}.*", pretrained=True))
    if model not in tagged:
        matches = close_matches(model, tagged) or tagged[:3]
        hint = (
            f" Did you mean {' or '.join(repr(f'timm/{m}') for m in matches)}?" if matches else ""
        )
        raise UnknownNameError(
            f"timm has no weights tagged {tag!r} for {architecture!r}.{hint} "
            f"Without a tag, 'timm/{architecture}' means timm's default weights."
        )


def outline(model: str, kwargs: dict[str, Any]) -> Any:
    """Build a model without memory (meta device), for a look at its features."""
    try:
        with torch.device("meta"):
            return _create(model, kwargs)
    except Exception:
        # Older timm reads numbers out of tensors while it builds, which "meta" does not have; and
        # of a wrong argument `create` says what is wrong with it.
        return create(model, kwargs)


def create(model: str, kwargs: dict[str, Any]) -> Any:
    """Build a timm feature extractor.

    Args:
        model: Name of the timm model, a tag may follow.
        kwargs: All arguments besides ``features_only``.

    Returns:
        The module; it has ``feature_info``.

    Raises:
        ContractError: When timm refuses; the message names the argument where there is one.
    """
    try:
        return _create(model, kwargs)
    except Exception as error:
        # Some models only assert that it is 32, without a word.
        if "output_stride" in kwargs and ("output_stride" in str(error) or not str(error)):
            raise no_dilation(f"timm/{model}", kwargs["output_stride"]) from error
        unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unexpected and unexpected[1] in kwargs:
            raise _unknown_arguments(model, [unexpected[1]]) from error
        if "features_only not implemented" in str(error):
            raise ContractError(
                f"timm {timm.__version__} gives no feature maps of 'timm/{model}', so it cannot be "
                "an encoder. Use another encoder, or timm 1.0.31 or newer."
            ) from error
        arguments = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
        raise ContractError(
            f"timm could not build 'timm/{model}' with {arguments or 'no further arguments'}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _create(model: str, kwargs: dict[str, Any]) -> Any:
    return timm.create_model(model, features_only=True, **kwargs)


def check_arguments(model: str, kwargs: dict[str, Any]) -> None:
    """Check that a model takes every argument, even where its class swallows unknown ones.

    Args:
        model: Name of the timm model.
        kwargs: The user's arguments.

    Raises:
        ContractError: When an argument is set by the library or unknown to the model.

    Example:
        >>> check_arguments("swin_tiny_patch4_window7_224", {"img_siz": 64})
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: The encoder 'timm/swin... takes no ... 'img_siz'...
    """
    for key in kwargs:
        if key in _RESERVED:
            raise ContractError(
                f"The encoder 'timm/{model}' does not take {key!r}: {_RESERVED[key]}."
            )
    if not kwargs:
        return
    if not _swallows(model):
        # Its own TypeError names what it does not know.
        outline(model, kwargs)
        return
    known = _parameters(model)
    unknown = [key for key in kwargs if key not in known and key != "output_stride"]
    if unknown:
        raise _unknown_arguments(model, unknown)


def _swallows(model: str) -> bool:
    """Tell whether a model accepts an argument that cannot exist."""
    kwargs: dict[str, Any] = {_PROBE: 1}
    try:
        _whole(model, **kwargs)
    except TypeError:
        return False
    return True


def _whole(model: str, **kwargs: Any) -> torch.nn.Module:
    """Build all of a model without memory where its timm can, see `outline`."""
    try:
        with torch.device("meta"):
            return timm.create_model(model, **kwargs)
    except RuntimeError:  # NotImplementedError is one
        return timm.create_model(model, **kwargs)


def _parameters(model: str) -> list[str]:
    cls = type(_whole(model))
    found: dict[str, None] = {}
    for base in cls.__mro__:
        if base is torch.nn.Module:
            break
        found.update(dict.fromkeys(inspect.signature(base.__init__).parameters))  # type: ignore[misc]
    return [name for name in found if name not in {"self", "kwargs", "args", *_RESERVED}]


def _unknown_arguments(model: str, unknown: list[str]) -> ContractError:
    known = _parameters(model)
    matches = list(dict.fromkeys(m for name in unknown for m in close_matches(name, known)))
    hint = f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""
    return ContractError(
        f"The encoder 'timm/{model}' takes no argument {', '.join(map(repr, unknown))}.{hint} "
        f"Its arguments: output_stride, {', '.join(known)}."
    )


def no_dilation(name: str, output_stride: object) -> ContractError:
    """Build the error for an encoder that cannot be dilated."""
    return ContractError(
        f"The encoder {name!r} cannot be dilated to output_stride={output_stride}. Use a "
        f"convolutional encoder such as 'timm/resnet18', a smaller depth (depth=4 ends at stride "
        f"16, depth=3 at 8), or a decoder that needs no dilation such as 'unet', 'fpn' or "
        f"'upernet'."
    )


def fixed_size(module: Any, kwargs: dict[str, Any]) -> tuple[int, int] | None:
    """Return the one image size (height, width) that a model takes, or ``None`` for any."""
    config = dict(module.pretrained_cfg)
    if not config.get("fixed_input_size", False):
        return None
    if kwargs.get("dynamic_img_size", False) or not kwargs.get("strict_img_size", True):
        return None
    size = kwargs.get("img_size", config["input_size"][-2:])
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def size_that_fits(name: str, kwargs: dict[str, Any], stride: int, size: int) -> int | None:
    """Find the next ``img_size`` that a fixed-size model takes and that gives a pyramid.

    Found by trying (without memory): a model may want multiples of its patch, of two patches, or
    of a window.

    Args:
        name: The encoder's name.
        kwargs: Arguments of the model; ``img_size`` is replaced.
        stride: The image must be a multiple of it (pixels).
        size: The size that does not fit.

    Returns:
        The side of a square image in pixels, or ``None`` when none of 64 sizes works.

    Example:
        >>> size_that_fits("timm/vit_small_patch14_dinov2", {}, stride=32, size=518)
        672
    """
    first = -(-size // stride) * stride
    info = outline(name.removeprefix("timm/"), kwargs).feature_info.info
    patches = [int(stage["reduction"]) for stage in info]
    sides = range(first, first + 64 * stride, stride)
    # Whole patches first: otherwise a border of the image would be cut off.
    for side in sorted(sides, key=lambda side: any(side % patch for patch in patches)):
        try:
            model = outline(name.removeprefix("timm/"), {**kwargs, "img_size": side})
            image = torch.zeros(1, 3, side, side, device=next(model.parameters()).device)
            with torch.no_grad():
                model.eval()(image)
        except (AssertionError, RuntimeError, ValueError, ContractError):
            continue  # this size is none of them
        return side
    return None
