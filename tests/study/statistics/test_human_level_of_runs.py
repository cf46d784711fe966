"""The human-level test over the runs of a study, against the one for a single model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic_table import arm

from muscletransfer.data import Manifest
from muscletransfer.errors import DataError, SettingError
from muscletransfer.observers import human_level, observer_study
from muscletransfer.study.report.curve_figures import median_figure
from muscletransfer.study.report.figures import Figures
from muscletransfer.study.report.headline import human_answer
from muscletransfer.study.report.styles import arm_styles
from muscletransfer.study.results import COLUMNS, read_masks, write_masks
from muscletransfer.study.statistics import HumanTest, StudyAnalysis, analyse, arm_labels
from muscletransfer.study.statistics.human import HumanVerdict
from muscletransfer.study.statistics.human_level import compare_with_observers, smallest_n

PATIENTS, SIZE, FOLDS = 12, 40, 2
NS, REPEATS = (5, 25, 125), (0, 1)
SPACING = (0.8, 0.7)


def disc(rng: np.random.Generator, wobble: float, centre: float) -> np.ndarray:
    """A disc whose edge and place are off by about ``wobble`` pixels."""
    yy, xx = np.mgrid[:SIZE, :SIZE]
    y, x = centre + rng.normal(0, wobble, 2)
    return np.hypot(yy - y, xx - x) < 11 + rng.normal(0, wobble)


class Made:
    """A cohort with three observers and the runs of two sources, on disk."""

    def __init__(self, root: Path) -> None:
        rng = np.random.default_rng(5)
        self.root = root
        self.masks: dict[str, dict[str, np.ndarray]] = {}
        self.predicted: dict[tuple[str, int, int], dict[str, np.ndarray]] = {}
        head = "patient_id,image,mask,spacing_x_mm,spacing_y_mm"
        manifest, drawn = [head], [head + ",observer"]
        for i in range(PATIENTS):
            Image.new("L", (SIZE, SIZE)).save(root / f"{i}.png")
            manifest.append(f"P{i:02d},{i}.png,{self.save(f'{i}_ref', disc(rng, 0, 20))},0.7,0.8")
            if i == 3:
                continue  # not outlined by the observers
            self.masks[str(i)] = {who: disc(rng, 0.5, 20) for who in "ABC"}
            for who, mask in self.masks[str(i)].items():
                drawn.append(f"P{i:02d},{i}.png,{self.save(f'{i}_{who}', mask)},0.7,0.8,{who}")
        (root / "manifest.csv").write_text("\n".join(manifest))
        (root / "observers.csv").write_text("\n".join(drawn))
        rows = []
        for source, wobbles in (("random", (4, 2.5, 1.5)), ("jigsaw", (2.5, 0.5, 0.3))):
            for n, wobble in zip(NS, wobbles, strict=True):
                for repeat in REPEATS:
                    for fold in range(FOLDS):
                        rows += self.run(rng, source, n, repeat, fold, wobble)
        self.table = pd.DataFrame(rows)[list(COLUMNS)]

    def save(self, name: str, mask: np.ndarray) -> str:
        Image.fromarray(mask.astype(np.uint8)).save(self.root / f"{name}.png")
        return f"{name}.png"

    def run(
        self, rng: np.random.Generator, source: str, n: int, repeat: int, fold: int, wobble: float
    ) -> list[dict[str, object]]:
        run_id = f"{source}-{n}-{repeat}-{fold}"
        masks = {str(i): disc(rng, wobble, 20) for i in range(fold, PATIENTS, FOLDS)}
        self.predicted.setdefault((source, n, repeat), {}).update(masks)
        write_masks(self.root / "runs" / run_id / "masks.npz", masks)
        base = {**dict.fromkeys(COLUMNS, np.nan), **arm(source)._asdict(), "freeze": "none"}
        base |= {"run_id": run_id, "n": n, "fold": fold, "repeat": repeat, "class_name": "muscle"}
        base |= {"dice": 0.9, "dta_rms": 1.0, "dta_unit": "mm", "failed": False}
        return [{**base, "case": case, "patient": f"P{int(case):02d}"} for case in masks]

    def test(self, margin: float = 0.03, metric: str = "dice", cases: bool = True) -> HumanTest:
        return HumanTest(
            self.root / "observers.csv",
            self.root / "runs",
            margin,
            metric,
            cases=Manifest.read(self.root / "manifest.csv", need_masks=True) if cases else None,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("human"))


LABELS = arm_labels([arm("random"), arm("jigsaw")])


def house_verdict(made: Made, source: str, n: int, repeat: int, metric: str, margin: float):
    """What the test for one model says of one repeat."""
    model = {c: m for c, m in made.predicted[source, n, repeat].items() if c in made.masks}
    patients = {case: f"P{int(case):02d}" for case in made.masks}
    spacing = dict.fromkeys(made.masks, SPACING)
    study = observer_study(made.masks, spacing, model=model, patients=patients)
    return human_level(study, margin, metric, repeats=2000)


@pytest.mark.parametrize(
    ("metric", "margin"),
    [("dice", 0.03), ("dta_rms_mm", 0.3), ("sma_outline_difference_percent", 3.0)],
)
def test_one_repeat_equals_the_test_of_one_model(made: Made, metric: str, margin: float) -> None:
    table = made.table[made.table["repeat"] == 1]
    found = compare_with_observers(table, made.test(margin, metric), LABELS, repeats=2000)
    assert {"as_good", "worse"} <= {verdict.outcome for verdict in found.verdicts}
    for verdict in found.verdicts:
        house = house_verdict(made, verdict.arm.source, verdict.n, 1, metric, margin)
        assert verdict.outcome == house.outcome == verdict.by_repeat[1]
        assert verdict.sentence == house.sentence
        assert (verdict.low, verdict.high) == pytest.approx(house.difference.ci, abs=1e-12)
        assert verdict.n_cases == verdict.n_patients == PATIENTS - 1


def test_repeats_are_averaged_within_the_patient(made: Made) -> None:
    found = compare_with_observers(made.table, made.test(), LABELS, repeats=2000)
    for verdict in found.verdicts:
        alone = [
            house_verdict(made, verdict.arm.source, verdict.n, repeat, "dice", 0.03)
            for repeat in REPEATS
        ]
        mean = np.mean([house.per_case["difference"].to_numpy() for house in alone])
        assert verdict.difference == pytest.approx(mean, abs=1e-12)
        assert verdict.by_repeat == {r: alone[r].outcome for r in REPEATS}
    jigsaw, scratch = arm("jigsaw"), arm("random")
    assert found.smallest_n == {scratch: None, jigsaw: 25}
    assert "as good as an observer from 25 labelled patients on" in found.sentences[jigsaw]
    assert found.sentences[scratch].startswith("random: not as good as an observer with 125")
    assert found.observers == ("A", "B", "C")
    frame = found.frame()
    assert len(frame) == 6
    assert set(frame["repeats"]) == {2}


def test_bands_are_of_the_observers_against_the_reference(made: Made) -> None:
    found = compare_with_observers(made.table, made.test(), LABELS, repeats=200)
    reference = disc(np.random.default_rng(0), 0, 20)
    study = observer_study(
        made.masks, dict.fromkeys(made.masks, SPACING), dict.fromkeys(made.masks, reference)
    )
    assert set(found.bands) == {"dice", "dta_rms"}  # plain images have no Hounsfield units
    for name, column in (("dice", "dice"), ("dta_rms", "dta_rms_mm")):
        wanted = study.band(column, absolute=name != "dice")
        assert found.bands[name].per_observer == pytest.approx(dict(wanted.per_observer))
        assert found.bands[name].n_cases == PATIENTS - 1


def test_of_several_structures_one_is_named_and_no_band_is_drawn(made: Made) -> None:
    """Curves are means over structures, the observers' band would be of one."""
    other = made.table.assign(class_name="fat", dice=0.5)
    test = replace(made.test(), label=1)
    analysis = analyse(pd.concat([made.table, other]), test, resamples=200)
    assert analysis.human is not None
    assert analysis.human.bands == {}
    assert analysis.human.structure == "the structure of label 1"
    answer = human_answer(analysis)
    assert "the structure of label 1" in answer.lead
    assert "the best of 2 sources, each tested by itself" in answer.lead
    assert all("the structure of label" in words for words in answer.more)
    assert not bands_of_distances(analysis)
    one = analyse(made.table, made.test(), resamples=200)
    assert one.human is not None
    assert one.human.structure == ""
    assert one.human.bands
    assert bands_of_distances(one)


def bands_of_distances(analysis: StudyAnalysis) -> list[object]:
    styles = arm_styles(analysis.arms, analysis.labels, analysis.reference)
    label, band = "distance", Figures(analysis, styles)._band("dta_rms")
    figure = median_figure(analysis, styles, "dta_rms", label, band)
    assert figure is not None
    return list(figure.axes[0].patches)


def test_analyse_takes_observers(made: Made) -> None:
    analysis = analyse(made.table, made.test(), resamples=500)
    assert analysis.human is not None
    assert analysis.human.smallest_n[arm("jigsaw")] == 25
    assert len(analysis.tables()["human"]) == 6


def verdicts(*outcomes: str) -> list[HumanVerdict]:
    numbers = dict.fromkeys(
        ("model_observer", "observer_observer", "difference", "low", "high"), 0.0
    )
    return [
        HumanVerdict(
            arm("jigsaw"),
            5 * 2**i,
            outcome,
            "",
            n_cases=9,
            n_patients=9,
            by_repeat={},
            **numbers,  # type: ignore[arg-type]
        )
        for i, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        (("worse", "as_good", "as_good"), 10),
        (("as_good", "as_good", "as_good"), 5),
        (("as_good", "cannot_tell", "as_good"), 20),
        (("as_good", "as_good", "worse"), None),
        (("worse", "cannot_tell", "cannot_tell"), None),
    ],
)
def test_the_smallest_n_is_where_all_larger_ones_pass(
    outcomes: tuple[str, ...], wanted: int | None
) -> None:
    assert smallest_n(verdicts(*outcomes)[::-1]) == {arm("jigsaw"): wanted}


def test_a_damaged_run_is_named_and_the_others_are_compared(made: Made, tmp_path: Path) -> None:
    table = made.table[made.table["n"] == 125].copy()
    runs = tmp_path / "runs"
    for run_id in table["run_id"].unique():
        data = (made.root / "runs" / run_id / "masks.npz").read_bytes()
        (runs / run_id).mkdir(parents=True)
        if run_id == "jigsaw-125-0-0":
            continue
        cut = run_id == "jigsaw-125-1-0"
        (runs / run_id / "masks.npz").write_bytes(data[: len(data) // 2] if cut else data)
    test = HumanTest(made.root / "observers.csv", runs, 0.03, cases=made.test().cases)
    found = compare_with_observers(table, test, LABELS, repeats=200)
    notes = " | ".join(found.notes)
    assert "run jigsaw-125-0-0: not compared with observers: its folder has no masks.npz" in notes
    assert "run jigsaw-125-1-0: not compared" in notes
    by_arm = {v.arm.source: v for v in found.verdicts}
    assert by_arm["jigsaw"].n_cases == 5  # fold 1 alone, without patient 3
    assert by_arm["random"].n_cases == PATIENTS - 1


def test_label_maps_want_a_label(made: Made, tmp_path: Path) -> None:
    table = made.table[(made.table["n"] == 5) & (made.table["repeat"] == 0)]
    for run_id in table["run_id"].unique():
        own = table[table["run_id"] == run_id]["case"]
        masks = {case: np.full((SIZE, SIZE), 2, np.uint8) for case in own}
        write_masks(tmp_path / run_id / "masks.npz", masks)
    test = HumanTest(made.root / "observers.csv", tmp_path, 0.03, cases=made.test().cases)
    with pytest.raises(DataError, match=r"No run has masks .*several classes; wanted a label"):
        compare_with_observers(table, test, LABELS, repeats=200)
    labelled = HumanTest(made.root / "observers.csv", tmp_path, 0.03, cases=test.cases, label=1)
    found = compare_with_observers(table, labelled, LABELS, repeats=200)
    assert {v.model_observer for v in found.verdicts} == {0.0}  # label 1 is nowhere: all missed
    # The first cases of a run may well be read before one that cannot.
    for run_id in table["run_id"].unique():
        masks = read_masks(tmp_path / run_id / "masks.npz")
        own = {case: mask // (2 if i < 3 else 1) for i, (case, mask) in enumerate(masks.items())}
        write_masks(tmp_path / run_id / "masks.npz", own)
    with pytest.raises(DataError, match=r"No run has masks .*several classes; wanted a label"):
        compare_with_observers(table, test, LABELS, repeats=200)


def test_what_cannot_be_asked(made: Made, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="margin is 0"):
        compare_with_observers(made.table, made.test(margin=0.0), LABELS)
    with pytest.raises(DataError, match="is no CT"):
        compare_with_observers(made.table, made.test(1.0, "sma_difference_percent"), LABELS)
    elsewhere = made.table.assign(case="99")
    with pytest.raises(DataError, match="outlined no case that the study tested"):
        compare_with_observers(elsewhere, made.test(), LABELS)
    # Without the study's manifest the table has to call cases as the observers' manifest does.
    with pytest.raises(DataError, match="outlined no case"):
        compare_with_observers(made.table, made.test(cases=False), LABELS)


def test_masks_of_another_grid_are_named(made: Made, tmp_path: Path) -> None:
    table = made.table[(made.table["n"] == 5) & (made.table["repeat"] == 0)]
    for number, run_id in enumerate(table["run_id"].unique()):
        own = table[table["run_id"] == run_id]["case"]
        size = SIZE if number else SIZE + 1
        write_masks(tmp_path / run_id / "masks.npz", {c: np.ones((size, SIZE), bool) for c in own})
    test = HumanTest(made.root / "observers.csv", tmp_path, 0.03, cases=made.test().cases)
    found = compare_with_observers(table, test, LABELS, repeats=200)
    assert any("wanted one grid" in note for note in found.notes)


def test_one_note_says_where_observers_did_not_look(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for name, own in made.masks.items():
        labels = own["B"].astype(np.uint8)
        labels[: 2 if int(name) % 2 else 4] = 255
        made.save(f"{name}_B", labels)
    found = compare_with_observers(made.table, made.test(), LABELS, repeats=200)
    (note,) = (note for note in found.notes if "255" in note)
    assert note.startswith("11 cases ('0', '1', '2', ...): 5 to 10 % of the slice is 255 (in masks")
