"""Values of patients, their summary and the paired comparison, against loops and pandas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_table import arm, make_table, miss

from muscletransfer.agreement import patient_bootstrap
from muscletransfer.errors import DataError, UnknownNameError
from muscletransfer.study.results import Arm
from muscletransfer.study.statistics import arm_labels, compare_arms, patient_values, summarise
from muscletransfer.study.statistics.metrics import METRICS, row_values
from muscletransfer.study.statistics.resampling import mean_intervals, resampled_means
from muscletransfer.study.statistics.signed_rank import holm, median_interval, signed_rank


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Two classes, unequal repeats, misses, patients that one arm lacks."""
    table = make_table(patients=14, ns=(5, 25), repeats=3)
    other = table.assign(class_name="fat", dice=table["dice"] * 0.9)
    table = pd.concat([table, other], ignore_index=True)
    table = miss(table, (table["case"] == "P003") & (table["n"] == 5) & (table["repeat"] == 1))
    gone = (table["source"] == "jigsaw") & (table["n"] == 25) & (table["fold"] == 2)
    half = (table["source"] == "random") & (table["repeat"] == 2) & (table["fold"] == 1)
    return table[~gone & ~half].sample(frac=1, random_state=0).reset_index(drop=True)


def test_a_patients_value_is_the_mean_of_its_rows(table: pd.DataFrame) -> None:
    values = patient_values(table)
    by_hand = table.assign(
        sma_error_percent=100
        * (table["sma_cm2"] - table["sma_reference_cm2"]).abs()
        / table["sma_reference_cm2"],
        smd_error_hu=(table["smd_hu"] - table["smd_reference_hu"]).abs().fillna(np.inf),
    )
    seen = 0
    for (source, n, patient), rows in by_hand.groupby(["source", "n", "patient"]):
        at = values.cells.index((arm(source), n)), values.patients.index(patient)
        for name in METRICS:
            assert values.values[name][at] == pytest.approx(rows[name].mean(), rel=1e-12)
        assert values.rows[at] == len(rows)
        assert values.failed[at] == rows["failed"].sum()
        seen += 1
    assert seen == (values.rows > 0).sum()
    assert np.isnan(values.values["dice"][values.rows == 0]).all()
    assert len(values.frame()) == seen


def test_arms_from_scratch_come_first_and_names_are_short() -> None:
    table = make_table(patients=4, ns=(5,))
    values = patient_values(table, reference="random")
    assert [a.source for a in values.arms] == ["random", "classification", "jigsaw"]
    assert patient_values(table, "jigsaw").arms[0].source == "jigsaw"
    two = [arm("jigsaw"), arm("jigsaw")._replace(encoder="timm/resnet50", decoder="fpn")]
    assert list(arm_labels(two).values()) == [
        "jigsaw (timm/resnet18, unet)",
        "jigsaw (timm/resnet50, fpn)",
    ]
    assert arm_labels([Arm("a", "e", "d", "none")]) == {Arm("a", "e", "d", "none"): "a"}


def test_the_mean_and_its_interval_are_the_houses(table: pd.DataFrame) -> None:
    values = patient_values(table)
    summary = summarise(values, repeats=2000, seed=4)
    for row in summary.itertuples():
        own = values.of(Arm(row.source, row.encoder, row.decoder, row.transfer), row.n, row.metric)
        names = [p for p, value in zip(values.patients, own, strict=True) if not np.isnan(value)]
        house = patient_bootstrap(own[~np.isnan(own)], names, repeats=2000, seed=4)
        assert row.mean == pytest.approx(house.mean, rel=1e-12)
        assert (row.mean_low, row.mean_high) == pytest.approx(house.ci, rel=1e-9)
        assert row.n_patients == house.n_patients


def test_the_summary_of_plain_values_is_numpys(table: pd.DataFrame) -> None:
    values = patient_values(table)
    summary = summarise(values, repeats=200).set_index(["metric", "source", "n"])
    for source, n in (("random", 25), ("jigsaw", 25)):
        for name in METRICS:
            own = values.of(arm(source), n, name)
            own = own[~np.isnan(own)]
            row = summary.loc[(name, source, n)]
            assert row[["q25", "median", "q75"]].tolist() == pytest.approx(
                np.percentile(own, [25, 50, 75]).tolist()
            )
            assert row["sd"] == pytest.approx(own.std(ddof=1))
            assert row["worst"] == (own.min() if name == "dice" else own.max())
    by_repeat = table[(table["source"] == "jigsaw") & (table["n"] == 5)].groupby("repeat")["dice"]
    found = summary.loc[("dice", "jigsaw", 5), "sd_between_repeats"]
    assert found == pytest.approx(by_repeat.mean().std(ddof=1))
    assert np.isnan(summary.loc[("dta_rms", "jigsaw", 5), "sd_between_repeats"])


def test_repeats_are_compared_on_the_patients_whom_all_of_them_tested() -> None:
    whole = make_table(patients=8, ns=(5, 10), repeats=2)
    whole = whole[whole["source"] == "random"].assign(dice=lambda rows: 0.9 - 0.1 * rows["fold"])
    for folds, wanted in (({0, 1, 2, 3}, 0.0), ({0}, 0.0), (set(), np.nan)):
        there = (whole["n"] == 10) | (whole["repeat"] == 0) & (whole["fold"] != 3)
        second = (whole["repeat"] == 1) & whole["fold"].isin(folds | {3})
        values = patient_values(whole[there | second])
        summary = summarise(values, repeats=200).set_index(["metric", "n"])
        found = summary.loc[("dice", 5), "sd_between_repeats"]
        assert found == pytest.approx(wanted, nan_ok=True, abs=1e-12)
        assert summary.loc[("dice", 10), "sd_between_repeats"] == pytest.approx(0, abs=1e-12)


def test_whole_repeats_are_compared_whoever_has_begun_beside_them() -> None:
    whole = make_table(patients=24, ns=(5,), repeats=4)
    whole = whole[whole["source"] == "random"]
    repeat, fold = whole["repeat"], whole["fold"]
    two = whole[repeat < 2].groupby("repeat")["dice"].mean().std()
    for begun in (
        (repeat == 2) & (fold == 0),
        ((repeat == 2) & (fold == 0)) | ((repeat == 3) & (fold == 1)),
    ):
        summary = summarise(patient_values(whole[(repeat < 2) | begun]), repeats=200)
        assert summary["sd_between_repeats"].iloc[0] == pytest.approx(two, abs=1e-12)
    # One run less of a third: the patients that three repeats share, not one repeat fewer.
    most = whole[(repeat < 2) | ((repeat == 2) & (fold != 3))]
    shared = most[most["fold"] != 3].groupby("repeat")["dice"].mean().std()
    summary = summarise(patient_values(most), repeats=200)
    assert summary["sd_between_repeats"].iloc[0] == pytest.approx(shared, abs=1e-12)


def test_missed_masks_are_counted_and_stay() -> None:
    table = make_table(patients=9, ns=(5,), repeats=1)
    few, most = [f"P00{i}" for i in range(3)], [f"P00{i}" for i in range(6)]
    for missed, median_is_finite in ((few, True), (most, False)):
        at = table["case"].isin(missed) & (table["source"] == "random")
        values = patient_values(miss(table, at))
        summary = summarise(values, repeats=500).set_index(["metric", "source"])
        dice, distance = summary.loc[("dice", "random")], summary.loc[("dta_rms", "random")]
        assert dice["n_failed"] == dice["patients_failed"] == len(missed)
        assert dice["worst"] == 0
        assert dice["n_patients"] == 9
        assert np.isfinite(distance["median"]) == median_is_finite
        assert distance["mean"] == distance["worst"] == distance["mean_high"] == np.inf
        assert np.isnan(distance["sd"])
        assert summary.loc[("smd_error_hu", "random"), "worst"] == np.inf
        assert summary.loc[("sma_error_percent", "random"), "worst"] == 100
        assert summary.loc[("dice", "jigsaw"), "n_failed"] == 0


def test_an_area_of_a_missed_mask_may_be_unsaid() -> None:
    table = make_table(patients=4, ns=(5,))
    missed = miss(table, table["case"] == "P001").assign(
        sma_cm2=lambda t: t["sma_cm2"].where(~t["failed"])
    )
    errors = row_values(missed, "sma_error_percent")
    assert set(errors[missed["failed"]]) == {100.0}
    with pytest.raises(UnknownNameError, match="Did you mean 'dice'"):
        row_values(missed, "dic")


def test_figures_that_do_not_exist_are_left_out() -> None:
    table = make_table(patients=6, ns=(5,)).assign(
        sma_cm2=np.nan, smd_hu=np.nan, sma_reference_cm2=np.nan, smd_reference_hu=np.nan
    )
    values = patient_values(table)
    assert set(summarise(values, repeats=200)["metric"]) == {"dice", "dta_rms"}
    assert set(compare_arms(values, repeats=200)["metric"]) == {"dice", "dta_rms"}


def test_pairs_against_a_loop(table: pd.DataFrame) -> None:
    values = patient_values(table)
    found = compare_arms(values, repeats=500, seed=2)
    assert len(found) == len(METRICS) * 2 * 3
    by_label = {label: a for a, label in arm_labels(values.arms).items()}
    for row in found.itertuples():
        first, second = by_label[row.first], by_label[row.second]
        a, b = values.of(first, row.n, row.metric), values.of(second, row.n, row.metric)
        both = ~np.isnan(a) & ~np.isnan(b)
        one, other = a[both], b[both]
        both_missed = np.isinf(one) & np.isinf(other)
        one[both_missed] = other[both_missed] = 0.0  # no difference where both missed the mask
        difference = one - other
        test = signed_rank(difference)
        assert (row.p, row.statistic, row.method) == (test.p, test.statistic, test.method)
        assert row.n_patients == both.sum()
        assert row.only_first == (~np.isnan(a) & np.isnan(b)).sum()
        assert row.only_second == (np.isnan(a) & ~np.isnan(b)).sum()
        assert row.median_difference == pytest.approx(np.median(difference))
        assert (row.median_low, row.median_high) == median_interval(difference)
        assert row.first != "random"  # from scratch stands second
    lacking = found[(found["n"] == 25) & (found["first"] == "jigsaw")]
    assert (lacking["only_second"] > 0).all()


@pytest.mark.parametrize(("family", "size"), [("all", 6), ("n", 3), ("reference", 4)])
def test_families_of_holm(table: pd.DataFrame, family: str, size: int) -> None:
    values = patient_values(table)
    found = compare_arms(values, family=family, metrics=["dice", "dta_rms"], repeats=200)  # type: ignore[arg-type]
    assert set(found["family_size"]) == {size}
    keys = ["metric", "n"] if family == "n" else ["metric"]
    for _, rows in found.groupby(keys):
        assert len(rows) == size
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"].to_numpy()))
    if family == "reference":
        assert set(found["second"]) == {"random"}


def test_families_do_not_cross_encoders() -> None:
    one = make_table(patients=8, ns=(5,), repeats=1)
    two = one.assign(encoder="timm/resnet50", run_id=one["run_id"] + "b")
    found = compare_arms(patient_values(pd.concat([one, two])), family="reference", repeats=200)
    pairs = set(zip(found["first"], found["second"], strict=True))
    assert pairs == {
        (f"{source} (timm/{encoder})", f"random (timm/{encoder})")
        for source in ("jigsaw", "classification")
        for encoder in ("resnet18", "resnet50")
    }


def test_better_follows_the_better_side(table: pd.DataFrame) -> None:
    found = compare_arms(patient_values(table), repeats=200)
    settled = found[
        (found["first"] == "jigsaw") & (found["second"] == "random") & (found["n"] == 5)
    ]
    # Dice is higher and the distance lower: the first is better in both.
    assert settled.set_index("metric").loc[["dice", "dta_rms"], "better"].tolist() == ["first"] * 2
    assert (found.loc[found["p_holm"] > 0.05, "better"] == "").all()
    with pytest.raises(UnknownNameError, match="family"):
        compare_arms(patient_values(table), family="every")  # type: ignore[arg-type]


def test_nothing_is_found_where_nothing_differs() -> None:
    """The same table under two names: no difference, no verdict."""
    one = make_table(patients=10, ns=(5, 10), repeats=1)
    one = one[one["source"] == "random"]
    twin = one.assign(source="twin", run_id=one["run_id"] + "t")
    found = compare_arms(patient_values(pd.concat([one, twin])), repeats=200)
    assert (found["p"] == 1).all()
    assert (found["median_difference"] == 0).all()
    assert (found["better"] == "").all()


def test_resampled_means_are_those_of_drawing_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 3))
    values[2, 1] = np.inf
    values[4, 2] = -np.inf
    found = resampled_means(values, 150, 8)
    drawn = np.random.default_rng(8).integers(0, 9, (150, 9))
    np.testing.assert_allclose(found, values[drawn].mean(axis=1), rtol=1e-12)


def test_intervals_of_rows_without_a_mean() -> None:
    table = np.array(
        [[np.nan] * 6, [np.inf, -np.inf, 0, 0, 0, 0], [1, 2, 3, np.nan, np.nan, np.nan]]
    )
    found = mean_intervals(table, repeats=200)
    assert np.isnan(found[0][0])
    assert np.isnan(found[1][0])
    assert found[2][0] == 2
    assert {ends for _, *ends in map(list, found) for ends in [tuple(ends)]} == {(-np.inf, np.inf)}
    with pytest.raises(DataError, match="NaN"):
        resampled_means(table.T, 200)


def test_the_wilcoxon_of_patients_is_not_that_of_rows() -> None:
    """Repeats of a patient are not more patients: p depends on their number hardly at all."""
    once = make_table(patients=12, ns=(5,), repeats=1, noise=0.1, seed=1)
    copies = [once.assign(repeat=r, run_id=once["run_id"] + f"r{r}") for r in range(6)]
    many = pd.concat(copies, ignore_index=True)
    first = compare_arms(patient_values(once), metrics=["dice"], repeats=200)
    again = compare_arms(patient_values(many), metrics=["dice"], repeats=200)
    np.testing.assert_allclose(first["p"], again["p"])
    np.testing.assert_allclose(first["mean_low"], again["mean_low"])
    rows = stats.wilcoxon(np.tile([0.01, -0.02, 0.03, 0.04], 6)).pvalue
    assert (
        rows < stats.wilcoxon([0.01, -0.02, 0.03, 0.04]).pvalue
    )  # what treating rows as units does
