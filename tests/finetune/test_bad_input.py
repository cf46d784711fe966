"""Wrong settings and wrong batches: an error of ours that says what to change."""

import math
from fractions import Fraction

import pytest
import torch
from finetune_toys import ToyData, tiny, trainer
from torch import nn

from muscletransfer.data import PreprocessingSpec
from muscletransfer.errors import (
    ChannelMismatchError,
    ContractError,
    DataError,
    ImageSizeError,
    SettingError,
    UnknownNameError,
    WeightsError,
)
from muscletransfer.finetune import SegmentationFineTuner, UnfreezeEncoder
from muscletransfer.finetune.checks import BatchCheck

SETTINGS = [
    ({"num_classes": 0}, SettingError, r"num_classes is 0; wanted 1 for one structure"),
    ({"num_classes": 2.5}, SettingError, r"num_classes is 2\.5"),
    ({"transfer": "encoder_decoder"}, UnknownNameError, r"Did you mean 'encoder\+decoder'"),
    ({"freeze": "encoders"}, UnknownNameError, "Did you mean 'encoder'"),
    ({"stem": "adapted"}, UnknownNameError, "Did you mean 'adapt'"),
    ({"freeze": "until_epoch", "unfreeze_epoch": 0}, SettingError, "epoch 0; wanted 1 or more"),
    ({"loss": "bce-dice"}, UnknownNameError, "Did you mean 'bce_dice'"),
    ({"decoder": "unets", "decoder_kwargs": None}, UnknownNameError, "Did you mean 'unet'"),
    ({"encoder": "resnet18", "depth": 5}, UnknownNameError, "'timm/resnet18'"),
    ({"lr": 0}, SettingError, "lr is 0; wanted a number above 0"),
    ({"lr": "1e-3"}, SettingError, "lr is '1e-3'"),
    ({"num_classes": "2"}, SettingError, "num_classes is '2'"),
    ({"freeze": "until_epoch", "unfreeze_epoch": "3"}, SettingError, "epoch '3'; wanted 1"),
    ({"lr": float("nan")}, SettingError, "lr is nan"),
    ({"lr": float("inf")}, SettingError, "lr is inf"),
    ({"lr": Fraction(1, 10)}, SettingError, "lr is Fraction"),  # which no checkpoint could hold
    ({"weight_decay": -1}, SettingError, "weight_decay is -1; wanted 0 or a number above"),
    ({"seed": -1}, SettingError, "seed is -1"),
    ({"warmup_steps": -1}, SettingError, "warmup_steps is -1"),
    ({"encoder_lr_decay": 1.5}, SettingError, r"encoder_lr_decay is 1\.5; wanted at most 1"),
    ({"encoder_lr_decay": 0}, SettingError, "encoder_lr_decay is 0; wanted a number above 0"),
    ({"class_names": ["a", "b"]}, SettingError, "wanted 1 different name"),
    ({"num_classes": 3, "class_names": ["a", "a"]}, SettingError, "wanted 2 different name"),
    ({"weights": "imagnet"}, UnknownNameError, "'imagenet'"),
    ({"weights": "no/such/file.ckpt"}, WeightsError, "No such file"),
    ({"encoder": nn.ReLU()}, ContractError, "out_channels"),
    ({"in_channels": 0}, (ContractError, SettingError), "in_channels"),
]


@pytest.mark.parametrize(("changes", "error", "message"), SETTINGS)
def test_settings(changes, error, message):
    with pytest.raises(error, match=message):
        SegmentationFineTuner(**tiny(**changes))


def test_the_unfreezing_callback_wants_a_task_of_ours(tmp_path):
    from lightning.pytorch.demos.boring_classes import BoringModel

    with pytest.raises(ContractError, match=r"has no encoder at 'model.encoder' or 'encoder'"):
        trainer(tmp_path, callbacks=[UnfreezeEncoder(1)]).fit(BoringModel())


def test_another_number_of_channels(tmp_path):
    data = ToyData(preprocessing=PreprocessingSpec(size=32, channels=3))
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(ChannelMismatchError, match=r"1 image channel.*with 3.*in_channels=3"):
        trainer(tmp_path).fit(model, datamodule=data)


def test_a_size_the_encoder_cannot_take(tmp_path):
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(ImageSizeError, match=r"36 x 36.*multiples of 8.*40 x 40"):
        trainer(tmp_path).fit(model, datamodule=ToyData(size=36))


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_mask_values_out_of_range_name_the_case(tmp_path, stage):
    data = ToyData(cases=4)
    data.slices.items[2]["mask"][3, 3] = 2
    model = SegmentationFineTuner(**tiny())
    message = r"case 2 holds the value 2; num_classes=1 allows 0 and 1.*num_classes=3"
    with pytest.raises(DataError, match=message):
        getattr(trainer(tmp_path, limit_val_batches=1.0), stage)(model, datamodule=data)


def test_values_no_class_can_have_suggest_no_class_count():
    check = BatchCheck(num_classes=3)
    check.masks(torch.tensor([[[0, 1, 2, 255]]]))
    with pytest.raises(
        DataError, match=r"item 0 of a batch holds the value -1.*without a label\. M"
    ):
        check.masks(torch.tensor([[[0, -1]]]))
    with pytest.raises(DataError, match="value 300"):
        check.masks(torch.tensor([[[0, 300]]]))
    with pytest.raises(DataError, match=r"shape \(1, 1, 2, 2\)"):
        check.masks(torch.zeros(1, 1, 2, 2, dtype=torch.long))
    with pytest.raises(DataError, match=r"torch\.float32; wanted \(B, H, W\) integers"):
        check.masks(torch.zeros(1, 2, 2))


def test_on_an_accelerator_masks_are_looked_at_now_and_then():
    # The meta device stands in for one: reading a value from it at once would fail.
    check = BatchCheck(num_classes=1, interval=3)
    for _ in range(2):
        check.masks(torch.zeros(1, 4, 4, dtype=torch.long, device="meta"))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        check.masks(torch.zeros(1, 4, 4, dtype=torch.long, device="meta"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda batch: batch.pop("mask"), "no 'mask', only 'image'"),
        (lambda batch: batch.pop("image"), "no 'image', only 'mask'"),
        (lambda batch: batch.pop("case"), "no 'case'"),
        (lambda batch: batch.pop("native_mask"), "no 'native_mask'"),
        (lambda batch: batch.update(native_mask=batch["native_mask"][:1]), "1 entries in 'native"),
    ],
)
def test_batches_that_lack_something(tmp_path, change, message):
    data = ToyData(cases=2)
    batch = data.slices.__getitems__([0, 1])
    change(batch)
    loader = torch.utils.data.DataLoader([batch], batch_size=None)
    with pytest.raises(DataError, match=message):
        trainer(tmp_path).test(SegmentationFineTuner(**tiny()), loader, verbose=False)


def test_tuples_are_no_batches(tmp_path):
    loader = torch.utils.data.DataLoader([(torch.zeros(1, 32, 32), torch.zeros(32, 32))])
    with pytest.raises(DataError, match="the batch is a list; wanted a dict with 'image'"):
        trainer(tmp_path).fit(SegmentationFineTuner(**tiny()), loader)


def test_an_image_that_is_no_number_names_the_case(tmp_path):
    data = ToyData(cases=4)
    data.slices.items[1]["image"][0, 0, 0] = float("nan")
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(DataError, match=r"loss is nan at step \d \(epoch 0\): the image of case 1"):
        trainer(tmp_path).fit(model, datamodule=data)


def test_an_image_that_is_no_number_is_not_scored(tmp_path):
    data = ToyData(cases=4)
    data.slices.items[3]["image"][0, 0, 0] = float("nan")
    with pytest.raises(DataError, match="the loss of case 3 is nan: the image of case 3 holds"):
        trainer(tmp_path).test(SegmentationFineTuner(**tiny()), datamodule=data, verbose=False)


def test_a_loss_that_is_no_number_for_a_sound_image_is_a_result(tmp_path):
    model = SegmentationFineTuner(**tiny())
    model.loss.forward = lambda logits, target: logits.mean() * float("nan")
    found = trainer(tmp_path).test(model, datamodule=ToyData(), verbose=False)[0]
    assert math.isnan(found["test_loss"])


def test_a_diverged_run_says_so(tmp_path):
    model = SegmentationFineTuner(**tiny(lr=1e30, warmup_steps=0))
    with pytest.raises(SettingError, match=r"the run diverged\. Try a smaller lr"):
        trainer(tmp_path, max_epochs=20).fit(model, datamodule=ToyData())


def test_the_table_is_not_there_before_scoring():
    with pytest.raises(DataError, match=r"no case was scored yet; call trainer\.validate"):
        SegmentationFineTuner(**tiny()).case_table()
