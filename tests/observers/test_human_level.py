"""The human-level test: its estimates by hand, its verdicts, and what it makes of poor designs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from drawn_masks import filled, overlap, simulate, study_of

from muscletransfer.agreement import patient_bootstrap
from muscletransfer.errors import DataError, SettingError, UnknownNameError
from muscletransfer.observers import human_level

COUNTS = {
    "c1": {"A": 400, "B": 410, "C": 380},
    "c2": {"A": 500, "B": 520, "C": 470},
    "c3": {"A": 300, "B": 330},
    "c4": {"A": 450, "B": 450, "C": 430},
    "c5": {"A": 380, "C": 370},
    "c6": {"A": 480, "B": 470, "C": 490},
}
MODEL = {"c1": 405, "c2": 500, "c3": 310, "c4": 440, "c5": 378, "c6": 470}


def by_hand(counts, model, value):
    differences = {}
    for case, own in counts.items():
        pairs = [value(a, b) for a, b in itertools.combinations(own.values(), 2)]
        differences[case] = np.mean([value(model[case], a) for a in own.values()]) - np.mean(pairs)
    return differences


def test_the_difference_is_that_of_the_pairs():
    study = study_of(COUNTS, MODEL)
    found = human_level(study, margin=0.05)
    assert [band.against for band in found.bands] == ["leave_one_out", "pairwise"]
    assert found.bands[1].per_observer == study.band("dice", "pairwise").per_observer
    wanted = by_hand(COUNTS, MODEL, overlap)
    assert dict(zip(found.per_case.case, found.per_case.difference, strict=True)) == pytest.approx(
        wanted
    )
    assert found.difference.mean == pytest.approx(np.mean(list(wanted.values())))
    assert found.difference == patient_bootstrap(list(found.per_case.difference), list(COUNTS))
    assert found.model_observer - found.observer_observer == pytest.approx(found.difference.mean)
    for name in "ABC":
        left = {c: {w: n for w, n in own.items() if w != name} for c, own in COUNTS.items()}
        left = {case: own for case, own in left.items() if len(own) > 1}
        assert found.without[name] == pytest.approx(
            np.mean(list(by_hand(left, MODEL, overlap).values()))
        )


def test_areas_count_by_their_size_from_both_sides():
    found = human_level(study_of(COUNTS, MODEL), 1.0, "sma_outline_difference_percent")

    def size(a, b):
        return 100 * abs(a - b) / b

    for case, own in COUNTS.items():
        pairs = [size(a, b) for a, b in itertools.permutations(own.values(), 2)]
        row = found.per_case.set_index("case").loc[case]
        assert row.observer_observer == pytest.approx(np.mean(pairs))
        assert row.model_observer == pytest.approx(
            np.mean([size(MODEL[case], b) for b in own.values()])
        )


def test_leave_one_out_holds_model_and_observer_to_one_consensus():
    found = human_level(study_of(COUNTS, MODEL), 0.05).leave_one_out
    own, of_model = {}, {}
    for case, counts in COUNTS.items():
        if len(counts) < 3:
            continue
        for who, count in counts.items():
            agreed = min(n for name, n in counts.items() if name != who)  # both of two marked it
            own.setdefault(who, []).append(overlap(count, agreed))
            of_model.setdefault(who, []).append(overlap(MODEL[case], agreed))
    assert found.per_observer == {
        who: (pytest.approx(np.mean(own[who])), pytest.approx(np.mean(of_model[who])))
        for who in own
    }
    assert found.n_matched == sum(np.mean(of_model[w]) >= np.mean(own[w]) for w in own)
    assert found.difference.mean == pytest.approx(
        np.mean(list(of_model.values())) - np.mean(list(own.values()))
    )
    assert f"{found.n_matched} of 3 observers" in str(found)


@pytest.mark.parametrize(
    ("model_bias", "model_spread", "metric", "margin", "outcome"),
    [
        (0, 8, "dice", 0.01, "as_good"),
        (0, 8, "sma_outline_difference_percent", 1.0, "as_good"),
        (60, 8, "dice", 0.01, "worse"),
        (60, 8, "dta_rms_mm", 0.1, "worse"),
        (0, 20, "dice", 0.004, "cannot_tell"),
    ],
)
def test_verdicts(model_bias, model_spread, metric, margin, outcome):
    counts, model, _ = simulate(
        np.random.default_rng(0), model_bias=model_bias, model_spread=model_spread
    )
    found = human_level(study_of(counts, model), margin, metric)
    assert found.outcome == outcome
    low, high = found.difference.ci
    opening = {
        "as_good": "As good as a human",
        "worse": "Not as good as a human",
        "cannot_tell": "Cannot tell",
    }[outcome]
    assert str(found).startswith(opening)
    for number in (margin, found.model_observer, found.observer_observer):
        assert f"{number:.4g}" in str(found)
    assert f"{found.difference.mean:+.3g}, 95% interval {low:+.3g} to {high:+.3g}" in str(found)
    assert "25 patients" in str(found)
    assert str(found).count(". ") == 0  # one sentence


def test_slices_of_one_patient_are_one_patient():
    counts, model, _ = simulate(np.random.default_rng(1), cases=24)
    patients = {case: f"P{i // 4}" for i, case in enumerate(counts)}
    apart = human_level(study_of(counts, model), 0.01)
    together = human_level(study_of(counts, model, patients=patients), 0.01)
    assert together.difference.mean == pytest.approx(apart.difference.mean)
    assert (together.difference.n_patients, together.difference.n_cases) == (6, 24)
    assert together.difference.ci != apart.difference.ci
    with pytest.raises(DataError, match="lacks the cases"):
        study_of(counts, model, patients={"c00": "P0"})


def test_too_few_patients_cannot_tell():
    counts, model, _ = simulate(np.random.default_rng(2), cases=4)
    found = human_level(study_of(counts, model), 0.5)
    assert found.outcome == "cannot_tell"
    assert "4 patients are too few" in str(found)
    assert "4 patients are too few for an interval); it is at least" in str(found.leave_one_out)


def test_identical_observers_cannot_tell():
    counts = {f"c{i}": dict.fromkeys("ABC", 400 + i) for i in range(6)}
    with pytest.warns(UserWarning, match="identical"):
        study = study_of(counts, {case: own["A"] for case, own in counts.items()})
    found = human_level(study, 0.01)
    assert found.outcome == "cannot_tell"
    assert "drew the same masks" in str(found)


def test_a_missed_case_of_the_model_is_never_dropped():
    counts, model, _ = simulate(np.random.default_rng(3), model_spread=5)
    model["c03"] = 0
    study = study_of(counts, model)
    overlaps, distances = human_level(study, 0.03), human_level(study, 5.0, "dta_rms_mm")
    assert overlaps.per_case.set_index("case").loc["c03", "model_observer"] == 0
    assert distances.difference.mean == math.inf
    assert distances.difference.ci[1] == math.inf
    assert distances.outcome != "as_good"


def test_an_empty_mask_of_an_observer_follows_the_rule():
    counts, model, _ = simulate(np.random.default_rng(4))
    counts["c02"]["O1"] = 0
    study = study_of(counts, model, empty="failure")
    distances = human_level(study, 5.0, "dta_rms_mm")
    assert any("c02" in note and "'O1'" in note for note in distances.notes)
    assert np.isfinite(distances.per_case.difference).all()
    overlaps = human_level(study, 0.01).per_case.set_index("case").loc["c02"]
    own = counts["c02"]
    assert overlaps.observer_observer == pytest.approx(overlap(own["O0"], own["O2"]) / 3)


def test_an_observer_with_one_case_counts_there():
    counts, model, _ = simulate(np.random.default_rng(5), cases=8, bias=(0, 5))
    counts["c00"]["late"] = 450
    counts["c01"] = {"O0": counts["c01"]["O0"]}
    found = human_level(study_of(counts, model), 0.02)
    assert len(found.per_case) == 7
    assert any("c01" in note and "fewer than two" in note for note in found.notes)
    wanted = by_hand({"c00": counts["c00"]}, model, overlap)["c00"]
    assert found.per_case.set_index("case").loc["c00", "difference"] == pytest.approx(wanted)


def test_density_needs_images():
    counts, model, _ = simulate(np.random.default_rng(6), cases=6)
    noise = np.random.default_rng(0).normal(50, 10, (20, 50))
    hu = {case: np.where(filled(900), noise, -1000).round() for case in counts}
    found = human_level(study_of(counts, model, hu=hu), 3.0, "smd_difference_hu")
    assert found.outcome in ("as_good", "cannot_tell")
    assert " HU" in str(found)
    with pytest.raises(UnknownNameError, match="smd_difference_hu"):
        human_level(study_of(counts, model), 3.0, "smd_difference_hu")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"margin": 0}, SettingError, "between 0 and 1"),
        ({"margin": 5}, SettingError, "between 0 and 1"),
        ({"margin": -1, "metric": "dta_rms_mm"}, SettingError, "above 0, in mm"),
        ({"margin": "small"}, SettingError, "how much worse"),
        ({"metric": "dce"}, UnknownNameError, "Did you mean 'dice'"),
        ({"confidence": 95}, DataError, "share"),
    ],
)
def test_bad_settings_are_named(change, error, message):
    study = study_of(COUNTS, MODEL)
    with pytest.raises(error, match=message):
        human_level(study, **({"margin": 0.01} | change))


def test_a_study_without_a_model_or_without_pairs_is_named():
    with pytest.raises(DataError, match="no model"):
        human_level(study_of(COUNTS), 0.01)
    apart = {"c1": {"A": 300}, "c2": {"B": 300}}
    with pytest.raises(DataError, match="outlined by two observers"):
        human_level(study_of(apart, {"c1": 300}), 0.01)


def test_someone_who_outlined_everything_cannot_be_left_out():
    """A in all cases, the others share them: without A nobody could be compared."""
    counts = {f"c{i}": {"A": 400 + i % 3, "BCD"[i % 3]: 410} for i in range(9)}
    found = human_level(study_of(counts, dict.fromkeys(counts, 405)), margin=0.05)
    assert found.outcome == "as_good"
    assert set(found.without) == {"B", "C", "D"}
    assert "without 'A': no case has two observers, so no difference" in found.notes


def test_a_model_that_equals_an_observer_matches_it():
    counts = {f"c{i}": {"A": 400 + i, "B": 420 + i, "C": 440 + i} for i in range(6)}
    found = human_level(study_of(counts, {case: own["A"] for case, own in counts.items()}), 0.05)
    own, of_model = found.leave_one_out.per_observer["A"]
    assert own == of_model
    assert found.leave_one_out.n_matched >= 1
    twin = {case: dict(own) for case, own in counts.items()}
    for own in twin.values():
        own["B"] = own["A"]
    found = human_level(study_of(twin, {case: own["A"] for case, own in twin.items()}), 0.05)
    assert found.leave_one_out.n_matched == 3
