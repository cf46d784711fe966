"""Every hook from YAML through the real command line; wrong class paths in one readable line."""

from pathlib import Path

import finetune_toys  # registers the encoder that the configurations name
import lightning.pytorch.callbacks
import pytest
import torch
from small_cohort import make_small_cohort

from muscletransfer.cli import main
from muscletransfer.cli.choosing import split_off
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.transfer import inspect_file, read_artifact

FINETUNE = """
model:
  class_path: muscletransfer.SegmentationFineTuner
  init_args:
    encoder: ENCODER
    depth: 3
    lr: 0.02
    decoder: own_parts.OwnDecoder
    decoder_kwargs: {width: 4}
    loss: own_parts.OwnLoss
    loss_kwargs: {foreground: 3.0}
    metrics:
      iou: torchmetrics.classification.BinaryJaccardIndex
      error: {class_path: own_parts.volume_error, init_args: {scale: 2.0}}
optimizer:
  class_path: own_parts.OwnOptimizer
  init_args: {momentum: 0.8}
lr_scheduler:
  class_path: OneCycleLR
  init_args: {pct_start: 0.5}
  interval: step
data:
  class_path: muscletransfer.LowDataModule
  init_args:
    manifest: cohort/manifest.csv
    train_patients: 3
    val_patients: 1
    batch_size: 3
    steps_per_epoch: 2
    cache_dir: cache
    preprocessing: {class_path: muscletransfer.data.PreprocessingSpec, init_args: {size: 32}}
    augmentation: {class_path: own_parts.OwnAugmentation, init_args: {dim: 0.1}}
trainer:
  max_epochs: 2
  accelerator: cpu
  enable_progress_bar: false
  accumulate_grad_batches: 1
  gradient_clip_val: 1.0
  precision: bf16-mixed
  profiler: simple
  logger: {class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: logs}}
  callbacks:
    - {class_path: own_parts.Notes, init_args: {start: 3}}
    - class_path: lightning.pytorch.callbacks.EarlyStopping
      init_args: {monitor: val_dice, patience: 9}
    - {class_path: lightning.pytorch.callbacks.LearningRateMonitor}
    - class_path: lightning.pytorch.callbacks.EMAWeightAveraging
      init_args: {decay: 0.5}
"""

PRETEXT = """
model: {class_path: own_parts.OwnTask, init_args: {encoder: ENCODER, depth: 3, smoothing: 0.2}}
optimizer: RMSprop
lr_scheduler: {class_path: ReduceLROnPlateau, init_args: {patience: 0}, monitor: train_loss}
data:
  class_path: muscletransfer.PretextDataModule
  init_args:
    source: cohort/manifest.csv
    kind: manifest
    batch_size: 4
    steps_per_epoch: 2
    cache_dir: cache
    preprocessing: {class_path: muscletransfer.data.PreprocessingSpec, init_args: {size: 32}}
    transform: own_parts.own_transform
trainer:
  max_epochs: 12
  accelerator: cpu
  enable_progress_bar: false
  logger: false
  callbacks:
    - class_path: lightning.pytorch.callbacks.LearningRateFinder
      init_args: {num_training_steps: 20, max_lr: 0.1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("hooks")
    make_small_cohort(place / "cohort", patients=8)
    text = FINETUNE.replace("ENCODER", finetune_toys.TINY)
    if not hasattr(lightning.pytorch.callbacks, "EMAWeightAveraging"):  # it came with 2.6
        text = text[: text.index("    - class_path: lightning.pytorch.callbacks.EMAWeight")]
    (place / "finetune.yaml").write_text(text)
    (place / "pretext.yaml").write_text(PRETEXT.replace("ENCODER", finetune_toys.TINY))
    return place


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def last(folder: Path) -> Path:
    return sorted(folder.rglob("last.ckpt"))[-1]


def test_fine_tuning(here, capsys):
    assert main(["fit", "--config", "finetune.yaml", "--trainer.default_root_dir=runs"]) == 0
    path = last(here / "logs")
    content = torch.load(path, weights_only=True)
    group = content["optimizer_states"][0]["param_groups"][0]
    assert group["momentum"] != 0.0
    assert content["lr_schedulers"][0]["total_steps"] == 4
    artifact = read_artifact(path)  # averaged, and of a sound digest
    record = artifact.provenance.hyperparameters
    assert record["optimizer"]["class_path"] == "own_parts.OwnOptimizer"
    assert record["scheduler"]["name"] == "OneCycleLR"
    assert record["metrics"]["iou"] == "torchmetrics.classification.BinaryJaccardIndex"
    assert artifact.provenance.data["augmentation"] == {"name": "OwnAugmentation"}
    model = SegmentationFineTuner.load_from_checkpoint(path)
    assert model.loss.foreground == 3.0
    assert model.optimizer_block()["optimizer"]["init_args"] == {"momentum": 0.8}
    header = next(here.glob("logs/**/metrics.csv")).read_text().splitlines()[0]
    assert {"val_iou", "val_error", "val_dice"} <= set(header.split(","))
    # The same file tests the checkpoint, and resumes it with what it was trained with.
    command = ["--config", "finetune.yaml", f"--ckpt_path={path}"]
    assert main(["test", *command, "--trainer.logger=false"]) == 0
    assert main(["fit", *command, "--optimizer=SGD", "--trainer.max_epochs=4"]) == 2
    assert "this run has SGD" in capsys.readouterr().err


def test_numbers_are_read_as_in_a_file():
    _, found = split_off(["--optimizer.init_args.lr=1e-3", "--lr_scheduler.init_args.x", "2.5e+1"])
    assert found == {"optimizer": {"init_args.lr": 0.001}, "lr_scheduler": {"init_args.x": 25.0}}


def test_pretext_task(here):
    assert main(["fit", "--config", "pretext.yaml", "--trainer.default_root_dir=source"]) == 0
    record = inspect_file(last_of(here / "source")).hyperparameters
    assert record["smoothing"] == 0.2
    assert record["optimizer"]["class_path"] == "torch.optim.RMSprop"
    assert record["scheduler"]["monitor"] == "train_loss"
    assert record["lr"] != 1e-3  # the finder's


def last_of(folder: Path) -> Path:
    return sorted(folder.rglob("*.ckpt"))[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizer=torch.optim.SDG"], "unknown optimizer 'torch.optim.SDG'. Did you mean"),
        (["--optimizer.class_path=SGD", "--optimizer.init_args.momentun=1"], "momentun"),
        (
            ["--optimizer.class_path=SGD", "--optimizer.momentum=1"],
            "optimizer has momentum; wanted",
        ),
        (["--optimizer.init_args.lr=[1"], "init_args.lr is '[1', which cannot be read as YAML"),
        (["--optimizer.init_args.lr=1", "--print_config"], "cannot print --optimizer.init_args.lr"),
        (["--lr_scheduler=StepRL"], "Did you mean 'StepLR'"),
        (["--model.init_args.loss=own_parts.OwnLos"], "Did you mean 'own_parts.OwnLoss'"),
        (["--model.init_args.decoder=own_parts.OwnDecodr"], "Did you mean 'own_parts.OwnDecoder'"),
        (
            ["--model.init_args.metrics={iou: own_parts.volume_eror}"],
            "unknown metric 'own_parts.volume_eror'. Did you mean 'own_parts.volume_error'",
        ),
    ],
)
def test_wrong_class_paths_are_one_readable_line(arguments, message, here, capsys):
    assert main(["fit", "--config", "finetune.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err
