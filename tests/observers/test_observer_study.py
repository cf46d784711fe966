from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from drawn_masks import study_of

from muscletransfer.errors import DataError, EmptyMaskError, GeometryError, UnknownNameError
from muscletransfer.metrics import dice, distance_to_agreement
from muscletransfer.observers import consensus_mask, observer_study

SPACING = (0.8, 0.7)


def disc(radius=12.0, centre=(32, 32), size=64):
    y, x = np.mgrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


# Radius and shift of each observer; E is far from all others.
HABITS = {"A": (12, 0), "B": (13, 1), "C": (11, 0), "D": (12.5, -1), "E": (16, 4)}


def cohort(cases=4, observers="ABCDE"):
    masks = {
        f"case{i}": {
            name: disc(HABITS[name][0] + i, (32 + HABITS[name][1], 32 + i % 2))
            for name in observers
        }
        for i in range(cases)
    }
    reference = {f"case{i}": disc(12 + i, (32, 32)) for i in range(cases)}
    return masks, dict.fromkeys(masks, SPACING), reference


def test_every_table_is_the_metric_on_the_masks():
    masks, spacing, reference = cohort()
    study = observer_study(masks, spacing, reference)
    assert study.observers == tuple("ABCDE")
    assert len(study.pairwise) == 4 * 10
    for row in study.pairwise.itertuples():
        a, b = masks[row.case][row.observer], masks[row.case][row.other]
        assert row.dice == dice(a, b)
        assert row.dta_rms_mm == distance_to_agreement(a, b, SPACING)
        assert row.sma_outline_difference_cm2 == pytest.approx(
            (a.sum() - b.sum()) * 0.8 * 0.7 / 100
        )
    assert len(study.against_reference) == 4 * 5
    for row in study.against_reference.itertuples():
        mask, wanted = masks[row.case][row.observer], reference[row.case]
        assert row.dice == dice(mask, wanted)
        assert row.sma_outline_difference_percent == pytest.approx(
            100 * (mask.sum() / wanted.sum() - 1)
        )
    assert len(study.leave_one_out) == 4 * 5
    for row in study.leave_one_out.itertuples():
        others = [mask for name, mask in masks[row.case].items() if name != row.left_out]
        agreed = np.sum(others, axis=0) > 2
        assert row.n_others == 4
        assert row.observer == row.left_out
        assert row.dice == dice(masks[row.case][row.observer], agreed)
    assert set(study.measures.observer) == {*"ABCDE", "reference"}
    assert study.notes == ()


def test_the_left_out_observer_has_no_vote():
    """With three observers of whom two agree, leaving one of the two out leaves a tie."""
    mask = disc()
    masks = {"c": {"A": mask, "B": mask, "C": disc(20)}}
    with pytest.warns(UserWarning, match="'A' and 'B' are identical"):
        study = observer_study(masks, {"c": SPACING})
    found = study.leave_one_out.set_index("observer").dice
    assert found["A"] == dice(mask, mask & disc(20))
    assert found["C"] == dice(disc(20), mask)


def test_the_band_is_the_range_of_the_observers_means():
    masks, spacing, reference = cohort()
    study = observer_study(masks, spacing, reference)
    for metric in ("dice", "dta_rms_mm", "sma_outline_difference_cm2"):
        means = study.against_reference.groupby("observer")[metric].mean()
        band = study.band(metric)
        assert band.per_observer == pytest.approx(means.to_dict())
        assert (band.low, band.high) == pytest.approx((means.min(), means.max()))
        assert band.mean == pytest.approx(means.mean())
        values = study.against_reference[metric]
        assert band.percentile_low == pytest.approx(np.percentile(values, 2.5))
        assert band.percentile_high == pytest.approx(np.percentile(values, 97.5))
        assert band.model is None
        assert band.model_inside is None
    medians = study.against_reference.groupby("observer").dice.median()
    assert study.band("dice", statistic="median").per_observer == pytest.approx(medians.to_dict())
    absolute = study.band("sma_outline_difference_cm2", absolute=True)
    sizes = study.against_reference.assign(
        value=study.against_reference.sma_outline_difference_cm2.abs()
    )
    assert absolute.per_observer == pytest.approx(
        sizes.groupby("observer")["value"].mean().to_dict()
    )


def test_pairs_are_seen_from_both_sides():
    masks, spacing, _ = cohort()
    study = observer_study(masks, spacing)
    band = study.band("sma_outline_difference_percent", "pairwise")
    expected = {
        name: np.mean(
            [
                100 * (own[name].sum() / own[other].sum() - 1)
                for own in masks.values()
                for other in own
                if other != name
            ]
        )
        for name in "ABCDE"
    }
    assert band.per_observer == pytest.approx(expected)
    area = study.band("sma_outline_difference_cm2", "pairwise").per_observer
    assert sum(area.values()) == pytest.approx(0, abs=1e-9)


def test_a_model_is_held_to_what_the_observers_are_held_to():
    masks, spacing, reference = cohort()
    model = {name: mask for name, mask in reference.items() if name != "case3"}
    study = observer_study(masks, spacing, reference, model=model)
    assert study.model_cases == ("case0", "case1", "case2")
    assert study.notes == ("the model has no mask of 1 of 4 cases: case3",)
    band = study.band("dice")
    assert band.model == 1.0
    assert band.n_cases == 3  # the observers on the same cases
    own = study.against_reference.query("observer == 'A' and case != 'case3'").dice
    assert band.per_observer["A"] == pytest.approx(own.mean())
    assert study.band("dice", cases=study.cases).n_cases == 4
    model_rows = study.leave_one_out.query("observer == 'model'")
    assert sorted(set(model_rows.left_out)) == list("ABCDE")
    for row in model_rows.itertuples():
        others = [mask for name, mask in masks[row.case].items() if name != row.left_out]
        assert row.dice == dice(model[row.case], consensus_mask(others))
    # Among the pairs, the model has one with every observer, and no observer gains from it.
    with_model = study.band("dice", "pairwise")
    without = observer_study(masks, spacing).band("dice", "pairwise", cases=study.model_cases)
    assert with_model.per_observer == without.per_observer
    assert with_model.model == pytest.approx(
        np.mean([dice(model[c], mask) for c in model for mask in masks[c].values()])
    )
    assert band.model_inside is (band.low <= 1.0 <= band.high)
    assert "model 1, above" in str(band)


def test_a_model_that_misses_a_case_fails_and_does_not_vanish():
    masks, spacing, reference = cohort()
    model = {name: mask & (name != "case1") for name, mask in reference.items()}
    study = observer_study(masks, spacing, reference, model=model)
    overlap, distance = study.band("dice"), study.band("dta_rms_mm")
    assert overlap.model == pytest.approx(0.75)
    assert (overlap.model_n_failed, distance.model_n_failed) == (1, 1)
    assert distance.model == 0.0
    assert "1 failed" in str(distance)
    assert study.summary().set_index("observer").loc["model", "n_failed"] == 1


@pytest.mark.parametrize("against", ["reference", "leave_one_out", "pairwise"])
def test_an_empty_mask_is_one_failure_whatever_it_is_compared_with(against):
    """Of the model, and of an observer: not one for each mask that they were held against."""
    masks, spacing, reference = cohort()
    model = {name: mask & (name != "case1") for name, mask in reference.items()}
    study = observer_study(masks, spacing, reference, model=model)
    band = study.band("dice", against)
    assert (band.n_failed, band.model_n_failed) == (0, 1)
    masks["case2"]["B"] = np.zeros((64, 64), bool)
    study = observer_study(masks, spacing, reference, model=model, empty="failure")
    band = study.band("dta_rms_mm", against)
    assert (band.n_failed, band.model_n_failed) == (1, 1)
    assert ", 1 failed; model" in str(band)
    assert str(band).endswith(", 1 failed")
    failed = study.summary(against).set_index("observer")["n_failed"]
    assert failed[failed > 0].to_dict() == {"B": 1, "model": 1}


def test_an_incomplete_design_uses_what_there_is():
    masks, spacing, reference = cohort()
    del masks["case0"]["E"], masks["case0"]["D"], masks["case0"]["C"]  # two left
    for case in ("case1", "case2"):
        del masks[case]["E"]  # E has case3 alone
    study = observer_study(masks, spacing, reference)
    assert len(study.pairwise) == 1 + 6 + 6 + 10
    assert len(study.against_reference) == 2 + 4 + 4 + 5
    assert set(study.leave_one_out.case) == {"case1", "case2", "case3"}
    assert set(study.leave_one_out.query("case == 'case1'").n_others) == {3}
    assert any("case0" in note and "leave-one-out" in note for note in study.notes)
    band = study.band("dice")
    assert band.left_out == ("E",)
    assert set(band.per_observer) == set("ABCD")
    assert "left out: E" in str(band)
    assert set(study.band("dice", min_cases=1).per_observer) == set("ABCDE")
    counts = study.summary().set_index("observer").n_cases
    assert counts.to_dict() == {"A": 4, "B": 4, "C": 3, "D": 3, "E": 1}


def test_identical_observers_have_a_band_without_width_and_a_warning():
    mask = disc()
    masks = {c: dict.fromkeys("ABC", mask) for c in ("c1", "c2")}
    with pytest.warns(UserWarning, match="copies of one file"):
        study = observer_study(masks, dict.fromkeys(masks, SPACING), dict.fromkeys(masks, mask))
    band = study.band("dta_rms_mm", "leave_one_out")
    assert (band.low, band.high, band.percentile_high) == (0, 0, 0)
    assert len(study.notes) == 3


def test_an_empty_mask_has_a_rule_for_each_choice():
    masks, spacing, reference = cohort()
    masks["case2"]["B"] = np.zeros((64, 64), bool)
    with pytest.raises(EmptyMaskError, match=r"Case 'case2'.*'B'.*empty='missing'"):
        observer_study(masks, spacing, reference)
    missing = observer_study(masks, spacing, reference, empty="missing")
    assert len(missing.against_reference) == 19
    assert any("case2" in note and "'B'" in note for note in missing.notes)
    failure = observer_study(masks, spacing, reference, empty="failure")
    row = failure.against_reference.query("case == 'case2' and observer == 'B'").iloc[0]
    assert (row.dice, row.dta_rms_mm, row.sma_outline_difference_percent) == (0, math.inf, -100)
    band = failure.band("dta_rms_mm")
    assert band.n_failed == 1
    assert math.isfinite(band.high)
    assert math.isfinite(failure.band("dta_rms_mm", statistic="median").high)
    assert band.percentile_high == math.inf
    pair = failure.pairwise.query("case == 'case2' and observer == 'A' and other == 'B'").iloc[0]
    assert (pair.dice, pair.dta_rms_mm) == (0, math.inf)
    assert math.isnan(pair.sma_outline_difference_percent)  # of an area of 0
    seen = failure.band("sma_outline_difference_percent", "pairwise").per_observer
    assert all(math.isfinite(value) for value in seen.values())


def test_observers_without_overlap_have_no_consensus():
    masks = {
        "c": {
            "A": disc(4, (10, 10)),
            "B": disc(4, (10, 40)),
            "C": disc(4, (50, 10)),
        }
    }
    study = observer_study(masks, {"c": SPACING})
    assert study.leave_one_out.empty
    assert len(study.notes) == 3
    with pytest.raises(DataError, match="against='pairwise'"):
        study.band("dice", "leave_one_out")
    with pytest.raises(DataError, match="reference="):
        study.band("dice")
    assert study.band("dice", "pairwise").high == 0


def test_with_the_image_the_window_counts():
    masks, spacing, reference = cohort(2)
    rng = np.random.default_rng(0)
    hu = {c: np.where(disc(25), rng.normal(40, 60, (64, 64)), -1000).round() for c in masks}
    study = observer_study(masks, spacing, reference, hu=hu)
    row = study.against_reference.query("case == 'case1' and observer == 'E'").iloc[0]
    inside = (hu["case1"] >= -29) & (hu["case1"] <= 150)
    mine, wanted = masks["case1"]["E"] & inside, reference["case1"] & inside
    assert row.sma_difference_cm2 == pytest.approx((mine.sum() - wanted.sum()) * 0.56 / 100)
    assert row.smd_difference_hu == pytest.approx(
        hu["case1"][mine].mean() - hu["case1"][wanted].mean()
    )
    assert {"sma_cm2", "smd_hu"} <= set(study.measures.columns)
    with pytest.raises(DataError, match=r"lacks the cases \['case1'\]"):
        observer_study(masks, spacing, hu={"case0": hu["case0"]})
    with pytest.raises(DataError, match=r"Case 'case0'.*8 bits"):
        observer_study(masks, spacing, hu={c: np.zeros((64, 64)) for c in masks})


def test_volumes_work_as_slices_do():
    masks = {"c": {n: np.stack([disc(r), disc(r + 1)]) for n, r in zip("AB", (9, 11), strict=True)}}
    study = observer_study(masks, {"c": (5.0, 1.0, 1.0)})
    row = study.pairwise.iloc[0]
    assert row.dta_rms_mm == distance_to_agreement(*masks["c"].values(), (5.0, 1.0, 1.0))
    area = study.measures.set_index("observer").sma_outline_cm2
    assert area["A"] == pytest.approx((disc(9).sum() + disc(10).sum()) / 100 / 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"masks": {}}, DataError, "No cases"),
        ({"masks": {"case0": {}}}, DataError, "no observer outlined"),
        ({"masks": {"case0": {"A": disc()}}}, DataError, "one observer, 'A'"),
        ({"masks": {"case0": {"model": disc(), "A": disc()}}}, DataError, "another name"),
        (
            {"masks": {"case0": {"A": disc() * 3, "B": disc()}}},
            DataError,
            "'case0'.*'A' holds the values 0, 3",
        ),
        (
            {"masks": {"case0": {"A": disc()[:-1], "B": disc()}}},
            GeometryError,
            r"A \(63, 64\), B \(64, 64\)",
        ),
        ({"spacing": {}}, GeometryError, "Case 'case0': The spacing is missing"),
        ({"spacing": (1.0, 1.0)}, DataError, "spacing is a tuple"),
        ({"masks": [disc()]}, DataError, "masks is a list"),
        ({"masks": {"case0": [disc()]}}, DataError, "mapping of observer to mask"),
        ({"masks": {"case0": {"A": "a.png"}}}, DataError, "'A'.*read_mask"),
        ({"spacing": {"case0": (1.0, math.nan)}}, GeometryError, "Case 'case0'.*unknown"),
        ({"reference": {"caes0": disc()}}, DataError, "Did you mean 'case0'"),
        ({"reference": {"case0": disc() & False}}, EmptyMaskError, "reference is empty"),
        ({"model": {"x": disc()}}, DataError, "model has the case 'x'"),
        ({"consensus": "stapel"}, UnknownNameError, "Did you mean 'staple'"),
        ({"empty": "drop"}, UnknownNameError, "missing"),
    ],
)
def test_bad_input_is_named(change, error, message):
    masks, spacing, reference = cohort(1)
    with pytest.raises(error, match=message):
        observer_study(**({"masks": masks, "spacing": spacing, "reference": reference} | change))


def test_bad_questions_are_named():
    masks, spacing, reference = cohort(2)
    study = observer_study(masks, spacing, reference)
    with pytest.raises(UnknownNameError, match="Did you mean 'dta_rms_mm'"):
        study.band("dta_rms")
    with pytest.raises(UnknownNameError, match="leave_one_out"):
        study.band("dice", "leave-one-out")
    with pytest.raises(DataError, match="no cases \\['x'\\]"):
        study.band("dice", cases=["x"])
    del masks["case0"]["A"], masks["case0"]["B"], masks["case0"]["C"]
    del masks["case1"]["D"], masks["case1"]["E"]
    apart = observer_study(masks, spacing, reference)
    with pytest.raises(DataError, match="lower min_cases"):
        apart.band("dice")


def test_numbers_can_name_cases_and_observers():
    masks = {i: {1: disc(10 + i), 2: disc(12), "C": disc(11)} for i in range(3)}
    given = {i: disc(11) for i in masks}
    study = observer_study(masks, dict.fromkeys(masks, SPACING), given, model=given)
    assert study.observers == ("1", "2", "C")
    assert study.cases == ("0", "1", "2")
    assert study.band("dice", cases=[0, 2]).n_cases == 2
    with pytest.raises(DataError, match="reference has the case 7"):
        observer_study(masks, dict.fromkeys(masks, SPACING), {7: disc(3)})


def test_copies_are_only_called_copies_when_they_are():
    masks, spacing, reference = cohort(2)
    masks["case0"]["B"] = masks["case0"]["A"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observer_study(masks, spacing, reference)


def test_staple_is_an_option_and_says_where_it_failed():
    masks, spacing, reference = cohort(2)
    rng = np.random.default_rng(5)
    target = np.zeros((30, 30), bool)
    target[6:24, 4:26] = True
    rates = rng.uniform(0.2, 0.8, rng.integers(2, 5))  # some are worse than guessing
    wild = [target ^ (rng.random(target.shape) < rate) for rate in rates]
    masks["wild"] = dict(zip("ABCDE", [*wild, target], strict=True))
    study = observer_study(masks, spacing | {"wild": SPACING}, reference, consensus="staple")
    assert study.consensus == "staple"
    for row in study.leave_one_out.itertuples():
        others = [mask for name, mask in masks[row.case].items() if name != row.left_out]
        assert row.dice == dice(masks[row.case][row.observer], consensus_mask(others, "staple"))
    skipped = {"E"} | set("ABCD") - set(study.leave_one_out.query("case == 'wild'").left_out)
    assert len(study.leave_one_out) == 3 * 5 - len(skipped)
    assert len([note for note in study.notes if "STAPLE settled" in note]) == len(skipped)


def test_two_observers_are_said_once_and_their_one_figure_is_no_range():
    counts = {f"c{i}": {"A": 400, "B": 410 + i} for i in range(9)}
    study = study_of(counts, dict.fromkeys(counts, 405))
    (note,) = study.notes
    assert note.startswith("9 of 9 case(s) have 2 observers or fewer ('c0', 'c1', 'c2', ...)")
    band = study.band("dice", "pairwise")
    assert band.low == band.high
    assert str(band).endswith(f"model {band.model:.4g}")
