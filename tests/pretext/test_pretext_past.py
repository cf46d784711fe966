"""What a pretext task knows of its earlier fits, whatever began, ended or restored them."""

import numpy as np
import pytest
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.strategies import SingleDeviceStrategy
from pretext_toys import ToyData, trainer
from smallest_task import Mean, images

from muscletransfer.errors import DataError
from muscletransfer.pretext import MultiTaskPretext
from muscletransfer.transfer import inspect_file


def data(count=4):
    return ToyData(image=images()[:count])


def chain(task):
    return [record.data.get("images") for record in task.provenance().chain()]


@pytest.fixture
def first(tmp_path):
    """A task that learned from four images in two steps, and its checkpoint."""
    task, run = Mean(), trainer(2)
    run.fit(task, datamodule=data())
    run.save_checkpoint(tmp_path / "first.ckpt")
    return task, tmp_path / "first.ckpt"


class After(SingleDeviceStrategy):
    """Reads a checkpoint when FSDP, DeepSpeed and ModelParallelStrategy do."""

    restore_checkpoint_after_setup = True


@pytest.mark.parametrize("strategy", [SingleDeviceStrategy, After])
@pytest.mark.parametrize(("count", "wanted"), [(4, [4]), (3, [3, 4])])
def test_a_file_that_is_resumed_on_other_images_keeps_its_own(first, strategy, count, wanted):
    trained, path = first
    for task in (Mean(), trained):
        run = trainer(4, strategy=strategy("cpu"))
        run.fit(task, datamodule=data(count), ckpt_path=path)
        assert (chain(task), run.global_step) == (wanted, 4)
        run.save_checkpoint(path.with_name("second.ckpt"))
        found = inspect_file(path.with_name("second.ckpt")).chain()
        assert [record.data["images"] for record in found] == wanted


def test_looking_for_a_rate_hides_no_training(first, tmp_path):
    task, _ = first
    finder = LearningRateFinder(num_training_steps=3)
    trainer(4, default_root_dir=tmp_path, callbacks=[finder]).fit(task, datamodule=data(3))
    assert chain(task) == [3, 4]


class OwnStart(Mean):
    def on_fit_start(self):
        pass


def test_a_hook_of_ones_own_hides_no_data():
    task = OwnStart()
    trainer(1).fit(task, datamodule=data())
    assert chain(task) == [4]


class Unreadable(ToyData):
    def train_dataloader(self):
        raise DataError("the manifest is not mended yet")


def test_a_fit_without_a_step_is_no_training(first):
    trained, path = first
    fresh = Mean()
    for task, before in ((fresh, [None]), (trained, [4])):
        with pytest.raises(DataError):
            trainer(1).fit(task, datamodule=Unreadable(image=images()[:2]))
        assert chain(task) == before
    resumed = Mean()
    trainer(2).fit(resumed, datamodule=data(2), ckpt_path=path)  # which has taken both
    assert chain(resumed) == [4]
    for task, wanted in ((fresh, [3]), (trained, [3, 4]), (resumed, [3, 4])):
        trainer(1).fit(task, datamodule=data(3))
        assert chain(task) == wanted


def test_arrays_in_a_description_are_compared():
    def described(mean):
        return ToyData({"size": 32, "mean": np.array(mean)}, image=images())

    task = Mean()
    for mean, length in (([0.4, 0.5], 1), ([0.4, 0.5], 1), ([0.1, 0.5], 2)):
        trainer(1).fit(task, datamodule=described(mean))
        assert len(task.provenance().chain()) == length


def test_several_tasks_have_one_past():
    task = MultiTaskPretext({"rotation": {}, "jigsaw": {"grid": 2}}, Mean().encoder, depth=3)
    for count in (4, 3):
        trainer(1).fit(task, datamodule=data(count))
    assert chain(task) == [3, 4]
