"""The learning-rate finder and the batch-size scaler: a suggestion, and nothing else changed."""

import pretext_toys
import pytest
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.tuner import Tuner

from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.pretext import RotationPretext
from muscletransfer.transfer import inspect_file


def record_of(model):
    record = model.provenance().to_dict()
    return {
        key: value for key, value in record.items() if key not in ("created", "hyperparameters")
    }


@pytest.mark.parametrize("kind", ["finetuning", "pretext"])
def test_the_finder_leaves_the_model_as_it_was(kind, tmp_path):
    if kind == "finetuning":
        model, data = SegmentationFineTuner(**tiny(seed=1)), ToyData()
    else:
        model = RotationPretext(pretext_toys.TINY, depth=3)
        data = pretext_toys.ToyData(image=pretext_toys.textured(8))
    before, record, rate = copy_of(model), record_of(model), model.lr
    run = trainer(tmp_path, max_epochs=20)
    finder = Tuner(run).lr_find(model, datamodule=data, num_training=24, max_lr=0.1)
    assert equal_states(before, copy_of(model))
    assert record_of(model) == record
    found = finder.suggestion()
    assert found is not None
    assert found != rate
    # Whoever trains, saves and reads the record now sees the rate that was used.
    assert model.lr == model.hparams["lr"] == found
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=data)
    assert run.optimizers[0].param_groups[0]["initial_lr"] == found
    run.save_checkpoint(tmp_path / "tuned.ckpt")
    written = inspect_file(tmp_path / "tuned.ckpt")
    assert written.hyperparameters["lr"] == found
    assert written.data["images"] == (6 if kind == "finetuning" else 8)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".lr_find")]


@pytest.mark.parametrize("cases", [6, 4])
@pytest.mark.parametrize("kind", ["finetuning", "pretext"])
def test_the_finder_leaves_the_record_of_an_earlier_fit(kind, cases, tmp_path):
    if kind == "finetuning":
        model, data = SegmentationFineTuner(**tiny()), ToyData
    else:
        model = RotationPretext(pretext_toys.TINY, depth=3)

        def data(cases=6):
            return pretext_toys.ToyData(image=pretext_toys.textured(cases))

    trainer(tmp_path, max_epochs=1).fit(model, datamodule=data())
    finder = Tuner(trainer(tmp_path, max_epochs=2))
    finder.lr_find(model, datamodule=data(cases=cases), num_training=2)
    assert [record.data["images"] for record in model.provenance().chain()] == [6]


def test_the_finder_as_a_callback(tmp_path):
    model = SegmentationFineTuner(**tiny(seed=1))
    finder = LearningRateFinder(num_training_steps=24, max_lr=0.1)
    run = trainer(tmp_path, max_epochs=20, callbacks=[finder])
    run.fit(model, datamodule=ToyData())
    assert model.lr == finder.optimal_lr.suggestion()
    assert model.provenance().hyperparameters["lr"] == model.lr
    assert model.provenance().data["patients"] == 6


def test_the_batch_size_is_scaled_in_the_data_module(tmp_path):
    model, data = SegmentationFineTuner(**tiny(seed=1)), ToyData(cases=12, batch_size=1)
    before, record = copy_of(model), record_of(model)
    run = trainer(tmp_path, max_epochs=1)
    found = Tuner(run).scale_batch_size(model, datamodule=data, max_trials=2, steps_per_trial=1)
    assert found == data.batch_size == 4
    assert equal_states(before, copy_of(model))
    assert record_of(model) == record
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=data)
    assert run.global_step == 3
