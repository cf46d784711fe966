"""Weight sources: names like ``"imagenet"``, files of ours, and repositories on a hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import ContractError, SettingError
from muscletransfer.registry import Registry
from muscletransfer.transfer.provenance import Provenance

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "LoadedWeights",
    "WeightSource",
    "Weights",
    "list_weights",
    "register_weights",
    "resolve_weights",
]


@dataclass(frozen=True)
class LoadedWeights:
    """Tensors for an encoder and where they come from.

    .. versionadded:: 0.1

    Args:
        source: What to call them in a report, for example ``"imagenet"`` or a file name.
        encoder_state: Tensors named as in ``encoder.state_dict()``.
        in_channels: Image channels that the first convolution of the state takes.
        provenance: Data set, licence, paper, normalisation and history.
        encoder_spec: The spec they were made with, if it was written down; ``None`` for a source
            that fits its tensors to the encoder that asks.
        decoder_spec: The decoder's spec, if there is a decoder.
        decoder_state: The decoder's tensors, if there is a decoder.
        notes: What a user should know and no field says.

    Example:
        >>> import torch
        >>> state = {"mix.weight": torch.eye(1).view(1, 1, 1, 1)}
        >>> LoadedWeights("mylab/identity", state, 1, Provenance(task="mylab/identity")).in_channels
        1
    """

    source: str
    encoder_state: Mapping[str, Tensor]
    in_channels: int
    provenance: Provenance
    encoder_spec: dict[str, Any] | None = None
    decoder_spec: dict[str, Any] | None = None
    decoder_state: Mapping[str, Tensor] | None = None
    notes: tuple[str, ...] = ()


class WeightSource(Protocol):
    """A callable that fetches weights for an encoder.

    .. versionadded:: 0.1

    Example:
        >>> def zeros(spec: EncoderSpec) -> LoadedWeights:
        ...     state = create_encoder(spec.name, spec.in_channels).state_dict()
        ...     state = {name: tensor.zero_() for name, tensor in state.items()}
        ...     return LoadedWeights("zeros", state, spec.in_channels, Provenance(task="zeros"))
        >>> from muscletransfer import create_encoder
        >>> source: WeightSource = zeros
        >>> source(EncoderSpec("timm/resnet18")).provenance.task
        'zeros'
    """

    def __call__(self, spec: EncoderSpec, /) -> LoadedWeights:
        """Return weights for the encoder of ``spec``.

        The tensors keep the channels they were trained with (``in_channels`` of the result);
        `load_encoder` fits them to ``spec.in_channels`` when asked to.

        Args:
            spec: The encoder that asks.

        Raises:
            WeightsError: If there are none for this encoder, or they cannot be had.
        """
        ...


#: What a ``weights=`` argument takes.
#:
#: .. versionadded:: 0.1
Weights = str | Path | LoadedWeights | None

_HUB_PREFIX = "hf-hub:"
FILE_SUFFIXES = {".ckpt", ".safetensors", ".pt", ".pth", ".bin"}
_REGISTRY: Registry[WeightSource] = Registry(
    "weight source",
    "muscletransfer.weights",
    "Pass a .safetensors or .ckpt file or 'hf-hub:org/name' instead, or add a source with "
    "@register_weights(name).",
    builtins={
        "imagenet": "muscletransfer.transfer.imagenet:imagenet",
        "coco": "muscletransfer.transfer.coco:coco_fcn",
        "coco-deeplabv3": "muscletransfer.transfer.coco:coco_deeplabv3",
    },
)


def register_weights(
    name: str, *, override: bool = False
) -> Callable[[WeightSource], WeightSource]:
    """Register a weight source, so that ``weights=name`` finds it.

    Other packages do the same with an entry point in the group ``muscletransfer.weights``.

    .. versionadded:: 0.1

    Args:
        name: Name without spaces.
        override: Take the name even when it is taken.

    Returns:
        A decorator for ``f(spec: EncoderSpec) -> LoadedWeights``.

    Raises:
        DuplicateNameError: If the name is taken.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> @register_weights("all-zeros")
        ... def zeros(spec):
        ...     state = create_encoder(spec.name, spec.in_channels, spec.depth).state_dict()
        ...     state = {name: tensor * 0 for name, tensor in state.items()}
        ...     return LoadedWeights("zeros", state, spec.in_channels, Provenance(task="zeros"))
        >>> "all-zeros" in list_weights()
        True
    """
    return _REGISTRY.register(name, override=override)


def list_weights(pattern: str | None = None) -> list[str]:
    """List the names of all weight sources, without importing any plug-in.

    .. versionadded:: 0.1

    Args:
        pattern: A shell pattern that names must match.

    Example:
        >>> list_weights("coco*")
        ['coco', 'coco-deeplabv3']
    """
    return _REGISTRY.names(pattern)


def resolve_weights(weights: str | Path | LoadedWeights, spec: EncoderSpec) -> LoadedWeights:
    """Fetch the weights that an argument stands for.

    .. versionadded:: 0.1

    Args:
        weights: A registered name, a file of ours, ``"hf-hub:org/name[@revision]"``, or weights
            that were fetched before.
        spec: The encoder they are for.

    Raises:
        UnknownNameError: If it is neither a name nor a file.
        SettingError: If it is no text.
        WeightsError: If they cannot be had or read.
        ContractError: If a source returned something else than `LoadedWeights`.

    Example:
        >>> resolve_weights("imagnet", EncoderSpec("timm/resnet18"))
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: ...
    """
    if isinstance(weights, LoadedWeights):
        return weights
    if isinstance(weights, Path):
        return _from_file(weights)
    if not isinstance(weights, str):
        raise SettingError(
            f"weights is {weights!r} ({type(weights).__name__}); wanted None, a source "
            f"({', '.join(list_weights())}), a .ckpt or .safetensors file, or 'hf-hub:org/name'."
        )
    if weights.startswith(_HUB_PREFIX):
        from muscletransfer.transfer.hub import fetch_artifact_file

        path = fetch_artifact_file(weights.removeprefix(_HUB_PREFIX))
        return _from_file(path, source=weights)
    if weights in _REGISTRY:
        loaded = _REGISTRY.get(weights)(spec)
        if not isinstance(loaded, LoadedWeights):
            raise ContractError(
                f"The weight source {weights!r} returned a {type(loaded).__name__}; it must return "
                "LoadedWeights(source, encoder_state, in_channels, provenance, ...)."
            )
        return loaded
    path = Path(weights)
    if path.suffix in FILE_SUFFIXES or len(path.parts) > 1 or path.exists():
        return _from_file(path)
    raise _REGISTRY.unknown(weights)


def _from_file(path: Path, source: str | None = None) -> LoadedWeights:
    from muscletransfer.transfer.reading import read_artifact

    artifact = read_artifact(path)
    spec = EncoderSpec.from_dict(artifact.encoder_spec)
    return LoadedWeights(
        source=source or path.name,
        encoder_state=artifact.encoder_state,
        in_channels=spec.in_channels,
        provenance=artifact.provenance,
        encoder_spec=artifact.encoder_spec,
        decoder_spec=artifact.decoder_spec,
        decoder_state=artifact.decoder_state,
    )
