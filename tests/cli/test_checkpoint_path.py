"""Which checkpoint ``fit`` names, and which a command takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import muscletransfer.testing.tiny  # noqa: F401 - registers the encoder
from muscletransfer import create_pretext, save_encoder
from muscletransfer.cli import main
from muscletransfer.cli.lightning import run_lightning
from muscletransfer.testing import TINY_ENCODER

MODEL = ["--model=rotation", f"--model.encoder={TINY_ENCODER}", "--model.flip=false"]
DATA = [
    *("--data=PretextDataModule", "--data.source=images", "--data.kind=image_folder"),
    *("--data.size=64", "--data.val_fraction=0.5", "--data.batch_size=2", "--data.cache_dir=cache"),
]
RUN = [
    *("--trainer.max_steps=2", "--trainer.logger=false", "--trainer.accelerator=cpu"),
    *("--trainer.enable_progress_bar=false", "--trainer.default_root_dir=runs"),
]
LAST = "{class_path: ModelCheckpoint, init_args: {save_last: true, dirpath: resumed}}"
BEST = "{class_path: ModelCheckpoint, init_args: {monitor: val_loss, dirpath: best}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoints")
    (place / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        grey = rng.integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(grey).save(place / "images" / f"{number}.png")
    return place


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def checkpoint(here: Path) -> Path:
    if not list(here.rglob("runs/**/*.ckpt")):
        assert main(["fit", *MODEL, *DATA, *RUN]) == 0
    return next(here.rglob("runs/**/*.ckpt"))


def test_the_last_checkpoint_is_not_called_the_best(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *MODEL, *DATA, *RUN[:-1], "--trainer.default_root_dir=last"]) == 0
    (path,) = here.rglob("last/**/*.ckpt")
    said = capsys.readouterr().out
    assert f"last checkpoint: {path.resolve()}" in said
    assert "best" not in said
    assert main(["fit", *MODEL, *DATA, *RUN, f"--trainer.callbacks=[{BEST}]"]) == 0
    (path,) = here.rglob("best/*.ckpt")
    assert f"best checkpoint: {path.resolve()}" in capsys.readouterr().out


def test_a_checkpoint_says_which_model_it_is(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", *DATA, *RUN[1:], f"--ckpt_path={checkpoint}"]) == 0
    assert "val_accuracy" in capsys.readouterr().out


def test_no_model_at_all_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *DATA, *RUN]) == 2
    assert "error: No model was named. Give it with --model" in capsys.readouterr().err


@pytest.mark.parametrize("model", [MODEL, []])
def test_a_damaged_checkpoint_is_one_line(
    checkpoint: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    content = checkpoint.read_bytes()
    damaged = checkpoint.parents[2] / "damaged.ckpt"
    damaged.write_bytes(content[: len(content) // 2])
    assert main(["validate", *model, *DATA, *RUN[1:], f"--ckpt_path={damaged}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {damaged}")


@pytest.mark.parametrize("model", [MODEL, []])
@pytest.mark.parametrize("kind", ["encoder", "weights", "tensor"])
def test_a_file_that_is_no_checkpoint_is_one_line(
    here: Path, kind: str, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    task = create_pretext("rotation", encoder=TINY_ENCODER)
    if kind == "encoder":
        path = str(save_encoder(task, "no_checkpoint.safetensors", overwrite=True))
    else:
        path = f"{kind}.pt"
        torch.save(task.state_dict() if kind == "weights" else torch.zeros(2), path)
    assert main(["validate", *model, *DATA, *RUN[1:], f"--ckpt_path={path}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: --ckpt_path {path} is no checkpoint of Lightning")
    assert "--model.weights" in said


def test_a_checkpoint_of_another_library_in_the_old_format_is_taken(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    del content["muscletransfer"]
    torch.save(content, "old.ckpt", _use_new_zipfile_serialization=False)
    assert main(["validate", *MODEL, *DATA, *RUN[1:], "--ckpt_path=old.ckpt"]) == 0
    assert "val_accuracy" in capsys.readouterr().out


def test_a_url_is_left_to_lightning(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"--ckpt_path=file://{checkpoint.resolve()}"
    assert main(["validate", *MODEL, *DATA, *RUN[1:], url]) == 0
    assert "val_accuracy" in capsys.readouterr().out
    assert main(["validate", *DATA, *RUN[1:], url]) == 2
    assert "No model was named" in capsys.readouterr().err


def test_a_checkpoint_that_is_trusted_may_hold_objects(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    trusted = checkpoint.parents[2] / "trusted.ckpt"
    torch.save({**content, "mine": Path("notes")}, trusted)
    command = ["validate", *MODEL, *DATA, *RUN[1:], f"--ckpt_path={trusted}"]
    assert main(command) == 2
    assert "--weights_only=false" in capsys.readouterr().err
    assert main([*command, "--weights_only=false"]) == 0
    assert "val_accuracy" in capsys.readouterr().out
    assert main([*command[:-1], "--ckpt_path=none.ckpt", "--weights_only=false"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_job_that_resumes_starts_from_the_weights_and_goes_on_from_its_own(here: Path) -> None:
    source = create_pretext("rotation", encoder=TINY_ENCODER)
    save_encoder(source, "encoder.safetensors")
    start = source.encoder.stages[0][0].weight
    job = ["fit", *MODEL, "--model.weights=encoder.safetensors", "--model.lr=1e-12", *DATA]
    job += [*RUN[1:], f"--trainer.callbacks=[{LAST}]", "--ckpt_path=last"]
    first = run_lightning([*job, "--trainer.max_steps=1"]).model
    torch.testing.assert_close(first.encoder.stages[0][0].weight, start)
    assert first.provenance().parent is not None

    content = torch.load("resumed/last.ckpt", weights_only=True)
    content["state_dict"]["encoder.stages.0.0.weight"] += 1  # so that nothing else is like it
    torch.save(content, "resumed/last.ckpt")
    again = run_lightning([*job, "--trainer.max_steps=2"])
    assert again.trainer.global_step == 2
    torch.testing.assert_close(again.model.encoder.stages[0][0].weight, start + 1)
    assert again.model.provenance().parent == first.provenance().parent
