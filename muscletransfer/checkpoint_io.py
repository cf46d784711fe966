"""Checkpoints written straight to their file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy

__all__ = ["DirectCheckpointIO", "holds_all_weights", "write_checkpoints_directly"]


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a local checkpoint beside its place and renames it; the same file, in less time.

    Lightning's own serialises into memory first, then copies that through the folder of temporary
    files, which takes twice as long. A low-data run is validated, and its best checkpoint written,
    every few seconds, so this is time that is felt. A URL is written as Lightning does.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "run" / "a.ckpt"
        >>> DirectCheckpointIO().save_checkpoint({"state_dict": {}}, file)
        >>> [p.name for p in file.parent.iterdir()], torch.load(file)
        (['a.ckpt'], {'state_dict': {}})
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: What `torch.save` takes.
            path: The file; its folder is made. What is there stays until the new one is whole.
            storage_options: Not used; see Lightning.

        Raises:
            OSError: The file cannot be written, as on a full disk; it names the file.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        # One name for each checkpoint: what a killed process leaves, the resumed one overwrites.
        unfinished = file.with_name(f".{file.name}.part")
        try:
            with unfinished.open("wb") as opened:
                torch.save(checkpoint, opened)
            os.replace(unfinished, file)
        except RuntimeError as error:  # torch's words for a full disk: "unexpected pos 704 vs 598"
            cause = error.__context__
            if not isinstance(cause, OSError):
                raise
            raise OSError(cause.errno, cause.strerror, str(file)) from error
        finally:
            unfinished.unlink(missing_ok=True)


def holds_all_weights(strategy: Strategy) -> bool:
    """Tell whether each process of a strategy holds all of the weights.

    Args:
        strategy: ``trainer.strategy``.

    Example:
        >>> holds_all_weights(SingleDeviceStrategy())
        True
    """
    return isinstance(strategy, SingleDeviceStrategy | DDPStrategy)


def write_checkpoints_directly(strategy: Strategy) -> None:
    """Let a Trainer's strategy use `DirectCheckpointIO`, unless it was given another plugin.

    Args:
        strategy: ``trainer.strategy``; one that holds parts of the weights is left as it is.

    Example:
        >>> strategy = SingleDeviceStrategy()
        >>> write_checkpoints_directly(strategy)
        >>> type(strategy.checkpoint_io).__name__
        'DirectCheckpointIO'
    """
    if holds_all_weights(strategy) and type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = DirectCheckpointIO()
