"""The variation over trainings: estimated from repeats, and in the intervals of the factor."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_table import Truth, arm, make_table

from muscletransfer.study.statistics import analyse, patient_values
from muscletransfer.study.statistics.fits import Fits
from muscletransfer.study.statistics.label_saving import label_saving
from muscletransfer.study.statistics.training import training_variation

TRUTH = Truth(a=0.1, factors={"random": 1.0, "jigsaw": 3.0})
NS = (5, 10, 25, 50, 100)


def study(
    spread: float, repeats: int = 3, seed: int = 0, noise: float = 0.05, patients: int = 24
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A study whose runs have an effect of their own, uniform in +-``spread``; and the effects."""
    table = make_table(TRUTH, patients, NS, repeats, 4, noise=noise, patient_spread=0.03, seed=seed)
    runs = table.drop_duplicates("run_id")[["run_id", "source", "n", "fold", "repeat"]].copy()
    rng = np.random.default_rng(10**6 + seed)
    runs["effect"] = rng.uniform(-spread, spread, len(runs))
    effect = table["run_id"].map(runs.set_index("run_id")["effect"])
    return table.assign(dice=np.clip(table["dice"] + effect, 0, 1)), runs


def test_without_noise_deviations_are_the_effects_of_the_runs() -> None:
    table, runs = study(0.02, noise=0.0)
    values = patient_values(table)
    found = training_variation(table, values)
    assert found is not None
    assert (found.repeats, found.weights.tolist()) == (3, [0.25] * 4)
    for column, (own, n) in enumerate(values.cells):
        cell = runs[(runs["source"] == own.source) & (runs["n"] == n)]
        away = cell["effect"] - cell.groupby("fold")["effect"].transform("mean")
        wanted = away.to_numpy() * np.sqrt(3 / 2)
        assert sorted(found.deviations[:, column]) == pytest.approx(sorted(wanted), abs=1e-12)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.03])
def test_the_size_of_the_variation_is_found(spread: float) -> None:
    wide = [
        training_variation(t, patient_values(t))
        for t, _ in (study(spread, seed=k) for k in range(8))
    ]
    squares = np.mean([(one.deviations**2).mean() for one in wide if one is not None])
    truth = (2 * spread) ** 2 / 12  # of a uniform effect
    noise = (2 * 0.05) ** 2 / 12 / 6  # what six patients' results alone would give
    assert squares == pytest.approx(truth, rel=0.25, abs=0.15 * noise)


def test_draws_have_the_spread_of_a_mean_over_runs_and_the_arms_stay_together() -> None:
    table, _ = study(0.02, noise=0.0)
    twin = table[table["source"] == "random"].assign(source="jigsaw", transfer="encoder")
    twin["run_id"] += "t"
    both = pd.concat([table[table["source"] == "random"], twin], ignore_index=True)
    values = patient_values(both)
    found = training_variation(both, values)
    assert found is not None
    drawn = found.draw(4000, seed=1)
    assert drawn.shape == (4000, 10)
    np.testing.assert_allclose(
        drawn.std(axis=0), found.deviations.std(axis=0) / np.sqrt(12), rtol=0.1
    )
    np.testing.assert_allclose(drawn[:, :5], drawn[:, 5:])  # the same deviation in both arms
    np.testing.assert_array_equal(drawn, found.draw(4000, seed=1))


def test_one_repeat_tells_nothing_about_it() -> None:
    table, _ = study(0.02, repeats=1)
    assert training_variation(table, patient_values(table)) is None
    assert not analyse(table, resamples=200).training_variation
    several, _ = study(0.02, repeats=2)
    begun = several[(several["repeat"] == 0) | (several["n"] < 100)]
    assert training_variation(begun, patient_values(begun)) is None
    found = analyse(begun, resamples=200)
    assert any("half of the patients were tested in two repeats" in note for note in found.notes)
    assert analyse(several, resamples=200).training_variation
    assert not analyse(several, resamples=200, training=False).training_variation


def test_a_missing_run_and_uneven_folds_are_borne() -> None:
    table, runs = study(0.02, repeats=3, noise=0.0)
    missing = "jigsaw-25-1-2"
    gone = (table["run_id"] == missing) | table["patient"].isin(["P000", "P004", "P008"])
    table = table[~gone]
    values = patient_values(table)
    found = training_variation(table, values)
    assert found is not None
    assert found.weights.tolist() == pytest.approx([3 / 21, 6 / 21, 6 / 21, 6 / 21])
    drawn = found.draw(8000, seed=1).std(axis=0)
    for column, (own, n) in enumerate(values.cells):
        cell = runs[(runs["source"] == own.source) & (runs["n"] == n) & (runs["run_id"] != missing)]
        effects = cell.groupby("fold")["effect"]
        count = effects.transform("count")
        away = (cell["effect"] - effects.transform("mean")) * np.sqrt(count / (count - 1))
        of_means = found.weights**2 / effects.count().to_numpy()
        wanted = np.sqrt((away**2).mean() * of_means.sum())
        whole = np.sqrt((found.deviations[:, column] ** 2).mean() * (found.weights**2).sum() / 3)
        assert whole == pytest.approx(wanted)
        assert drawn[column] == pytest.approx(wanted, rel=0.1)


def drawn_variance(table: pd.DataFrame) -> np.ndarray:
    found = training_variation(table, patient_values(table))
    assert found is not None
    return found.draw(2000, seed=0).var(axis=0)


def test_draws_are_wider_where_a_mean_is_over_fewer_runs() -> None:
    under_way, more_with_few_labels = [], []
    for seed in range(16):
        table, _ = study(0.02, repeats=2, noise=0.0, seed=seed)
        under_way.append(drawn_variance(table[(table["repeat"] == 0) | (table["fold"] < 2)]))
        table, _ = study(0.02, repeats=6, noise=0.0, seed=seed)
        more = table[(table["repeat"] < 2) | (table["n"] <= 10)]
        more_with_few_labels.append(drawn_variance(more).reshape(2, len(NS)))
    run = 0.02**2 / 3
    # Two folds with two runs, two with one; each is a quarter of the patients.
    wanted = run * (2 / 2 + 2 / 1) / 16
    assert np.mean(under_way) == pytest.approx(wanted, rel=0.15)
    by_n = np.mean(more_with_few_labels, axis=(0, 1))
    assert by_n[:2] == pytest.approx([run / 4 / 6] * 2, rel=0.2)
    assert by_n[2:] == pytest.approx([run / 4 / 2] * 3, rel=0.3)


def test_a_second_repeat_of_a_few_patients_tells_nothing() -> None:
    table, _ = study(0.02, repeats=2)
    begun = table[(table["repeat"] == 0) | (table["fold"] == 0)]
    assert training_variation(begun, patient_values(begun)) is None


def test_a_source_that_has_hardly_begun_takes_nothing_from_the_others() -> None:
    """One run of another source, which is in no curve, and of a repeat that no other arm has."""
    table, _ = study(0.04)
    own = (table["source"] == "jigsaw") & (table["n"] == 5)
    late = table[own & (table["fold"] == 0) & (table["repeat"] == 0)].assign(source="late")
    for repeat in (0, 7):
        more = late.assign(run_id="late", repeat=repeat)
        found = analyse(pd.concat([table, more], ignore_index=True), resamples=200)
        assert found.training_variation
        alone = analyse(table, resamples=200)
        assert [s.headline for s in found.saving] == [s.headline for s in alone.saving]


SIMULATED = 60


def test_intervals_hold_the_truth_where_trainings_differ() -> None:
    """Seeds 0, 1, 2, ...: with patients alone the factor's intervals are too narrow here."""
    held = {True: 0, False: 0}
    for seed in range(SIMULATED):
        table, _ = study(0.04, seed=seed)
        values = patient_values(table)
        for with_training in held:
            variation = training_variation(table, values) if with_training else None
            fits = Fits(values, 400, seed, variation)
            saving = label_saving(fits, arm("jigsaw"), arm("random"), "jigsaw")
            assert saving is not None
            held[with_training] += saving.headline.low <= 3 <= saving.headline.high
    least = stats.binom.ppf(0.001, SIMULATED, 0.95)
    assert held[True] >= least
    assert held[False] < least
