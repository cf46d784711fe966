"""Decoders by name: those of segmentation-models-pytorch, our FCN, and what others register."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from muscletransfer.class_paths import find_object
from muscletransfer.decoders.base import Decoder, DecoderSpec
from muscletransfer.encoders.base import Encoder
from muscletransfer.errors import ContractError
from muscletransfer.registry import Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "DecoderBuilder",
    "build_decoder",
    "create_decoder",
    "list_decoders",
    "register_decoder",
    "required_encoder_kwargs",
]

DecoderBuilder: TypeAlias = "Callable[..., nn.Module]"

_HERE = "muscletransfer.decoders"
_REGISTRY: Registry[DecoderBuilder] = Registry(
    "decoder",
    "muscletransfer.decoders",
    "list_decoders() shows all; add one with @register_decoder('name') on a function "
    "f(encoder, **kwargs), with an entry point of the group 'muscletransfer.decoders', or give the "
    "path of a class: 'my_package.decoders.Thin'.",
    {
        "unet": f"{_HERE}.smp_decoders:UNET",
        "unetplusplus": f"{_HERE}.smp_decoders:UNETPLUSPLUS",
        "fpn": f"{_HERE}.smp_decoders:FPN",
        "deeplabv3plus": f"{_HERE}.smp_decoders:DEEPLABV3PLUS",
        "deeplabv3": f"{_HERE}.smp_decoders:DEEPLABV3",
        "linknet": f"{_HERE}.smp_decoders:LINKNET",
        "manet": f"{_HERE}.smp_decoders:MANET",
        "pspnet": f"{_HERE}.smp_decoders:PSPNET",
        "pan": f"{_HERE}.smp_decoders:PAN",
        "upernet": f"{_HERE}.smp_decoders:UPERNET",
        "segformer": f"{_HERE}.smp_decoders:SEGFORMER",
        "fcn": f"{_HERE}.fcn:build_fcn",
    },
)


def register_decoder(
    name: str, *, override: bool = False
) -> Callable[[DecoderBuilder], DecoderBuilder]:
    """Register a builder of decoders under a name (decorator).

    The builder is called as ``f(encoder, **kwargs)`` and returns an ``nn.Module`` that keeps the
    contract of :class:`~muscletransfer.decoders.Decoder`; ``spec`` is set for it. An attribute
    ``encoder_kwargs`` of the builder says what the encoder should be built with
    (``{"output_stride": 16}``).

    .. versionadded:: 0.1

    Args:
        name: The name, such as ``"mypackage/thin"``.
        override: Take the name even when it is taken.

    Returns:
        The decorator, which returns the builder unchanged.

    Raises:
        DuplicateNameError: When the name is taken.

    Example:
        >>> from torch import nn
        >>> from muscletransfer.encoders import create_encoder
        >>> @register_decoder("example/last")
        ... def build_last(encoder):
        ...     class Last(nn.Module):
        ...         out_channels = encoder.out_channels[-1]
        ...         stride = encoder.output_stride
        ...
        ...         def forward(self, features):
        ...             return features[-1]
        ...
        ...     return Last()
        >>> create_decoder("example/last", create_encoder("timm/resnet18")).out_channels
        512
    """
    return _REGISTRY.register(name, override=override)


def list_decoders(pattern: str | None = None) -> list[str]:
    """List the names of all decoders; no plug-in is imported for it.

    .. versionadded:: 0.1

    Args:
        pattern: A shell pattern such as ``"deeplab*"``, or ``None`` for all.

    Returns:
        The names, sorted.

    Example:
        >>> list_decoders("unet*")
        ['unet', 'unetplusplus']
    """
    return _REGISTRY.names(pattern)


def required_encoder_kwargs(name: str) -> dict[str, Any]:
    """Return the arguments that an encoder for this decoder is built with.

    .. versionadded:: 0.1

    Args:
        name: Name of the decoder.

    Returns:
        Arguments for :func:`~muscletransfer.encoders.create_encoder`; empty for most.

    Raises:
        UnknownNameError, PluginError: As :func:`create_decoder`.

    Example:
        >>> required_encoder_kwargs("deeplabv3plus"), required_encoder_kwargs("unet")
        ({'output_stride': 16}, {})
    """
    return dict(getattr(_builder(name), "encoder_kwargs", {}))


def create_decoder(name: str, encoder: Encoder | nn.Module, **kwargs: Any) -> Decoder:
    """Build a decoder for an encoder, randomly initialised.

    .. versionadded:: 0.1

    Args:
        name: A name of :func:`list_decoders`, or the path of an ``nn.Module`` class that is called
            as a builder is and has ``out_channels`` and ``stride``: ``"my_package.thin.Thin"``.
        encoder: The encoder that it will sit on; only its ``out_channels`` and ``output_stride``
            are read.
        **kwargs: Plain arguments of the decoder, such as ``decoder_channels=(128, 64, 32, 16, 8)``
            (``unet``) or ``attention_type="scse"``; those of the decoder classes of
            segmentation-models-pytorch.

    Returns:
        The decoder, an ``nn.Module``.

    Raises:
        UnknownNameError: When nothing has the name.
        PluginError: When the plug-in that has the name, or the module of a path, fails to import.
        ContractError: When the encoder does not suit the decoder, an argument is unknown or not
            plain, or what was built is no decoder.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> decoder = create_decoder("unet", create_encoder("timm/resnet18"))
        >>> decoder.out_channels, decoder.stride
        (16, 1)
    """
    return build_decoder(DecoderSpec(name, kwargs), encoder)


def build_decoder(spec: DecoderSpec, encoder: Encoder | nn.Module) -> Decoder:
    """Build the decoder that a specification describes, randomly initialised.

    .. versionadded:: 0.1

    Args:
        spec: The specification, such as ``decoder.spec`` of another decoder.
        encoder: The encoder that it will sit on.

    Returns:
        The decoder, with ``spec`` as its ``spec``.

    Raises:
        UnknownNameError, PluginError, ContractError: As :func:`create_decoder`.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> build_decoder(DecoderSpec("fpn"), create_encoder("timm/resnet18")).stride
        4
    """
    from muscletransfer.encoders.checks import check_members

    builder = _builder(spec.name)
    check_members(cast("nn.Module", encoder), f"What was passed to decoder {spec.name!r}")
    kwargs = {k: dict(v) if isinstance(v, Mapping) else v for k, v in spec.kwargs.items()}
    try:
        inspect.signature(builder).bind(encoder, **kwargs)
    except TypeError as error:
        raise ContractError(
            f"The builder of decoder {spec.name!r} does not take these arguments: {error} (its "
            f"signature is {inspect.signature(builder)})."
        ) from error
    module = builder(encoder, **kwargs)
    _check_decoder(module, spec.name)
    module.spec = spec  # type: ignore[assignment]
    return cast(Decoder, module)


def _builder(name: str) -> DecoderBuilder:
    """Return the builder of a registered name, or the class that a path leads to."""
    if name in _REGISTRY or "/" in name or "." not in name:
        return _REGISTRY.get(name)
    from torch import nn

    found = find_object(name, "decoder", known=list_decoders(), hint=_REGISTRY.how_to_register)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ContractError(
            f"decoder {name!r} is not the class of an nn.Module, but {found!r}. A function that "
            "builds one is registered under a name: @register_decoder('my_package/name')."
        )
    return found


def _check_decoder(module: object, name: str) -> None:
    from torch import nn

    troubles = []
    if not isinstance(module, nn.Module):
        troubles.append(f"it is {module!r}, wanted an nn.Module")
    for member in ("out_channels", "stride"):
        value = getattr(module, member, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            found = "missing" if value is None else repr(value)
            troubles.append(f"{member} is {found}, wanted a whole number of at least 1")
    if troubles:
        raise ContractError(
            f"What the builder of decoder {name!r} returned is no decoder: {'; '.join(troubles)}. "
            f"A decoder is an nn.Module with out_channels (channels of its map), stride (of that "
            f"map, in pixels of the image) and forward(features) -> map."
        )
