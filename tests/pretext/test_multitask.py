"""Several tasks on one encoder, and tasks one after the other; each leaves its record."""

import copy
import math
import pickle

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from pretext_toys import TINY, ToyData, discs, loader, textured, trainer
from torch.nn import functional as F

import muscletransfer as mt
from muscletransfer.errors import ContractError, DataError, SettingError, UnknownNameError
from muscletransfer.pretext import ClassificationHead, MultiTaskPretext
from muscletransfer.transfer import read_artifact

BOTH = {
    "rotation": {},
    "restore": {
        "name": "reconstruction",
        "corruption": "mask",
        "patch_size": 8,
        "decoder_kwargs": {"decoder_channels": [16, 8, 8]},
    },
}


def make(tasks=BOTH, **settings):
    seed_everything(0)
    return MultiTaskPretext(tasks, **{"encoder": TINY, "depth": 3, "warmup_steps": 2, **settings})


def data(count=8):
    return ToyData(batch_size=4, image=textured(count, 32))


def test_the_loss_is_the_weighted_sum_and_each_task_is_logged():
    task = make(task_weights={"rotation": 0.25})
    run = trainer()
    scores = run.validate(task, datamodule=data(), verbose=False)[0]
    expected = 0.25 * scores["val_rotation_loss"] + scores["val_restore_loss"]
    assert scores["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert {"val_rotation_accuracy", "val_rotation_chance", "val_restore_psnr"} <= set(scores)
    assert all(math.isfinite(value) for value in scores.values())


def test_all_tasks_learn():
    image, mask, label = discs(8, 32)
    tasks = {"classification": {"num_classes": 2}, "restore": BOTH["restore"]}
    task = make(tasks, lr=1e-2)
    source = ToyData(batch_size=8, image=image, mask=mask, label=label)
    found = []
    for _ in range(2):
        run = trainer(40)
        found.append(run.validate(task, datamodule=source, verbose=False)[0])
        run.fit(task, datamodule=source)
    for name in ("val_classification_loss", "val_restore_loss"):
        assert found[1][name] < 0.7 * found[0][name]


def test_gradient_is_the_weighted_sum_of_each_tasks_own():
    batch = {"image": textured(4, 32)}
    task = make(task_weights={"restore": 3.0})
    inputs, targets = task.make_targets(batch)
    task.compute_loss(task(inputs), targets).backward()
    together = [p.grad.clone() for p in task.encoder.parameters()]
    parts = []
    for label, weight in (("rotation", 1.0), ("restore", 3.0)):
        task.zero_grad()
        one = task.tasks[label]
        (weight * one.compute_loss(one(inputs[label]), targets[label])).backward()
        parts.append([p.grad.clone() for p in task.encoder.parameters()])
    for whole, first, second in zip(together, *parts, strict=True):
        torch.testing.assert_close(whole, first + second, rtol=1e-3, atol=1e-6)


def test_a_checkpoint_holds_encoder_and_decoder_once_and_comes_back(tmp_path):
    task = make(seed=3)
    run = trainer(2)
    run.fit(task, datamodule=data())
    run.save_checkpoint(tmp_path / "t.ckpt")
    keys = torch.load(tmp_path / "t.ckpt", weights_only=True)["state_dict"]
    assert not [key for key in keys if key.startswith("tasks.") and "coder." in key]
    again = MultiTaskPretext.load_from_checkpoint(tmp_path / "t.ckpt")
    for key, value in task.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert dict(again.hparams) == dict(task.hparams)
    found = read_artifact(tmp_path / "t.ckpt")
    assert found.decoder_spec["name"] == "unet"
    assert found.provenance.hyperparameters["tasks"]["restore"]["corruption"] == "mask"


def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole, first, resumed = make(), make(), make()
    trainer(6).fit(whole, datamodule=data(12))
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    trainer(6, callbacks=[keep], enable_checkpointing=True).fit(first, datamodule=data(12))
    trainer(6).fit(resumed, datamodule=data(12), ckpt_path=tmp_path / "step=3.ckpt")
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_each_task_draws_anew_in_each_step_and_as_its_seed_says():
    seen = {}
    for seed in (0, 0, 1):
        task = make(seed=seed)
        task.generator.manual_seed(task.seed)
        inputs, _ = task.make_targets({"image": textured(8, 32)})
        seen.setdefault(seed, []).append(inputs["rotation"])
    assert torch.equal(*seen[0])
    assert not torch.equal(seen[0][0], seen[1][0])


def test_copies_share_one_encoder_of_their_own():
    task = make()
    for other in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert other.encoder is not task.encoder
        assert all(one.encoder is other.encoder for one in other.tasks.values())


class Plain(mt.PretextTask):
    """A task of another package that takes few arguments."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, **kwargs):
        super().__init__(encoder, in_channels, **kwargs)
        self.head = ClassificationHead(self.encoder.out_channels[-1], 1)

    def make_targets(self, batch):
        return batch["image"], batch["image"].mean((1, 2, 3))

    def compute_loss(self, outputs, targets):
        return F.mse_loss(outputs[:, 0], targets) / (0 if self.global_step == 1 else 1)


mt.register_pretext("tests/plain", override=True)(Plain)


def test_a_loss_that_is_not_finite_names_its_task():
    task = make({"rotation": {}, "plain": {"name": "tests/plain"}})
    with pytest.raises(
        SettingError, match=r"task 'plain' \(Plain\) is inf, in train.*compute_loss"
    ):
        trainer(3).fit(task, datamodule=data())


class Follows(Plain):
    """Keeps a record of its hooks, as a task with a moving average does its work in them."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, **kwargs):
        super().__init__(encoder, in_channels, **kwargs)
        self.register_buffer("steps", torch.zeros(()))
        self.called = []

    def compute_loss(self, outputs, targets):
        return F.mse_loss(outputs[:, 0], targets)

    def on_fit_start(self):
        super().on_fit_start()
        self.called.append("on_fit_start")

    def on_train_start(self):
        self.called.append("on_train_start")

    def on_before_optimizer_step(self, optimizer):
        self.called.append("on_before_optimizer_step")

    def on_before_zero_grad(self, optimizer):
        self.called.append("on_before_zero_grad")

    def on_after_backward(self):
        super().on_after_backward()
        self.called.append("on_after_backward")

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.steps += 1
        self.log("seen", self.steps, on_step=True)

    def on_validation_batch_end(self, outputs, batch, batch_idx):
        self.called.append(f"on_validation_batch_end {batch_idx}")

    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        self.called.append("on_validation_epoch_end")


mt.register_pretext("tests/follows", override=True)(Follows)


def test_hooks_of_a_task_are_called_as_when_it_is_alone():
    together = make({"rotation": {}, "follows": {"name": "tests/follows"}})
    alone = mt.create_pretext("tests/follows", encoder=TINY, depth=3)
    for task in (together, alone):
        trainer(-1, max_epochs=1).fit(task, datamodule=data())
    inner = together.tasks["follows"]
    assert inner.called == alone.called
    assert {"on_before_zero_grad", "on_validation_batch_end 1"} <= set(inner.called)
    assert inner.steps == alone.steps == 2


def test_what_tasks_log_in_their_hooks_is_told_apart():
    task = make({label: {"name": "tests/follows"} for label in ("one", "two")})
    task = pickle.loads(pickle.dumps(copy.deepcopy(task)))
    task.tasks["two"].steps += 10
    run = trainer(2)
    run.fit(task, datamodule=data())
    assert run.callback_metrics["one_seen"] == 2
    assert run.callback_metrics["two_seen"] == 12


def test_one_task_can_end_the_epoch():
    ends = {"on_train_batch_start": lambda self, batch, batch_idx: -1 if batch_idx else None}
    mt.register_pretext("tests/ends", override=True)(type("Ends", (Follows,), ends))
    task = make({"ends": {"name": "tests/ends"}, "rotation": {}})
    run = trainer(-1, max_epochs=1)
    run.fit(task, datamodule=data())
    assert run.global_step == task.tasks["ends"].steps == 1


@pytest.mark.parametrize(
    "hook", ["parameter_groups", "configure_optimizers", "optimizer_step", "on_save_checkpoint"]
)
def test_a_task_whose_hook_would_not_be_called_is_refused(hook):
    kind = type("Other", (Plain,), {hook: lambda self, *args: None})
    mt.register_pretext("tests/other", override=True)(kind)
    with pytest.raises(ContractError, match=rf"'other' \(Other, .*overrides {hook}, which is not"):
        make({"rotation": {}, "other": {"name": "tests/other"}})


def test_what_a_task_lacks_names_the_task():
    task = make({"rotation": {}, "classification": {"num_classes": 2}})
    with pytest.raises(DataError, match=r"multitask \(classification\)' needs batch\['label'\]"):
        trainer(1).fit(task, loader(image=textured(4, 32)))


@pytest.mark.parametrize(
    ("tasks", "more", "error", "message"),
    [
        ({}, {}, SettingError, "wanted the arguments of each task"),
        ({"rotatoin": {}}, {}, UnknownNameError, "rotation"),
        ({"a/b": {}}, {}, SettingError, "cannot stand in the names"),
        ({"keys": {"name": "rotation"}}, {}, SettingError, "label 'keys' is a name that torch"),
        ({"train": {"name": "rotation"}}, {}, SettingError, "label 'train' is a name that torch"),
        ({"rotation": {"encoder_kwargs": {}}}, {}, SettingError, r"encoder=.*\"kwargs\""),
        ({"rotation": {"lr": 1}}, {}, SettingError, "given lr, which all tasks share"),
        (BOTH, {"task_weights": {"rotation": 0}}, SettingError, "above 0"),
        (BOTH, {"task_weights": {"jigsaw": 1}}, SettingError, "'rotation', 'restore'"),
        (BOTH, {"decoder_of": "rotation"}, SettingError, "trains a decoder: 'restore'"),
    ],
)
def test_settings(tasks, more, error, message):
    with pytest.raises(error, match=message):
        make(tasks, **more)


def test_the_encoder_is_built_as_the_decoders_need_it():
    tasks = {"rotation": {}, "reconstruction": {"decoder": "deeplabv3plus"}}
    task = make(tasks, encoder="timm/resnet10t", depth=5)
    assert task.encoder.output_stride == 16
    both = {**tasks, "segmentation": {"num_classes": 2, "decoder": "fcn"}}
    with pytest.raises(SettingError, match="16 for 'deeplabv3plus' and 8 for 'fcn'"):
        make(both, encoder="timm/resnet10t", depth=5)
    said = {"name": "timm/resnet10t", "kwargs": {"output_stride": 8}}
    assert make(both, encoder=said, depth=5).encoder.output_stride == 8
    assert (
        make(
            both, encoder=mt.create_encoder("timm/resnet10t", output_stride=8), depth=5
        ).encoder.output_stride
        == 8
    )


def test_a_chain_of_tasks_keeps_every_record(tmp_path):
    """One after the other: rotation, then two at once, then SimCLR."""
    first = mt.create_pretext("rotation", encoder=TINY, depth=3)
    trainer(1).fit(first, datamodule=data())
    start = mt.save_encoder(first, tmp_path / "first.safetensors")
    second = make(weights=str(start))
    for key, value in first.encoder.state_dict().items():
        assert torch.equal(second.encoder.state_dict()[key], value), key
    run = trainer(1)
    run.fit(second, datamodule=data())
    run.save_checkpoint(tmp_path / "second.ckpt")
    third = mt.create_pretext(
        "simclr", encoder=TINY, depth=3, weights=str(tmp_path / "second.ckpt")
    )
    trainer(1).fit(third, datamodule=data())
    last = mt.save_encoder(third, tmp_path / "third.safetensors")
    for path in (start, tmp_path / "second.ckpt"):
        path.unlink()  # the record needs none of the files it speaks of

    records = read_artifact(last).provenance.chain()
    assert [record.task for record in records] == ["simclr", "multitask", "rotation"]
    assert all(record.sha256 for record in records)
    assert records[1].hyperparameters["tasks"]["restore"]["name"] == "reconstruction"


def test_figures_are_of_the_images_that_their_task_counts():
    body, air = textured(4), torch.zeros(4, 1, 64, 64)
    task = MultiTaskPretext({"rotation": {}, "jigsaw": {"grid": 2}}, TINY, depth=3)
    found = [
        trainer().validate(task, loader(4, image=image), verbose=False)[0]
        for image in (body, torch.cat((body, air)))
    ]
    for name in ("val_jigsaw_loss", "val_jigsaw_accuracy"):
        assert found[1][name] == pytest.approx(found[0][name])
    assert found[1]["val_rotation_loss"] != pytest.approx(found[0]["val_rotation_loss"])
