"""What moves into a fine-tuner, what a checkpoint carries, and that it stands alone."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from finetune_toys import TINY, TinyEncoder, ToyData, copy_of, equal_states, tiny, trainer
from torch import nn

from muscletransfer.encoders import EncoderSpec, create_encoder
from muscletransfer.errors import ContractError, TransferError, UnknownNameError, WeightsError
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.transfer import (
    PreprocessingMismatchWarning,
    Provenance,
    inspect_file,
    read_artifact,
    save_encoder,
)


def written(tmp_path, name="source.ckpt", data=None, **settings):
    """Train a source model for an epoch and return it with its checkpoint."""
    model = SegmentationFineTuner(**tiny(**settings))
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=data or ToyData(num_classes=settings.get("num_classes", 1)))
    run.save_checkpoint(tmp_path / name)
    return model, tmp_path / name


def test_transfer_of_the_encoder_alone(tmp_path):
    source, path = written(tmp_path)
    model = SegmentationFineTuner(**tiny(weights=path, seed=5))
    assert equal_states(copy_of(source.model.encoder), copy_of(model.model.encoder))
    fresh = SegmentationFineTuner(**tiny(seed=5))
    assert equal_states(copy_of(fresh.model.decoder), copy_of(model.model.decoder))
    assert set(model.transfer_report.loaded) == set(model.model.encoder.state_dict())


def test_transfer_of_encoder_and_decoder(tmp_path):
    source, path = written(tmp_path, num_classes=3)
    model = SegmentationFineTuner(**tiny(weights=str(path), transfer="encoder+decoder", seed=5))
    assert equal_states(copy_of(source.model.encoder), copy_of(model.model.encoder))
    assert equal_states(copy_of(source.model.decoder), copy_of(model.model.decoder))
    assert model.model.head.conv.weight.shape[0] == 1
    assert any(key.startswith("decoder.") for key in model.transfer_report.loaded)


def test_an_artifact_without_decoder_says_so(tmp_path):
    encoder = create_encoder(TINY, depth=3)
    path = save_encoder(encoder, tmp_path / "encoder.safetensors")
    SegmentationFineTuner(**tiny(weights=path))
    with pytest.raises(TransferError, match=r"holds no decoder\. Use transfer='encoder'"):
        SegmentationFineTuner(**tiny(weights=path, transfer="encoder+decoder"))


def test_other_channels_need_the_stem_policy(tmp_path):
    path = save_encoder(create_encoder(TINY, in_channels=3, depth=3), tmp_path / "rgb.safetensors")
    with pytest.raises(TransferError, match="stem='adapt'"):
        SegmentationFineTuner(**tiny(weights=path))
    model = SegmentationFineTuner(**tiny(weights=path, stem="adapt"))
    assert model.provenance().stem.startswith("adapted 3->1")


def test_exported_encoder_and_decoder_come_back(tmp_path):
    source, _ = written(tmp_path)
    path = save_encoder(source, tmp_path / "both.safetensors", include_decoder=True)
    model = SegmentationFineTuner(**tiny(weights=path, transfer="encoder+decoder"))
    assert equal_states(copy_of(source.model.decoder), copy_of(model.model.decoder))


def test_provenance_chain_and_block(tmp_path):
    _, first = written(tmp_path)
    _, second = written(tmp_path, "second.ckpt", weights=first, transfer="encoder+decoder")
    chain = inspect_file(second).chain()
    assert [record.task for record in chain] == ["segmentation-finetuning"] * 2
    run = chain[0]
    assert run.hyperparameters["transfer"] == "encoder+decoder"
    assert run.hyperparameters["weights"] == str(first)
    assert run.data["patients"] == 6
    assert run.licence == "CC0-1.0"
    assert run.preprocessing == ToyData().preprocessing.to_dict()
    assert run.seed == 0
    assert run.parent.sha256 == inspect_file(first).sha256
    block = torch.load(second, weights_only=True)["muscletransfer"]
    json.dumps(block)
    assert block["encoder_prefix"] == "model.encoder."
    assert block["class_path"] == "muscletransfer.finetune.segmentation.SegmentationFineTuner"
    assert read_artifact(second).decoder_spec["name"] == "unet"


def test_weights_trained_further_keep_their_first_training(tmp_path):
    _, first = written(tmp_path)
    again = SegmentationFineTuner.load_from_checkpoint(first)
    assert len(again.provenance().chain()) == 1
    run = trainer(tmp_path, max_epochs=1)
    run.fit(again, datamodule=ToyData(cases=4))
    run.save_checkpoint(tmp_path / "second.ckpt")
    chain = inspect_file(tmp_path / "second.ckpt").chain()
    assert [record.data["patients"] for record in chain] == [4, 6]
    assert chain[1].sha256 == inspect_file(first).sha256
    # Resumed, it is still the second training and no third one.
    for model in (again, SegmentationFineTuner(**tiny())):
        run = trainer(tmp_path, max_epochs=2)
        run.fit(model, datamodule=ToyData(cases=4), ckpt_path=tmp_path / "second.ckpt")
        assert [record.data["patients"] for record in model.provenance().chain()] == [4, 6]
        # Nor is a test of it one, which reads a file of the time before.
        run.test(
            model, datamodule=ToyData(cases=4), ckpt_path=tmp_path / "second.ckpt", verbose=False
        )
        assert [record.data["patients"] for record in model.provenance().chain()] == [4, 6]


def test_reload_needs_nothing_but_the_checkpoint(tmp_path):
    _, source = written(tmp_path)
    model, path = written(tmp_path, "fine.ckpt", weights=source, transfer="encoder+decoder")
    source.unlink()
    with pytest.raises(WeightsError, match="No such file"):
        SegmentationFineTuner(**tiny(weights=source))
    again = SegmentationFineTuner.load_from_checkpoint(path)
    assert equal_states(copy_of(model), copy_of(again))
    image = torch.rand(1, 1, 32, 32)
    assert torch.equal(model.eval()(image), again.eval()(image))
    assert again.preprocessing == ToyData().preprocessing
    assert again.provenance().parent.task == "segmentation-finetuning"
    # Exported from the reloaded model, the history is still whole.
    exported = save_encoder(again, tmp_path / "again.safetensors")
    assert len(inspect_file(exported).chain()) == 2


def test_checkpoints_hold_plain_types_only(tmp_path):
    _, path = written(tmp_path, loss=nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0)))
    checkpoint = torch.load(path, weights_only=True)

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(k, (str, int)) and plain(v) for k, v in value.items())
        if isinstance(value, (list, tuple)):
            return all(map(plain, value))
        return value is None or type(value) in (bool, int, float, str, torch.Tensor)

    state = checkpoint.pop("state_dict")
    assert plain(dict(state))
    assert plain(checkpoint)
    assert "loss" not in checkpoint["hyper_parameters"]
    assert inspect_file(path).hyperparameters["loss"] == "<BCEWithLogitsLoss>"


def test_a_loss_given_as_a_module(tmp_path):
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))
    model, path = written(tmp_path, loss=loss)
    again = SegmentationFineTuner.load_from_checkpoint(path)
    image = torch.rand(1, 1, 32, 32)
    assert torch.equal(model.eval()(image), again.eval()(image))
    with pytest.raises(ContractError, match=r"<BCEWithLogitsLoss>.*load_from_checkpoint\(path, l"):
        trainer(tmp_path).test(again, datamodule=ToyData(), verbose=False)
    weighted = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    again = SegmentationFineTuner.load_from_checkpoint(path, loss=weighted)
    assert float(again.loss.loss.pos_weight) == 2.0  # the checkpoint has the value it trained with
    trainer(tmp_path).test(again, datamodule=ToyData(), verbose=False)
    # The other way round: tensors of a loss that the checkpoint lacks.
    _, path = written(tmp_path, "plain.ckpt")
    assert SegmentationFineTuner.load_from_checkpoint(path, loss=weighted).loss.loss is weighted


def test_encoders_given_as_spec_or_module(tmp_path):
    spec = EncoderSpec(TINY, 1, 3, {"width": 4})
    model, path = written(tmp_path, encoder=spec)
    assert model.hparams.encoder["kwargs"] == {"width": 4}
    again = SegmentationFineTuner.load_from_checkpoint(path)
    assert equal_states(copy_of(model), copy_of(again))
    module = TinyEncoder(1, 3, width=4)
    model, path = written(tmp_path, "module.ckpt", encoder=module)
    assert model.model.encoder is module
    again = SegmentationFineTuner.load_from_checkpoint(path)
    assert equal_states(copy_of(model), copy_of(again))


def test_a_module_nobody_can_rebuild_has_to_be_given_again(tmp_path):
    def own():
        encoder = TinyEncoder(1, 3, width=4)
        encoder.spec = EncoderSpec("mine/not-registered", 1, 3)
        return encoder

    with pytest.warns(UserWarning, match="not a registered encoder"):
        model, path = written(tmp_path, encoder=own())
    with pytest.raises(UnknownNameError, match=r"load_from_checkpoint\(path, encoder="):
        SegmentationFineTuner.load_from_checkpoint(path)
    again = SegmentationFineTuner.load_from_checkpoint(path, encoder=own())
    assert equal_states(copy_of(model), copy_of(again))


def test_subclasses_with_arguments_of_their_own(tmp_path):
    class Mine(SegmentationFineTuner):
        def __init__(self, width: int = 4, **kwargs):
            super().__init__(**tiny(encoder_kwargs={"width": width}, **kwargs))
            self.width = width

    assert Mine()._hparams_name is None  # though the encoder's arguments are the same dict
    model = Mine(width=12, weight_decay=0.5)
    assert dict(model.hparams) == {"width": 12, "weight_decay": 0.5}
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "mine.ckpt")
    assert inspect_file(tmp_path / "mine.ckpt").hyperparameters["decoder"] == "unet"
    again = Mine.load_from_checkpoint(tmp_path / "mine.ckpt")
    assert (again.width, again.weight_decay) == (12, 0.5)
    assert equal_states(copy_of(model), copy_of(again))


def test_an_array_is_kept_as_a_list(tmp_path):
    class Weighted(SegmentationFineTuner):
        def __init__(self, weights_of_classes, **kwargs):
            super().__init__(**tiny(**kwargs))

    for given in (np.array([1.0, 2.0]), torch.tensor([1.0, 2.0]), [1.0, 2.0]):
        model = Weighted(given)
        assert dict(model.hparams) == {"weights_of_classes": [1.0, 2.0]}
        assert dict(model.hparams_initial) == dict(model.hparams)


@dataclasses.dataclass
class Holder:
    net: object = None


def test_an_object_within_a_dataclass_has_to_be_given_again(tmp_path):
    class Held(SegmentationFineTuner):
        def __init__(self, holder, **kwargs):
            super().__init__(**tiny(**kwargs))

    assert dict(Held(Holder(3)).hparams) == {"holder": {"net": 3}}
    model = Held(Holder(nn.Linear(1, 1)))
    assert dict(model.hparams) == {}
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "held.ckpt")
    with pytest.raises(ContractError, match=r"objects for holder.*holder=\.\.\."):
        Held.load_from_checkpoint(tmp_path / "held.ckpt", holder=None)


@dataclasses.dataclass
class Alike:
    tolerance: float = 2.0

    def __call__(self, prediction, reference):
        return float((prediction == reference).float().mean())


def test_a_dataclass_that_is_called_is_an_object_and_not_its_fields(tmp_path):
    model = SegmentationFineTuner(**tiny(metrics={"alike": Alike()}))
    assert "metrics" not in model.hparams
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "own.ckpt")
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "own.ckpt")  # to predict
    assert again(torch.zeros(1, 1, 32, 32)).shape[-2:] == (32, 32)


class Doubling(SegmentationFineTuner):
    def forward(self, images):
        return super().forward(2 * images)


class Wide(SegmentationFineTuner):
    def __init__(self, width: int = 4):
        super().__init__(**tiny(encoder_kwargs={"width": width}))


@pytest.mark.filterwarnings("error:the checkpoint was written by")
def test_a_checkpoint_of_another_class_is_not_read_in_silence(tmp_path):
    for kind, arguments in ((Doubling, tiny()), (Wide, {})):
        run = trainer(tmp_path, max_epochs=1)
        run.fit(kind(**arguments), datamodule=ToyData())
        run.save_checkpoint(tmp_path / f"{kind.__name__}.ckpt")
        kind.load_from_checkpoint(tmp_path / f"{kind.__name__}.ckpt")
    with pytest.warns(UserWarning, match=r"by .*Doubling and is read as a Segmentation"):
        SegmentationFineTuner.load_from_checkpoint(tmp_path / "Doubling.ckpt")
    message = r"holds a Wide \(.*Wide\), not a SegmentationFineTuner.*Wide\.load_from_checkpoint"
    with pytest.raises(ContractError, match=message):
        SegmentationFineTuner.load_from_checkpoint(tmp_path / "Wide.ckpt")
    # What was trained as the library's class may go on as one of the user's.
    _, path = written(tmp_path)
    Doubling.load_from_checkpoint(path)


def test_another_preprocessing_than_the_parents_warns(tmp_path):
    _, source = written(tmp_path)
    model = SegmentationFineTuner(**tiny(weights=source))
    with pytest.warns(PreprocessingMismatchWarning, match="size: 32 then, 64 now"):
        trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData(size=64))
    again = SegmentationFineTuner.load_from_checkpoint(source)
    with pytest.warns(PreprocessingMismatchWarning, match="size: 32 then, 64 now"):
        trainer(tmp_path).test(again, datamodule=ToyData(size=64), verbose=False)


def test_a_run_without_data_module_still_has_a_record(tmp_path):
    model = SegmentationFineTuner(**tiny())
    run = trainer(tmp_path, max_epochs=1)
    data = ToyData()
    run.fit(model, data.train_dataloader())
    run.save_checkpoint(tmp_path / "loose.ckpt")
    record = inspect_file(tmp_path / "loose.ckpt")
    assert record.data == {}
    assert record.preprocessing == {}
    again = SegmentationFineTuner.load_from_checkpoint(tmp_path / "loose.ckpt")
    assert again.preprocessing is None
    assert isinstance(model.provenance(), Provenance)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"not a checkpoint", "pickled|cannot be read"),
        ({}, "is not a file of"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path, content, message):
    path = tmp_path / "model.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save({"state_dict": {"a": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match=message):
        SegmentationFineTuner.load_from_checkpoint(path)


def test_a_cut_checkpoint_is_refused(tmp_path):
    _, path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match=r"model|cannot be read"):
        SegmentationFineTuner.load_from_checkpoint(path)


def test_settings_that_the_weights_do_not_fit(tmp_path):
    _, path = written(tmp_path)
    message = r"with {'num_classes': 3}: size mismatch for model\.head.*transfer='encoder\+decoder'"
    with pytest.raises(TransferError, match=message):
        SegmentationFineTuner.load_from_checkpoint(path, num_classes=3)


def test_scoring_other_data_does_not_change_what_the_model_was_trained_on(tmp_path):
    model, _ = written(tmp_path)
    with pytest.warns(PreprocessingMismatchWarning, match="size: 32 then, 64 now"):
        trainer(tmp_path).test(model, datamodule=ToyData(size=64), verbose=False)
    assert model.preprocessing.size == 32
    assert model.provenance().preprocessing["size"] == 32
    assert model.case_table()[0]["dice"] >= 0


def test_the_model_is_a_plain_module():
    model = SegmentationFineTuner(**tiny())
    assert type(model.model).__mro__[1] is nn.Module
    with torch.no_grad():
        assert model.model.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)
