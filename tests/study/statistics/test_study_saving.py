"""Learning curves and the label-saving factor: known truth, stated bounds, coverage."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_table import NS, Truth, arm, make_table

from muscletransfer.errors import SettingError
from muscletransfer.study.statistics import (
    Factor,
    LabelSaving,
    LearningCurve,
    analyse,
    patient_values,
)
from muscletransfer.study.statistics.curve import learning_curve
from muscletransfer.study.statistics.fits import Fits
from muscletransfer.study.statistics.label_saving import label_saving
from muscletransfer.study.statistics.resampling import mean_intervals
from muscletransfer.study.statistics.wording import saving_sentence


def exact(factors: dict[str, float], ns: tuple[int, ...] = NS, **law: float) -> pd.DataFrame:
    """A study without any noise."""
    truth = Truth(**law, factors=factors)
    return make_table(truth, patients=8, ns=ns, repeats=1, patient_spread=0, noise=0)


def saving_of(table: pd.DataFrame, source: str = "jigsaw", **settings: object) -> LabelSaving:
    fits = Fits(patient_values(table), 200)
    found = label_saving(fits, arm(source), arm("random"), source, **settings)  # type: ignore[arg-type]
    assert found is not None
    return found


def curve_of(table: pd.DataFrame, source: str = "random", repeats: int = 200) -> LearningCurve:
    fits = Fits(patient_values(table), repeats)
    fit = fits.of(arm(source), fits.common(arm(source)))
    assert fit is not None
    return learning_curve(fit)


@pytest.mark.parametrize("factor", [3.0, 1.0, 0.45])
def test_without_noise_the_factor_is_the_truth(factor: float) -> None:
    saving = saving_of(exact({"random": 1.0, "jigsaw": factor}))
    assert saving.headline.bound == "exact"
    assert saving.headline.value == pytest.approx(factor, rel=1e-3)
    assert saving.headline.low == pytest.approx(factor, rel=2e-3)
    assert saving.headline.high == pytest.approx(factor, rel=2e-3)
    truth = Truth()
    assert saving.dice_range == pytest.approx(
        (truth.dice("random", 5 * max(1, factor)), truth.dice("random", 125 * min(1, factor))),
        abs=1e-4,
    )
    for at in saving.per_n:
        wanted = factor * at.n
        inside = 5 <= wanted <= 125
        assert at.factor.bound == (
            "exact" if inside else "at_least" if wanted > 125 else "at_most"
        ), at
        assert at.labels_from_scratch == pytest.approx(np.clip(wanted, 5, 125), rel=2e-3)
        assert at.factor.value == pytest.approx(at.labels_from_scratch / at.n)


def test_a_source_against_itself_saves_nothing_at_any_n() -> None:
    table = make_table(Truth(factors={"random": 1.0}), patients=20, seed=3)
    twin = table.assign(source="jigsaw", transfer="encoder", run_id=table["run_id"] + "t")
    saving = saving_of(pd.concat([table, twin], ignore_index=True))
    for factor in (saving.headline, *(at.factor for at in saving.per_n)):
        assert factor.bound == "exact"
        assert (factor.value, factor.low, factor.high) == pytest.approx((1, 1, 1), abs=1e-6)
    assert "The interval holds 1" in saving.sentence


def test_beyond_the_measured_range_is_a_bound() -> None:
    """Better with 5 than scratch with 125: 25 times at least, and nothing is made up beyond."""
    saving = saving_of(exact({"random": 1.0, "jigsaw": 100.0}))
    assert (saving.headline.value, saving.headline.bound) == (25.0, "at_least")
    assert (saving.headline.low, saving.headline.high) == (25.0, math.inf)
    assert saving.dice_range is None
    assert [at.factor.value for at in saving.per_n] == [125 / n for n in NS]
    assert {at.factor.bound for at in saving.per_n} == {"at_least"}
    assert saving.sentence.startswith(
        "jigsaw: with 5 labelled patients it is better than training from scratch with 125, so "
        "scratch needs >= 25 (95% interval at least 25) times the labels. Labels are saved."
    )
    worse = saving_of(exact({"random": 1.0, "jigsaw": 0.3}, ns=(25, 50, 75)))
    assert (worse.headline.value, worse.headline.bound) == (25 / 75, "at_most")
    assert (worse.headline.low, worse.headline.high) == (0.0, pytest.approx(1 / 3))
    assert "It costs labels" in worse.sentence
    assert all(at.factor.bound == "at_most" for at in worse.per_n)


def test_labels_of_selection_count_on_both_sides() -> None:
    saving = saving_of(exact({"random": 1.0, "jigsaw": 3.0}), selection_labels=10)
    for at in saving.per_n:
        counted = at.with_selection
        assert counted is not None
        assert counted.bound == at.factor.bound
        assert counted.value == pytest.approx((at.labels_from_scratch + 10) / (at.n + 10))
        assert counted.value <= at.factor.value
    frame = saving.frame()
    assert frame["factor_with_selection"].tolist() == [
        at.with_selection.value for at in saving.per_n
    ]  # type: ignore[union-attr]
    assert "factor_with_selection" not in saving_of(exact({"random": 1, "jigsaw": 2})).frame()


def test_a_scratch_that_does_not_learn_tells_nothing() -> None:
    saving = saving_of(exact({"random": 1.0, "jigsaw": 3.0}, b=0.0))
    assert saving.headline.bound == "unknown"
    assert math.isnan(saving.headline.value)
    assert str(saving.headline) == "not known"
    assert "cannot be told" in saving.sentence
    assert {at.factor.bound for at in saving.per_n} == {"unknown"}


def test_few_patients_have_no_interval() -> None:
    table = make_table(patients=4, repeats=1)
    saving = saving_of(table)
    assert (saving.headline.low, saving.headline.high) == (0.0, math.inf)
    value = f"{saving.headline.value:.3g}"
    assert str(saving.headline) == f"{value} (no interval: fewer than 5 patients)"
    assert saving.sentence.endswith("Without an interval no saving is shown.")
    counted = saving_of(table, selection_labels=10).per_n[0].with_selection
    assert counted is not None
    assert "fewer than 5 patients" in str(counted)
    assert "fewer than" not in str(saving_of(make_table(patients=5, repeats=1)).headline)


def test_two_or_three_n_are_pieces_and_the_interval_holds_every_curve_between() -> None:
    saving = saving_of(exact({"random": 1.0, "jigsaw": 3.0}, ns=(5, 25, 125)))
    curve = curve_of(exact({"random": 1.0}, ns=(5, 25, 125)))
    assert curve.kind == "pieces"
    assert "straight in log n" in curve.notes[0]
    assert math.isnan(curve.a)
    first = saving.per_n[0].factor
    assert (first.low, first.high) == pytest.approx((1, 5))  # 15 labels lie between 5 and 25
    assert first.low <= 3 <= first.high
    assert saving.headline.low <= 3 <= saving.headline.high


def test_one_n_is_a_point_and_the_factor_a_bound() -> None:
    table = exact({"random": 1.0, "jigsaw": 3.0}, ns=(25,))
    curve = curve_of(table)
    assert (curve.kind, curve.shape, len(curve.band)) == ("point", None, 1)
    assert curve.at(25) == curve.dice[0]
    saving = saving_of(table)
    assert saving.headline == Factor(1.0, "at_least", 1.0, math.inf, 0.95)
    assert saving.notes == ("scratch was measured at one n: the factor at each n is a bound",)
    assert saving.sentence.endswith(
        "so scratch needs >= 1 (95% interval at least 1) times the labels. "
        "How many labels that saves cannot be told from what was measured."
    )
    worse = saving_of(exact({"random": 1.0, "jigsaw": 0.3}, ns=(25,)))
    assert worse.headline == Factor(1.0, "at_most", 0.0, 1.0, 0.95)
    assert "How many labels that costs cannot be told" in worse.sentence
    same = saving_of(exact({"random": 1.0, "jigsaw": 1.0}, ns=(25,)))
    assert same.headline.bound == "unknown"
    assert "since training from scratch was measured at one n only, 25" in same.sentence


@pytest.mark.parametrize(
    ("n", "factor", "wanted"),
    [
        (100, 3.0, Factor(3.0, "exact", 3.0, 3.0, 0.95)),
        (100, 100.0, Factor(20.0, "at_least", 20.0, math.inf, 0.95)),  # 5 do better than 100
        (50, 0.2, Factor(0.4, "at_most", 0.0, 0.4, 0.95)),  # 50 do better than 125
    ],
)
def test_scratch_at_one_n_is_looked_up_on_the_curve_of_the_source(
    n: int, factor: float, wanted: Factor
) -> None:
    table = exact({"random": 1.0, "jigsaw": factor}, b=0.5)
    saving = saving_of(table[(table["source"] == "jigsaw") | (table["n"] == n)])
    found = saving.headline
    assert found.bound == wanted.bound
    assert (found.value, found.low, found.high) == pytest.approx(
        (wanted.value, wanted.low, wanted.high), rel=2e-3
    )
    truth = Truth(b=0.5, factors={"random": 1.0, "jigsaw": factor})
    for at in saving.per_n:
        better = truth.dice("jigsaw", at.n) > truth.dice("random", n)
        assert at.factor.bound == ("at_least" if better else "at_most")
        ends = (n / at.n, math.inf) if better else (0.0, n / at.n)
        assert (at.factor.value, at.factor.low, at.factor.high) == (n / at.n, *ends)


def test_a_confidence_is_written_with_its_digits() -> None:
    assert str(Factor(2.0, "exact", 1.4, 3.1, 0.995)) == "2 (99.5% interval 1.4 to 3.1)"


def test_a_source_at_one_n_is_looked_up_on_the_curve_from_scratch() -> None:
    table = exact({"random": 1.0, "jigsaw": 3.0})
    table = table[(table["source"] == "random") | (table["n"] == 10)]
    saving = saving_of(table)
    assert saving.headline == saving.per_n[0].factor
    assert saving.headline.value == pytest.approx(3, rel=1e-3)


def test_the_curve_describes_its_fit() -> None:
    table = exact({"random": 1.0})
    curve = curve_of(table)
    assert curve.kind == "power_law"
    assert (curve.a, curve.b, curve.c) == pytest.approx((0.06, 1.0, 0.7), rel=5e-3)
    assert curve.r_squared == pytest.approx(1)
    assert curve.rmse < 1e-5
    assert curve.at(40) == pytest.approx(Truth().dice("random", 40), abs=1e-5)
    with pytest.raises(SettingError, match="measured from 5 to 125"):
        curve.at(160)
    assert set(NS) <= set(curve.band["n"])
    noisy = curve_of(make_table(patients=20, noise=0.1, patient_spread=0, truth=Truth(a=0.15)))
    assert noisy.r_squared == pytest.approx(
        1
        - sum((d - f) ** 2 for d, f in zip(noisy.dice, noisy.fitted, strict=True))
        / sum((d - np.mean(noisy.dice)) ** 2 for d in noisy.dice)
    )
    assert (noisy.band["low"] < noisy.band["dice"]).all()
    assert (noisy.band["high"] > noisy.band["dice"]).all()
    assert "says little" in curve_of(exact({"random": 1.0}, ns=(5, 10, 25, 50))).notes[0]
    assert curve_of(exact({"random": 1.0}, b=0.0)).notes == ("flat: Dice does not rise with n",)


def test_patients_that_one_arm_lacks_are_in_neither() -> None:
    """Fold 0 is easy and not yet run with the source: its patients must not favour scratch."""
    truth = Truth(factors={"random": 1.0, "jigsaw": 1.0})
    table = make_table(truth, patients=40, patient_spread=0, noise=0, folds=8)
    table.loc[table["fold"] == 0, "dice"] += 0.05
    lacking = table[~((table["source"] == "jigsaw") & (table["fold"] == 0) & (table["n"] == 25))]
    saving = saving_of(lacking)
    assert saving.headline.value == pytest.approx(1, rel=1e-6)
    assert saving.n_patients == 35
    assert saving.notes == ("5 patient(s) lack a value at some n of the two arms",)


def test_an_n_with_few_patients_is_left_out_of_the_curves() -> None:
    table = make_table(patients=20, repeats=1)
    begun = table[(table["n"] < 125) | (table["fold"] == 0)]
    analysis = analyse(begun, resamples=200)
    assert all(curve.n == NS[:-1] for curve in analysis.curves)
    assert sum("is left out of the curves" in note for note in analysis.notes) == 3
    assert set(analysis.summary["n"]) == set(NS)  # but it is in the tables


def test_the_interval_uses_the_same_patients_for_both_arms() -> None:
    """A patient effect that both arms share cancels; with unpaired samples it would not."""
    quiet = make_table(patients=20, repeats=1, patient_spread=0.0, noise=0.005, seed=2)
    varied = make_table(patients=20, repeats=1, patient_spread=0.045, noise=0.005, seed=2)
    widths = [
        math.log(s.headline.high / s.headline.low) for s in (saving_of(quiet), saving_of(varied))
    ]
    assert widths[1] < 3 * widths[0]
    spread = [
        np.ptp(mean_intervals(patient_values(t).values["dice"][:1])[0][1:]) for t in (quiet, varied)
    ]
    assert spread[1] > 5 * spread[0]


COVERAGE = 150


@pytest.fixture(scope="module")
def simulated() -> list[tuple[int, bool, LabelSaving, int]]:
    """Studies of 24 patients with seeds 0, 1, 2, ...: noise, patients that differ, factor 3."""
    truth = Truth(a=0.1, factors={"random": 1.0, "jigsaw": 3.0})
    found = []
    for seed in range(COVERAGE):
        table = make_table(
            truth, patients=24, ns=(5, 10, 25, 50, 100), repeats=1, noise=0.05, seed=seed
        )
        values = patient_values(table)
        saving = label_saving(Fits(values, 500, seed), arm("jigsaw"), arm("random"), "jigsaw")
        assert saving is not None
        held = 0
        for (own, n), (_, low, high) in zip(
            values.cells, mean_intervals(values.values["dice"], 0.95, 500, seed), strict=True
        ):
            held += low <= truth.dice(own.source, n) <= high
        first = saving.per_n[0].factor
        found.append((seed, first.low <= 3 <= first.high, saving, held))
    return found


#: So many of ``COVERAGE`` intervals hold the truth at least, but once in a thousand, at 95 %.
ENOUGH = int(stats.binom.ppf(0.001, COVERAGE, 0.95))


def test_intervals_of_the_factor_hold_the_truth(
    simulated: list[tuple[int, bool, LabelSaving, int]],
) -> None:
    heads = [saving.headline for _, _, saving, _ in simulated]
    assert sum(head.low <= 3 <= head.high for head in heads) >= ENOUGH
    assert sum(held for _, held, _, _ in simulated) >= ENOUGH
    # And they are of use: an interval so wide that it holds 1 would cover too.
    assert sum(head.low > 1 for head in heads) >= 0.95 * COVERAGE
    assert np.median([head.high / head.low for head in heads]) < 2
    assert np.exp(np.mean([math.log(head.value) for head in heads])) == pytest.approx(3, rel=0.03)


def test_intervals_of_mean_dice_hold_the_truth(
    simulated: list[tuple[int, bool, LabelSaving, int]],
) -> None:
    cells = 10  # two arms at five n; cells of a study share patients, so a study is the unit
    share = np.array([held / cells for _, _, _, held in simulated])
    error = share.std(ddof=1) / math.sqrt(COVERAGE)
    assert share.mean() + 3 * error >= 0.95
    assert share.mean() <= 0.985


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (Factor(2.5, "exact", 1.25, 4.0, 0.95), "2.5 (95% interval 1.25 to 4)"),
        (Factor(2.5, "exact", 0.0, 4.0, 0.9), "2.5 (90% interval at most 4)"),
        (Factor(25, "at_least", 12.0, math.inf, 0.95), ">= 25 (95% interval at least 12)"),
        (Factor(0.2, "at_most", 0.0, 0.4, 0.95), "<= 0.2 (95% interval at most 0.4)"),
    ],
)
def test_factors_in_words(factor: Factor, words: str) -> None:
    assert str(factor) == words
    assert words in saving_sentence("x", factor, (0.5, 0.6), (5, 50), (5, 125))
