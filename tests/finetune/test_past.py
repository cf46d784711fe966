"""What a model knows of its earlier fits: parents, copies, fits that came to nothing."""

import copy
import dataclasses
import pickle

import pytest
import torch
from finetune_toys import ToyData, tiny, trainer

from muscletransfer.errors import DataError
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.transfer import PreprocessingMismatchWarning, inspect_file


def written(tmp_path):
    """Train a model on six patients for an epoch and return it with its checkpoint."""
    model = SegmentationFineTuner(**tiny())
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "first.ckpt")
    return model, tmp_path / "first.ckpt"


def patients_of(model):
    return [record.data["patients"] for record in model.provenance().chain()]


def test_a_second_fit_of_one_object_keeps_its_first_training(tmp_path):
    model, first = written(tmp_path)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=ToyData(cases=4))
    run.save_checkpoint(tmp_path / "second.ckpt")
    chain = inspect_file(tmp_path / "second.ckpt").chain()
    assert [record.data["patients"] for record in chain] == [4, 6]
    assert chain[1].sha256 == inspect_file(first).sha256
    # On the same images it goes on.
    trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData(cases=4))
    assert patients_of(model) == [4, 6]


@pytest.mark.parametrize(("cases", "chain"), [(6, [6]), (4, [4, 6])])
def test_a_file_that_is_resumed_on_other_images_keeps_its_own(tmp_path, cases, chain):
    trained, first = written(tmp_path)
    for model in (SegmentationFineTuner(**tiny()), trained):
        run = trainer(tmp_path, max_epochs=2)
        run.fit(model, datamodule=ToyData(cases=cases), ckpt_path=first)
        assert patients_of(model) == chain
        run.save_checkpoint(tmp_path / "second.ckpt")
        assert [r.data["patients"] for r in inspect_file(tmp_path / "second.ckpt").chain()] == chain


def test_a_fit_without_a_step_leaves_the_training_before(tmp_path):
    model, _ = written(tmp_path)
    trainer(tmp_path, max_epochs=0).fit(model, datamodule=ToyData())
    assert model.provenance().data["patients"] == 6
    trainer(tmp_path, max_epochs=0).fit(model, datamodule=ToyData(cases=4))
    assert patients_of(model) == [6]
    assert model.preprocessing == ToyData().preprocessing


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_checkpoint_of_a_copy_is_not_ones_own_past(tmp_path, copied):
    model = SegmentationFineTuner(**tiny())
    trained = copied(model).use_optimizer("SGD", momentum=0.5)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(trained, datamodule=ToyData())
    run.save_checkpoint(tmp_path / "trained.ckpt")
    other = copied(model)
    trainer(tmp_path).test(
        other, datamodule=ToyData(), ckpt_path=tmp_path / "trained.ckpt", verbose=False
    )
    assert other.provenance() == inspect_file(tmp_path / "trained.ckpt")
    run = trainer(tmp_path, max_epochs=2)
    run.fit(model, datamodule=ToyData(), ckpt_path=tmp_path / "trained.ckpt")
    assert type(run.optimizers[0]) is torch.optim.SGD
    assert model.provenance().hyperparameters["optimizer"]["name"] == "SGD"


def test_going_back_to_an_earlier_file_is_no_second_training(tmp_path):
    model, first = written(tmp_path)
    for cases, path in ((4, None), (6, first)):
        trainer(tmp_path, max_epochs=2).fit(model, datamodule=ToyData(cases=cases), ckpt_path=path)
    assert patients_of(model) == [6]


def test_a_trainer_that_resumed_before_hides_no_training(tmp_path):
    model, first = written(tmp_path)
    run = trainer(tmp_path, max_epochs=2)
    run.fit(model, datamodule=ToyData(), ckpt_path=first)
    run.fit_loop.max_epochs = 3
    run.fit(model, datamodule=ToyData(cases=4))
    assert run.global_step == 6
    assert patients_of(model) == [4, 6]


class OwnStart(SegmentationFineTuner):
    def on_fit_start(self):
        pass


def test_a_hook_of_ones_own_hides_no_data(tmp_path):
    model = OwnStart(**tiny())
    trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData())
    assert patients_of(model) == [6]


def test_images_of_a_fit_that_failed_before_a_step_are_in_no_record(tmp_path):
    broken, spec = ToyData(cases=4), ToyData().preprocessing
    broken.preprocessing = dataclasses.replace(spec, size=spec.size // 2)
    for item in broken.slices.items:
        item["mask"] = item["mask"] + 7
    fresh, (trained, _) = SegmentationFineTuner(**tiny()), written(tmp_path)
    for model, chain in ((fresh, []), (trained, [6])):
        with pytest.raises(DataError):
            trainer(tmp_path, max_epochs=1).fit(model, datamodule=broken)
        for one in (model, copy.deepcopy(model)):
            assert [record.data.get("patients") for record in one.provenance().chain()] == (
                chain or [None]
            )
        assert model.preprocessing == (spec if chain else None)
        trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData(cases=3))
        assert patients_of(model) == [3, *chain]


def test_a_file_that_has_nothing_left_to_train_leaves_its_record(tmp_path):
    _, first = written(tmp_path)
    model = SegmentationFineTuner(**tiny())
    trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData(cases=4), ckpt_path=first)
    assert patients_of(model) == [6]
    trainer(tmp_path, max_epochs=1).fit(model, datamodule=ToyData(cases=4))
    assert patients_of(model) == [4, 6]


def test_another_preprocessing_in_a_later_fit_warns(tmp_path):
    model, first = written(tmp_path)
    other = ToyData()
    other.preprocessing = dataclasses.replace(other.preprocessing, spacing=2.0)
    again = SegmentationFineTuner(**tiny())
    for task, path in ((model, None), (again, first)):
        with pytest.warns(PreprocessingMismatchWarning, match="spacing"):
            trainer(tmp_path, max_epochs=2).fit(task, datamodule=other, ckpt_path=path)
        assert len(task.provenance().chain()) == 2
