"""Rehearse a transfer before training: what cannot be rebuilt later fails now."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.errors import ContractError, TransferError, UnknownNameError
from muscletransfer.transfer.compiled import plain_keys, uncompiled
from muscletransfer.transfer.report import describe_keys

__all__ = ["NotTransferableWarning", "rehearse"]


class NotTransferableWarning(UserWarning):
    """A run trains an encoder that no other process could rebuild by name.

    .. versionadded:: 0.1

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", NotTransferableWarning)  # make such a run fail
        >>> warnings.resetwarnings()
    """


def rehearse(encoder: nn.Module, decoder: nn.Module | None = None) -> None:
    """Rebuild encoder and decoder from their specs and load their states, strictly.

    Called when training starts: hours later the checkpoint would be of no use. The twins take no
    memory for their values where the model allows it, and nothing of the run changes, the random
    state included.

    .. versionadded:: 0.1

    Args:
        encoder: The encoder that is trained.
        decoder: The decoder that is trained and handed on, if any.

    Raises:
        ContractError: If the name cannot build with the options of the spec.
        TransferError: If the rebuilt module has other keys or shapes.

    Warns:
        NotTransferableWarning: If the encoder is a module of the user's own whose name is not
            registered: training works, but a checkpoint can only be loaded into an encoder that the
            same code makes.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> rehearse(create_encoder("timm/resnet18", in_channels=1))
    """
    encoder, decoder = uncompiled(encoder), None if decoder is None else uncompiled(decoder)
    spec = getattr(encoder, "spec", None)
    if not isinstance(spec, EncoderSpec):
        _warn_custom(encoder, "has no `spec`")
        return
    try:
        twin = _light(lambda: build_encoder(EncoderSpec.from_dict(spec.to_dict())))
    except UnknownNameError:
        _warn_custom(encoder, f"says spec.name={spec.name!r}, which is not a registered encoder")
        return
    _must_fit(encoder, twin, f"encoder {spec.name!r}")
    if decoder is None:
        return
    from muscletransfer.decoders import DecoderSpec, build_decoder  # loads smp: only when needed

    decoder_spec = getattr(decoder, "spec", None)
    if not isinstance(decoder_spec, DecoderSpec):
        raise ContractError(
            f"The decoder {type(decoder).__name__} has no `spec`, so no file could say how to "
            "rebuild it. Make it with create_decoder(name, encoder), or set `.spec`."
        )
    rebuilt = DecoderSpec.from_dict(decoder_spec.to_dict())
    decoder_twin = _light(lambda: build_decoder(rebuilt, twin))
    _must_fit(decoder, decoder_twin, f"decoder {rebuilt.name!r}")


def _light(build: Callable[[], object]) -> nn.Module:
    """Build on the meta device, or on the CPU where a constructor needs values."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return cast(nn.Module, build())
        except (RuntimeError, NotImplementedError, ContractError):  # `.item()` on a meta tensor
            return cast(nn.Module, build())


def _must_fit(module: nn.Module, twin: nn.Module, what: str) -> None:
    ours = {key: tuple(value.shape) for key, value in plain_keys(module.state_dict()).items()}
    theirs = {key: tuple(value.shape) for key, value in twin.state_dict().items()}
    missing = tuple(key for key in theirs if key not in ours)
    unexpected = tuple(key for key in ours if key not in theirs)
    shapes = {k: (s, theirs[k]) for k, s in ours.items() if k in theirs and s != theirs[k]}
    problems = describe_keys(missing, unexpected, shapes)
    if problems:
        raise TransferError(
            "\n".join(
                [
                    f"Rehearsal failed: the {what}, rebuilt from its spec, does not fit the one in "
                    "training, so its weights could not be transferred. Nothing was trained yet.",
                    *problems,
                    "Was the module changed after it was built? Register a builder for the changed "
                    "one with @register_encoder(name) and use that name.",
                ]
            )
        )


def _warn_custom(encoder: nn.Module, why: str) -> None:
    warnings.warn(
        f"{type(encoder).__name__} {why}: a checkpoint of this run can only be loaded into an "
        "encoder that your own code makes. To make it transferable by name, decorate a builder "
        "`f(in_channels, depth, **kwargs)` with @register_encoder(name) and pass that name.",
        NotTransferableWarning,
        stacklevel=3,
    )
