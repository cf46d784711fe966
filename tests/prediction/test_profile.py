import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from trained import TINY, phantom, train

from muscletransfer import LowDataModule, SegmentationFineTuner, muscle_measures, read_ct, read_mask
from muscletransfer.data import Manifest, PreprocessingSpec
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.finetune import record
from muscletransfer.finetune.gathering import gather_features
from muscletransfer.finetune.layout import layout_features
from muscletransfer.finetune.profile import Spread, TrainingProfile
from muscletransfer.prediction import Ensemble, predict_cases


@pytest.fixture(scope="module")
def block(checkpoint):
    found = torch.load(checkpoint, weights_only=True)  # tensors and plain types only
    return found["muscletransfer"]["training_profile"]


def test_ranges_are_those_of_the_training_outlines(block, workshop):
    manifest = workshop / "cohort" / "manifest.csv"
    data = LowDataModule(
        manifest,
        train_patients="all",
        val_patients=3,
        preprocessing=PreprocessingSpec(size=64),
        cache_dir=workshop / "cache",
    )
    data.setup("fit")
    rows = [r for r in Manifest.read(manifest).rows if r.patient_id in data.split.train]
    measured = [
        muscle_measures(image.hu[0], read_mask(row.mask).labels[0], image.slice_spacing)
        for row in rows
        for image in [read_ct(row.image)]
    ]
    areas = np.log([m["sma_outline_cm2"] for m in measured])
    densities = [m["smd_hu"] for m in measured]
    for name, values in (("log_area", areas), ("density", densities)):
        count, mean, deviation = block[name].tolist()
        assert count == len(rows)
        assert mean == pytest.approx(np.mean(values), rel=1e-6)
        assert deviation == pytest.approx(np.std(values, ddof=1), rel=1e-6)


def test_a_checkpoint_names_no_patient(block, checkpoint):
    assert set(block) == {"format", "log_area", "density", "features"}
    assert all(isinstance(value, torch.Tensor) for value in block["features"].values())
    assert b"P0001" not in checkpoint.read_bytes()


def test_the_profile_comes_back_with_the_model(checkpoint, block):
    model = SegmentationFineTuner.load_from_checkpoint(checkpoint)
    stored = model.training_profile().to_block()
    assert torch.equal(stored["log_area"], block["log_area"])
    assert torch.equal(stored["features"]["points"], block["features"]["points"])


def test_features_are_those_of_the_saved_weights(checkpoint, block, workshop):
    model = SegmentationFineTuner.load_from_checkpoint(checkpoint).eval()
    data = LowDataModule(
        workshop / "cohort" / "manifest.csv",
        train_patients="all",
        val_patients=3,
        preprocessing=PreprocessingSpec(size=64),
        cache_dir=workshop / "cache",
    )
    data.setup("fit")
    with torch.no_grad():
        pooled = torch.cat(
            [
                layout_features(batch["image"], model.model.encoder(batch["image"]))
                for role in ("train", "val")
                for batch in data.plain_batches(role, 64)
            ]
        )
    kept = block["features"]
    torch.testing.assert_close(kept["centre"], pooled.mean(0), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(
        kept["points"] * kept["scale"] + kept["centre"], pooled, atol=1e-3, rtol=1e-3
    )


def test_a_checkpoint_without_a_profile_predicts_and_says_which_flags_are_off(checkpoint, tmp_path):
    old = torch.load(checkpoint, weights_only=True)
    del old["muscletransfer"]["training_profile"]
    torch.save(old, tmp_path / "old.ckpt")
    image = phantom(tmp_path / "scans" / "a.nii.gz")
    run = predict_cases(image, tmp_path / "old.ckpt", tmp_path / "out")
    assert len(run.outcomes) == 1
    assert set(run.flags_off) == {"disagreement", "unfamiliar", "area", "density"}
    assert "earlier version" in run.flags_off["area"]
    assert "earlier version" in run.page.read_text()


def test_training_goes_on_as_if_nobody_had_looked(tmp_path):
    """Gathering neither draws random numbers nor moves norm statistics."""
    states = []
    for looked in (False, True):
        folder = tmp_path / str(looked)
        path = train(folder, steps=6) if not looked else _train_and_save_midway(folder)
        states.append(torch.load(path, weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def _train_and_save_midway(folder):
    original = SegmentationFineTuner.on_train_batch_end
    try:
        SegmentationFineTuner.on_train_batch_end = lambda self, *_: self.training_profile()
        return train(folder, steps=6)
    finally:
        SegmentationFineTuner.on_train_batch_end = original


def _one_step(model, folder, kind=LowDataModule, **settings):
    """Fit a model for one step; return the Trainer and the data."""
    cohort = make_cohort(folder / "cohort", patients=8, size=96, seed=5, workers=1)
    data = kind(
        cohort.manifest,
        train_patients=4,
        num_folds=4,
        val_patients=2,
        preprocessing=PreprocessingSpec(size=64),
        steps_per_epoch=1,
        cache_dir=folder / "cache",
    )
    run = Trainer(
        max_steps=1,
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    run.fit(model, datamodule=data)
    return run, data


def test_a_checkpoint_written_after_a_test_has_the_profile_of_the_fit(tmp_path):
    model = SegmentationFineTuner(TINY, depth=3, decoder_kwargs={"decoder_channels": (32, 16, 16)})
    run, data = _one_step(model, tmp_path, enable_checkpointing=False)
    run.test(model, datamodule=data, verbose=False)
    profile = model.training_profile()
    run.save_checkpoint(tmp_path / "late.ckpt")
    late = SegmentationFineTuner.load_from_checkpoint(tmp_path / "late.ckpt").training_profile()
    assert profile.features is not None
    assert torch.equal(late.features.points, profile.features.points)
    assert torch.equal(late.log_area.to_tensor(), profile.log_area.to_tensor())


class PredictingOne(LowDataModule):
    """Predicts the first image, under another name."""

    def __init__(self, manifest, **options):
        row = replace(Manifest.read(manifest).rows[0], patient_id="X1")
        super().__init__(manifest, predict_manifest=Manifest((row,)), **options)


class OwnRows(PredictingOne):
    def case_row(self, case):  # written without the keyword of the base
        return super().case_row(case)


@pytest.mark.parametrize("kind", [PredictingOne, OwnRows])
def test_a_checkpoint_written_after_a_prediction_leaves_its_names(tmp_path, kind):
    """What a finished prediction returned is named although labelled images were looked at."""
    model = SegmentationFineTuner(TINY, depth=3, decoder_kwargs={"decoder_channels": (32, 16, 16)})
    run, data = _one_step(model, tmp_path, kind, enable_checkpointing=False)
    run.predict(model, datamodule=data)
    run.save_checkpoint(tmp_path / "late.ckpt")
    profile = SegmentationFineTuner.load_from_checkpoint(tmp_path / "late.ckpt").training_profile()
    assert profile.features is not None
    assert data.case_row(0).patient_id == "X1"
    assert data.reference_image(0).shape == (1, 96, 96)


def test_a_checkpoint_may_be_written_within_a_prediction(tmp_path):
    model = SegmentationFineTuner(TINY, depth=3, decoder_kwargs={"decoder_channels": (32, 16, 16)})
    run, data = _one_step(model, tmp_path, PredictingOne, enable_checkpointing=False)
    model.on_predict_batch_end = lambda *_: run.save_checkpoint(tmp_path / "within.ckpt")
    run.predict(model, datamodule=data)
    late = SegmentationFineTuner.load_from_checkpoint(tmp_path / "within.ckpt")
    assert late.training_profile().features is not None


def test_a_checkpoint_of_weights_put_back_after_a_fit_has_their_profile(tmp_path):
    """As a study does, which trains to the end and keeps the best weights."""
    model = SegmentationFineTuner(TINY, depth=3, decoder_kwargs={"decoder_channels": (32, 16, 16)})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run, data = _one_step(model, tmp_path, enable_checkpointing=False)
    run.save_checkpoint(tmp_path / "end.ckpt")
    model.load_state_dict({k: v + 0.2 * v.abs() if v.is_floating_point() else v
                           for k, v in before.items()})  # fmt: skip
    run.save_checkpoint(tmp_path / "back.ckpt")
    found = {}
    for name in ("end", "back"):
        loaded = SegmentationFineTuner.load_from_checkpoint(tmp_path / f"{name}.ckpt")
        found[name] = loaded.training_profile().features.points
        wanted = gather_features(loaded.model.encoder, data)
        torch.testing.assert_close(found[name], wanted.points)
    assert not torch.equal(found["end"], found["back"])


def test_a_fit_that_keeps_nothing_measures_nothing(tmp_path, monkeypatch):
    def measured(*_):
        raise AssertionError("nobody will read it")

    monkeypatch.setattr(record, "gather_spreads", measured)
    model = SegmentationFineTuner(TINY, depth=3, decoder_kwargs={"decoder_channels": (32, 16, 16)})
    _one_step(model, tmp_path, enable_checkpointing=False)


def test_an_encoder_with_a_map_without_channels_trains_saves_and_predicts(tmp_path):
    """A stem of stride 4 leaves nothing at stride 2; the first checkpoint must not die of it."""
    model = SegmentationFineTuner("timm/convnext_atto")
    assert model.model.encoder.out_channels[1] == 0
    run, _ = _one_step(model, tmp_path, callbacks=model.default_callbacks())
    ensemble = Ensemble([run.checkpoint_callback.last_model_path], device="cpu")
    found = ensemble.predict([np.zeros((64, 64), np.int16)])
    assert found.probabilities.shape == (1, 1, 64, 64)
    assert math.isfinite(found.distance[0])


@pytest.mark.parametrize("count", [5, 20])
def test_prediction_intervals_hold_what_they_promise(count):
    rng = np.random.default_rng(count)
    inside = 0
    for _ in range(2000):
        sample = rng.normal(3.0, 0.5, count + 1)
        low, high = Spread.of(sample[:-1].tolist()).interval(0.95)
        inside += low <= sample[-1] <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.02)


def test_too_little_gives_no_range():
    assert Spread.of([1.0, 2.0, math.nan]) is None


def test_an_older_profile_keeps_its_ranges_and_loses_its_features(checkpoint, block, tmp_path):
    """Format 1 had pooled features of deep maps, which said little of the level."""
    old = torch.load(checkpoint, weights_only=True)
    parts = {"centre": torch.zeros(5), "scale": torch.ones(5), "points": torch.zeros(4, 5)}
    features = parts | {"ordinary": torch.ones(4)}
    old["muscletransfer"]["training_profile"] = block | {"format": 1, "features": features}
    torch.save(old, tmp_path / "old.ckpt")
    profile = SegmentationFineTuner.load_from_checkpoint(tmp_path / "old.ckpt").training_profile()
    assert profile.features is None
    assert torch.equal(profile.log_area.to_tensor(), block["log_area"])
    run = predict_cases(phantom(tmp_path / "a.nii.gz"), tmp_path / "old.ckpt", tmp_path / "out")
    assert set(run.flags_off) == {"disagreement", "unfamiliar"}
    assert TrainingProfile.from_block(block | {"format": 99}) is None
