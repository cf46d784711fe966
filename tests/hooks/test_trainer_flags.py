"""Flags and callbacks of the Trainer: clipping, precision, accumulation, stopping, logs."""

import csv
import math

import own_parts
import pretext_toys
import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn

from muscletransfer.encoders import EncoderSpec
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.pretext import ReconstructionPretext, RotationPretext, create_pretext
from muscletransfer.transfer import read_artifact


class Norms(Callback):
    """The norm of the gradients that the optimiser gets."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        pass

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        grads = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        if grads:
            self.seen.append(float(torch.cat(grads).norm()))


def pair(kind):
    if kind == "finetuning":
        return SegmentationFineTuner(**tiny(seed=1)), ToyData()
    images = pretext_toys.textured(8)
    return RotationPretext(pretext_toys.TINY, depth=3), pretext_toys.ToyData(image=images)


def half_on_cpu():
    """The plug-in that the Trainer makes for ``precision="16-mixed"`` where it allows it."""
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**8))


@pytest.mark.parametrize("kind", ["finetuning", "pretext"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "fp16"])
def test_gradients_are_clipped(kind, precision, tmp_path):
    model, data = pair(kind)
    norms = Norms()
    how = {"plugins": [half_on_cpu()]} if precision == "fp16" else {"precision": precision}
    run = trainer(tmp_path, gradient_clip_val=1e-3, callbacks=[norms], **how)
    before = copy_of(model)
    run.fit(model, datamodule=data)
    assert run.precision == {"fp16": "16-mixed"}.get(precision, precision)
    assert norms.seen
    assert max(norms.seen) <= 1.001e-3
    assert not equal_states(before, copy_of(model))
    if precision == "fp16":
        assert run.precision_plugin.scaler.get_scale() == 2.0**8  # no step was skipped
        assert not run.optimizers[0].defaults["fused"]


def test_half_precision_is_bf16_on_a_cpu(tmp_path):
    with pytest.warns(UserWarning, match="AMP with fp16 is not supported on CPU"):
        run = trainer(tmp_path, precision="16-mixed")
    assert run.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("bf16-true", torch.bfloat16), ("16-true", torch.float16), ("64-true", torch.float64)],
)
def test_true_precisions(precision, dtype, tmp_path):
    model = SegmentationFineTuner(**tiny(seed=1))
    run = trainer(tmp_path, precision=precision, limit_val_batches=None)
    run.fit(model, datamodule=ToyData())
    assert 0 <= float(run.callback_metrics["val_dice"]) <= 1
    run.save_checkpoint(tmp_path / "true.ckpt")
    assert next(iter(read_artifact(tmp_path / "true.ckpt").encoder_state.values())).dtype == dtype


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [("jigsaw", {"grid": 2}), ("jigsaw", {"grid": 2, "rotation": 0.0}), ("simclr", {})],
    ids=str,
)
def test_true_precisions_of_tasks_that_make_views(name, settings, precision):
    task = create_pretext(name, encoder=pretext_toys.TINY, depth=3, **settings)
    run = pretext_toys.trainer(2, precision=precision)
    run.fit(task, pretext_toys.loader(image=torch.rand(8, 1, 64, 64)))
    assert math.isfinite(float(run.callback_metrics["train_loss"]))


class NoNorms(nn.Module):
    """An encoder without norm layers: a batch is the sum of its images."""

    output_stride = 4

    def __init__(self):
        super().__init__()
        self.out_channels = [1, 4, 8]
        self.spec = EncoderSpec("toys/no-norms", 1, 2)
        self.first, self.second = (nn.Conv2d(a, b, 3, 2, 1) for a, b in ((1, 4), (4, 8)))

    def forward(self, x):
        first = self.first(x)
        return [x, first, self.second(first.relu())]


@pytest.mark.filterwarnings("ignore::muscletransfer.transfer.NotTransferableWarning")
def test_accumulated_gradients_are_those_of_the_large_batch(tmp_path):
    states, steps = [], []
    for batch_size, accumulate in ((6, 1), (2, 3)):
        torch.manual_seed(0)
        model = SegmentationFineTuner(
            NoNorms(), depth=2, decoder="own_parts.OwnDecoder", loss="bce", lr=0.1, warmup_steps=0
        ).use_optimizer("SGD")
        model.use_scheduler("CosineAnnealingLR", interval="step")
        run = trainer(tmp_path, max_epochs=3, accumulate_grad_batches=accumulate)
        run.fit(model, datamodule=ToyData(cases=6, batch_size=batch_size))
        states.append(copy_of(model.model))
        steps.append((run.global_step, run.optimizers[0].param_groups[0]["lr"]))
    assert steps[0] == steps[1] == (3, 0.0)
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=1e-6, rtol=1e-4)


def test_early_stopping(tmp_path):
    model = SegmentationFineTuner(**tiny(seed=1))
    stop = EarlyStopping("val_loss", patience=1, min_delta=1e9)
    run = trainer(tmp_path, max_epochs=9, callbacks=[stop], limit_val_batches=None)
    run.fit(model, datamodule=ToyData())
    assert run.current_epoch == 2
    task, data = pair("pretext")
    stop = EarlyStopping("val_loss", patience=1, min_delta=1e9)
    run = trainer(tmp_path, max_epochs=9, callbacks=[stop], limit_val_batches=None)
    run.fit(task, datamodule=data)
    assert run.current_epoch == 2


def test_deterministic_runs_are_equal(tmp_path):
    for make in (lambda: pair("finetuning"), lambda: pair("pretext")):
        states = []
        for _ in range(2):
            torch.manual_seed(0)
            model, data = make()
            trainer(tmp_path, deterministic=True).fit(model, datamodule=data)
            assert torch.are_deterministic_algorithms_enabled()
            torch.use_deterministic_algorithms(False)
            states.append(copy_of(model))
        assert equal_states(*states)


@pytest.mark.parametrize("profiler", ["simple", "advanced", "pytorch"])
def test_profilers(profiler, tmp_path):
    from lightning.pytorch.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler

    kinds = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
    watch = kinds[profiler](dirpath=tmp_path, filename="profile")
    model, data = pair("pretext")
    trainer(tmp_path, profiler=watch, max_epochs=1).fit(model, datamodule=data)
    text = (tmp_path / "fit-profile.txt").read_text()
    assert {"pytorch": "convolution"}.get(profiler, "training_step") in text


def test_a_logger_gets_every_figure_and_rate(tmp_path):
    model = SegmentationFineTuner(**tiny(metrics={"error": own_parts.volume_error}))
    run = trainer(
        tmp_path,
        logger=CSVLogger(tmp_path, name="", version=""),
        callbacks=[LearningRateMonitor("step")],
        log_every_n_steps=1,
        limit_val_batches=None,
    )
    run.fit(model, datamodule=ToyData())
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {name for row in rows for name, value in row.items() if value}
    assert {"train_loss", "val_dice", "val_dta_rms_mm", "val_error"} <= found
    assert any(name.startswith("lr") for name in found)
    assert (tmp_path / "hparams.yaml").read_text().count("decoder: unet") == 1


@pytest.mark.parametrize(
    "flags",
    [
        {"fast_dev_run": True},
        {"overfit_batches": 1},
        {"detect_anomaly": True},
        {"max_time": "00:00:00:01", "max_epochs": 2},
        {"limit_train_batches": 1, "val_check_interval": 1, "limit_val_batches": 1},
        {"reload_dataloaders_every_n_epochs": 1},
        {"barebones": True, "logger": None, "enable_checkpointing": None}
        | {"enable_progress_bar": None, "enable_model_summary": None},
    ],
    ids=lambda flags: next(iter(flags)),
)
def test_other_flags(flags, tmp_path):
    for kind in ("finetuning", "pretext"):
        model, data = pair(kind)
        run = trainer(tmp_path, **{**flags})
        run.fit(model, datamodule=data)
        assert run.global_step > 0


def test_a_decoder_task_in_half_precision(tmp_path):
    task = ReconstructionPretext(
        pretext_toys.TINY, depth=3, decoder_kwargs={"decoder_channels": [16, 8, 8]}
    )
    run = pretext_toys.trainer(3, plugins=[half_on_cpu()])
    run.fit(task, datamodule=pretext_toys.ToyData(image=pretext_toys.textured(8)))
    assert torch.isfinite(run.callback_metrics["train_loss"])
