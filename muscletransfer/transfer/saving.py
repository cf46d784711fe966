"""Export an encoder as ``.safetensors`` with its provenance: whole or not at all."""

from __future__ import annotations

import glob
import json
import os
import socket
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
from torch import Tensor, nn

from muscletransfer.errors import ContractError, WeightsError
from muscletransfer.transfer.artifact import CHECKPOINT_KEY, checkpoint_block, find_part
from muscletransfer.transfer.compiled import plain_keys
from muscletransfer.transfer.provenance import Provenance

__all__ = ["save_encoder"]


def save_encoder(
    module: nn.Module,
    path: str | Path,
    *,
    provenance: Provenance | None = None,
    overwrite: bool = False,
    include_decoder: bool = False,
) -> Path:
    """Write an encoder (and on request its decoder) with provenance to one ``.safetensors`` file.

    The file appears under its name only when it is complete.

    .. versionadded:: 0.1

    Args:
        module: A pretext task, a fine-tuner, a segmentation model, or a bare encoder.
        path: Where to write; the suffix must be ``.safetensors``. Missing folders are made.
        provenance: Where the weights come from. By default ``module.provenance()``; a bare encoder
            without one is recorded as task ``"unrecorded"``.
        overwrite: Replace a file that is there.
        include_decoder: Also store the decoder, for ``transfer="encoder+decoder"``.

    Returns:
        The path.

    Raises:
        WeightsError: If the file exists, has another suffix, or cannot be written.
        ContractError: If there is no encoder in ``module``, or no decoder though asked for.

    Example:
        >>> import tempfile
        >>> from muscletransfer.encoders import create_encoder
        >>> from muscletransfer.transfer import read_artifact
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = save_encoder(create_encoder("timm/resnet18"), f"{folder.name}/e.safetensors")
        >>> read_artifact(path).encoder_spec["name"]
        'timm/resnet18'
        >>> folder.cleanup()
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"Encoders are exported as .safetensors, found {path.name!r}. "
            f"Write to {path.with_suffix('.safetensors').name!r}."
        )
    if path.exists() and not overwrite:
        raise WeightsError(f"{path} exists. Pass overwrite=True, or another name.")
    encoder, decoder = _attributes(module, include_decoder)
    block = checkpoint_block(
        module, provenance or _provenance_of(module), encoder=encoder, decoder=decoder
    )
    tensors: dict[str, Tensor] = {}
    for part, attribute in (("encoder", encoder), ("decoder", decoder)):
        if attribute is not None:
            # the file has prefixes of its own, so that it reads the same whatever it came from
            block[f"{part}_prefix"] = f"{part}."
            state = plain_keys(find_part(module, attribute)[0].state_dict())
            tensors |= {f"{part}.{key}": _detached(value) for key, value in state.items()}
    _write(path, tensors, {"format": "pt", CHECKPOINT_KEY: json.dumps(block)})
    return path


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write to a temporary name in the same folder, then rename."""
    mine = f".{path.name}.{socket.gethostname()}-"
    temporary = path.with_name(f"{mine}{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, mine)
        try:
            # safetensors makes files that only their owner may read; others share the folder.
            temporary.touch()
            mode = temporary.stat().st_mode
            safetensors.torch.save_file(tensors, temporary, metadata=metadata)
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"Cannot write {path} ({type(error).__name__}: {error}). Nothing was left behind; "
            "check that the folder can be written to and has room."
        ) from error


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what processes of this machine left behind when they were killed."""
    if os.name != "posix":
        return  # asking for a process by its number would end it
    for left in folder.glob(f"{glob.escape(prefix)}*.partial"):
        number = left.name.removeprefix(prefix).removesuffix(".partial")
        if number.isdigit() and not _is_alive(int(number)):
            left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _detached(tensor: Tensor) -> Tensor:
    """Copy to row-major memory of its own, since safetensors refuses shared storage."""
    return tensor.detach().cpu().contiguous().clone()


def _attributes(module: nn.Module, include_decoder: bool) -> tuple[str, str | None]:
    """Find the dotted attributes of encoder and decoder in a task, a model or an encoder."""
    name = type(module).__name__
    if isinstance(getattr(module, "out_channels", None), list | tuple):
        if include_decoder:
            raise ContractError(
                f"include_decoder=True, but {name} is an encoder by itself. Pass the task or the "
                "SegmentationModel that holds both."
            )
        return "", None
    submodules = set(plain_keys(dict(module.named_modules(remove_duplicate=False))))
    for owner in ("", "model."):
        if f"{owner}encoder" not in submodules:
            continue
        decoder = f"{owner}decoder"
        if include_decoder and decoder not in submodules:
            raise ContractError(
                f"include_decoder=True, but {name} has no decoder. Only tasks that train one "
                "(segmentation, reconstruction, fine-tuning) can hand it on."
            )
        return f"{owner}encoder", decoder if include_decoder else None
    raise ContractError(
        f"{name} is no encoder (it has no list `out_channels`) and holds none at `.encoder` or "
        "`.model.encoder`. Pass a task, a SegmentationModel or an encoder."
    )


def _provenance_of(module: nn.Module) -> Provenance:
    describe: Any = getattr(module, "provenance", None)
    return cast(Provenance, describe()) if callable(describe) else Provenance(task="unrecorded")
