"""Agreement, ICC and spread of a study's areas and densities, each against its own arithmetic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_masks import simulate, study_of
from scipy import stats

from muscletransfer.agreement import bland_altman, icc2_1, relative_error
from muscletransfer.observers import agreement_table, icc_table, measure_spread, within_case_sd
from muscletransfer.observers.icc_table import _largest_complete


@pytest.fixture(scope="module")
def simulated():
    return simulate(np.random.default_rng(0), cases=12)


def areas(counts, who):
    return np.array([own[who] for own in counts.values()]) / 100


def test_rows_are_the_agreement_of_the_areas(simulated):
    counts, model, reference = simulated
    table = agreement_table(study_of(counts, model, reference))
    assert len(table) == 4 + 4 + 3 + 3  # reference, others, model with each, pairs
    truth = np.array(list(reference.values())) / 100
    machine = np.array(list(model.values())) / 100
    others = (areas(counts, "O1") + areas(counts, "O2")) / 2
    for first, second, a, b in (
        ("model", "reference", machine, truth),
        ("O1", "reference", areas(counts, "O1"), truth),
        ("O0", "mean of the other observers", areas(counts, "O0"), others),
        ("O0", "O2", areas(counts, "O0"), areas(counts, "O2")),
        ("model", "O2", machine, areas(counts, "O2")),
    ):
        row = table[(table["first"] == first) & (table["second"] == second)].iloc[0]
        found, icc, error = bland_altman(a, b), icc2_1(np.stack([a, b], 1)), relative_error(a, b)
        assert (row.bias, row.lower, row.upper) == pytest.approx(
            (found.bias, found.lower, found.upper)
        )
        assert (row.bias_low, row.bias_high) == pytest.approx(found.bias_ci)
        assert (row.slope, row.slope_low, row.slope_high) == pytest.approx(
            (found.slope, *found.slope_ci)
        )
        assert (row.icc, row.icc_low, row.icc_high) == pytest.approx((icc.icc, *icc.ci))
        assert row.mean_error_percent == pytest.approx(error.mean_percent)
        assert (row.n_cases, row.n_left_out, row.note) == (12, 0, "")


def test_the_mean_of_the_others_holds_all_observers_for_the_model(simulated):
    counts, model, _ = simulated
    table = agreement_table(study_of(counts, model)).set_index(["first", "second"])
    mean = np.mean([areas(counts, who) for who in ("O0", "O1", "O2")], axis=0)
    bias = np.mean(np.array(list(model.values())) / 100 - mean)
    assert table.loc[("model", "mean of the other observers"), "bias"] == pytest.approx(bias)


def test_an_observer_with_few_cases_says_so_and_the_rest_stay(simulated):
    counts, _, reference = simulated
    counts = {case: dict(own) for case, own in counts.items()}
    for case in list(counts)[2:]:
        del counts[case]["O2"]
    table = agreement_table(study_of(counts, reference=reference)).set_index(["first", "second"])
    assert table.loc[("O2", "reference"), "note"] == "2 case(s); wanted 3 at least"
    assert np.isnan(table.loc[("O2", "reference"), "bias"])
    assert table.loc[("O0", "reference"), "n_cases"] == 12
    icc = icc_table(study_of(counts)).iloc[0]
    wanted = icc2_1(np.stack([areas(counts, "O0"), areas(counts, "O1")], 1))
    assert (icc["left_out"], icc["n_raters"], icc["n_cases"]) == ("O2", 2, 12)
    assert icc["icc"] == pytest.approx(wanted.icc)


def test_an_empty_mask_has_an_area_and_no_density(simulated):
    counts, _, _ = simulated
    counts = {case: dict(own) for case, own in counts.items()}
    counts["c00"]["O1"] = 0
    hu = {case: np.full((20, 50), 40.0) for case in counts}
    for k, image in enumerate(hu.values()):
        image[:, :25] += k
        image[-1] = -1000
    table = agreement_table(study_of(counts, hu=hu, empty="failure"))
    pair = table[(table["first"] == "O0") & (table["second"] == "O1")].set_index("measure")
    assert pair.loc["sma_cm2", "n_cases"] == 12
    assert (pair.loc["smd_hu", "n_cases"], pair.loc["smd_hu", "n_left_out"]) == (11, 1)
    assert np.isnan(pair.loc["smd_hu", "mean_error_percent"])
    assert "1 case(s) without area" in pair.loc["sma_cm2", "note"]


def test_identical_observers_have_no_bias_and_icc_1():
    counts = {f"c{i}": dict.fromkeys("AB", 400 + 9 * i) for i in range(5)}
    with pytest.warns(UserWarning, match="identical"):
        study = study_of(counts)
    row = agreement_table(study).iloc[-1]
    assert (row["first"], row["second"]) == ("A", "B")
    assert (row.bias, row.lower, row.upper, row.icc) == (0, 0, 0, 1)
    assert within_case_sd(study)["sd"].tolist() == [0.0]
    with pytest.warns(UserWarning, match="identical"):
        same = study_of({f"c{i}": {"A": 400, "B": 400, "C": 410} for i in range(5)})
    flat = agreement_table(same).set_index(["first", "second"]).loc[("A", "B")]
    assert "no ICC" in flat["note"]
    assert np.isnan(flat["icc"])


def test_the_icc_with_the_model_has_the_model():
    counts, model, _ = simulate(np.random.default_rng(3), cases=20)
    few = dict(list(model.items())[:5])
    table = icc_table(study_of(counts, few)).set_index("raters").loc["observers and model"]
    assert (table["n_raters"], table["n_cases"], table["left_out"]) == (4, 5, "")
    wanted = icc2_1([[*(n / 100 for n in counts[c].values()), few[c] / 100] for c in few])
    assert table["icc"] == pytest.approx(wanted.icc)


def test_several_cases_of_a_patient_are_said():
    counts, _, _ = simulate(np.random.default_rng(1), cases=6)
    patients = {case: case[:2] for case in counts}
    assert "patient" in agreement_table(study_of(counts, patients=patients))["note"].iloc[0]


def test_spread_case_by_case(simulated):
    counts, model, _ = simulated
    table = measure_spread(study_of(counts, model)).set_index("case")
    for case, own in counts.items():
        sizes = np.array(list(own.values())) / 100
        row = table.loc[case]
        assert row.n_observers == 3
        assert row.sma_outline_mean_cm2 == pytest.approx(sizes.mean())
        assert row.sma_outline_sd_cm2 == pytest.approx(sizes.std(ddof=1))
        assert (row.sma_outline_lowest_cm2, row.sma_outline_highest_cm2) == (
            sizes.min(),
            sizes.max(),
        )
        assert row.sma_outline_cv_percent == pytest.approx(100 * sizes.std(ddof=1) / sizes.mean())
        assert row.sma_outline_model_minus_mean_cm2 == pytest.approx(
            model[case] / 100 - sizes.mean()
        )
    pooled = within_case_sd(study_of(counts)).iloc[0]
    variances = [np.var(list(own.values()), ddof=1) / 1e4 for own in counts.values()]
    assert pooled.sd == pytest.approx(np.sqrt(np.mean(variances)))
    assert pooled.sd_low < pooled.sd < pooled.sd_high


def test_spread_of_an_incomplete_design():
    counts = {"c1": {"A": 400}, "c2": {"A": 400, "B": 420}}
    table = measure_spread(study_of(counts)).set_index("case")
    assert np.isnan(table.loc["c1", "sma_outline_sd_cm2"])
    found = within_case_sd(study_of(counts)).iloc[0]
    assert (found.n_cases, found.sd_high) == (1, np.inf)


def test_the_interval_of_the_spread_is_over_patients():
    counts, _, _ = simulate(np.random.default_rng(2), cases=12)
    twice = {f"{case}{copy}": own for case, own in counts.items() for copy in "ab"}
    once = within_case_sd(study_of(counts)).iloc[0]
    same = within_case_sd(study_of(twice, patients={case: case[:-1] for case in twice})).iloc[0]
    assert (same.n_cases, once.n_cases) == (24, 12)
    assert (same.sd, same.sd_low, same.sd_high) == pytest.approx(
        (once.sd, once.sd_low, once.sd_high)
    )
    variances = np.array([np.var(list(own.values()), ddof=1) / 1e4 for own in counts.values()])
    reach = stats.t.ppf(0.975, 11) * stats.sem(variances) / variances.mean()
    assert 1 / once.sd_high == pytest.approx((1 - reach / 2) / once.sd)
    assert 1 / once.sd_low == pytest.approx((1 + reach / 2) / once.sd)


def test_icc_prefers_three_cases_to_more_raters():
    table = pd.DataFrame(
        {
            "A": [1.0, 2, 3, 4],
            "B": [1.0, 2, 3, 4],
            **{name: [1.0, 2, np.nan, np.nan] for name in "CDEF"},
        }
    )
    part, left_out = _largest_complete(table)  # 2 x 6 ratings are more than 4 x 2
    assert (part.shape, left_out) == ((4, 2), list("CDEF"))
