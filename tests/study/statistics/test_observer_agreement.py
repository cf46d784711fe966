"""How well a mask agrees with observers, against the observer study; cases found by their image."""

from pathlib import Path

import numpy as np
import pytest

from muscletransfer.data import Manifest
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.errors import GeometryError, ManifestError
from muscletransfer.observers import human_level, observer_study, observer_study_from_manifest
from muscletransfer.observers.inputs import check_cases
from muscletransfer.observers.scores import score_of
from muscletransfer.study.statistics.observer_cases import (
    agreement_of,
    observed_cases,
    reference_rows,
    reference_study,
)

METRICS = (
    *("dice", "dta_rms_mm", "sma_difference_cm2", "sma_difference_percent", "smd_difference_hu"),
    *("sma_outline_difference_cm2", "sma_outline_difference_percent"),
)
SHAPE, SPACING = (30, 26), (0.9, 0.8)


def drawn(seed: int) -> tuple[dict[str, dict[str, np.ndarray]], dict, dict]:
    """Masks of three observers, a model and images; one observer and two models missed."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]

    def disc(wobble: float) -> np.ndarray:
        y, x, r = 14 + rng.normal(0, wobble), 12 + rng.normal(0, wobble), 8 + rng.normal(0, wobble)
        return np.hypot(yy - y, xx - x) < r

    masks = {f"c{i}": {who: disc(0.6) for who in "ABC"} for i in range(6)}
    masks["c2"]["B"] = np.zeros(SHAPE, bool)
    model = {case: disc(1.0) for case in masks}
    model["c4"] = np.zeros(SHAPE, bool)
    hu = {case: rng.normal(45, 12, SHAPE).astype(np.float32) for case in masks}
    for image in hu.values():
        image[:2] = -1000  # air
    hu["c5"] -= 500  # no pixel in the muscle window: an area of 0 and no density, of anybody's mask
    return masks, model, hu


@pytest.mark.parametrize("metric", METRICS)
def test_every_figure_agrees_with_the_observer_study(metric: str) -> None:
    masks, model, hu = drawn(3)
    if metric.startswith(("sma_diff", "smd")):
        masks.pop("c5")  # nobody has a value there, which the observer study refuses
    kept = {case: model[case] for case in masks}
    study = observer_study(
        masks,
        dict.fromkeys(masks, SPACING),
        model=kept,
        hu={case: hu[case] for case in masks},
        empty="failure",
    )
    house = human_level(study, 0.5, metric, repeats=200)
    wanted = house.per_case.set_index("case")
    cases, _ = check_cases(
        masks, dict.fromkeys(masks, SPACING), None, None, {c: hu[c] for c in masks}, "failure"
    )
    left_out = []
    for case in cases:
        found = agreement_of(case, score_of(metric))
        left_out += found.notes
        row = wanted.loc[case.name]
        assert found.observers == pytest.approx(row["observer_observer"], rel=1e-12)
        assert found.of(kept[case.name]) == pytest.approx(row["model_observer"], rel=1e-12)
        assert found.varied
    assert set(left_out) <= set(house.notes)
    assert bool(left_out) == (metric != "dice")


@pytest.mark.parametrize("shape", [(3, 3), (8, 8), (7, 11), (2, 9, 5)])
def test_overlap_of_any_size(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    masks = {who: rng.random(shape) > 0.4 for who in "ABCD"}
    model = rng.random(shape) > 0.6
    (case,), _ = check_cases({"c": masks}, {"c": (1.0,) * len(shape)}, None, None, None, "error")
    found = agreement_of(case, score_of("dice"))

    def dice(a: np.ndarray, b: np.ndarray) -> float:
        return 2 * (a & b).sum() / (a.sum() + b.sum())

    assert found.of(model) == pytest.approx(np.mean([dice(model, m) for m in masks.values()]))
    pairs = [dice(masks[a], masks[b]) for a, b in ("AB", "AC", "AD", "BC", "BD", "CD")]
    assert found.observers == pytest.approx(np.mean(pairs))


def test_one_observer_copies_and_another_grid() -> None:
    mask = np.eye(5, dtype=bool)
    for masks, varied in (({"A": mask}, False), ({"A": mask, "B": mask}, False)):
        (case,), _ = check_cases({"c": masks}, {"c": (1.0, 1.0)}, None, None, None, "error")
        for metric in ("dice", "dta_rms_mm"):
            found = agreement_of(case, score_of(metric))
            assert found.varied is varied
            assert np.isnan(found.observers) == (len(masks) == 1)
            with pytest.raises(GeometryError, match=r"'c': the run's mask has shape \(5, 6\)"):
                found.of(np.ones((5, 6), bool))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory):
    return make_cohort(
        tmp_path_factory.mktemp("cohort"), patients=4, size=64, observers=3, other_levels=0
    )


def test_cases_are_rows_of_the_studys_manifest(cohort) -> None:
    manifest = Manifest.read(cohort.manifest, need_masks=True)
    backwards = Manifest(tuple(reversed(manifest.rows)))
    for cases in (manifest, backwards):
        found = list(observed_cases(cohort.observers_manifest, cases))
        assert len(found) == 4
        for case, patient, notes in found:
            assert patient == cases.rows[int(case.name)].patient_id
            assert set(case.masks) == {"O01", "O02", "O03"}
            assert case.hu is not None
            assert case.reference is not None
            assert notes == []
    some = Manifest(manifest.rows[:2])
    assert {case.name for case, _, _ in observed_cases(cohort.observers_manifest, some)} == {
        "0",
        "1",
    }
    named = [case.name for case, _, _ in observed_cases(cohort.observers_manifest)]
    assert named == [row.patient_id for row in manifest.rows]


def test_bands_are_those_of_the_observer_study(cohort) -> None:
    manifest = Manifest.read(cohort.manifest, need_masks=True)
    rows, patients = [], {}
    for case, patient, _ in observed_cases(cohort.observers_manifest, manifest):
        rows += reference_rows(case)
        patients[case.name] = patient
    found = reference_study(rows, patients)
    assert found is not None
    wanted = observer_study_from_manifest(cohort.observers_manifest, cohort.manifest)
    for metric in METRICS:
        own, theirs = (study.band(metric, absolute=True) for study in (found, wanted))
        assert dict(own.per_observer) == pytest.approx(dict(theirs.per_observer))
        assert own.percentile_high == pytest.approx(theirs.percentile_high)
    assert reference_study([], {}) is None


def test_manifests_that_share_no_image(cohort, tmp_path: Path) -> None:
    other = make_cohort(tmp_path, patients=2, size=64, observers=0, other_levels=0, seed=1)
    with pytest.raises(ManifestError, match="shares no image"):
        list(observed_cases(cohort.observers_manifest, Manifest.read(other.manifest)))
