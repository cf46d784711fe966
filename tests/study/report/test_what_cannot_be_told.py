"""Studies without a run from scratch, or without observers that can be used: both say so."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from seeded_study import PHANTOM, Seeded

from muscletransfer.cli import main
from muscletransfer.study.finish import analyse_study, write_study_results
from muscletransfer.study.plan import study_manifest
from muscletransfer.study.report import write_study_report
from muscletransfer.study.report.headline import saving_answer
from muscletransfer.study.report.saving_figure import saving_figure
from muscletransfer.study.report.styles import arm_styles
from muscletransfer.study.report.tables import saving_table
from muscletransfer.study.results import example_table
from muscletransfer.study.statistics import analyse


def small(**changes: Any) -> dict[str, Any]:
    plain = copy.deepcopy(PHANTOM) | {"train_patients": [2, 4], "repeats": 1} | changes
    plain["data"]["phantom"] |= {"patients": 8, "observers": 0, "size": 64}
    plain["data"] |= {"num_folds": 2, "preprocessing": {"size": 32}}
    return plain


@pytest.mark.parametrize("names", [["random"], ["random", "random, not frozen"]])
def test_a_frozen_random_encoder_is_no_training_from_scratch(
    names: list[str], tmp_path: Path
) -> None:
    sources: list[Any] = [{"name": name, "freeze": "encoder"} for name in names]
    sources.append({"pretext": {"class_path": "jigsaw", "init_args": {"grid": 2}}})
    needs = dict.fromkeys(names, 2.0) | {"jigsaw": 0.5}
    Seeded(tmp_path / "study", small(sources=sources), needs)
    _, analysis = analyse_study(tmp_path / "study")
    assert analysis.reference not in {arm.source for arm in analysis.arms}
    assert analysis.saving == ()
    assert "It cannot be told" in saving_answer(analysis).lead
    page = write_study_report(tmp_path / "study").read_text(encoding="utf-8")
    assert "It cannot be told: no finished run starts from scratch" in page


@pytest.mark.parametrize("first", ["random", "jigsaw"])
def test_a_study_under_way_is_not_told_that_it_has_no_scratch(first: str) -> None:
    table = example_table(patients=12)
    ahead = (table["source"] == first) | table["patient"].isin(sorted(set(table["patient"]))[:3])
    answer = saving_answer(analyse(table[ahead], resamples=200))
    assert answer.lead.startswith("It cannot be told yet: too few patients were tested both")
    late = "jigsaw" if first == "random" else "random"
    assert answer.more == (
        f"jigsaw: no label saving, since 80% of the patients were tested at no n of {late} yet",
    )


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study on a manifest that asks about a label nobody drew, and its observers' manifest."""
    root = tmp_path_factory.mktemp("observed")
    drawn = Seeded(root / "phantom", small(sources=["random"]))
    table = study_manifest(drawn.plan.config, root / "phantom").path
    assert table is not None
    cases = pd.read_csv(table)
    for column in ("image", "mask"):
        cases[column] = [str(table.parent / name) for name in cases[column]]
    cases[["patient_id", "image", "mask"]].to_csv(root / "cases.csv", index=False)
    both = [cases.assign(observer=name) for name in ("A", "B")]
    pd.concat(both)[["patient_id", "image", "mask", "observer"]].to_csv(
        root / "observers.csv", index=False
    )
    plain = small(sources=["random"], human_level={"label": 3})
    plain["data"].pop("phantom")
    plain["data"] |= {
        "manifest": str(root / "cases.csv"),
        "observers": str(root / "observers.csv"),
    }
    Seeded(root / "study", plain, {"random": 1.0})
    return root / "study", root / "observers.csv"


def test_results_are_written_although_no_observer_drew_the_label(
    observed: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = observed
    (folder / "results").mkdir(exist_ok=True)
    for name in ("curve_bands.csv", "human.csv"):
        (folder / "results" / name).write_text("of an earlier plan")
    with pytest.warns(UserWarning, match=r"no observer mask holds label 3 \(human_level.label\)"):
        written = write_study_results(folder)
    assert "summary.csv" in {path.name for path in written}
    assert "human.csv" not in {path.name for path in written}
    assert not (folder / "results" / "human.csv").exists()
    assert any("holds label 3" in note for note in analyse_study(folder)[1].notes)
    assert main(["study", "results", str(folder)]) == 0
    said = capsys.readouterr()
    assert "summary.csv" in said.out
    assert said.err.startswith("note: There is no comparison with observers: no observer mask")
    page = write_study_report(folder).read_text(encoding="utf-8")
    assert page.count("no observer mask holds label 3 (human_level.label)") == 1
    assert "empty=" not in page


def test_results_are_written_although_the_observers_are_gone(
    observed: tuple[Path, Path],
) -> None:
    folder, observers = observed
    away = observers.rename(observers.with_suffix(".away"))
    try:
        with pytest.warns(UserWarning, match=r"no comparison with observers: .*observers.csv"):
            assert write_study_results(folder)
    finally:
        away.rename(observers)


def test_few_patients_have_no_interval_in_table_and_figure() -> None:
    for patients, lines in ((4, 1), (5, 2)):
        starts = {"random": 0.45, "jigsaw": 0.5}
        analysis = analyse(example_table(ns=[5, 10, 20], patients=patients, start=starts))
        shown = saving_table(analysis)
        assert ("no interval: fewer than 5 patients" in shown) == (patients < 5)
        assert "not bounded by what was measured" not in shown
        (saving,) = analysis.saving
        style = arm_styles(analysis.arms, analysis.labels, analysis.reference)[saving.arm]
        (axes,) = saving_figure([(style, saving.headline)]).axes
        assert len(axes.lines) == 1 + lines  # of no saving, the interval and the factor
