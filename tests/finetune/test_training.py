"""Training: it learns, freezes what it says it freezes, and resumes to the bit."""

from pathlib import Path

import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback
from torch import nn

from muscletransfer.finetune import (
    BestAndLast,
    FreezeNormStats,
    SegmentationFineTuner,
    UnfreezeEncoder,
)


@pytest.mark.parametrize(
    ("num_classes", "settings"),
    [(1, {}), (3, {}), (1, {"loss": "tversky"}), (1, {"channels_last": False})],
)
def test_overfits_a_few_slices(tmp_path, num_classes, settings):
    model = SegmentationFineTuner(**tiny(num_classes=num_classes, **settings))
    data = ToyData(num_classes=num_classes)
    run = trainer(tmp_path, max_epochs=40)
    run.fit(model, datamodule=data)
    scores = run.test(model, datamodule=data, verbose=False)[0]
    assert scores["test_dice"] > 0.9
    assert scores["test_dta_rms_mm"] < 1.0
    assert scores["test_n_failed"] == 0


@pytest.mark.parametrize("decoder", ["unet", "fpn", "deeplabv3plus", "fcn"])
def test_every_part_gets_a_gradient(decoder):
    model = SegmentationFineTuner("timm/resnet18", decoder)
    for module in model.modules():  # timm starts residual branches at zero, which stops gradients
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    generator = torch.Generator().manual_seed(0)
    batch = {
        "image": torch.rand(2, 1, 64, 64, generator=generator),
        "mask": torch.randint(0, 2, (2, 64, 64), generator=generator),
    }
    model.training_step(batch, 0).backward()
    for name, parameter in model.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_masked_pixels_teach_nothing():
    model = SegmentationFineTuner(**tiny(encoder_kwargs={"drop": 0.0}))
    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    masks = torch.full((2, 32, 32), 255)
    model.training_step({"image": image, "mask": masks}, 0).backward()
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_frozen_encoder_is_bit_equal_after_training(tmp_path):
    model = SegmentationFineTuner(**tiny(freeze="encoder"))
    before = copy_of(model.model.encoder)
    decoder = copy_of(model.model.decoder)
    trainer(tmp_path, max_epochs=3).fit(model, datamodule=ToyData())
    assert any("running_mean" in key for key in before)
    assert equal_states(before, copy_of(model.model.encoder))
    assert not equal_states(decoder, copy_of(model.model.decoder))


class Watch(UnfreezeEncoder):
    """Notes whether the encoder moved in each epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        super().on_train_epoch_start(trainer, pl_module)
        self.before = copy_of(pl_module.model.encoder)

    def on_train_epoch_end(self, trainer, pl_module):
        moved = not equal_states(self.before, copy_of(pl_module.model.encoder))
        self.moved = [*getattr(self, "moved", []), moved]


def test_until_epoch_trains_the_encoder_from_that_epoch_on(tmp_path):
    model = SegmentationFineTuner(**tiny(freeze="until_epoch", unfreeze_epoch=2))
    model.unfreezing = watch = Watch(2)
    run = trainer(tmp_path, max_epochs=4)
    run.fit(model, datamodule=ToyData())
    assert watch.moved == [False, False, True, True]
    held = {id(p) for group in run.optimizers[0].param_groups for p in group["params"]}
    assert held == {id(p) for p in model.model.parameters()}


def test_unfreeze_callback_works_without_the_setting(tmp_path):
    model = SegmentationFineTuner(**tiny())
    watch = Watch(1)
    trainer(tmp_path, max_epochs=2, callbacks=[watch]).fit(model, datamodule=ToyData())
    assert watch.moved == [False, True]


def test_unfreezing_leaves_alone_what_somebody_froze_for_good(tmp_path):
    model = SegmentationFineTuner(**tiny())
    model.model.encoder.stages[0][0].weight.requires_grad_(False)
    before = model.model.encoder.stages[0][0].weight.clone()
    run = trainer(tmp_path, max_epochs=3, callbacks=[UnfreezeEncoder(1)])
    run.fit(model, datamodule=ToyData())
    assert torch.equal(before, model.model.encoder.stages[0][0].weight)
    assert model.model.encoder.stages[1][0].weight.requires_grad


def test_never_unfreezing_is_said(tmp_path):
    model = SegmentationFineTuner(**tiny(freeze="until_epoch", unfreeze_epoch=9))
    with pytest.warns(UserWarning, match="trained from epoch 9, and the run has max_epochs=1"):
        trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData())


@pytest.mark.parametrize(
    ("callbacks", "settings"),
    [
        ([FreezeNormStats()], {}),
        ([UnfreezeEncoder(1), FreezeNormStats()], {}),
        ([FreezeNormStats(), UnfreezeEncoder(1)], {}),
        ([FreezeNormStats()], {"freeze": "until_epoch"}),
    ],
    ids=["alone", "after", "before", "with the setting"],
)
def test_norm_statistics_stay_and_norm_weights_learn(tmp_path, callbacks, settings):
    model = SegmentationFineTuner(**tiny(**settings))
    before = copy_of(model.model.encoder)
    trainer(tmp_path, max_epochs=3, callbacks=callbacks).fit(model, datamodule=ToyData())
    after = copy_of(model.model.encoder)
    for key in before:
        statistic = "running" in key or "num_batches" in key
        assert torch.equal(before[key], after[key]) == statistic, key


def test_layerwise_rates(tmp_path):
    model = SegmentationFineTuner(**tiny(lr=1e-2, encoder_lr_decay=0.5, weight_decay=0.1))
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData())
    groups = run.optimizers[0].param_groups
    base = {group["name"]: group["initial_lr"] for group in groups}
    assert base["decoder"] == 1e-2
    stages = [base[f"encoder stage {i}"] for i in (3, 2, 1)]
    assert stages == pytest.approx([0.5e-2, 0.25e-2, 0.125e-2])
    rate_of = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    assert rate_of[id(model.model.encoder.stages[0][0].weight)] == pytest.approx(0.125e-2)
    assert rate_of[id(model.model.head.conv.weight)] == 1e-2
    norms = {
        id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()
    }
    for group in groups:
        spared = {id(p) for p in group["params"]} & norms
        assert group["weight_decay"] == (0.0 if spared or "no decay" in group["name"] else 0.1)


def test_schedule_warms_up_and_ends_near_zero(tmp_path):
    model = SegmentationFineTuner(**tiny(warmup_steps=3))
    rates = []

    class Note(Watch):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            rates.append(optimizer.param_groups[0]["lr"] / model.hparams.lr)

    run = trainer(tmp_path, max_epochs=5, callbacks=[Note(1)])
    run.fit(model, datamodule=ToyData())
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert len(rates) == 10
    assert rates[-1] < 0.06
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_a_seed_gives_the_same_model_and_leaves_the_global_stream(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = SegmentationFineTuner(**tiny(seed=7))
    assert torch.equal(torch.rand(1), expected)
    assert equal_states(copy_of(first), copy_of(SegmentationFineTuner(**tiny(seed=7))))
    assert not equal_states(copy_of(first), copy_of(SegmentationFineTuner(**tiny(seed=8))))
    torch.manual_seed(3)
    loose = SegmentationFineTuner(**tiny(seed=None))
    assert not equal_states(copy_of(loose), copy_of(SegmentationFineTuner(**tiny(seed=None))))


class Interrupt(Callback):
    """Writes a checkpoint after some steps and ends the run, as a killed job would."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step and trainer.global_step % 3:
            self._end(trainer)

    def on_train_epoch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            self._end(trainer)

    def _end(self, trainer):
        trainer.save_checkpoint(self.path)
        raise KeyboardInterrupt


RESUMED = {
    "plain": {},
    "until_epoch": {"freeze": "until_epoch", "unfreeze_epoch": 2},
    "frozen": {"freeze": "encoder"},
}


@pytest.mark.parametrize("stop", ["at an epoch's end", "within an epoch"])
@pytest.mark.parametrize("kind", RESUMED)
def test_resume_equals_an_uninterrupted_run(tmp_path, kind, stop):
    # The toy encoder has dropout, so this also holds for the random numbers of each step.
    settings = tiny(**RESUMED[kind])
    whole = SegmentationFineTuner(**settings)
    trainer(tmp_path, max_epochs=4).fit(whole, datamodule=ToyData(cases=9))

    first = SegmentationFineTuner(**settings)
    torch.manual_seed(1)  # a resumed run must not depend on the global stream
    interrupt = Interrupt(6 if stop == "at an epoch's end" else 7, tmp_path / "stopped.ckpt")
    run = trainer(tmp_path, max_epochs=4, callbacks=[interrupt])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run.fit(first, datamodule=ToyData(cases=9))
    assert run.global_step == interrupt.step

    torch.manual_seed(2)
    again = SegmentationFineTuner(**settings | {"seed": 0})
    run = trainer(tmp_path, max_epochs=4)
    run.fit(again, datamodule=ToyData(cases=9), ckpt_path=tmp_path / "stopped.ckpt")
    assert run.global_step == 12
    assert equal_states(copy_of(whole), copy_of(again))


def test_default_callbacks_keep_the_best_and_the_last(tmp_path):
    model = SegmentationFineTuner(**tiny())
    run = trainer(
        tmp_path,
        max_epochs=6,
        callbacks=model.default_callbacks(),
        enable_checkpointing=True,
        limit_val_batches=1.0,
    )
    run.fit(model, datamodule=ToyData())
    keeper = run.checkpoint_callback
    assert keeper.monitor == "val_dice"
    last = torch.load(keeper.last_model_path, weights_only=True)
    assert (last["epoch"], last["global_step"]) == (5, 12)
    assert torch.load(keeper.best_model_path, weights_only=True)["epoch"] <= 5
    assert len(list(tmp_path.rglob("*.ckpt"))) == 2
    best = float(keeper.best_model_score)
    scores = run.test(model, datamodule=ToyData(), ckpt_path="best", verbose=False)[0]
    assert scores["test_dice"] == pytest.approx(best)


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({"limit_val_batches": 0}, [0, 1, 2, 3]),
        ({"limit_val_batches": 1.0, "check_val_every_n_epoch": 2}, [1, 3]),
        (
            {"limit_val_batches": 1.0, "check_val_every_n_epoch": None, "val_check_interval": 3},
            [1, 2, 4],  # and once more at the end, when four epochs are over
        ),
        ({"limit_val_batches": 1.0, "check_val_every_n_epoch": 3}, [2, 4]),
        ({"limit_val_batches": 1.0, "num_sanity_val_steps": 2}, [0, 1, 2, 3]),
    ],
)
def test_the_last_checkpoint_follows_validation(tmp_path, settings, epochs):
    written = []

    class Listening(BestAndLast):
        def _keep_last(self, trainer):
            super()._keep_last(trainer)
            written.append(torch.load(self.last_model_path, weights_only=True)["epoch"])

    settings = {
        "enable_checkpointing": True,
        "max_epochs": 4,
        "callbacks": [Listening()],
    } | settings
    run = trainer(tmp_path, **settings)
    run.fit(SegmentationFineTuner(**tiny()), datamodule=ToyData())
    assert written == epochs


def test_the_last_checkpoint_is_of_the_last_step_copied_or_saved(tmp_path):
    copied, improved = [], []

    class Listening(BestAndLast):
        def _keep_last(self, trainer):
            super()._keep_last(trainer)
            best, last = Path(self.best_model_path), Path(self.last_model_path)
            assert torch.load(last, weights_only=True)["global_step"] == trainer.global_step
            copied.append(best.read_bytes() == last.read_bytes())
            improved.append(self._saved_at == trainer.global_step)
            assert not last.samefile(best)

    model = SegmentationFineTuner(**tiny())
    run = trainer(
        tmp_path,
        enable_checkpointing=True,
        limit_val_batches=1.0,
        max_epochs=8,
        callbacks=[Listening()],
    )
    run.fit(model, datamodule=ToyData())
    assert copied == improved
    assert set(copied) == {True, False}  # some validations improved and some did not
    assert not list(tmp_path.rglob("*.part"))


def test_the_last_checkpoint_is_of_this_fit_where_the_callback_has_seen_another(tmp_path):
    keep = BestAndLast(tmp_path)
    settings = {"enable_checkpointing": True, "limit_val_batches": 1.0, "max_epochs": 1}
    first, second = SegmentationFineTuner(**tiny()), SegmentationFineTuner(**tiny(), seed=1)
    trainer(tmp_path, callbacks=[keep], **settings).fit(first, datamodule=ToyData())
    keep.best_model_score = torch.tensor(2.0)  # the second fit, of as many steps, is no better
    keep.best_k_models = dict.fromkeys(keep.best_k_models, keep.best_model_score)
    keep.kth_value = keep.best_model_score
    trainer(tmp_path, callbacks=[keep], **settings).fit(second, datamodule=ToyData())
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert equal_states(last["state_dict"], copy_of(second))


def test_resume_from_the_last_checkpoint_equals_an_uninterrupted_run(tmp_path):
    settings = {"enable_checkpointing": True, "limit_val_batches": 1.0}
    whole = SegmentationFineTuner(**tiny())
    keep = BestAndLast(tmp_path / "whole")
    trainer(tmp_path, max_epochs=4, callbacks=[keep], **settings).fit(whole, datamodule=ToyData())

    class Killed(Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 5:
                raise KeyboardInterrupt

    first = BestAndLast(tmp_path / "parts")
    run = trainer(tmp_path, max_epochs=4, callbacks=[first, Killed()], **settings)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run.fit(SegmentationFineTuner(**tiny()), datamodule=ToyData())
    again, second = SegmentationFineTuner(**tiny()), BestAndLast(tmp_path / "parts")
    run = trainer(tmp_path, max_epochs=4, callbacks=[second], **settings)
    run.fit(again, datamodule=ToyData(), ckpt_path="last")
    assert equal_states(copy_of(whole), copy_of(again))
    assert float(second.best_model_score) == float(keep.best_model_score)
    assert len(list((tmp_path / "parts").glob("*.ckpt"))) == 2
