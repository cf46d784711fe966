"""Checkpoints written straight to their file: the same contents, whole or not at all."""

from __future__ import annotations

import errno
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy, SingleDeviceStrategy
from torch.utils.data import DataLoader

from muscletransfer import SegmentationFineTuner, create_pretext
from muscletransfer.checkpoint_io import DirectCheckpointIO, write_checkpoints_directly

STATE = {"state_dict": {"w": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "name": "a"}
KILLED = """
import os, signal, sys
import torch
from muscletransfer.checkpoint_io import DirectCheckpointIO

class Deadly:
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)

DirectCheckpointIO().save_checkpoint({"w": torch.ones(1000), "bad": Deadly()}, sys.argv[1])
"""
FULL = """
import resource, signal, sys
import torch
from muscletransfer.checkpoint_io import DirectCheckpointIO

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # stands for a full disk
try:
    DirectCheckpointIO().save_checkpoint({"w": torch.ones(1_000_000)}, sys.argv[1])
except OSError as error:
    print(error.errno, error.filename)
"""


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and torch.equal(a["state_dict"]["w"], b["state_dict"]["w"])


def test_the_file_holds_what_lightnings_own_does(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "new" / "ours.ckpt", tmp_path / "theirs.ckpt"
    DirectCheckpointIO().save_checkpoint(STATE, ours)
    TorchCheckpointIO().save_checkpoint(STATE, theirs)
    assert same(torch.load(ours), torch.load(theirs))
    assert same(TorchCheckpointIO().load_checkpoint(ours), STATE)
    assert [path.name for path in ours.parent.iterdir()] == ["ours.ckpt"]
    (tmp_path / "plain").touch()  # others who share the folder may read it as they may any file
    assert ours.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    DirectCheckpointIO().save_checkpoint(STATE, file)
    before = file.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        DirectCheckpointIO().save_checkpoint({"w": torch.ones(9), "bad": lambda: None}, file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_kill_leaves_what_was_there_and_the_next_save_clears_up(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    DirectCheckpointIO().save_checkpoint(STATE, file)
    before = file.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, file], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert file.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2  # what was begun
    DirectCheckpointIO().save_checkpoint({**STATE, "epoch": 4}, file)
    assert torch.load(file)["epoch"] == 4
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_full_disk_is_told_as_such_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    DirectCheckpointIO().save_checkpoint(STATE, file)
    before = file.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, file], capture_output=True, timeout=120)
    assert done.stdout.decode().split() == [str(errno.EFBIG), str(file)], done.stderr
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_url_is_written_as_lightning_does() -> None:
    DirectCheckpointIO().save_checkpoint(STATE, "memory://run/a.ckpt")
    with fsspec.open("memory://run/a.ckpt", "rb") as file:
        assert same(torch.load(file), STATE)


def test_options_of_a_storage_are_refused_as_lightning_does(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="storage_options"):
        DirectCheckpointIO().save_checkpoint(STATE, tmp_path / "a.ckpt", {"x": 1})


def test_a_strategy_that_splits_the_weights_keeps_its_own() -> None:
    split, whole = FSDPStrategy(), SingleDeviceStrategy()
    for strategy in (split, whole):
        write_checkpoints_directly(strategy)
    assert type(split.checkpoint_io) is TorchCheckpointIO
    assert type(whole.checkpoint_io) is DirectCheckpointIO


@pytest.mark.parametrize("kind", ["pretext", "finetune"])
def test_training_writes_directly(kind: str, tmp_path: Path) -> None:
    if kind == "pretext":
        task: LightningModule = create_pretext("rotation", encoder="timm/resnet10t")
    else:
        task = SegmentationFineTuner("timm/resnet10t")
    sample = {"image": torch.rand(1, 64, 64), "mask": torch.ones(64, 64, dtype=torch.long)}
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(task, DataLoader([sample] * 4, batch_size=4))
    assert type(trainer.strategy.checkpoint_io) is DirectCheckpointIO
    (written,) = tmp_path.rglob("*.ckpt*")
    assert type(task).load_from_checkpoint(written).hparams == task.hparams
