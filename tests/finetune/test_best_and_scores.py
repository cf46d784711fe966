"""The best checkpoint is the best one, scores of a run are its own, and what is frozen stays so."""

import math

import pytest
import torch
from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback

from muscletransfer.finetune import FreezeNormStats, SegmentationFineTuner
from muscletransfer.finetune.callbacks import BestAndLast
from muscletransfer.finetune.scoring import NativeScores, summarise
from muscletransfer.metrics import distance_to_agreement


def test_the_best_checkpoint_is_that_of_the_highest_dice(tmp_path):
    seen = []

    class Watching(Callback):
        def on_validation_end(self, trainer, pl_module):
            seen.append((float(trainer.callback_metrics["val_dice"]), copy_of(pl_module)))

    keeper = BestAndLast(tmp_path)
    settings = {"enable_checkpointing": True, "limit_val_batches": 1.0, "max_epochs": 6}
    run = trainer(tmp_path, callbacks=[Watching(), keeper], **settings)
    run.fit(SegmentationFineTuner(**tiny()), datamodule=ToyData())
    dice = [value for value, _ in seen]
    assert min(dice) < max(dice)  # otherwise any of them would do
    assert float(keeper.best_model_score) == pytest.approx(max(dice))
    best = torch.load(keeper.best_model_path, weights_only=True)
    assert best["epoch"] == dice.index(max(dice))
    assert equal_states(best["state_dict"], seen[best["epoch"]][1])


def test_reset_forgets_every_score():
    scores = NativeScores()
    mask = torch.zeros(10, 10, dtype=torch.uint8)
    mask[2:6, 2:6] = 1
    for moved in (mask.roll(2, 0), mask.roll(1, 0)):
        scores.reset()
        scores.update([0], [moved], [mask], [(1.0, 1.0)], [0.0])
        row = scores.table()[0]
        assert row["dta_rms_mm"] == distance_to_agreement(moved, mask, (1, 1))


def test_a_case_fails_where_one_of_its_classes_is_missed():
    scores = NativeScores(num_classes=3)
    reference = torch.zeros(10, 10, dtype=torch.uint8)
    reference[1:4, 1:4], reference[6:9, 6:9] = 1, 2
    one_missed = torch.where(reference == 2, 0, reference)
    scores.update([0, 1], [reference, one_missed], [reference] * 2, [(1.0, 1.0)] * 2, [0.0, 0.0])
    whole, partly = scores.table()
    assert (whole["failed"], partly["failed"]) == (False, True)
    assert (partly["dice_class_1"], partly["dice_class_2"], partly["dice"]) == (1, 0, 0.5)
    assert partly["dta_rms_mm"] == math.inf
    found = summarise([whole, partly])
    assert (found["n_failed"], found["dta_rms_mm"], found["dta_rms_mm_class_1"]) == (1, 0, 0)


def test_freezing_statistics_does_not_thaw_norm_weights_somebody_froze(tmp_path):
    model = SegmentationFineTuner(**tiny())
    norm = model.model.encoder.stages[0][1]
    norm.requires_grad_(False)
    before = copy_of(norm)
    trainer(tmp_path, max_epochs=2, callbacks=[FreezeNormStats()]).fit(model, datamodule=ToyData())
    assert not any(p.requires_grad for p in norm.parameters())
    assert all(torch.equal(before[key], value) for key, value in copy_of(norm).items())
