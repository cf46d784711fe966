"""Encoders by name: ``timm/<model>``, ``smp/<encoder>``, and what others register."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from muscletransfer.encoders.base import Encoder, EncoderSpec
from muscletransfer.encoders.name_cache import cached_names
from muscletransfer.errors import ChannelMismatchError, ContractError, DuplicateNameError
from muscletransfer.registry import Registry, owner_of

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "EncoderBuilder",
    "build_encoder",
    "create_encoder",
    "list_encoders",
    "register_encoder",
    "resolve_encoder",
]

EncoderBuilder: TypeAlias = "Callable[..., nn.Module]"

_REGISTRY: Registry[EncoderBuilder] = Registry(
    "encoder",
    "muscletransfer.encoders",
    "list_encoders() shows all; add one with @register_encoder('name') on a function "
    "f(in_channels, depth, **kwargs), or with an entry point of the group "
    "'muscletransfer.encoders'.",
)
# Each module has names(), is_known(model) and build(model, in_channels, depth, **kwargs); loaded
# when first needed, so that importing the package imports neither timm nor smp.
_NAMESPACES = {
    "timm": "muscletransfer.encoders.timm_encoders",
    "smp": "muscletransfer.encoders.smp_encoders",
}
_TRIED: set[tuple[EncoderSpec, EncoderBuilder]] = set()
_LIBRARIES = {
    "timm": ("timm", "timm"),
    "smp": ("segmentation_models_pytorch", "segmentation-models-pytorch"),
}


def register_encoder(
    name: str, *, override: bool = False
) -> Callable[[EncoderBuilder], EncoderBuilder]:
    """Register a builder of encoders under a name (decorator).

    The builder is called as ``f(in_channels=..., depth=..., **kwargs)`` and returns an
    ``nn.Module`` that keeps the contract of :class:`~muscletransfer.Encoder`, at random and without
    the network; ``spec`` is set for it. Packages register through an entry point instead, and are
    then known in every process::

        [project.entry-points."muscletransfer.encoders"]
        "mypackage/tiny" = "mypackage.encoders:build_tiny"

    .. versionadded:: 0.1

    Args:
        name: The name, such as ``"mypackage/tiny"``.
        override: Take the name even when it is taken.

    Returns:
        The decorator, which returns the builder unchanged.

    Raises:
        DuplicateNameError: When the name is taken.

    Example:
        >>> import torch
        >>> @register_encoder("example/pool")
        ... def build_pool(in_channels: int, depth: int) -> torch.nn.Module:
        ...     class Pool(torch.nn.Module):
        ...         out_channels = [in_channels] * (depth + 1)
        ...         output_stride = 2**depth
        ...
        ...         def forward(self, x):
        ...             pool = torch.nn.functional.avg_pool2d
        ...             return [x] + [pool(x, 2**level) for level in range(1, depth + 1)]
        ...
        ...     return Pool()
        >>> create_encoder("example/pool", in_channels=2, depth=3).out_channels
        [2, 2, 2, 2]
    """
    if isinstance(name, str) and _is_builtin(name) and not override:
        raise DuplicateNameError(
            f"The encoder name {name!r} is taken by the namespace "
            f"{name.partition('/')[0] + '/'!r} of muscletransfer. Choose another name, or "
            f"register yours with override=True to replace it on purpose."
        )
    return _REGISTRY.register(name, override=override)


def list_encoders(pattern: str | None = None) -> list[str]:
    """List the names of all encoders; no plug-in is imported for it.

    Those of timm and segmentation-models-pytorch are kept in the cache folder of the user, so only
    the first listing after an installation imports these libraries.

    .. versionadded:: 0.1

    Args:
        pattern: A shell pattern such as ``"timm/resnet*"``, or ``None`` for all.

    Returns:
        The names, sorted.

    Example:
        >>> list_encoders("timm/resnet18*")
        ['timm/resnet18', 'timm/resnet18d']
    """
    known = set(_REGISTRY.names())
    for namespace in _NAMESPACES:
        # A pattern that cannot match a namespace spares asking it, which can take seconds.
        literal = (pattern or "").split("*")[0].split("?")[0].split("[")[0]
        prefix = f"{namespace}/"
        if prefix.startswith(literal) or literal.startswith(prefix):
            known.update(prefix + model for model in _models(namespace))
    names = sorted(known)
    return names if pattern is None else fnmatch.filter(names, pattern)


def create_encoder(name: str, in_channels: int = 1, depth: int = 5, **kwargs: Any) -> Encoder:
    """Build an encoder by name, randomly initialised; the network is never touched.

    .. versionadded:: 0.1

    Args:
        name: ``"timm/<model>"``, ``"smp/<encoder>"`` or a registered name.
        in_channels: Number of image channels.
        depth: Number of levels below the image, from 1 to 5 (decoders want 3 to 5).
        **kwargs: Plain arguments of the builder, such as ``output_stride=16`` (dilation with the
            same parameters), ``img_size=256`` (ViT, Swin) or ``drop_path_rate=0.1``.

    Returns:
        The encoder, an ``nn.Module``.

    Raises:
        UnknownNameError: When nothing has the name.
        PluginError: When the plug-in that has the name fails to import.
        ContractError: When an argument is unknown or not plain, or what was built is no encoder.
        SettingError: When an argument is out of range.
        ImageSizeError: When a fixed-size model has a size that gives no pyramid.

    Example:
        >>> encoder = create_encoder("timm/resnet18", in_channels=1, depth=4)
        >>> encoder.out_channels, encoder.output_stride
        ([1, 64, 64, 128, 256], 16)
    """
    return build_encoder(EncoderSpec(name, in_channels, depth, kwargs))


def build_encoder(spec: EncoderSpec) -> Encoder:
    """Build the encoder that a specification describes, randomly initialised.

    .. versionadded:: 0.1

    Args:
        spec: The specification, such as ``encoder.spec`` of another encoder.

    Returns:
        The encoder, with ``spec`` as its ``spec``.

    Raises:
        UnknownNameError, PluginError, ContractError, SettingError, ImageSizeError: As
            :func:`create_encoder`.

    Example:
        >>> spec = EncoderSpec("timm/resnet18")
        >>> build_encoder(spec).spec == spec
        True
    """
    from muscletransfer.encoders.checks import check_members, dry_run

    builder = _find_builder(spec.name)
    clash = sorted({"in_channels", "depth"} & set(spec.kwargs))
    if clash:
        raise ContractError(
            f"The kwargs of encoder {spec.name!r} hold {', '.join(map(repr, clash))}, which is a "
            f"field of EncoderSpec itself."
        )
    kwargs = {k: dict(v) if isinstance(v, Mapping) else v for k, v in spec.kwargs.items()}
    arguments = {"in_channels": spec.in_channels, "depth": spec.depth, **kwargs}
    try:
        inspect.signature(builder).bind(**arguments)
    except TypeError as error:
        raise ContractError(
            f"The builder of encoder {spec.name!r} does not take these arguments: {error} (called "
            f"with {', '.join(arguments)}; its signature is {inspect.signature(builder)})."
        ) from error
    module = builder(**arguments)
    check_members(module, f"What the builder of encoder {spec.name!r} returned")
    _check_fits(module, spec.in_channels, spec.depth, f"The encoder {spec.name!r}")
    # Those of timm and smp were tried as they were built; one recipe of a plug-in is tried once.
    if spec.name in _REGISTRY and (spec, builder) not in _TRIED:
        dry_run(module, f"The encoder {spec.name!r} of {owner_of(builder)}")
        _TRIED.add((spec, builder))
    module.spec = spec  # type: ignore[assignment]
    return cast(Encoder, module)


def resolve_encoder(
    encoder: str | EncoderSpec | nn.Module, in_channels: int = 1, depth: int = 5, **kwargs: Any
) -> nn.Module:
    """Turn what a user passes as ``encoder=`` into an encoder module.

    .. versionadded:: 0.1

    Args:
        encoder: A name, a specification, or a module of the user's own. A module needs
            ``out_channels``, ``output_stride`` and ``forward``; it is tried on a blank image. It
            need not have ``spec``: then it can be trained and exported, but nothing can rebuild it
            from a file, so to reload one passes a module of the same make again.
        in_channels: Number of image channels.
        depth: Number of levels below the image.
        **kwargs: Further arguments for a name.

    Returns:
        The encoder; a module is returned as it is.

    Raises:
        ContractError: When a module lacks members or breaks the contract, or ``depth`` or
            ``kwargs`` contradict what was passed.
        ChannelMismatchError: When ``in_channels`` contradicts what was passed.
        UnknownNameError, PluginError, ImageSizeError: As :func:`create_encoder`.

    Example:
        >>> resolve_encoder("timm/resnet18", in_channels=3).spec.in_channels
        3
        >>> import torch
        >>> resolve_encoder(torch.nn.ReLU())
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: The module ReLU is no encoder: out_channels is...
    """
    from muscletransfer.encoders.checks import check_members, dry_run

    if isinstance(encoder, str):
        return cast("nn.Module", create_encoder(encoder, in_channels, depth, **kwargs))
    if kwargs:
        raise ContractError(
            f"The arguments {', '.join(map(repr, kwargs))} go with the name of an encoder only, "
            f"found {type(encoder).__name__}. Put them into EncoderSpec(name, kwargs={{...}})."
        )
    if isinstance(encoder, EncoderSpec):
        _check_agrees(encoder.in_channels, encoder.depth, in_channels, depth, "The EncoderSpec")
        return cast("nn.Module", build_encoder(encoder))
    name = f"The module {type(encoder).__name__}"
    check_members(encoder, name)
    _check_fits(encoder, in_channels, depth, name)
    if getattr(encoder, "spec", None) is None:
        dry_run(encoder, name)
    return encoder


def _find_builder(name: str) -> EncoderBuilder:
    # names() first: "in" looks anew for packages installed meanwhile, at each call for a built-in.
    if name in _REGISTRY.names() or not _is_builtin(name):
        if name not in _REGISTRY:
            raise _REGISTRY.unknown(name, list_encoders())
        return _REGISTRY.get(name)
    namespace, _, model = name.partition("/")
    build = _namespace(namespace).build

    from muscletransfer.encoders.small_maps import use_fast_small_maps  # torch: not for listing

    def build_builtin(in_channels: int, depth: int, **kwargs: Any) -> nn.Module:
        module = build(model, in_channels, depth, **kwargs)
        return use_fast_small_maps(cast("nn.Module", module))

    return build_builtin


def _models(namespace: str) -> list[str]:
    return cached_names(*_LIBRARIES[namespace], lambda: _namespace(namespace).names())


def _namespace(namespace: str) -> Any:
    return importlib.import_module(_NAMESPACES[namespace])


def _is_builtin(name: str) -> bool:
    namespace, slash, model = name.partition("/")
    return bool(slash) and namespace in _NAMESPACES and _namespace(namespace).is_known(model)


def _check_fits(module: Any, in_channels: int, depth: int, name: str) -> None:
    _check_agrees(module.out_channels[0], len(module.out_channels) - 1, in_channels, depth, name)


def _check_agrees(
    found_channels: int, found_depth: int, in_channels: int, depth: int, name: str
) -> None:
    if found_channels != in_channels:
        raise ChannelMismatchError(
            f"{name} is for images of {found_channels} channel(s), but in_channels={in_channels} "
            f"was asked for. Pass in_channels={found_channels}, or build it anew."
        )
    if found_depth != depth:
        raise ContractError(
            f"{name} has {found_depth} levels below the image, but depth={depth} was asked for. "
            f"Pass depth={found_depth}, or build it anew."
        )
