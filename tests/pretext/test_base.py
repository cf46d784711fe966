"""What the base class promises authors and users: settings, messages, provenance."""

import copy
import inspect
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning import Trainer
from pretext_toys import TINY, TinyEncoder, ToyData, discs, loader, textured, trainer
from torch import nn

import muscletransfer as mt
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import (
    ChannelMismatchError,
    ContractError,
    DataError,
    ImageSizeError,
    SettingError,
    UnknownNameError,
)
from muscletransfer.pretext import (
    ClassificationHead,
    MaskedImagePretext,
    RotationPretext,
    SimCLRPretext,
)
from muscletransfer.pretext.seeding import step_seed
from muscletransfer.transfer import PreprocessingMismatchWarning


class Mean(mt.PretextTask):
    """The smallest task: guess the mean brightness."""

    def __init__(self, encoder=TINY, in_channels=1, depth=3, **kwargs):
        super().__init__(encoder, in_channels, depth, **kwargs)
        self.head = ClassificationHead(self.encoder.out_channels[-1], 1)

    def make_targets(self, batch):
        return batch["image"], batch["image"].mean((1, 2, 3))

    def compute_loss(self, outputs, targets):
        return F.mse_loss(outputs[:, 0], targets)


def images(count=4, channels=1, side=32):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def fit(task, **changes):
    run = trainer(changes.pop("max_steps", 2))
    run.fit(task, loader(**{"image": images(), **changes}))
    return run


# What an author can get wrong ---------------------------------------------------------------------


def test_base_class_itself_is_no_task():
    with pytest.raises(ContractError, match=r"PretextTask does not define make_targets\(batch\)"):
        mt.PretextTask()


def test_missing_loss():
    class Half(mt.PretextTask):
        def make_targets(self, batch):
            return batch, batch

    with pytest.raises(ContractError, match=r"Half does not define compute_loss\(outputs"):
        Half()


def test_head_forgotten_or_misnamed_is_found_before_the_first_step():
    class Misnamed(Mean):
        def __init__(self):
            super().__init__()
            del self.head
            self.classifier = nn.Linear(32, 1)

    with pytest.raises(ContractError, match=r"no self.head.*Is self.classifier meant to be it"):
        fit(Misnamed())


def test_own_forward_needs_no_head():
    class Own(Mean):
        def __init__(self):
            super().__init__()
            self.project = self.head
            del self.head

        def forward(self, inputs):
            return self.project(self.encoder(inputs)[-1])

    fit(Own())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda image: image, "returned Tensor; wanted the pair"),
        (lambda image: (image, image, image), "returned 3 values"),
    ],
)
def test_targets_must_be_a_pair(returned, message):
    class Wrong(Mean):
        def make_targets(self, batch):
            return returned(batch["image"])

    with pytest.raises(ContractError, match=message):
        fit(Wrong())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda out, target: (out[:, 0] - target) ** 2, r"returned shape \(4,\); wanted a scalar"),
        (lambda out, target: 0.5, "returned float; wanted a scalar"),
        (
            lambda out, target: (out.detach()[:, 0] - target).mean(),
            "depends on no trainable parameter",
        ),
    ],
)
def test_loss_must_be_a_scalar_that_can_be_learned(loss, message):
    class Wrong(Mean):
        def compute_loss(self, outputs, targets):
            return loss(outputs, targets)

    with pytest.raises(ContractError, match=message):
        fit(Wrong())


def test_a_forward_that_leaves_the_encoder_out_is_found():
    class Bypass(Mean):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(1, 1)

        def forward(self, inputs):
            return self.head(inputs.mean((1, 2, 3))[:, None])

    with pytest.raises(ContractError, match="does not reach the encoder"):
        fit(Bypass())


def test_decoder_that_no_file_could_describe_is_found_before_the_first_step():
    class Odd(Mean):
        def __init__(self):
            super().__init__()
            self.decoder = nn.Identity()

        def forward(self, inputs):
            return self.head(self.encoder(inputs)[-1])

    with pytest.raises(ContractError, match="spec"):
        fit(Odd())


def test_no_overridable_method_is_called_by_the_constructor():
    class Watched(Mean):
        def __getattribute__(self, name):
            if name in {"make_targets", "compute_loss", "forward", "add_metrics", "setup"}:
                raise AssertionError(f"{name} was touched by __init__")
            return super().__getattribute__(name)

    Watched()


# What a user can get wrong ------------------------------------------------------------------------


def test_colour_images_into_a_grey_encoder():
    with pytest.raises(ChannelMismatchError, match=r"have 3 channels.*takes 1.*in_channels=3"):
        fit(Mean(), image=images(channels=3))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(4, 1, 32, 32, dtype=torch.int16), r"torch.int16 of shape \(4, 1, 32, 32\)"),
        (torch.zeros(4, 32, 32), r"shape \(4, 32, 32\)"),
    ],
)
def test_images_that_are_no_images(image, message):
    with pytest.raises(DataError, match=message):
        fit(Mean(), image=image)


def test_a_batch_that_is_no_dict():
    with pytest.raises(DataError, match=r"batch of type list.*wanted a dict"):
        trainer(1).fit(
            Mean(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images()))
        )


def test_size_that_the_encoder_cannot_take():
    task = mt.ReconstructionPretext("timm/resnet10t", patch_size=8)
    with pytest.raises(ImageSizeError, match="50 x 50"):
        fit(task, image=images(side=50))


@pytest.mark.parametrize(
    ("task", "key", "kind"),
    [
        (lambda: mt.ClassificationPretext(2, TINY, depth=3), "label", "class_folder"),
        (lambda: mt.SegmentationPretext(2, TINY, depth=3), "mask", "mask_folders"),
    ],
)
def test_missing_annotation_names_the_data_that_has_it(task, key, kind):
    with pytest.raises(DataError, match=rf"needs batch\['{key}'\].*only 'image'.*{kind}"):
        fit(task())


def test_labels_out_of_range_say_what_was_found():
    task = mt.ClassificationPretext(3, TINY, depth=3)
    with pytest.raises(DataError, match=r"holds 3, 7; wanted class indices 0 to 2.*num_classes=8"):
        fit(task, label=torch.tensor([0, 3, 7, 2]))
    with pytest.raises(DataError, match="float32; wanted whole class indices"):
        fit(task, label=torch.rand(4))


def test_mask_values_and_shapes():
    task = mt.SegmentationPretext(2, TINY, depth=3)
    mask = torch.zeros(4, 32, 32, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"\(4, 1, 32, 32\); wanted \(4, 32, 32\)"):
        fit(task, mask=mask[:, None])
    mask[0, 0, 0] = 255
    fit(task, mask=mask)
    mask[0, 0, 1] = 9
    with pytest.raises(DataError, match=r"holds 9; wanted class indices 0 to 1 or 255 \(ignored\)"):
        fit(task, mask=mask)


def test_nan_loss_names_task_step_and_what_to_try():
    class Breaks(Mean):
        def compute_loss(self, outputs, targets):
            loss = super().compute_loss(outputs, targets)
            return loss / 0 if self.global_step == 1 else loss

    with pytest.raises(SettingError, match=r"Breaks is inf at train step 1.*smaller lr.*0.001"):
        fit(Breaks(), max_steps=4)


def test_nan_in_the_images_is_told_apart():
    broken = images()
    broken[2, 0, 0, 0] = math.nan
    with pytest.raises(SettingError, match="images themselves hold NaN"):
        fit(Mean(), image=broken)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Mean(lr=0), SettingError, "lr=0"),
        (lambda: Mean(warmup_steps=-1), SettingError, "warmup_steps=-1"),
        (lambda: Mean(encoder="resnet18"), UnknownNameError, "timm/resnet18"),
        (lambda: Mean(stem="sum"), SettingError, "sum"),
        (lambda: mt.ClassificationPretext(1, TINY, depth=3), SettingError, "num_classes=1"),
        (lambda: mt.SegmentationPretext(256, TINY, depth=3), SettingError, "ignore_index=255"),
        (lambda: mt.SegmentationPretext(2, TINY, depth=3, loss="dise"), UnknownNameError, "dice"),
        (
            lambda: mt.SegmentationPretext(2, TINY, depth=3, decoder="unett"),
            UnknownNameError,
            "unet",
        ),
        (
            lambda: mt.ReconstructionPretext(TINY, depth=3, corruption="swop"),
            UnknownNameError,
            "swap",
        ),
        (lambda: mt.ReconstructionPretext(TINY, depth=3, loss="l3"), UnknownNameError, "'l1'"),
        (
            lambda: mt.ReconstructionPretext(TINY, depth=3, mask_ratio=1),
            SettingError,
            "mask_ratio=1",
        ),
        (
            lambda: mt.ReconstructionPretext(
                TINY, depth=3, corruption="noise", loss_on="corrupted"
            ),
            SettingError,
            'loss_on="all"',
        ),
        (lambda: mt.create_pretext("jigsw"), UnknownNameError, "jigsaw"),
    ],
)
def test_settings_that_cannot_work(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Hyperparameters and reloading --------------------------------------------------------------------


def saved(task, path, **data):
    run = fit(task, max_steps=1, **data)
    run.save_checkpoint(path)
    return torch.load(path, weights_only=True)


def test_arguments_are_stored_as_plain_values(tmp_path):
    class Rich(Mean):
        def __init__(self, size, folder, rate, options=None, **kwargs):
            kwargs = {**kwargs, "warmup_steps": 0}  # changed before super() sees it
            super().__init__(**kwargs)

    task = Rich((2, 3), Path("a") / "b", np.float64(0.5), {"x": [1]}, lr=0.01)
    checkpoint = saved(task, tmp_path / "t.ckpt")
    assert checkpoint["hyper_parameters"] == {
        "size": [2, 3],
        "folder": "a/b",
        "rate": 0.5,
        "options": {"x": [1]},
        "lr": 0.01,
    }
    recorded = checkpoint["muscletransfer"]["provenance"]["hyperparameters"]
    assert recorded["warmup_steps"] == 0
    assert recorded["seed"] == 0


def test_subclass_that_fixes_arguments_of_its_parent_comes_back(tmp_path):
    class Fixed(Mean):
        def __init__(self, lr=0.01):
            super().__init__(depth=3, seed=7, lr=lr)

    saved(Fixed(lr=0.02), tmp_path / "t.ckpt")
    again = Fixed.load_from_checkpoint(tmp_path / "t.ckpt")
    assert (again.lr, again.seed) == (0.02, 7)


def test_encoder_module_is_trained_in_place_and_stored_as_its_spec(tmp_path):
    encoder = TinyEncoder(width=4)
    task = Mean(encoder)
    assert task.encoder is encoder
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also: no warning that a module is among the arguments
        warnings.filterwarnings("ignore", module="lightning")
        checkpoint = saved(task, tmp_path / "t.ckpt")
    assert checkpoint["hyper_parameters"]["encoder"] == encoder.spec.to_dict()
    again = Mean.load_from_checkpoint(tmp_path / "t.ckpt")
    assert again.encoder.out_channels == [1, 4, 8, 16]
    assert Mean(EncoderSpec(TINY, 1, 3, {"width": 4})).encoder.out_channels == [1, 4, 8, 16]
    assert Mean({"name": TINY, "kwargs": {"width": 4}}).encoder.out_channels == [1, 4, 8, 16]


def test_object_arguments_must_be_passed_again(tmp_path):
    path = tmp_path / "t.ckpt"
    mask = torch.zeros(4, 32, 32, dtype=torch.long)
    task = mt.SegmentationPretext(2, TINY, depth=3, loss=nn.CrossEntropyLoss())
    checkpoint = saved(task, path, mask=mask)
    assert "loss" not in checkpoint["hyper_parameters"]
    with pytest.raises(ContractError, match=r"objects for loss.*loss=\.\.\."):
        mt.SegmentationPretext.load_from_checkpoint(path)
    again = mt.SegmentationPretext.load_from_checkpoint(path, loss=nn.CrossEntropyLoss())
    assert again.num_classes == 2


def test_checkpoint_of_another_task_is_refused_by_name(tmp_path):
    saved(Mean(), tmp_path / "t.ckpt")
    with pytest.raises(ContractError, match=r"holds a Mean, not a JigsawPretext.*weights=path"):
        mt.JigsawPretext.load_from_checkpoint(tmp_path / "t.ckpt")


def test_damaged_signature_fails_in_the_constructor_itself():
    with pytest.raises(TypeError, match="colour"):
        Mean(colour=3)


def test_copies_and_pickles():
    task = Mean(lr=0.5)
    _ = task.generator
    for other in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert other.hparams["lr"] == 0.5
        assert torch.equal(other.head.classify.weight, task.head.classify.weight)
        assert other.generator.initial_seed() == 0


def test_signatures_have_no_kwargs_and_every_argument_is_documented():
    for cls in (
        mt.JigsawPretext,
        mt.ReconstructionPretext,
        mt.ClassificationPretext,
        mt.SegmentationPretext,
        RotationPretext,
        MaskedImagePretext,
        SimCLRPretext,
    ):
        for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
            assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD, parameter
            assert f"        {parameter.name}: " in cls.__doc__, (cls, parameter.name)


# Provenance ---------------------------------------------------------------------------------------


def test_preprocessing_unlike_the_parents_warns_with_the_fields(tmp_path):
    first = Mean()
    run = trainer(1)
    run.fit(first, datamodule=ToyData({"size": 32, "hu_window": [-150, 250]}, image=images()))
    path = mt.save_encoder(first, tmp_path / "first.safetensors")
    other = ToyData({"size": 32, "hu_window": [-100, 200]}, image=images())
    with pytest.warns(PreprocessingMismatchWarning, match="hu_window.*-150.*-100"):
        trainer(1).fit(Mean(weights=str(path)), datamodule=other)
    same = ToyData({"size": 32, "hu_window": [-150, 250]}, image=images())
    with warnings.catch_warnings():
        warnings.simplefilter("error", PreprocessingMismatchWarning)
        trainer(1).fit(Mean(weights=str(path)), datamodule=same)


def test_resumed_and_reloaded_tasks_keep_their_history(tmp_path):
    first = Mean()
    trainer(1).fit(first, datamodule=ToyData(image=images()))
    weights = mt.save_encoder(first, tmp_path / "first.safetensors")
    run = trainer(2)
    run.fit(Mean(weights=str(weights)), datamodule=ToyData(image=images()))
    run.save_checkpoint(tmp_path / "second.ckpt")

    resumed = Mean()
    trainer(3).fit(resumed, datamodule=ToyData(image=images()), ckpt_path=tmp_path / "second.ckpt")
    assert [r.task for r in resumed.provenance().chain()] == ["Mean", "Mean"]
    reloaded = Mean.load_from_checkpoint(tmp_path / "second.ckpt")
    trainer().validate(reloaded, datamodule=ToyData({"size": 1}, image=images()), verbose=False)
    record = reloaded.provenance()
    assert record.data["patients"] == 3
    assert record.preprocessing["size"] == 64  # what it learned from, not what it was scored on


# Optimiser and random draws -----------------------------------------------------------------------


def rates(task, **changes):
    seen = []

    class Recorder(type(task)):
        def on_train_batch_start(self, batch, batch_idx):
            seen.append(self.optimizers().param_groups[0]["lr"])

    task.__class__ = Recorder
    trainer(**changes).fit(task, loader(1, image=images(6)))
    return seen


def test_warm_up_then_cosine_to_the_end_of_the_run():
    seen = rates(Mean(lr=1.0, warmup_steps=2), max_steps=6)
    assert seen == pytest.approx(
        [0.5, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4))]
    )
    by_epochs = rates(Mean(lr=1.0, warmup_steps=2), max_steps=-1, max_epochs=2)
    assert len(by_epochs) == 12
    assert by_epochs[-1] < 0.05


def test_a_run_without_a_known_length_keeps_its_rate():
    seen = rates(Mean(lr=0.1, warmup_steps=2), max_steps=-1, max_epochs=-1, max_time="00:00:00:01")
    assert seen[0] == pytest.approx(0.05)
    assert set(seen[2:]) == {0.1}


def test_biases_and_norms_do_not_decay_and_frozen_parameters_are_left_out():
    task = Mean(weight_decay=0.3)
    for parameter in task.encoder.stages[0].parameters():
        parameter.requires_grad_(False)
    task.trainer = Trainer(max_steps=5, accelerator="cpu", logger=False, barebones=True)
    groups = task.configure_optimizers()["optimizer"].param_groups
    assert [g["weight_decay"] for g in groups] == [0.3, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(task.parameters())) - 3


def test_optimiser_can_be_replaced():
    class Plain(Mean):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    run = fit(Plain())
    assert isinstance(run.optimizers[0], torch.optim.SGD)


def test_step_seeds_do_not_collide():
    seeds = {
        step_seed(seed, stage, epoch, batch, rank)
        for seed in range(3)
        for stage in ("train", "val")
        for epoch in range(5)
        for batch in range(20)
        for rank in range(4)
    }
    assert len(seeds) == 3 * 2 * 5 * 20 * 4


def test_training_leaves_draws_to_the_task_seed_and_not_to_the_global_state():

    class Recorder(mt.JigsawPretext):
        def make_targets(self, batch):
            pair = super().make_targets(batch)
            tiles.append(pair[0].clone())
            return pair

    runs = []
    for seed in (0, 0, 1):
        tiles = []
        torch.rand(3)
        task = Recorder(TINY, depth=3, grid=2, seed=seed)
        trainer(3).fit(task, loader(image=textured(8, 32)))
        runs.append(tiles)
    first, same, other = runs
    assert all(torch.equal(x, y) for x, y in zip(first, same, strict=True))
    assert not any(torch.equal(x, y) for x, y in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[2])  # same images, another epoch


def test_reconstruction_scores_in_the_range_of_the_images():
    """Standardising must not change the PSNR that is reported."""
    image, _, _ = discs(4, 32)
    found = []
    for mean, std in ((0.0, 1.0), (0.5, 0.25)):
        task = mt.ReconstructionPretext(TINY, depth=3, corruption="mask", patch_size=8)
        data = ToyData({"mean": mean, "std": std}, image=(image - mean) / std)
        run = trainer()
        run.validate(task, datamodule=data, verbose=False)
        found.append(run.callback_metrics["val_psnr_input"].item())
    assert found[0] == pytest.approx(found[1], abs=1e-3)


@pytest.mark.parametrize("kind", [mt.JigsawPretext, mt.ClassificationPretext, RotationPretext])
def test_a_task_that_was_validated_can_be_trained(kind):
    own = {"num_classes": 2} if kind is mt.ClassificationPretext else {}
    task = kind(encoder=TINY, depth=3, warmup_steps=1, **own)
    image, _, label = discs(8)
    source = ToyData(batch_size=4, image=image, label=label)
    before = trainer().validate(task, datamodule=source, verbose=False)
    trainer(2).fit(task, datamodule=source)
    assert trainer().validate(task, datamodule=source, verbose=False)[0].keys() == before[0].keys()
