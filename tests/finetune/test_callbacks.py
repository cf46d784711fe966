"""What the callbacks of fine-tuning leave behind: the last checkpoint, frozen parts, warnings."""

import errno
import warnings
from pathlib import Path

import pytest
import torch
from finetune_toys import TinyEncoder, ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback

from muscletransfer.finetune import BestAndLast, SegmentationFineTuner, UnfreezeEncoder
from muscletransfer.transfer import freeze, is_frozen

SPARSE = {
    "enable_checkpointing": True,
    "limit_val_batches": 1.0,
    "check_val_every_n_epoch": None,
    "val_check_interval": 4,
}


def constant(**settings):
    return SegmentationFineTuner(**tiny(**settings)).use_scheduler(None)


@pytest.mark.parametrize(
    "settings",
    [SPARSE | {"max_steps": 10}, SPARSE | {"check_val_every_n_epoch": 5, "val_check_interval": 1}],
    ids=["by steps", "by epochs"],
)
def test_the_last_checkpoint_is_the_end_of_the_run(tmp_path, settings):
    model = constant()
    length = {"max_epochs": -1 if "max_steps" in settings else 7}
    run = trainer(tmp_path, callbacks=[BestAndLast(tmp_path)], **settings | length)
    run.fit(model, datamodule=ToyData())
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["global_step"] == run.global_step
    assert equal_states(last["state_dict"], copy_of(model))


def test_a_run_goes_on_from_the_end_of_another(tmp_path):
    # By epochs: Lightning 2.6 does not go on exactly from the end of a run that steps have ended.
    whole, first, again = constant(), constant(), constant()
    data = {"cases": 9}  # three steps an epoch
    trainer(tmp_path, max_epochs=4).fit(whole, datamodule=ToyData(**data))
    keep = BestAndLast(tmp_path)
    run = trainer(tmp_path, max_epochs=2, callbacks=[keep], **SPARSE)
    run.fit(first, datamodule=ToyData(**data))
    run = trainer(tmp_path, max_epochs=4)
    run.fit(again, datamodule=ToyData(**data), ckpt_path=keep.last_model_path)
    assert run.global_step == 12
    assert equal_states(copy_of(whole), copy_of(again))


class Stops(Callback):
    """Ends a run the hard way after the validation at a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise SystemExit("killed")


def test_validation_within_an_epoch_is_what_a_killed_run_goes_on_from(tmp_path):
    data = {"cases": 12}  # four steps an epoch, of which validation follows each second
    settings = {"limit_val_batches": 1.0, "val_check_interval": 2, "enable_checkpointing": True}
    whole, first, again = constant(), constant(), constant()
    run = trainer(tmp_path / "whole", **settings, callbacks=[BestAndLast(tmp_path / "whole")])
    run.fit(whole, datamodule=ToyData(**data))
    keep = BestAndLast(tmp_path)
    run = trainer(tmp_path, callbacks=[keep, Stops(6)], **settings)
    with pytest.raises(SystemExit):
        run.fit(first, datamodule=ToyData(**data))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 6
    run = trainer(tmp_path, **settings, callbacks=[BestAndLast(tmp_path / "again")])
    run.fit(again, datamodule=ToyData(**data), ckpt_path=tmp_path / "last.ckpt")
    assert run.global_step == 8
    assert equal_states(copy_of(whole), copy_of(again))


def test_a_full_disk_leaves_no_part_of_the_last_checkpoint(tmp_path, monkeypatch):
    def full(source, target):
        Path(target).write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("muscletransfer.finetune.callbacks.shutil.copyfile", full)
    settings = {"enable_checkpointing": True, "limit_val_batches": 1.0}
    run = trainer(tmp_path, callbacks=[BestAndLast(tmp_path)], **settings)
    with pytest.raises(OSError, match="No space left"):
        run.fit(constant(), datamodule=ToyData())
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_the_last_checkpoint_is_written_once_where_it_is_the_end(tmp_path):
    steps = []

    class Listening(BestAndLast):
        def _keep_last(self, trainer):
            super()._keep_last(trainer)
            steps.append(trainer.global_step)

    settings = {"enable_checkpointing": True, "limit_val_batches": 1.0}
    run = trainer(tmp_path, callbacks=[Listening(tmp_path)], **settings)
    run.fit(SegmentationFineTuner(**tiny()), datamodule=ToyData())
    assert steps == [2, 4]
    keep = Listening(tmp_path / "dry")
    run = trainer(tmp_path, callbacks=[keep], fast_dev_run=True, **settings)
    run.fit(SegmentationFineTuner(**tiny()), datamodule=ToyData())
    assert not (tmp_path / "dry").exists()


@pytest.mark.parametrize("way", ["callback", "setting"])
def test_a_part_frozen_by_somebody_stays_frozen(tmp_path, way):
    encoder = TinyEncoder()
    stem = encoder.stages[0]
    freeze(stem)
    settings = {"freeze": "until_epoch"} if way == "setting" else {}
    model = SegmentationFineTuner(**tiny(encoder=encoder, **settings))
    before = copy_of(encoder)
    callbacks = [] if way == "setting" else [UnfreezeEncoder(1)]
    trainer(tmp_path, max_epochs=1, callbacks=callbacks).fit(model, datamodule=ToyData())
    # The first run has ended before the epoch; a second one must know the part still.
    assert is_frozen(encoder)
    trainer(tmp_path, max_epochs=2, callbacks=callbacks).fit(model, datamodule=ToyData())
    assert is_frozen(stem)
    assert not is_frozen(encoder.stages[1])
    after = copy_of(encoder)
    assert all(torch.equal(before[key], after[key]) == key.startswith("stages.0") for key in before)


@pytest.mark.parametrize(
    ("length", "said"),
    [({"max_steps": 6}, "max_steps=6, with 3 an epoch"), ({"max_steps": 7}, None)],
)
def test_never_unfreezing_within_the_steps_is_said(tmp_path, length, said):
    model = SegmentationFineTuner(**tiny(freeze="until_epoch", unfreeze_epoch=2))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run = trainer(tmp_path, max_epochs=-1, **length)
        run.fit(model, datamodule=ToyData(cases=9))
    texts = [str(one.message) for one in found if "stays frozen" in str(one.message)]
    assert len(texts) == (said is not None)
    assert all(said in text for text in texts)


def test_a_run_that_goes_on_in_another_folder_knows_its_best(tmp_path, recwarn):
    first = BestAndLast(tmp_path / "a")
    settings = {"enable_checkpointing": True, "limit_val_batches": 1.0, "max_epochs": 1}
    trainer(tmp_path, callbacks=[first], **settings).fit(constant(), datamodule=ToyData())
    state = torch.load(tmp_path / "a/last.ckpt", weights_only=True)
    (key,) = [name for name in state["callbacks"] if "BestAndLast" in name]
    state["callbacks"][key]["best_model_score"] = torch.tensor(2.0)  # that no later one beats
    state["callbacks"][key]["kth_value"] = torch.tensor(2.0)
    state["callbacks"][key]["best_k_models"] = {first.best_model_path: torch.tensor(2.0)}
    torch.save(state, tmp_path / "a/last.ckpt")
    again = BestAndLast(tmp_path / "b")
    run = trainer(tmp_path, callbacks=[again], **settings | {"max_epochs": 3})
    run.fit(constant(), datamodule=ToyData(), ckpt_path=tmp_path / "a/last.ckpt")
    assert (again.best_model_path, float(again.best_model_score)) == (first.best_model_path, 2.0)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["last.ckpt"]
    assert torch.load(tmp_path / "b/last.ckpt", weights_only=True)["epoch"] == 2
    assert not [w for w in recwarn if "dirpath has changed" in str(w.message)]
