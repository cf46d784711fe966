"""Scores, areas and predictions against the same figures worked out by hand, on the native grid."""

import math

import numpy as np
import pytest
import torch
from finetune_toys import ToyData, tiny, trainer

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import CTImage
from muscletransfer.errors import DataError, EmptyMaskError
from muscletransfer.finetune import SegmentationFineTuner, predict_slice
from muscletransfer.finetune.native import native_prediction
from muscletransfer.finetune.scoring import NativeScores, summarise
from muscletransfer.metrics import dice, distance_to_agreement


def trained(tmp_path, data, **settings):
    model = SegmentationFineTuner(**tiny(**settings))
    trainer(tmp_path, max_epochs=25).fit(model, datamodule=data)
    return model.eval()


def by_hand(model, data, case):
    """Probabilities of one case on its native grid, with nothing of the fine-tuner but the net."""
    item = data.slices.items[case]
    with torch.no_grad():
        logits = model.model(item["image"][None])
    one = logits.shape[1] == 1
    probabilities = torch.sigmoid(logits) if one else torch.softmax(logits, 1)
    native = data.preprocessing.invert(probabilities[0], item["geometry"])
    return (native[0] > 0.5).to(torch.uint8) if one else native.argmax(0).to(torch.uint8)


@pytest.mark.parametrize("spec", [None, PreprocessingSpec(size=32, spacing=1.2)])
@pytest.mark.parametrize("flip", [(False, False), (True, True)])
def test_scores_and_table_equal_hand_made_ones(tmp_path, spec, flip):
    data = ToyData(cases=5, flip=flip, preprocessing=spec)
    model = trained(tmp_path, data)
    scores = trainer(tmp_path).test(model, datamodule=data, verbose=False)[0]
    rows = model.case_table()
    assert [row["case"] for row in rows] == list(range(5))
    for case, row in enumerate(rows):
        item = data.slices.items[case]
        mask, reference, hu = by_hand(model, data, case), item["native_mask"], item["native_hu"]
        assert row["dice"] == dice(mask, reference)
        assert row["dta_rms_mm"] == distance_to_agreement(mask, reference, (0.9, 0.8))
        for side, drawn in (("", mask), ("reference_", reference)):
            inside = drawn.bool()
            muscle = inside & (hu >= -29) & (hu <= 150)
            assert row[f"{side}area_cm2"] == pytest.approx(int(inside.sum()) * 0.72 / 100)
            assert row[f"{side}sma_cm2"] == pytest.approx(int(muscle.sum()) * 0.72 / 100)
            assert row[f"{side}smd_hu"] == pytest.approx(float(hu[muscle].double().mean()))
        loss = model.loss(model(item["image"][None]), item["mask"][None])
        assert row["loss"] == pytest.approx(float(loss.detach()), abs=1e-6)
    for name in ("dice", "dta_rms_mm", "loss"):
        mean = sum(row[name] for row in rows) / 5
        assert scores[f"test_{name}"] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("num_classes", [1, 3])
def test_predictions_are_on_the_native_grid(tmp_path, num_classes):
    data = ToyData(cases=3, num_classes=num_classes, native_shape=(41, 60))
    model = trained(tmp_path, data, num_classes=num_classes)
    batches = trainer(tmp_path).predict(model, datamodule=data)
    found = {row["case"]: row for batch in batches for row in batch}
    assert sorted(found) == [0, 1, 2]
    for case, row in found.items():
        assert row["mask"].dtype == torch.uint8
        assert torch.equal(row["mask"], by_hand(model, data, case))
        assert row["probability"].shape == row["mask"].shape == (41, 60)
        assert 0 <= row["probability"].min() <= row["probability"].max() <= 1
        assert row["max_probability"] == pytest.approx(float(row["probability"].max()), abs=1e-3)


def test_several_classes_have_figures_of_their_own(tmp_path):
    data = ToyData(cases=4, num_classes=3)
    model = trained(tmp_path, data, num_classes=3, class_names=["psoas", "rectus"])
    scores = trainer(tmp_path).validate(model, datamodule=data, verbose=False)
    assert scores == []  # limit_val_batches=0
    run = trainer(tmp_path, limit_val_batches=1.0)
    scores = run.validate(model, datamodule=data, verbose=False)[0]
    for case, row in enumerate(model.case_table()):
        mask, reference = by_hand(model, data, case), data.slices.items[case]["native_mask"]
        for label, name in ((1, "psoas"), (2, "rectus")):
            expected = dice(mask == label, reference == label)
            assert row[f"dice_{name}"] == expected
            area = int((reference == label).sum()) * 0.72 / 100
            assert row[f"reference_area_cm2_{name}"] == pytest.approx(area)
        assert row["dice"] == pytest.approx((row["dice_psoas"] + row["dice_rectus"]) / 2)
    names = {"val_dice", "val_dice_psoas", "val_dice_rectus", "val_dta_rms_mm", "val_n_failed"}
    assert names < set(scores)
    assert scores["val_dice"] == pytest.approx(
        (scores["val_dice_psoas"] + scores["val_dice_rectus"]) / 2, abs=1e-6
    )


def test_without_spacing_distances_are_pixels_and_areas_unknown(tmp_path):
    data = ToyData(cases=2, spacing=None)
    model = trained(tmp_path, data)
    scores = trainer(tmp_path).test(model, datamodule=data, verbose=False)[0]
    assert "test_dta_rms_px" in scores
    assert "test_dta_rms_mm" not in scores
    for case, row in enumerate(model.case_table()):
        mask, reference = by_hand(model, data, case), data.slices.items[case]["native_mask"]
        assert row["dta_rms_px"] == distance_to_agreement(mask, reference, (1, 1))
        assert not any("cm2" in name for name in row)


def test_a_cohort_of_both_kinds_reports_both(tmp_path):
    data = ToyData(cases=4, spacing=[(0.9, 0.8), None])
    model = trained(tmp_path, data)
    scores = trainer(tmp_path).test(model, datamodule=data, verbose=False)[0]
    rows = model.case_table()
    assert ["dta_rms_mm" in row for row in rows] == [True, False, True, False]
    assert scores["test_dta_rms_mm"] == pytest.approx(
        (rows[0]["dta_rms_mm"] + rows[2]["dta_rms_mm"]) / 2
    )
    assert scores["test_dta_rms_px"] == pytest.approx(
        (rows[1]["dta_rms_px"] + rows[3]["dta_rms_px"]) / 2
    )


def test_images_that_are_not_ct_have_areas_and_no_hu(tmp_path):
    spec = PreprocessingSpec(size=32, hu_window=None, percentiles=(1, 99))
    data = ToyData(cases=2, preprocessing=spec)
    model = trained(tmp_path, data)
    trainer(tmp_path).test(model, datamodule=data, verbose=False)
    row = model.case_table()[0]
    assert row["area_cm2"] > 0
    assert "sma_cm2" not in row
    assert "smd_hu" not in row


def test_pixels_nobody_looked_at_do_not_count():
    scores = NativeScores()
    reference = torch.zeros(10, 10, dtype=torch.uint8)
    reference[2:6, 2:6] = 1
    prediction = reference.clone()
    prediction[7:, 7:] = 1
    reference[6:, :] = 255
    scores.update([0], [prediction], [reference], [(1.0, 1.0)], [0.0])
    row = scores.table()[0]
    assert (row["dice"], row["dta_rms_mm"]) == (1.0, 0.0)
    assert row["area_cm2"] == row["reference_area_cm2"] == 0.16


def test_a_missed_case_is_counted_and_not_averaged_away():
    scores = NativeScores()
    mask = torch.zeros(10, 10, dtype=torch.uint8)
    mask[2:6, 2:6] = 1
    scores.update([0, 1], [mask, 0 * mask], [mask, mask], [(1.0, 1.0)] * 2, [0.0, 1.0])
    assert scores.table()[1] | {"loss": 0} == {
        "case": 1,
        "loss": 0,
        "dice": 0.0,
        "dta_rms_mm": math.inf,
        "failed": True,
        "area_cm2": 0.0,
        "reference_area_cm2": 0.16,
    }
    expected = {"loss": 0.5, "dice": 0.5, "dta_rms_mm": 0.0, "n_failed": 1.0}
    assert summarise(scores.table()) == expected
    metric = scores.distance.compute()
    assert float(metric["mean"]) == expected["dta_rms_mm"]
    assert int(metric["n_failed"]) == expected["n_failed"]
    scores.reset()
    scores.update([1], [0 * mask], [mask], [None], [0.0])
    assert summarise(scores.table())["dta_rms_px"] == math.inf


def test_a_loss_that_is_no_number_shows():
    row = {"case": 1, "loss": 0.5, "dice": 0.75, "dta_rms_mm": 1.5, "failed": False}
    assert math.isnan(summarise([row, row | {"loss": math.nan}])["loss"])
    assert summarise([row, row | {"loss": math.inf}])["loss"] == math.inf
    assert math.isnan(summarise([row, row | {"dice": math.nan}])["dice"])
    found = summarise([row, row | {"dta_rms_mm": math.inf, "failed": True}])
    assert found == {"loss": 0.5, "dice": 0.75, "dta_rms_mm": 1.5, "n_failed": 1.0}


def test_a_repeated_case_counts_once():
    scores = NativeScores()
    mask = torch.zeros(10, 10, dtype=torch.uint8)
    mask[2:6, 2:6] = 1
    worse = mask.roll(1, 0)
    scores.update([3, 3, 4], [mask, mask, worse], [mask] * 3, [(1.0, 1.0)] * 3, [0.0, 0.0, 1.0])
    assert summarise(scores.table())["dice"] == pytest.approx((1 + 0.75) / 2)
    assert summarise(scores.table())["loss"] == 0.5


def test_an_empty_reference_names_the_case(tmp_path):
    data = ToyData(cases=3)
    data.slices.items[2]["native_mask"].zero_()
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(EmptyMaskError, match=r"Case 2: .* leave the case out of the manifest"):
        trainer(tmp_path).test(model, datamodule=data, verbose=False)


def test_a_test_that_broke_off_leaves_nothing_behind(tmp_path):
    data = ToyData(cases=3, eval_batch=1)
    data.slices.items[2]["native_mask"].zero_()
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(EmptyMaskError):
        trainer(tmp_path).test(model, datamodule=data, verbose=False)
    other = ToyData(cases=1, seed=4)
    for _ in range(2):
        trainer(tmp_path).test(model, datamodule=other, verbose=False)
        assert [row["case"] for row in model.case_table()] == [0]
        mask, reference = by_hand(model, other, 0), other.slices.items[0]["native_mask"]
        assert model.case_table()[0]["dice"] == dice(mask, reference)
    fresh = SegmentationFineTuner(**tiny())
    fresh.load_state_dict(model.state_dict())
    trainer(tmp_path).test(fresh, datamodule=other, verbose=False)
    assert model.case_table() == fresh.case_table()  # the distance and the areas too


def test_images_that_only_claim_to_be_ct_name_the_case(tmp_path):
    data = ToyData(cases=2)
    data.slices.items[1]["native_hu"].clamp_(0, 255)
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(DataError, match=r"Case 1: The image runs from 0 to \d+, as if windowed"):
        trainer(tmp_path).test(model, datamodule=data, verbose=False)


def test_plain_batches_are_scored_on_the_network_grid(tmp_path):
    data = ToyData(cases=4)
    model = trained(tmp_path, data)
    batches = [
        {key: value for key, value in data.slices.__getitems__(pair).items() if key in keep}
        for keep in [("image", "mask", "case")]
        for pair in ([0, 1], [2, 3])
    ]
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    scores = trainer(tmp_path).test(model, loader, verbose=False)[0]
    with torch.no_grad():
        masks = model(torch.cat([b["image"] for b in batches]))[:, 0] > 0
    targets = torch.cat([b["mask"] for b in batches])
    expected = np.mean([dice(m, t) for m, t in zip(masks, targets, strict=True)])
    assert scores["test_dice"] == pytest.approx(expected)
    assert scores["test_dta_rms_px"] > 0


def test_one_raw_slice_is_outlined_from_the_checkpoint_alone(tmp_path):
    data = ToyData(cases=3)
    model = trained(tmp_path, data)
    run = trainer(tmp_path)
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "model.ckpt")
    reloaded = SegmentationFineTuner.load_from_checkpoint(tmp_path / "model.ckpt")
    assert reloaded.preprocessing == data.preprocessing
    for case in range(3):
        hu = data.slices.items[case]["native_hu"].numpy()
        mask = predict_slice(reloaded.train(), hu, (0.9, 0.8))
        assert reloaded.training
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, by_hand(model, data, case).numpy())
        image = CTImage(hu[None], (5.0, 0.9, 0.8))
        assert np.array_equal(predict_slice(reloaded, image), mask)
        # A file stored the other way round is turned for the network and its mask turned back.
        turned = CTImage(hu[None, ::-1, ::-1], (5.0, 0.9, 0.8), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
        assert np.array_equal(predict_slice(reloaded, turned), mask[::-1, ::-1])


def test_predict_slice_leaves_each_part_in_its_mode():
    model = SegmentationFineTuner(**tiny()).train()
    model.model.encoder.eval()
    predict_slice(model, np.zeros((40, 40)), preprocessing=PreprocessingSpec(size=32))
    assert (model.training, model.model.encoder.training) == (True, False)


def test_predict_slice_says_what_it_lacks():
    model = SegmentationFineTuner(**tiny())
    with pytest.raises(DataError, match="does not say how its images were prepared"):
        predict_slice(model, np.zeros((8, 8)))
    two = CTImage(np.zeros((2, 8, 8), np.int16))
    with pytest.raises(DataError, match=r"has 2 slices; wanted one. Pass image.slice\(k\)"):
        predict_slice(model, two, preprocessing=PreprocessingSpec(size=32))


def test_ties_and_unseen_pixels_are_background():
    spec = PreprocessingSpec(size=16, spacing=1.0)
    geometry = spec.geometry((40, 40), (1.0, 1.0))
    for logits in (torch.full((1, 16, 16), 9.0), torch.full((3, 16, 16), 0.0)):
        logits[-1] = 9.0
        found = native_prediction(logits, geometry, spec)
        assert found.mask[12:28, 12:28].all()
        assert int((found.mask > 0).sum()) == 256
    tied = native_prediction(torch.zeros(1, 16, 16), geometry, spec)
    assert not tied.mask.any()
