"""The contract of a weight source, checked."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import torch

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.errors import ContractError, TransferError
from muscletransfer.registry import owner_of
from muscletransfer.testing.report import (
    Checks,
    ContractReport,
    untouched_random_state,
)
from muscletransfer.testing.tiny import TINY_ENCODER
from muscletransfer.transfer import LoadedWeights, load_encoder, resolve_weights, save_encoder
from muscletransfer.transfer.weights import _REGISTRY

__all__ = ["check_weights"]


def check_weights(
    name: str, *, encoder: str = "timm/resnet18", depth: int = 5, **kwargs: Any
) -> ContractReport:
    """Check that a registered weight source keeps its contract.

    It returns finite tensors that fit the encoder strictly, says where they come from and under
    which licence, gives the same twice without drawing random numbers; what was loaded comes back
    from a file of ours; a one-channel encoder takes them with ``stem="adapt"``; an encoder that it
    has no weights for is refused in words.

    .. versionadded:: 0.1

    Args:
        name: A registered name.
        encoder: Name of an encoder that it has weights for.
        depth: Number of halvings of the encoder.
        **kwargs: Further arguments of the encoder.

    Returns:
        What held.

    Raises:
        ContractError: When something does not hold; the message lists each, with what to change.
        UnknownNameError: When a name is not registered.

    Example:
        >>> from muscletransfer import Provenance, create_encoder, register_weights
        >>> state = create_encoder("timm/resnet18", 3).state_dict()
        >>> @register_weights("example/fixed")
        ... def fixed(spec):
        ...     if spec.name != "timm/resnet18":
        ...         raise TransferError(f"There are weights for timm/resnet18, not {spec.name}.")
        ...     return LoadedWeights("fixed", state, 3, Provenance("fixed", licence="CC0-1.0"))
        >>> check_weights("example/fixed").subject
        'example/fixed'
    """
    source = _REGISTRY.get(name)
    checks = Checks(name, owner_of(source))
    found: list[LoadedWeights] = []
    spec = EncoderSpec(encoder, 3, depth, kwargs)
    with checks("gives LoadedWeights, the same twice"):
        with untouched_random_state(f"The weight source {name!r}", "Use a generator of your own."):
            found += [resolve_weights(name, spec), resolve_weights(name, spec)]
        first, second = (loaded.encoder_state for loaded in found)
        if set(first) != set(second) or not all(torch.equal(first[k], second[k]) for k in first):
            raise ContractError("two calls give different tensors; a source must be repeatable.")
    if found:
        _check(checks, found[0], EncoderSpec(encoder, found[0].in_channels, depth, kwargs))
    with checks("refuses an encoder that it has no weights for"):
        _check_refusal(name)
    return checks.finish()


def _check(checks: Checks, loaded: LoadedWeights, spec: EncoderSpec) -> None:
    with checks("says where they come from"):
        record = loaded.provenance
        json.dumps(record.to_dict())
        if not record.task or not record.licence:
            raise ContractError(
                "provenance lacks its task or licence. Return LoadedWeights(..., "
                "provenance=Provenance(task=..., licence=...)): without one nobody can publish "
                "what was trained from these weights."
            )
    with checks("fits the encoder, and comes back from a file"), torch.no_grad():
        ours: Any = build_encoder(spec)
        load_encoder(ours, loaded)
        theirs: Any = build_encoder(spec)
        with tempfile.TemporaryDirectory() as folder:
            path = save_encoder(ours, f"{folder}/weights.safetensors", provenance=loaded.provenance)
            load_encoder(theirs, path)
        side = 2 * int(getattr(ours, "multiple", ours.output_stride))
        image = torch.rand(1, spec.in_channels, side, side, generator=torch.Generator())
        pairs = list(zip(ours.eval()(image), theirs.eval()(image), strict=True))
        if not all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs):
            raise ContractError("weights that were saved and loaded give other features.")
        if not all(bool(feature.isfinite().all()) for feature, _ in pairs):
            raise ContractError("the features are not finite: the tensors are of another encoder.")
    with checks("fits a one-channel encoder with stem='adapt'"):
        grey: Any = build_encoder(EncoderSpec(spec.name, 1, spec.depth, spec.kwargs))
        load_encoder(grey, loaded, stem="adapt")


def _check_refusal(name: str) -> None:
    other: Any = build_encoder(EncoderSpec(TINY_ENCODER, 1))
    try:
        report = load_encoder(other, name, stem="adapt")
    except TransferError:
        return
    except Exception as error:
        raise ContractError(
            f"for the encoder {TINY_ENCODER!r} it failed with {type(error).__name__}: {error}. "
            "Raise WeightsError (muscletransfer.errors) that says which encoders it has."
        ) from error
    if not report.complete:
        raise ContractError("it loads in part into an encoder that it has no weights for.")
