"""What a checkpoint or exported file carries about itself, and how it gets there.

Every checkpoint holds one block of plain types under `CHECKPOINT_KEY`. It names the format, the
provenance, the specs to rebuild encoder and decoder from, and the prefixes under which their
tensors stand in the state dict: a prefix is written down, never guessed from key names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import ContractError
from muscletransfer.transfer.compiled import plain_keys, uncompiled
from muscletransfer.transfer.hashing import state_sha256
from muscletransfer.transfer.provenance import Provenance
from muscletransfer.transfer.to_plain import to_plain

__all__ = [
    "CHECKPOINT_KEY",
    "FORMAT",
    "Artifact",
    "checkpoint_block",
    "checkpoint_provenance",
    "describe_run",
    "encoder_spec",
    "find_part",
]

#: Where a checkpoint keeps what it carries about itself.
#:
#: .. versionadded:: 0.1
CHECKPOINT_KEY = "muscletransfer"
FORMAT = 1


@dataclass(frozen=True)
class Artifact:
    """A weight file of this library, read and verified.

    .. versionadded:: 0.1

    Args:
        path: The file.
        provenance: Where its weights come from.
        encoder_spec: `EncoderSpec` as a dict (the arguments of `EncoderSpec.from_dict`).
        encoder_state: The encoder's tensors, named as in ``encoder.state_dict()``, on the CPU.
        decoder_spec: `DecoderSpec` as a dict; ``None`` when the file holds no decoder.
        decoder_state: The decoder's tensors; ``None`` when the file holds no decoder.

    Example:
        >>> import tempfile
        >>> from muscletransfer import create_encoder, save_encoder
        >>> from muscletransfer.transfer import read_artifact
        >>> path = Path(tempfile.mkdtemp()) / "encoder.safetensors"
        >>> artifact = read_artifact(save_encoder(create_encoder("timm/resnet18"), path))
        >>> artifact.encoder_spec["name"], artifact.decoder_spec, artifact.provenance.task
        ('timm/resnet18', None, 'unrecorded')
    """

    path: Path
    provenance: Provenance
    encoder_spec: dict[str, Any]
    encoder_state: dict[str, Tensor]
    decoder_spec: dict[str, Any] | None = None
    decoder_state: dict[str, Tensor] | None = None


def checkpoint_block(
    module: nn.Module,
    provenance: Provenance,
    *,
    encoder: str = "encoder",
    decoder: str | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> dict[str, Any]:
    """Build the block that a task puts into its checkpoint in ``on_save_checkpoint``.

    .. versionadded:: 0.1

    Args:
        module: The whole task or model whose ``state_dict()`` is saved.
        provenance: The record of the run; its ``sha256`` is filled in here.
        encoder: Dotted attribute of the encoder in ``module``, for example ``"model.encoder"``.
        decoder: Dotted attribute of the decoder; ``None`` when there is none to hand on.
        state: What the file will hold as the state of ``module``, where that is not its state now:
            a callback may have put averaged weights there. Keys as `plain_keys` has them.

    Returns:
        Plain types only: ``format``, ``provenance``, ``encoder``, ``encoder_prefix``, ``decoder``,
        ``decoder_prefix``, ``decoder_sha256``.

    Raises:
        ContractError: If an attribute is not there, or is no encoder or decoder.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> task = nn.Module()
        >>> task.encoder = create_encoder("timm/resnet18")
        >>> block = checkpoint_block(task, Provenance(task="jigsaw"))
        >>> block["encoder_prefix"], block["encoder"]["name"], block["decoder"]
        ('encoder.', 'timm/resnet18', None)
    """
    found, encoder_prefix = find_part(module, encoder)
    spec = encoder_spec(found).to_dict()
    block: dict[str, Any] = {
        "format": FORMAT,
        "encoder": spec,
        "encoder_prefix": encoder_prefix,
        "decoder": None,
        "decoder_prefix": None,
        "decoder_sha256": None,
    }
    if decoder is not None:
        part, block["decoder_prefix"] = find_part(module, decoder)
        block["decoder"] = _decoder_spec(part)
        block["decoder_sha256"] = _digest(part, block["decoder_prefix"], state)
    provenance = dataclasses.replace(
        provenance,
        encoder=spec,
        decoder=block["decoder"],
        sha256=_digest(found, encoder_prefix, state),
    )
    block["provenance"] = provenance.to_dict()
    return block


def checkpoint_provenance(checkpoint: Mapping[str, Any]) -> Provenance | None:
    """Return the record in a loaded checkpoint, for ``on_load_checkpoint``.

    .. versionadded:: 0.1

    Args:
        checkpoint: The dict that Lightning hands to the hook.

    Returns:
        The record, or ``None`` when the checkpoint carries no block of ours.

    Example:
        >>> checkpoint_provenance({"state_dict": {}}) is None  # a checkpoint of another library
        True
    """
    block = checkpoint.get(CHECKPOINT_KEY)
    return Provenance.from_dict(block["provenance"]) if block else None


def describe_run(
    *,
    task: str,
    hyperparameters: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    seed: int | None = None,
    parent: Provenance | None = None,
    stem: str | None = None,
    restored: Provenance | None = None,
) -> Provenance:
    """Build the record of a training run from what a task has at hand.

    .. versionadded:: 0.1

    Args:
        task: Registered name of the task.
        hyperparameters: ``self.hparams``; entries that start with an underscore (the command
            line adds some) are left out, objects are replaced by the name of their class.
        data: ``datamodule.describe()``; its ``preprocessing`` and ``licence`` get fields of their
            own. ``None`` when no data module is attached.
        seed: Seed of the run.
        parent: ``report.provenance`` of the `TransferReport` the run started from.
        stem: ``report.stem`` of the same report.
        restored: The record of the checkpoint the task was reloaded from, see
            `checkpoint_provenance`; it stands in for everything not given, so that a reloaded
            model that is exported again keeps its history.

    Returns:
        A new record with the versions and the time of now, or of ``restored`` when no data module
        is attached and so nothing was trained since.

    Example:
        >>> run = describe_run(
        ...     task="jigsaw",
        ...     hyperparameters={"grid": 3, "_class_path": "x"},
        ...     data={"patients": 12, "preprocessing": {"size": 256}, "licence": "CC0-1.0"},
        ... )
        >>> run.hyperparameters, run.data, run.preprocessing, run.licence
        ({'grid': 3}, {'patients': 12}, {'size': 256}, 'CC0-1.0')
    """
    if data is None and restored is not None:
        return restored
    described = dict(data or {})
    return Provenance(
        task=task,
        hyperparameters={
            key: to_plain(value)
            for key, value in hyperparameters.items()
            if not key.startswith("_")
        },
        preprocessing=to_plain(described.pop("preprocessing", None) or {}),
        licence=described.pop("licence", None),
        data=described,
        seed=seed,
        parent=parent or (restored.parent if restored else None),
        stem=stem or (restored.stem if restored else None),
    )


def find_part(module: nn.Module, attribute: str) -> tuple[nn.Module, str]:
    """Return a submodule, unwrapped if it was compiled, and the prefix of its tensors.

    The prefix is that of ``plain_keys(module.state_dict())``.

    Args:
        module: The whole model.
        attribute: Dotted name, ``""`` for the model itself.

    Raises:
        ContractError: If there is no such submodule.
    """
    try:
        part = module.get_submodule(attribute)
    except AttributeError as error:
        children = ", ".join(name for name, _ in module.named_children()) or "none"
        raise ContractError(
            f"{type(module).__name__} has no submodule {attribute!r} (submodules: {children}). "
            "Assign it in __init__, after super().__init__(...)."
        ) from error
    return uncompiled(part), f"{attribute}." if attribute else ""


def _digest(part: nn.Module, prefix: str, state: Mapping[str, Tensor] | None) -> str | None:
    """Return the SHA-256 of a part as it will stand in the file."""
    if state is None:
        return state_sha256(plain_keys(part.state_dict()))
    own = {k.removeprefix(prefix): value for k, value in state.items() if k.startswith(prefix)}
    # Sharded training: what this process holds is not what the file will hold.
    whole = own and all(type(value) is Tensor for value in own.values())
    return state_sha256(own) if whole else None


def encoder_spec(encoder: nn.Module) -> EncoderSpec:
    """Return an encoder's spec, or one that names its class for a module without a spec.

    Args:
        encoder: A module with ``out_channels``.

    Raises:
        ContractError: If it is no encoder.

    Example:
        >>> class Tiny(nn.Module):
        ...     out_channels = [3, 8, 16]
        >>> encoder_spec(Tiny())
        EncoderSpec(name='<Tiny>', in_channels=3, depth=2, kwargs=...)
    """
    spec = getattr(encoder, "spec", None)
    if isinstance(spec, EncoderSpec):
        return spec
    channels = getattr(encoder, "out_channels", None)
    if not isinstance(channels, list | tuple) or len(channels) < 2:
        raise ContractError(
            f"{type(encoder).__name__} is no encoder: it has neither `spec` (an EncoderSpec) nor "
            f"`out_channels` (a list of ints), found {channels!r}. Make one with "
            "create_encoder(name)."
        )
    return EncoderSpec(
        f"<{type(encoder).__qualname__}>", in_channels=int(channels[0]), depth=len(channels) - 1
    )


def _decoder_spec(decoder: nn.Module) -> dict[str, Any]:
    spec = getattr(decoder, "spec", None)
    if spec is None:
        raise ContractError(
            f"The decoder {type(decoder).__name__} has no `spec`, so no file could say how to "
            "rebuild it. Make it with create_decoder(name, encoder), or set `.spec`."
        )
    described: dict[str, Any] = to_plain(spec.to_dict())
    return described
