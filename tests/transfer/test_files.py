"""An encoder goes into a file and comes out of it, bit for bit, with its record."""

import json
import os
import signal
import subprocess
import sys

import pytest
import safetensors
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from muscletransfer import Provenance, create_encoder, load_encoder, save_encoder
from muscletransfer.decoders import build_segmentation_model
from muscletransfer.errors import ContractError, WeightsError
from muscletransfer.transfer import (
    CHECKPOINT_KEY,
    checkpoint_block,
    load_decoder,
    read_artifact,
    state_sha256,
)

from .helpers import randomise

FAMILIES = [
    ("timm/test_resnet", {}),
    ("timm/test_convnext", {}),
    ("timm/test_vit", {"img_size": 64}),
    ("smp/mit_b0", {}),
]
RECORD = Provenance(task="jigsaw", data={"patients": 3}, licence="CC0-1.0", seed=4)


class Task(LightningModule):
    """The smallest task whose checkpoint carries the block."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def on_save_checkpoint(self, checkpoint):
        checkpoint[CHECKPOINT_KEY] = checkpoint_block(
            self, RECORD, encoder="model.encoder", decoder="model.decoder"
        )


def write_checkpoint(model, path):
    task = Task(model)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    return path


def features(encoder):
    image = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return encoder.eval()(image)


@pytest.mark.parametrize(("name", "options"), FAMILIES)
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_features_are_the_same_to_the_bit(name, options, suffix, tmp_path):
    model = build_segmentation_model(name, "unet", encoder_kwargs=options)
    randomise(model.encoder)
    path = tmp_path / f"file{suffix}"
    if suffix == ".ckpt":
        write_checkpoint(model, path)
    else:
        assert save_encoder(model, path, provenance=RECORD) == path
    fresh = create_encoder(name, **options)
    report = load_encoder(fresh, path)
    assert report.complete
    assert set(report.loaded) == set(fresh.state_dict())
    for a, b in zip(features(model.encoder), features(fresh), strict=True):
        assert torch.equal(a, b)
    assert report.provenance.task == "jigsaw"
    assert report.provenance.encoder == fresh.spec.to_dict()


def test_record_is_in_the_metadata_of_the_file(tmp_path):
    encoder = randomise(create_encoder("timm/test_resnet"))
    path = save_encoder(encoder, tmp_path / "new" / "e.safetensors", provenance=RECORD)
    with safetensors.safe_open(path, framework="pt") as file:  # without our reader
        metadata, keys = file.metadata(), set(file.keys())
    block = json.loads(metadata[CHECKPOINT_KEY])
    record = block["provenance"]
    assert keys == {f"encoder.{key}" for key in encoder.state_dict()}
    assert block["encoder"] == encoder.spec.to_dict()
    assert (record["task"], record["seed"], record["licence"]) == ("jigsaw", 4, "CC0-1.0")
    assert record["data"] == {"patients": 3}
    assert record["sha256"] == state_sha256(encoder.state_dict())
    assert record["versions"]["torch"]
    assert record["created"]


def test_decoder_goes_along_only_when_asked(tmp_path):
    model = build_segmentation_model("timm/test_resnet", "unet")
    randomise(model.decoder)
    alone = save_encoder(model, tmp_path / "alone.safetensors")
    both = save_encoder(model, tmp_path / "both.safetensors", include_decoder=True)
    assert read_artifact(alone).decoder_state is None
    other = build_segmentation_model("timm/test_resnet", "unet")
    report = load_decoder(other.decoder, both)
    assert report.complete
    for key, value in model.decoder.state_dict().items():
        assert torch.equal(other.decoder.state_dict()[key], value)
    assert load_encoder(other.encoder, both).complete


def test_layouts_and_precisions_survive(tmp_path):
    encoder = randomise(create_encoder("timm/test_resnet"))
    encoder = encoder.to(memory_format=torch.channels_last).to(torch.bfloat16)
    path = save_encoder(encoder, tmp_path / "e.safetensors")
    state = read_artifact(path).encoder_state
    assert state["model.conv1.0.weight"].dtype == torch.bfloat16
    assert all(torch.equal(value, state[key]) for key, value in encoder.state_dict().items())
    report = load_encoder(create_encoder("timm/test_resnet"), path)
    assert "dtype changed from torch.bfloat16 to torch.float32" in report.summary()


def test_compiled_modules_are_found_under_their_own_names(tmp_path):
    encoder = create_encoder("timm/test_resnet")
    holder = nn.Module()
    holder.encoder = torch.compile(encoder)
    path = save_encoder(holder, tmp_path / "e.safetensors")
    assert read_artifact(path).encoder_state.keys() == encoder.state_dict().keys()


def test_a_file_is_not_overwritten_by_accident(tmp_path):
    encoder = create_encoder("timm/test_resnet")
    path = save_encoder(encoder, tmp_path / "e.safetensors")
    before = path.read_bytes()
    randomise(encoder)
    with pytest.raises(WeightsError, match=r"exists\. Pass overwrite=True"):
        save_encoder(encoder, path)
    assert path.read_bytes() == before
    save_encoder(encoder, path, overwrite=True)
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("module", "name", "options", "error", "message"),
    [
        ("encoder", "e.ckpt", {}, WeightsError, r"as \.safetensors, found 'e\.ckpt'"),
        ("encoder", "e.safetensors", {"include_decoder": True}, ContractError, "is an encoder by"),
        ("relu", "e.safetensors", {}, ContractError, "ReLU is no encoder"),
    ],
)
def test_what_cannot_be_exported(module, name, options, error, message, tmp_path):
    modules = {"encoder": create_encoder("timm/test_resnet"), "relu": nn.ReLU()}
    with pytest.raises(error, match=message):
        save_encoder(modules[module], tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(WeightsError, match=r"Cannot write .*taken.*Nothing was left behind"):
        save_encoder(create_encoder("timm/test_resnet"), tmp_path / "taken" / "e.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """The process may write no file larger than 100 kB, as on a disk that is full."""
    path = tmp_path / "e.safetensors"
    before = save_encoder(create_encoder("timm/test_resnet"), path).read_bytes()
    script = f"""
import resource, signal
from muscletransfer import create_encoder, save_encoder
from muscletransfer.errors import WeightsError
encoder = create_encoder("timm/test_resnet")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for name in ("e.safetensors", "new.safetensors"):
    try:
        save_encoder(encoder, {str(tmp_path)!r} + "/" + name, overwrite=True)
    except WeightsError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.count("Nothing was left behind") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["e.safetensors"]
    assert path.read_bytes() == before


def test_a_save_that_is_killed_leaves_no_file_under_the_name(tmp_path):
    """Killed at the worst moment: all is written, and not yet renamed."""
    path = tmp_path / "e.safetensors"
    script = f"""
import os, pathlib, signal
from muscletransfer import create_encoder, save_encoder
pathlib.Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
save_encoder(create_encoder("timm/test_resnet"), {str(path)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    left = [p.name for p in tmp_path.iterdir()]
    assert all(name.startswith(".") and name.endswith(".partial") for name in left)
    save_encoder(create_encoder("timm/test_resnet"), path)
    assert load_encoder(create_encoder("timm/test_resnet"), path).complete
    assert [p.name for p in tmp_path.iterdir()] == ["e.safetensors"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process of its own that fails half way")
def test_an_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(tensors, file, metadata):
        file.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_encoder(create_encoder("timm/test_resnet"), tmp_path / "e.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        path = save_encoder(create_encoder("timm/test_resnet"), tmp_path / "e.safetensors")
        (tmp_path / "other").touch()
    finally:
        os.umask(before)
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
