"""Own loss, decoder and augmentations by path: used, saved, loaded again, refused when wrong."""

import own_parts
import pretext_toys
import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from small_cohort import make_small_cohort

from muscletransfer.data import Augmentation, LowDataModule, PreprocessingSpec, PretextDataModule
from muscletransfer.data.augmentation.own import OwnAugmentation
from muscletransfer.decoders import create_decoder
from muscletransfer.encoders import create_encoder
from muscletransfer.errors import (
    ContractError,
    DataError,
    PluginError,
    SettingError,
    UnknownNameError,
)
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.losses import CrossEntropyLoss, SoftDiceLoss, WeightedSumLoss
from muscletransfer.transfer import inspect_file


def tuner(**settings):
    return SegmentationFineTuner(**{**tiny(), "decoder_kwargs": None, **settings})


def test_loss_and_decoder_by_path_come_back_from_the_checkpoint(tmp_path):
    model = tuner(
        loss="own_parts.OwnLoss",
        loss_kwargs={"foreground": 3.0},
        decoder="own_parts.OwnDecoder",
        decoder_kwargs={"width": 4},
    )
    run = trainer(tmp_path)
    run.fit(model, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "own.ckpt")
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "own.ckpt")
    assert isinstance(again.loss, own_parts.OwnLoss)
    assert again.loss.foreground == 3.0
    assert isinstance(again.model.decoder, own_parts.OwnDecoder)
    assert equal_states(copy_of(model), copy_of(again))
    assert trainer(tmp_path).test(again, datamodule=ToyData(), verbose=False)[0]["test_loss"] > 0
    record = inspect_file(tmp_path / "own.ckpt")
    assert record.decoder == {"name": "own_parts.OwnDecoder", "kwargs": {"width": 4}}
    assert record.hyperparameters["loss"] == "own_parts.OwnLoss"
    # And its weights can start another run, decoder and all.
    other = {"decoder": "own_parts.OwnDecoder", "decoder_kwargs": {"width": 4}}
    started = tuner(weights=tmp_path / "own.ckpt", transfer="encoder+decoder", **other, seed=9)
    assert equal_states(copy_of(started.model.decoder), copy_of(model.model.decoder))


@pytest.mark.parametrize("weight", [torch.tensor([1.0, 2.0, 3.0]), [1, 2, 3]])
@pytest.mark.parametrize("loss", ["torch.nn.CrossEntropyLoss", "monai.losses.DiceCELoss"])
def test_class_weights_of_a_foreign_loss_come_back(tmp_path, loss, weight):
    model = tuner(num_classes=3, loss=loss, loss_kwargs={"weight": weight})
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData(num_classes=3))
    run.save_checkpoint(tmp_path / "own.ckpt")
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "own.ckpt")
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    assert torch.equal(again.loss(logits, target), model.loss(logits, target))
    plain = tuner(num_classes=3, loss=loss)
    assert not torch.equal(plain.loss(logits, target), model.loss(logits, target))


def test_numbers_stay_numbers_where_a_loss_takes_them():
    given = {"pos_weight": 2.0}
    model = tuner(loss="torch.nn.BCEWithLogitsLoss", loss_kwargs=given)
    assert torch.equal(model.loss.loss.pos_weight, torch.tensor(2.0))
    focal = tuner(num_classes=3, loss="monai.losses.FocalLoss", loss_kwargs={"weight": [1, 2, 3]})
    assert focal.loss.loss.weight == [1, 2, 3]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"weight": [[1], [2, 3]]}, "'weight' of CrossEntropyLoss is .*wanted a tensor"),
        ({"weight": "heavy"}, r"CrossEntropyLoss' cannot be made with .*'heavy'"),
    ],
)
def test_arguments_that_a_foreign_loss_refuses_are_named(kwargs, message):
    with pytest.raises(ContractError, match=message):
        tuner(num_classes=3, loss="torch.nn.CrossEntropyLoss", loss_kwargs=kwargs)


def test_a_ready_loss_that_ignores_another_value_is_refused():
    with pytest.raises(ContractError, match=r"ignores the value -100.*ignore_index=255"):
        tuner(loss=CrossEntropyLoss(1, ignore_index=-100))
    with pytest.raises(SettingError, match=r"ignore_index \[\(1, -1\), \(1, 255\)\]"):
        WeightedSumLoss([CrossEntropyLoss(1), SoftDiceLoss(1, ignore_index=-1)])
    with pytest.raises(SettingError, match=r"\[\(1, 255\), \(2, 255\)\]"):
        WeightedSumLoss([CrossEntropyLoss(1), SoftDiceLoss(2)])


def test_own_loss_is_the_one_that_is_minimised():
    model = tuner(loss="own_parts.OwnLoss", loss_kwargs={"foreground": 3.0})
    logits, target = torch.randn(2, 1, 4, 4), torch.randint(2, (2, 4, 4))
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], target.float(), reduction="none"
    )
    wanted = (each * torch.where(target == 1, 3.0, 1.0)).mean()
    torch.testing.assert_close(model.loss(logits, target), wanted)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"loss": "own_parts.OwnLos"}, UnknownNameError, "Did you mean 'own_parts.OwnLoss'"),
        ({"loss": "broken_parts.Loss"}, PluginError, "broken_parts.*ZeroDivisionError"),
        ({"decoder": "own_parts.OwnDecodr"}, UnknownNameError, "Did you mean 'own_parts.OwnDec"),
        ({"decoder": "own_parts.own_transform"}, ContractError, "not the class of an nn.Module"),
        ({"decoder": "torch.nn.Identity"}, ContractError, "is no decoder"),
        ({"decoder": "broken_parts.Decoder"}, PluginError, "decoder 'broken_parts.Decoder'"),
        (
            {"decoder": "own_parts.OwnDecoder", "decoder_kwargs": {"widht": 1}},
            ContractError,
            "widht",
        ),
    ],
)
def test_wrong_paths_say_what_is_wrong(settings, error, message, tmp_path, monkeypatch):
    (tmp_path / "broken_parts.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=message):
        tuner(**settings)


def test_decoder_by_path_on_a_real_encoder():
    encoder = create_encoder("timm/resnet10t")
    decoder = create_decoder("own_parts.OwnDecoder", encoder, width=6)
    assert decoder(encoder(torch.zeros(1, 1, 64, 64))).shape == (1, 6, 4, 4)


def test_own_pretext_task_with_own_loss_and_metric(tmp_path):
    task = own_parts.OwnTask(pretext_toys.TINY, depth=3, smoothing=0.3)
    run = pretext_toys.trainer(3)
    run.fit(task, datamodule=pretext_toys.ToyData(image=pretext_toys.textured(8)))
    assert {"train_right", "train_loss"} <= set(run.callback_metrics)
    run.save_checkpoint(tmp_path / "own.ckpt")
    assert own_parts.OwnTask.load_from_checkpoint(tmp_path / "own.ckpt").smoothing == 0.3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_small_cohort(tmp_path_factory.mktemp("cohort"), patients=8)


def batch_of(manifest, **settings):
    data = LowDataModule(
        manifest,
        train_patients=3,
        val_patients=1,
        batch_size=4,
        preprocessing=PreprocessingSpec(size=32),
        cache_dir=manifest.parent / "cache",
        **settings,
    )
    data.setup("fit")
    stored = next(iter(data.train_dataloader()))
    return data, stored, data.on_after_batch_transfer(dict(stored), 0)


def test_own_augmentation_of_a_batch(cohort):
    data, stored, batch = batch_of(cohort, augmentation=own_parts.OwnAugmentation(dim=0.2))
    plain = batch_of(cohort, augmentation=None)[2]
    same = (batch["mask"] == plain["mask"]).flatten(1).all(1)
    mirrored = (batch["mask"] == plain["mask"].flip(-1)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert not same.all()
    # Draws of the generator and of torch's own state both follow the step.
    again = data.on_after_batch_transfer(dict(stored), 0)
    assert torch.equal(batch["image"], again["image"])
    assert not torch.equal(batch["image"], plain["image"])
    assert data.describe()["augmentation"] == {"name": "OwnAugmentation"}


def test_own_subclass_and_transform_of_samples(cohort):
    class Darker(Augmentation):
        def __call__(self, image, mask, generator):
            image, mask = super().__call__(image, mask, generator)
            return 0.5 * image, mask

    plain = batch_of(cohort, augmentation=None)[2]
    dark = batch_of(cohort, augmentation=Darker.none())[2]
    torch.testing.assert_close(dark["image"], 0.5 * plain["image"])
    data, _, turned = batch_of(cohort, transform=own_parts.own_transform)
    assert data.describe()["transform"] == "own_transform"
    assert batch_of(cohort, augmentation=None)[0].describe()["transform"] is None
    images = PretextDataModule(
        cohort, size=32, cache_dir=cohort.parent / "cache", transform=own_parts.own_transform
    )
    assert images.describe()["transform"] == "own_transform"
    torch.testing.assert_close(turned["image"], plain["image"].flip(-1, -2))
    assert torch.equal(turned["mask"], plain["mask"].flip(-1, -2))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda image, mask, generator: image, "wanted the pair"),
        (lambda image, mask, generator: (image[..., 1:], mask), "returned as image"),
        (lambda image, mask, generator: (image, mask.float()), r"as mask: .*whole numbers"),
        (lambda image: (image, None), r"called with \(image, mask, generator\)"),
    ],
)
def test_wrong_augmentations_say_what_is_wrong(function, message):
    image, mask = torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match=message):
        OwnAugmentation(function)(image, mask, torch.Generator())
