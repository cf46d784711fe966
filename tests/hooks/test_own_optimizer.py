"""Optimiser and schedule by path, name, class and function: built, saved, resumed, refused."""

import itertools
from fractions import Fraction
from functools import partial

import own_parts
import pretext_toys
import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, IterableDataset

from muscletransfer.errors import ContractError, PluginError, SettingError, UnknownNameError
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.pretext import RotationPretext
from muscletransfer.transfer import inspect_file


def tuner(**settings):
    return SegmentationFineTuner(**tiny(**settings))


def fitted(model, folder, data=None, ckpt_path=None, **changes):
    run = trainer(folder, **changes)
    run.fit(model, datamodule=data or ToyData(), ckpt_path=ckpt_path)
    return run


@pytest.mark.parametrize(
    "given",
    ["SGD", "torch.optim.SGD", SGD, partial(SGD, dampening=0.0), "own_parts.OwnOptimizer"],
)
def test_it_gets_the_groups_and_rates_of_the_task(given, tmp_path):
    model = tuner(lr=0.5, encoder_lr_decay=0.5, weight_decay=0.25)
    model.use_optimizer(given, momentum=0.8)
    run = trainer(tmp_path)
    run.fit(model, datamodule=ToyData())
    groups = run.optimizers[0].param_groups
    assert isinstance(run.optimizers[0], SGD)
    assert {group["momentum"] for group in groups} == {0.8}
    rates = {group["initial_lr"] for group in groups}
    assert rates == {0.5, 0.25, 0.125, 0.0625}  # decoder, and three stages of the encoder
    assert {group["weight_decay"] for group in groups} == {0.25, 0.0}


def test_rates_given_with_it_take_the_place_of_the_tasks(tmp_path):
    model = tuner(lr=0.5).use_optimizer("SGD", lr=0.1, weight_decay=0.0)
    assert (model.lr, model.weight_decay, model.hparams["lr"]) == (0.1, 0.0, 0.1)
    record = model.provenance().hyperparameters
    assert (record["lr"], record["weight_decay"]) == (0.1, 0.0)
    assert record["optimizer"] == {"name": "SGD", "class_path": "torch.optim.SGD", "init_args": {}}


def rates_of(run, model):
    seen = []

    def step(optimizer, closure=None, **kwargs):
        seen.append(optimizer.param_groups[0]["lr"])
        return original(optimizer, closure, **kwargs)

    original = SGD.step
    try:
        SGD.step = step
        run.fit(model, datamodule=ToyData(cases=6, batch_size=3))  # two steps an epoch
    finally:
        SGD.step = original
    return seen


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("own_parts.OwnSchedule", {}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        (
            "StepLR",
            {"step_size": 2, "gamma": 0.1, "interval": "step"},
            [1, 1, 0.1, 0.1, 0.01, 0.01],
        ),
        ("CosineAnnealingLR", {}, [1, 1, 0.75, 0.75, 0.25, 0.25]),  # T_max: three epochs
        ("PolynomialLR", {"total_iters": 3}, [1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3]),
        (None, {}, [1] * 6),
    ],
)
def test_schedules(name, settings, wanted, tmp_path):
    model = tuner(lr=1.0).use_optimizer("SGD").use_scheduler(name, **settings)
    assert rates_of(trainer(tmp_path, max_epochs=3), model) == pytest.approx(wanted)


class Counted(LRScheduler):
    """Knows its length and how often it was called."""

    def __init__(self, optimizer, T_max=None):
        self.T_max, self.calls = T_max, -1
        super().__init__(optimizer)

    def get_lr(self):
        self.calls += 1
        return [group["lr"] for group in self.optimizer.param_groups]


class RatesUsed(Callback):
    def __init__(self):
        self.seen = set()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.add(trainer.lr_scheduler_configs[0].scheduler.calls)


@pytest.mark.parametrize(
    ("options", "changes", "length"),
    [
        ({}, {"max_steps": 12}, 3),  # five steps an epoch
        ({}, {"max_steps": 12, "max_epochs": None}, 3),
        ({"frequency": 2}, {}, 3),
        ({"frequency": 2}, {"max_steps": 17}, 2),
        ({"interval": "step"}, {}, 25),
        ({"interval": "step", "frequency": 2}, {}, 11),
        ({"interval": "step", "frequency": 5}, {}, 5),
        ({"interval": "step", "frequency": 2}, {"max_steps": 7}, 3),
        ({"interval": "step", "frequency": 2}, {"max_steps": 12, "max_epochs": None}, 5),
        ({"interval": "step", "frequency": 2}, {"accumulate_grad_batches": 2}, 11),
        ({"interval": "step", "frequency": 9}, {}, 1),
    ],
)
def test_the_length_is_that_of_all_stretches_of_one_rate(options, changes, length, tmp_path):
    used = RatesUsed()
    run = trainer(tmp_path, callbacks=[used], **{"max_epochs": 5, **changes})
    run.fit(tuner().use_scheduler(Counted, **options), datamodule=ToyData(cases=15))
    assert run.lr_scheduler_configs[0].scheduler.T_max == length
    assert used.seen == set(range(length))


class Stream(IterableDataset):
    """Batches without an end, and so without a number."""

    def __iter__(self):
        return itertools.cycle(list(ToyData().train_dataloader()))


@pytest.mark.parametrize(("interval", "length"), [("step", 4), ("epoch", None)])
def test_the_length_of_a_stream_is_known_in_steps_alone(interval, length, tmp_path):
    run = trainer(tmp_path, max_epochs=None, max_steps=4)
    batches = DataLoader(Stream(), batch_size=None)
    run.fit(tuner().use_scheduler(Counted, interval=interval), batches)
    assert run.lr_scheduler_configs[0].scheduler.T_max == length


def test_a_cycle_gets_length_and_rates_of_the_run(tmp_path):
    model = tuner(lr=1.0).use_optimizer("SGD").use_scheduler("OneCycleLR", interval="step")
    seen = rates_of(trainer(tmp_path, max_epochs=3), model)
    assert len(seen) == 6
    assert 0.95 < max(seen) <= 1.0
    assert seen[-1] < 1e-3


def test_a_plateau_is_watched(tmp_path):
    model = tuner(lr=1.0).use_optimizer("SGD")
    model.use_scheduler("ReduceLROnPlateau", monitor="train_loss", patience=0, threshold=1e9)
    seen = rates_of(trainer(tmp_path, max_epochs=4), model)
    assert seen[0] == 1.0
    assert seen[-1] < 0.2
    with pytest.raises(SettingError, match="monitor='val_loss'"):
        model.use_scheduler("ReduceLROnPlateau")


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    def fresh():
        model = tuner(seed=4).use_optimizer("own_parts.OwnOptimizer", lr=0.05)
        return model.use_scheduler("StepLR", step_size=1, gamma=0.5)

    whole = fresh()
    fitted(whole, tmp_path, max_epochs=4)
    fitted(fresh(), tmp_path, max_epochs=2).save_checkpoint(tmp_path / "half.ckpt")

    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "half.ckpt")
    run = fitted(again, tmp_path, ckpt_path=tmp_path / "half.ckpt", max_epochs=4)
    assert type(run.optimizers[0]) is own_parts.OwnOptimizer
    assert run.lr_scheduler_configs[0].scheduler.gamma == 0.5
    assert equal_states(copy_of(whole), copy_of(again))
    bare = tuner(seed=4)  # the choice comes with the checkpoint
    fitted(bare, tmp_path, ckpt_path=tmp_path / "half.ckpt", max_epochs=4)
    assert equal_states(copy_of(whole), copy_of(bare))
    record = inspect_file(tmp_path / "half.ckpt").hyperparameters
    assert record["optimizer"]["class_path"] == "own_parts.OwnOptimizer"
    assert record["scheduler"]["init_args"] == {"step_size": 1, "gamma": 0.5}
    assert record["lr"] == 0.05


def test_a_resumed_run_records_the_rates_it_trains_with(tmp_path):
    first = tuner().use_optimizer("SGD", lr=0.05, weight_decay=0.5)
    fitted(first, tmp_path, max_epochs=1).save_checkpoint(tmp_path / "first.ckpt")
    again = tuner()
    run = fitted(again, tmp_path, ckpt_path=tmp_path / "first.ckpt")
    assert run.optimizers[0].param_groups[0]["initial_lr"] == 0.05
    run.save_checkpoint(tmp_path / "again.ckpt")
    record = inspect_file(tmp_path / "again.ckpt").hyperparameters
    assert (record["lr"], record["weight_decay"]) == (0.05, 0.5)
    assert again.hparams["lr"] == 0.05
    # After a reload an argument wins over what the file says.
    assert SegmentationFineTuner.load_from_checkpoint(tmp_path / "first.ckpt", lr=0.2).lr == 0.2


def test_a_class_that_fixed_the_rate_gets_the_chosen_one_back(tmp_path):
    class Fixed(SegmentationFineTuner):
        def __init__(self, width: int = 4):
            super().__init__(**tiny(encoder_kwargs={"width": width}))

    model = Fixed().use_optimizer("SGD", lr=0.05)
    fitted(model, tmp_path, max_epochs=1).save_checkpoint(tmp_path / "fixed.ckpt")
    assert Fixed.load_from_checkpoint(tmp_path / "fixed.ckpt").lr == 0.05


def test_another_optimizer_cannot_go_on(tmp_path):
    fitted(tuner(), tmp_path).save_checkpoint(tmp_path / "adamw.ckpt")
    with pytest.raises(SettingError, match=r"optimizer of the library.*this run has SGD.*weights="):
        fitted(tuner().use_optimizer("SGD"), tmp_path, ckpt_path=tmp_path / "adamw.ckpt")
    # Testing and starting anew from its weights are another matter.
    trainer(tmp_path).test(
        tuner().use_optimizer("SGD"), datamodule=ToyData(), ckpt_path=tmp_path / "adamw.ckpt"
    )
    fitted(tuner(weights=tmp_path / "adamw.ckpt").use_optimizer("SGD"), tmp_path)


def test_an_object_has_to_be_chosen_again_to_train(tmp_path):
    def make(groups, lr, weight_decay):
        return SGD(groups, lr=lr, weight_decay=weight_decay)

    fitted(tuner().use_optimizer(make), tmp_path).save_checkpoint(tmp_path / "made.ckpt")
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "made.ckpt")
    trainer(tmp_path).test(again, datamodule=ToyData())
    with pytest.raises(ContractError, match=r"used the optimizer make.*use_optimizer"):
        fitted(again, tmp_path)
    fitted(again.use_optimizer(make), tmp_path, ckpt_path=tmp_path / "made.ckpt", max_epochs=3)


def test_a_pretext_task_takes_them_and_the_multitask_too(tmp_path):
    task = RotationPretext(pretext_toys.TINY, depth=3).use_optimizer("RMSprop", alpha=0.9, lr=1e-3)
    task.use_scheduler("own_parts.OwnSchedule", interval="step")
    run = pretext_toys.trainer(3)
    run.fit(task, datamodule=pretext_toys.ToyData(image=pretext_toys.textured(8)))
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3 / 8)
    run.save_checkpoint(tmp_path / "task.ckpt")
    again = RotationPretext.load_from_checkpoint(tmp_path / "task.ckpt")
    assert again.optimizer_block() == task.optimizer_block()
    assert inspect_file(tmp_path / "task.ckpt").hyperparameters["optimizer"]["name"] == "RMSprop"


def test_own_configure_optimizers_still_wins(tmp_path):
    class Own(SegmentationFineTuner):
        def configure_optimizers(self):
            return SGD(self.parameter_groups(), lr=self.lr)

    run = fitted(Own(**tiny()), tmp_path)
    assert type(run.optimizers[0]) is SGD


@pytest.mark.parametrize(
    ("given", "kwargs", "error", "message"),
    [
        ("torch.optim.SDG", {}, UnknownNameError, r"optimizer 'torch.optim.SDG'.*torch.optim.SGD"),
        ("Adm", {}, UnknownNameError, "'Adam'"),
        ("no.such.Optimizer", {}, UnknownNameError, "path of a class"),
        ("torch.nn.Linear", {}, ContractError, "not a class derived from torch.optim.Optimizer"),
        ("SGD", {"momentun": 0.9}, ContractError, "momentun.*It takes: .*momentum"),
        ("SGD", {"lr": -1.0}, SettingError, "lr is -1.0"),
        ("SGD", {"lr": Fraction(1, 10)}, SettingError, "lr is Fraction"),
        ("SGD", {"lr": float("inf")}, SettingError, "lr is inf; wanted a number above 0"),
        ("SGD", {"weight_decay": float("nan")}, SettingError, "weight_decay is nan"),
        ("SGD", {"weight_decay": -1}, SettingError, "is -1; wanted 0 or a number above"),
        (3, {}, ContractError, "optimizer 3 is not"),
    ],
)
def test_wrong_optimizers_say_what_is_wrong(given, kwargs, error, message):
    with pytest.raises(error, match=message):
        tuner().use_optimizer(given, **kwargs)


@pytest.mark.parametrize(
    ("given", "kwargs", "error", "message"),
    [
        ("StepRL", {}, UnknownNameError, "'StepLR'"),
        ("StepLR", {}, ContractError, "missing a required argument: 'step_size'"),
        ("StepLR", {"step_size": 1, "interval": "day"}, SettingError, "'epoch' or 'step'"),
        ("StepLR", {"step_size": 1, "frequency": 0}, SettingError, "frequency is 0; wanted"),
        ("torch.optim.SGD", {}, ContractError, "lr_scheduler.LRScheduler"),
    ],
)
def test_wrong_schedules_say_what_is_wrong(given, kwargs, error, message):
    with pytest.raises(error, match=message):
        tuner().use_scheduler(given, **kwargs)


def test_a_module_that_breaks_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_optimizers.py").write_text("import missing_dependency_of_it\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"broken_optimizers.*No module named 'missing_dep"):
        tuner().use_optimizer("broken_optimizers.Own")


def test_a_module_that_breaks_by_a_value_is_named_too(tmp_path, monkeypatch):
    text = "raise ValueError('numpy.dtype size changed')\n"
    (tmp_path / "old_optimizers.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"old_optimizers.*ValueError: numpy.dtype size changed"):
        tuner().use_optimizer("old_optimizers.Own")
    for path in (".Own", "..Own", "torch..optim.SGD"):
        with pytest.raises(UnknownNameError, match="unknown optimizer"):
            tuner().use_optimizer(path)


def test_what_a_class_refuses_is_told_with_its_arguments(tmp_path):
    class Picky(Optimizer):
        def __init__(self, params, lr):
            raise ValueError("groups are not for me")

    with pytest.raises(SettingError, match=r"Picky could not be built.*groups are not for me"):
        fitted(tuner().use_optimizer(Picky), tmp_path)
    with pytest.raises(SettingError, match="LBFGS could not be built"):
        fitted(tuner().use_optimizer("LBFGS"), tmp_path)


def test_kinds_are_the_tasks_own(tmp_path):
    model = tuner()
    run = fitted(model, tmp_path)
    assert isinstance(run.optimizers[0], torch.optim.AdamW)
    rates = {"lr": model.lr, "weight_decay": model.weight_decay}
    assert model.optimizer_block() == rates | {"optimizer": None, "scheduler": None}
