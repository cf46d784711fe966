"""Each task really trains, on grey and colour images, and hands its encoder on."""

import math

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from pretext_toys import ENCODER, TINY, ToyData, discs, gratings, textured, trainer

import muscletransfer as mt
from muscletransfer.pretext import create_pretext
from muscletransfer.transfer import read_artifact

TASKS = {
    "jigsaw": {"grid": 2, "rotation": 0.0},
    "reconstruction": {"corruption": "mask", "patch_size": 8},
    "classification": {"num_classes": 2},
    "segmentation": {"num_classes": 2},
    "rotation": {},
    "masked": {"mask_ratio": 0.5},
    "simclr": {"rotation": 0.0, "flip": False},
}
TRAINS_DECODER = {"reconstruction", "segmentation", "masked"}
STRIPED = {"masked", "simclr"}


def make(name, channels=1, **changes):
    seed_everything(0)
    settings = {"encoder": TINY, "depth": 3, "in_channels": channels, "lr": 1e-2}
    settings["warmup_steps"] = 2
    if name in TRAINS_DECODER and "decoder" not in changes:
        settings["decoder_kwargs"] = {"decoder_channels": [16, 8, 8]}
    return create_pretext(name, **{**settings, **TASKS[name], **changes})


def tensors(name, channels=1, count=8, side=32):
    if name in STRIPED:
        return {"image": gratings(count, side, channels=channels)}
    if name in {"jigsaw", "rotation"}:
        return {"image": textured(count, side, channels=channels)}
    image, mask, label = discs(count, side, channels=channels)
    return {"image": image, "mask": mask, "label": label}


def fixed_loss(task, data):
    """The loss on the data with the same draws each time."""
    with torch.no_grad():
        task.generator.manual_seed(1)
        inputs, targets = task.make_targets(data)
        return task.compute_loss(task(inputs), targets).item()


@pytest.mark.parametrize(("channels", "encoder"), [(1, TINY), (3, TINY), (1, ENCODER)])
@pytest.mark.parametrize("name", TASKS)
def test_loss_goes_down_and_validation_logs_finite_scores(name, channels, encoder):
    real = encoder != TINY
    changes = {"encoder": encoder, "depth": 5, "decoder_kwargs": None} if real else {}
    if name not in TRAINS_DECODER:
        changes.pop("decoder_kwargs", None)
    task = make(name, channels, **changes)
    puzzle = name in {"jigsaw", "rotation"}  # a new one at each step, so it takes longer
    data = tensors(name, channels, side=64 if real or puzzle else 32)
    before = fixed_loss(task, data)
    run = trainer(12 if real else 120 if puzzle else 40)
    run.fit(task, datamodule=ToyData(batch_size=8, **data))
    after = fixed_loss(task.train(), data)
    # two of four patches of 32 pixels are hidden from the real one
    assert after < (0.85 if real and name == "masked" else 0.7) * before
    wanted = {
        "jigsaw": {"accuracy", "chance"},
        "reconstruction": {"psnr", "ssim", "psnr_input"},
        "classification": {"accuracy", "macro_accuracy", "chance"},
        "segmentation": {"dice", "iou"},
        "rotation": {"accuracy", "chance"},
        "masked": {"trivial_loss"},
        "simclr": {"accuracy", "chance", "spread"},
    }[name]
    run.validate(task, datamodule=ToyData(batch_size=8, **data), verbose=False)
    logged = run.callback_metrics
    assert {f"val_{key}" for key in wanted | {"loss"}} == set(logged)
    assert all(math.isfinite(value) for value in logged.values())


@pytest.mark.parametrize(
    "settings",
    [
        {"corruption": "none", "loss": "l2"},
        {"corruption": "noise", "loss": "ssim"},
        {"corruption": "swap", "loss": "l1", "loss_on": "corrupted", "patch_size": 6, "swaps": 4},
        {"corruption": "mask", "loss": "ssim", "loss_on": "corrupted", "patch_size": 4},
    ],
)
def test_every_kind_of_reconstruction_learns(settings):
    task = make("reconstruction", **settings)
    data = tensors("reconstruction", count=4)
    before = fixed_loss(task, data)
    trainer(15).fit(task, datamodule=ToyData(**data))
    assert fixed_loss(task.train(), data) < 0.8 * before


@pytest.mark.parametrize("name", TASKS)
def test_checkpoint_holds_plain_types_and_comes_back_with_the_same_features(name, tmp_path):
    task = make(name, seed=3)
    run = trainer(2)
    run.fit(task, datamodule=ToyData(**tensors(name)))
    path = tmp_path / "task.ckpt"
    run.save_checkpoint(path)

    checkpoint = torch.load(path, weights_only=True)
    block = checkpoint["muscletransfer"]
    assert block["encoder"]["name"] == TINY
    assert block["encoder_prefix"] == "encoder."
    assert (block["decoder_prefix"] == "decoder.") == (name in TRAINS_DECODER)
    assert checkpoint["hyper_parameters"]["seed"] == 3
    record = mt.Provenance.from_dict(block["provenance"])
    assert record.task == name
    assert record.data == {"manifest_hash": "abc", "patients": 3, "images": 8, "seed": 0}
    assert record.preprocessing["size"] == 64
    assert record.licence == "CC0-1.0"

    again = type(task).load_from_checkpoint(path)
    images = torch.rand(2, 1, 32, 32)
    for key, value in task.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    with torch.no_grad():
        pairs = zip(task.eval().encoder(images), again.eval().encoder(images), strict=True)
        for one, other in pairs:  # memory layouts differ, so sums are taken in another order
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    assert dict(again.hparams) == dict(task.hparams)
    assert again.provenance().created == record.created


@pytest.mark.parametrize("name", TASKS)
def test_exported_encoder_loads_into_a_fresh_one(name, tmp_path):
    task = make(name)
    trainer(2).fit(task, datamodule=ToyData(**tensors(name)))
    path = mt.save_encoder(task, tmp_path / "e.safetensors", include_decoder=name in TRAINS_DECODER)
    fresh = mt.create_encoder(TINY, depth=3)
    report = mt.load_encoder(fresh, path)
    assert report.complete
    for key, value in task.encoder.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value), key
    assert (read_artifact(path).decoder_state is not None) == (name in TRAINS_DECODER)
    follower = make("classification", weights=str(path))
    assert [r.task for r in follower.provenance().chain()] == ["classification", name]


make_task = make


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("stop", [3, 6])
def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(name, stop, tmp_path):
    """Stopped within the second epoch, or at its end (three batches an epoch)."""
    data = ToyData(**tensors(name, count=12))

    def make(name):
        task = make_task(name)
        task.head = torch.nn.Sequential(torch.nn.Dropout(0.3), task.head)
        torch.rand(1)  # what else a program draws must not matter
        return task

    whole = make(name)
    trainer(8).fit(whole, datamodule=data)

    keep = ModelCheckpoint(tmp_path, every_n_train_steps=stop, save_top_k=-1, filename="{step}")
    first = make(name)
    trainer(8, callbacks=[keep], enable_checkpointing=True).fit(first, datamodule=data)
    (path,) = tmp_path.glob(f"step={stop}.ckpt")
    resumed = make(name)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.mul_(3)  # nothing of its own start may survive
    run = trainer(8)
    run.fit(resumed, datamodule=data, ckpt_path=path)
    assert run.global_step == 8
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("precision", "changes"),
    [("32-true", {"channels_last": False}), ("bf16-mixed", {}), ("bf16-true", {})],
)
@pytest.mark.parametrize("name", TASKS)
def test_precisions_and_layouts(name, precision, changes):
    if name == "reconstruction":
        changes = {**changes, "loss": "ssim"}
    task = make(name, **changes)
    run = trainer(2, precision=precision)
    run.fit(task, datamodule=ToyData(**tensors(name)))
    assert torch.isfinite(run.callback_metrics["train_loss"])
    kernel = next(p for p in task.encoder.parameters() if p.ndim == 4 and p.shape[1] > 1)
    assert kernel.is_contiguous(memory_format=torch.channels_last) == task.channels_last


def test_decoder_that_wants_a_dilated_encoder_gets_one():
    task = create_pretext("segmentation", encoder=ENCODER, num_classes=2, decoder="deeplabv3plus")
    assert task.encoder.output_stride == 16
    assert task(torch.rand(2, 1, 64, 64)).shape == (2, 2, 64, 64)


def test_layout_changes_no_feature():
    task = make("classification").eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        before = task(images)
        task.setup("fit")
        torch.testing.assert_close(task(images), before, atol=1e-5, rtol=1e-4)


def test_validation_draws_the_same_in_each_epoch_and_training_does_not():
    class Recorder(mt.JigsawPretext):
        def make_targets(self, batch):
            inputs, targets = super().make_targets(batch)
            drawn.setdefault(self.stage, []).append(inputs.detach().clone())
            return inputs, targets

    drawn = {}
    task = Recorder(TINY, depth=3, grid=2)
    data = ToyData(batch_size=8, **tensors("jigsaw"))
    trainer(max_steps=-1, max_epochs=2).fit(task, datamodule=data)
    first, second = drawn["val"]
    assert torch.equal(first, second)
    first, second = drawn["train"]
    assert not torch.equal(first, second)
    assert not torch.equal(drawn["train"][0], drawn["val"][0])


def test_classification_scores_are_exact_over_the_epoch():
    """Uneven batches and classes: neither is a mean of batch values."""
    task = make("classification", num_classes=3)
    image = torch.rand(7, 1, 32, 32)
    label = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    task.eval()
    with torch.no_grad():
        predicted = task(image).argmax(1)
    run = trainer()
    run.validate(task, datamodule=ToyData(batch_size=3, image=image, label=label), verbose=False)
    right = (predicted == label).float()
    macro = [right[label == k].mean() for k in range(3)]
    assert run.callback_metrics["val_accuracy"].item() == pytest.approx(right.mean().item())
    assert run.callback_metrics["val_macro_accuracy"].item() == pytest.approx(
        torch.stack(macro).mean().item()
    )


def test_segmentation_ignores_marked_pixels_in_loss_and_scores():
    task = make("segmentation", num_classes=3).eval()
    image, mask, _ = discs(4, 32)
    marked = mask.clone()
    marked[:, :16] = 255
    logits = torch.randn(4, 3, 32, 32)
    changed = logits.clone()
    changed[:, :, :16] += 10 * torch.randn(4, 3, 16, 32)
    _, targets = task.make_targets({"image": image, "mask": marked})
    assert torch.equal(task.compute_loss(logits, targets), task.compute_loss(changed, targets))
    task.stage = "val"
    first = task.add_metrics(logits, targets)["iou"].compute()
    task.iou.reset()
    assert torch.equal(first, task.add_metrics(changed, targets)["iou"].compute())
