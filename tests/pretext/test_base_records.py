"""What the base class keeps: settings, checkpoints, copies, provenance."""

import copy
import inspect
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pretext_toys import TINY, TinyEncoder, ToyData, loader, trainer
from smallest_task import Mean, fit, images
from torch import nn

import muscletransfer as mt
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import (
    ContractError,
)
from muscletransfer.pretext import (
    MaskedImagePretext,
    RotationPretext,
    SimCLRPretext,
)
from muscletransfer.transfer import PreprocessingMismatchWarning, inspect_file


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


def test_numpy_values_leave_checkpoints_readable(tmp_path):
    task = Mean(lr=np.logspace(-3, -1, 3)[1], weight_decay=np.float32(0.5), seed=np.int64(1))
    checkpoint = saved(task, tmp_path / "t.ckpt")
    group = checkpoint["optimizer_states"][0]["param_groups"][0]
    assert (type(group["initial_lr"]), group["weight_decay"]) == (float, 0.5)
    again = Mean.load_from_checkpoint(tmp_path / "t.ckpt")
    assert (again.lr, again.weight_decay, again.seed) == (0.01, 0.5, 1)


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


class Activated(Mean):
    def __init__(self, encoder=TINY, in_channels=1, depth=3, activation=nn.ReLU):
        super().__init__(encoder, in_channels, depth)
        self.activation = activation


def test_an_object_in_place_of_a_default_object_must_be_passed_again(tmp_path):
    saved(Activated(), tmp_path / "default.ckpt")
    assert Activated.load_from_checkpoint(tmp_path / "default.ckpt").activation is nn.ReLU
    saved(Activated(activation=nn.GELU), tmp_path / "other.ckpt")
    with pytest.raises(ContractError, match=r"objects for activation.*activation=\.\.\."):
        Activated.load_from_checkpoint(tmp_path / "other.ckpt")


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
            assert f"\n    {parameter.name}: " in inspect.getdoc(cls), (cls, parameter.name)


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
    for task in (Mean(), first):  # one that has learned from these images before, too
        others = ToyData(image=images()[:3])
        trainer(3).fit(task, datamodule=others, ckpt_path=tmp_path / "second.ckpt")
        assert [r.data["images"] for r in task.provenance().chain()] == [3, 4, 4]
    reloaded = Mean.load_from_checkpoint(tmp_path / "second.ckpt")
    trainer().validate(reloaded, datamodule=ToyData({"size": 1}, image=images()), verbose=False)
    record = reloaded.provenance()
    assert record.data["patients"] == 3
    assert record.preprocessing["size"] == 64  # what it learned from, not what it was scored on


def test_a_reloaded_task_that_is_trained_further_has_a_record_of_its_own(tmp_path):
    saved(Mean(), tmp_path / "first.ckpt")
    again = Mean.load_from_checkpoint(tmp_path / "first.ckpt", lr=0.05)
    assert again.provenance().hyperparameters["lr"] == 1e-3  # nothing was trained since
    record = saved(again, tmp_path / "second.ckpt")["muscletransfer"]["provenance"]
    assert record["hyperparameters"]["lr"] == 0.05
    assert record["parent"]["hyperparameters"]["lr"] == 1e-3
    assert record["parent"]["sha256"] == inspect_file(tmp_path / "first.ckpt").sha256
    assert record["parent"]["parent"] is None


def test_a_second_fit_of_one_task_keeps_its_first_training(tmp_path):
    task = Mean()
    trainer(1).fit(task, datamodule=ToyData(image=images()))
    record = task.provenance()
    trainer(1).fit(task, datamodule=ToyData({"size": 1}, image=images()))
    chain = task.provenance().chain()
    assert [one.preprocessing["size"] for one in chain] == [1, 64]
    assert chain[1].data == record.data
    trainer(0).fit(task, datamodule=ToyData({"size": 2}, image=images()))
    assert [one.preprocessing["size"] for one in task.provenance().chain()] == [1, 64]


def test_a_checkpoint_of_a_copy_is_not_ones_own_past(tmp_path):
    task = Mean()
    run = trainer(1)
    run.fit(copy.deepcopy(task), datamodule=ToyData(image=images()))
    run.save_checkpoint(tmp_path / "copy.ckpt")
    trainer().test(task, loader(image=images()), ckpt_path=tmp_path / "copy.ckpt", verbose=False)
    assert task.provenance() == inspect_file(tmp_path / "copy.ckpt")


def test_a_run_that_is_resumed_is_one_training(tmp_path):
    saved(Mean(), tmp_path / "first.ckpt")
    task = Mean()
    run = trainer(3)
    run.fit(task, loader(image=images()), ckpt_path=tmp_path / "first.ckpt")
    assert run.global_step == 3
    assert task.provenance().parent is None
