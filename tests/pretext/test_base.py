"""What the base class tells authors: what a task lacks, and what batches and settings may be."""

import math

import pytest
import torch
from pretext_toys import TINY, trainer
from smallest_task import Mean, fit, images
from torch import nn

import muscletransfer as mt
from muscletransfer.errors import (
    ChannelMismatchError,
    ContractError,
    DataError,
    ImageSizeError,
    SettingError,
    UnknownNameError,
)


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
        (lambda: Mean(lr=math.inf), SettingError, "lr=inf.*wanted finite numbers"),
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
