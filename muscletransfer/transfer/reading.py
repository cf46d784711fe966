"""Read a weight file of this library: verified, and without running code from it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from muscletransfer.decoders.base import DecoderSpec
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import ContractError, SettingError, WeightsError, close_matches
from muscletransfer.transfer.artifact import CHECKPOINT_KEY, FORMAT, Artifact
from muscletransfer.transfer.hashing import state_sha256
from muscletransfer.transfer.provenance import Provenance

__all__ = ["inspect_file", "read_artifact"]


def read_artifact(path: str | Path) -> Artifact:
    """Read a ``.ckpt`` or ``.safetensors`` file that this library wrote.

    .. versionadded:: 0.1

    Args:
        path: The file. What it is is seen from its first bytes, not from its suffix.

    Returns:
        Encoder and decoder states on the CPU, with specs and provenance.

    Raises:
        WeightsError: If the file is missing, damaged, not one of ours, of another format, holds
            code (pickled objects), or if its tensors do not have the SHA-256 that it states.

    Example:
        >>> read_artifact("nowhere.ckpt")
        Traceback (most recent call last):
        muscletransfer.errors.WeightsError: No such file: nowhere.ckpt...
    """
    path = Path(path)
    _check_exists(path)
    block, state = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    if block is None:
        raise WeightsError(_foreign(path, list(state)))
    if not isinstance(block, Mapping):
        raise WeightsError(_edited(path, f"is a {type(block).__name__}, no mapping"))
    if block.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is in format {block.get('format')!r} of muscletransfer; this version reads "
            f"format {FORMAT}. Install the version that wrote it, or a newer one, and export again."
        )
    try:
        provenance = Provenance.from_dict(block["provenance"])
        encoder_spec = EncoderSpec.from_dict(block["encoder"]).to_dict()
        decoder_spec = block["decoder"]
        if decoder_spec is not None:
            decoder_spec = DecoderSpec.from_dict(decoder_spec).to_dict()
        encoder_prefix, decoder_prefix = block["encoder_prefix"], block["decoder_prefix"]
        wanted = [encoder_prefix] if decoder_spec is None else [encoder_prefix, decoder_prefix]
        if not all(isinstance(prefix, str) for prefix in wanted):
            raise ContractError(f"the prefixes of its parts are {wanted}, no text")
    except KeyError as error:
        raise WeightsError(_edited(path, f"lacks {error}")) from error
    except (WeightsError, ContractError, SettingError) as error:
        raise WeightsError(_edited(path, f"cannot be read: {error}")) from error
    artifact = Artifact(
        path=path,
        provenance=provenance,
        encoder_spec=encoder_spec,
        encoder_state=_under(path, state, encoder_prefix, "encoder"),
        decoder_spec=decoder_spec,
        decoder_state=_under(path, state, decoder_prefix, "decoder") if decoder_spec else None,
    )
    _verify(path, "encoder", artifact.encoder_state, provenance.sha256)
    if artifact.decoder_state is not None:
        _verify(path, "decoder", artifact.decoder_state, block.get("decoder_sha256"))
    return artifact


def inspect_file(path: str | Path) -> Provenance:
    """Return the provenance of a weight file after verifying its tensors.

    .. versionadded:: 0.1

    Args:
        path: A ``.ckpt`` or ``.safetensors`` file of this library.

    Raises:
        WeightsError: As `read_artifact`.

    Example:
        >>> import tempfile
        >>> from muscletransfer import create_pretext, save_encoder
        >>> path = save_encoder(create_pretext("rotation"), tempfile.mkdtemp() + "/r.safetensors")
        >>> [record.task for record in inspect_file(path).chain()]
        ['rotation']
    """
    return read_artifact(path).provenance


def _check_exists(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in {".ckpt", ".safetensors"})
        listed = ", ".join(inside[:5]) or "no .ckpt or .safetensors file"
        raise WeightsError(f"{path} is a folder, not a weight file. In it: {listed}.")
    if not path.parent.is_dir():
        raise WeightsError(f"No such file: {path} (the folder {path.parent} does not exist).")
    names = [p.name for p in path.parent.iterdir() if p.is_file()]
    near = close_matches(path.name, names)
    if not near:
        near = sorted(n for n in names if n.endswith((".ckpt", ".safetensors")))[:3]
    hint = f" In the same folder: {', '.join(near)}." if near else ""
    raise WeightsError(f"No such file: {path}.{hint}")


def _is_safetensors(path: Path) -> bool:
    """Look at the first bytes: a safetensors file has a JSON header behind eight length bytes."""
    with path.open("rb") as file:
        return file.read(9)[8:9] == b"{"


def _read_safetensors(path: Path) -> tuple[Any, dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
        state = safetensors.torch.load_file(path, device="cpu")
    except MemoryError:
        raise
    except Exception as error:
        raise WeightsError(_damaged(path, error)) from error
    text = metadata.get(CHECKPOINT_KEY)
    if text is None:
        return None, state
    try:
        block = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise WeightsError(_damaged(path, error)) from error
    return block, state


def _read_torch(path: Path) -> tuple[Any, dict[str, Tensor]]:
    with path.open("rb") as file:
        first = file.read(1)
    if first not in (b"P", b"\x80"):  # a zip archive, or a pickle of old torch
        raise WeightsError(_damaged(path, ValueError(f"its first byte is {first!r}")))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle is a program that goes wrong in any way
        # torch says "Unsupported global/class/operand" when the pickle would run or build something
        if isinstance(error, pickle.UnpicklingError) and "Unsupported" in str(error):
            raise WeightsError(
                f"{path} holds pickled Python objects, which are code that loading would run; it "
                "was not loaded. Weight files may hold tensors and plain types only. If you "
                "trust it, load it yourself with torch.load(path, weights_only=False) and save its "
                "state_dict() again; fit and its like take such a checkpoint with "
                f"--model and --weights_only=false. What torch refused: {_refused(error)}"
            ) from error
        raise WeightsError(_damaged(path, error)) from error
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path} holds a {type(content).__name__}, not a checkpoint: wanted a file that "
            "Trainer.save_checkpoint or save_encoder of muscletransfer wrote."
        )
    block = content.get(CHECKPOINT_KEY)
    state = content.get("state_dict", content)
    if block is None or not isinstance(state, Mapping):
        return None, dict(state if isinstance(state, Mapping) else content)
    return block, dict(state)


def _refused(error: Exception) -> str:
    """Pick the line of torch's long message that names the object."""
    lines = [line.strip() for line in str(error).splitlines() if "Unsupported" in line]
    return lines[0] if lines else str(error).splitlines()[0]


def _edited(path: Path, what: str) -> str:
    return (
        f"{path}: its {CHECKPOINT_KEY!r} block {what.rstrip('.')}. It was edited, or written by "
        "other software or a newer muscletransfer; write it again with save_encoder or "
        "Trainer.save_checkpoint."
    )


def _damaged(path: Path, error: Exception) -> str:
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return (
        f"{path} ({path.stat().st_size} bytes) cannot be read: it is damaged, cut short, or no "
        f"weight file ({type(error).__name__}: {first}). Copy or export it again."
    )


def _foreign(path: Path, keys: list[str]) -> str:
    seen = ", ".join(map(str, keys[:5])) + (", ..." if len(keys) > 5 else "")
    return (
        f"{path} is not a file of muscletransfer: it has no {CHECKPOINT_KEY!r} block that says "
        f"which encoder it fits. Keys seen ({len(keys)}): {seen or 'none'}. To use foreign "
        "weights, rename their keys to those of encoder.state_dict(), call "
        "encoder.load_state_dict(state), and pass that encoder as `encoder=`; "
        "save_encoder(encoder, 'name.safetensors') makes a file of it for weights=."
    )


def _under(path: Path, state: Mapping[str, Tensor], prefix: str, part: str) -> dict[str, Tensor]:
    """Select the tensors of one part by its written prefix."""
    own = {k: v for k, v in state.items() if isinstance(k, str) and k.startswith(prefix)}
    found = {key.removeprefix(prefix): value for key, value in own.items()}
    if not found:
        raise WeightsError(
            f"{path} says that its {part} stands under {prefix!r}, but no key of its "
            f"{len(state)} starts so (first: {', '.join(map(str, list(state)[:3])) or 'none'}). "
            "The file was altered after it was written."
        )
    others = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsError(
            f"{path}: {others[0]!r} of its {part} is no tensor. The file was altered after it was "
            "written."
        )
    return found


def _verify(path: Path, part: str, state: Mapping[str, Tensor], expected: str | None) -> None:
    found = state_sha256(state)
    if found != expected:
        raise WeightsError(
            f"{path}: the {part}'s tensors have SHA-256 {found}, the file states {expected}. The "
            "weights were altered after the file was written; get it again from its source."
        )
