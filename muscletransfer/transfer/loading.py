"""Load weights into an encoder or decoder: strictly, with a report, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from muscletransfer.decoders.base import DecoderSpec
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import ChannelMismatchError, ContractError, TransferError, WeightsError
from muscletransfer.transfer.artifact import encoder_spec
from muscletransfer.transfer.report import Shape, TransferReport, describe_keys
from muscletransfer.transfer.stem import adapt_stem
from muscletransfer.transfer.weights import LoadedWeights, Weights, list_weights, resolve_weights

__all__ = ["load_decoder", "load_encoder"]

StemPolicy = Literal["strict", "adapt"]


def load_encoder(
    encoder: nn.Module,
    weights: Weights,
    *,
    stem: StemPolicy = "strict",
    strict: bool = True,
) -> TransferReport:
    """Load weights into an encoder, in place.

    On an error the encoder keeps the values it had.

    .. versionadded:: 0.1

    Args:
        encoder: An encoder, for example of `create_encoder`.
        weights: ``None`` (nothing is loaded), a registered source (`list_weights`), a
            ``.safetensors`` or ``.ckpt`` file, or ``"hf-hub:org/name"``.
        stem: ``"strict"`` refuses weights for another number of image channels; ``"adapt"`` fits
            the first convolution, see `adapt_kernel` for the rule and when it is exact.
        strict: ``False`` allows missing and unexpected keys and other shapes; they are listed in
            the report.

    Returns:
        What was loaded, with the provenance of the weights.

    Raises:
        UnknownNameError: If ``weights`` names no source.
        WeightsError: If the weights cannot be had or read.
        ChannelMismatchError: If the image channels differ and ``stem="strict"``, or the stem cannot
            be adapted exactly.
        TransferError: If they are of another encoder, do not fit, or are not finite.

    Example:
        >>> import tempfile
        >>> from muscletransfer.encoders import create_encoder
        >>> from muscletransfer.transfer import save_encoder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rgb = create_encoder("timm/resnet18", in_channels=3)
        ...     path = save_encoder(rgb, f"{folder}/rgb.safetensors")
        ...     report = load_encoder(create_encoder("timm/resnet18"), path, stem="adapt")
        >>> report.stem, report.complete
        ('adapted 3->1 (...conv1.weight)', True)
    """
    if stem not in ("strict", "adapt"):
        raise ContractError(f"stem is 'strict' or 'adapt', found {stem!r}.")
    if weights is None:
        return TransferReport(source="random")
    spec = encoder_spec(encoder)
    loaded = resolve_weights(weights, spec)
    notes = [*loaded.notes, *_spec_notes(loaded, spec)]
    state = dict(loaded.encoder_state)
    done = "unchanged"
    if loaded.in_channels != spec.in_channels:
        state, done = _fit_stem(encoder, loaded, spec.in_channels, stem)
        notes += _normalisation_notes(loaded, spec.in_channels)
    return _load(encoder, state, loaded, strict=strict, stem=done, notes=notes, part="encoder")


def load_decoder(decoder: nn.Module, weights: Weights, *, strict: bool = True) -> TransferReport:
    """Load the decoder of a weight file into a decoder, in place.

    On an error the decoder keeps the values it had.

    .. versionadded:: 0.1

    Args:
        decoder: A decoder, for example of `create_decoder`.
        weights: ``None`` (nothing is loaded), a ``.ckpt`` of a task that trains a decoder, or a
            ``.safetensors`` file written with ``include_decoder=True``.
        strict: ``False`` allows missing and unexpected keys and other shapes.

    Returns:
        What was loaded, with the provenance of the weights.

    Raises:
        WeightsError: If the weights cannot be had or read.
        TransferError: If there is no decoder in them, or another one.

    Example:
        >>> from muscletransfer.decoders import create_decoder
        >>> from muscletransfer.encoders import create_encoder
        >>> load_decoder(create_decoder("unet", create_encoder("timm/resnet18")), None).source
        'random'
    """
    if weights is None:
        return TransferReport(source="random")
    try:
        loaded = resolve_weights(weights, EncoderSpec("any"))
    except WeightsError as error:
        if weights not in list_weights():
            raise
        raise TransferError(
            f"{weights!r} gave nothing for a decoder alone, which does not say what encoder it is "
            f"on ({error}). Use transfer='encoder', or for a source with decoders "
            f"load_decoder(decoder, resolve_weights({weights!r}, encoder.spec))."
        ) from error
    if loaded.decoder_state is None or loaded.decoder_spec is None:
        raise TransferError(
            f"{loaded.source} (task {loaded.provenance.task!r}) holds no decoder. Use "
            "transfer='encoder', or weights of a task that trains one (segmentation or "
            "reconstruction: its .ckpt, or save_encoder(task, path, include_decoder=True))."
        )
    spec: Any = getattr(decoder, "spec", None)
    if spec is not None and spec.name != loaded.decoder_spec["name"]:
        raise TransferError(
            f"{loaded.source} holds the decoder {loaded.decoder_spec['name']!r}, the model has "
            f"{spec.name!r}. Create the model with decoder={loaded.decoder_spec['name']!r}, or use "
            "transfer='encoder'."
        )
    theirs = DecoderSpec.from_dict(loaded.decoder_spec).kwargs
    notes = _kwargs_notes("decoder", theirs, spec.kwargs if spec else {})
    state = dict(loaded.decoder_state)
    return _load(
        decoder, state, loaded, strict=strict, stem="unchanged", notes=notes, part="decoder"
    )


def _architecture(name: str) -> str:
    """Drop a timm pretrained tag: ``timm/resnet18.a1_in1k`` and ``timm/resnet18`` are one model."""
    return name.partition(".")[0] if name.startswith("timm/") else name


def _spec_notes(loaded: LoadedWeights, spec: EncoderSpec) -> list[str]:
    """Refuse another encoder; note differences that keep the parameters."""
    if loaded.encoder_spec is None:
        return []
    theirs = EncoderSpec.from_dict(loaded.encoder_spec)
    if _architecture(theirs.name) != _architecture(spec.name):
        raise TransferError(
            f"{loaded.source} holds weights of the encoder {theirs.name!r}, the model has "
            f"{spec.name!r}. Create the model with encoder={theirs.name!r}, or choose other "
            "weights."
        )
    notes = _kwargs_notes("encoder", theirs.kwargs, spec.kwargs)
    if theirs.depth != spec.depth:
        notes.append(f"encoder depth: {theirs.depth} in the weights, {spec.depth} here")
    return notes


def _kwargs_notes(part: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    return [
        f"{part} option {key}: {theirs.get(key, 'default')} in the weights, "
        f"{ours.get(key, 'default')} here"
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    ]


def _fit_stem(
    encoder: nn.Module, loaded: LoadedWeights, channels: int, stem: StemPolicy
) -> tuple[dict[str, Tensor], str]:
    if stem == "strict":
        raise ChannelMismatchError(
            f"{loaded.source} holds weights for {loaded.in_channels}-channel images, the encoder "
            f"takes {channels}. Pass stem='adapt' to fit the first convolution, or create the "
            f"encoder with in_channels={loaded.in_channels}."
        )
    state, keys = adapt_stem(loaded.encoder_state, encoder, loaded.in_channels, channels)
    return state, f"adapted {loaded.in_channels}->{channels} ({', '.join(keys) or 'no kernel'})"


def _normalisation_notes(loaded: LoadedWeights, channels: int) -> list[str]:
    """Say when the weights met another normalisation in each channel."""
    mean, std = (loaded.provenance.preprocessing.get(key) for key in ("mean", "std"))
    if channels != 1 or not (isinstance(mean, list) and isinstance(std, list)):
        return []
    if len(set(mean)) == len(set(std)) == 1:
        return []
    one = [round(sum(values) / len(values), 4) for values in (mean, std)]
    return [
        f"the weights met channels normalised by mean {mean} and std {std}; one channel has one of "
        f"each, and mean {one[0]}, std {one[1]} is nearest"
    ]


def _load(
    module: nn.Module,
    state: dict[str, Tensor],
    loaded: LoadedWeights,
    *,
    strict: bool,
    stem: str,
    notes: list[str],
    part: str,
) -> TransferReport:
    """Compare first, copy after: a failed load changes nothing."""
    target = module.state_dict()
    mismatched: dict[str, tuple[Shape, Shape]] = {
        key: (tuple(tensor.shape), tuple(target[key].shape))
        for key, tensor in state.items()
        if key in target and tensor.shape != target[key].shape
    }
    fitting = {k: v for k, v in state.items() if k in target and k not in mismatched}
    missing = tuple(key for key in target if key not in state)
    unexpected = tuple(key for key in state if key not in target)
    problems = describe_keys(missing, unexpected, mismatched)
    if problems and (strict or not fitting):
        way_out = (
            "load_encoder(..., strict=False) loads the keys that fit and leaves the others as they "
            "are."
            if fitting
            else f"No key fits this {part}."
        )
        lines = [f"The weights {loaded.source} do not fit the {part}; nothing was loaded."]
        lines += problems
        lines += [f"  note: {note}" for note in notes]
        raise TransferError("\n".join([*lines, way_out]))
    bad = [k for k, v in fitting.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if bad:
        raise TransferError(
            f"The weights {loaded.source} are not finite (NaN or infinity) in {len(bad)} tensors, "
            f"first {bad[0]}: the run that made them diverged. Take an earlier checkpoint."
        )
    casts = sorted(
        {
            f"{v.dtype} to {target[k].dtype}"
            for k, v in fitting.items()
            if v.dtype != target[k].dtype
        }
    )
    module.load_state_dict(fitting, strict=False)
    return TransferReport(
        source=loaded.source,
        loaded=tuple(fitting),
        missing=missing,
        unexpected=unexpected,
        mismatched=mismatched,
        stem=stem,
        notes=(*notes, *(f"dtype changed from {cast}" for cast in casts)),
        provenance=loaded.provenance,
    )
