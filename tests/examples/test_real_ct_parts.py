"""The sums, the stages and the words of the example on real images, on numbers made up here."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import math
import re
import statistics
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"real_ct_parts.{name}")

    return load


def run(arm: str, dice: list[float], *, n: int = 5, repeat: int = 0) -> dict[str, Any]:
    cases = [
        {
            "case": 100 * repeat + i,
            "dice": value,
            "dta_rms_mm": math.inf if value == 0 else 1 / value,
            "failed": value == 0,
            "area_cm2": 90.0,
            "reference_area_cm2": 100.0,
            "sma_cm2": 88.0,
            "reference_sma_cm2": 80.0,
            "reference_smd_hu": 40.0,
        }
        | ({} if value == 0 else {"smd_hu": 37.0})
        for i, value in enumerate(dice)
    ]
    return {"arm": arm, "n": n, "repeat": repeat, "test": "upper", "cases": cases}


def test_a_missed_mask_moves_the_median_and_is_counted(part: Any) -> None:
    summary = part("summary")
    mostly_missed = run("jigsaw", [0.0, 0.0, 0.8])
    assert summary.run_median(mostly_missed, "dice") == 0
    assert summary.run_median(mostly_missed, "distance") == math.inf
    assert summary.run_median(mostly_missed, "smd_error") == math.inf
    assert summary.failures([mostly_missed, run("jigsaw", [0.5])]) == (2, 4)
    assert part("tables").number(math.inf, 2) == "missed"
    scores = summary.case_scores(mostly_missed["cases"][2])
    assert scores == pytest.approx(
        {
            "dice": 0.8,
            "distance": 1.25,
            "outline_error": 10.0,
            "area_error": 10.0,
            "smd_error": 3.0,
        }
    )


def test_arms_are_compared_on_the_same_slices_and_seed(part: Any) -> None:
    summary = part("summary")
    runs = [
        run("random", [0.5, 0.6, 0.7], repeat=0),
        run("random", [0.8, 0.8, 0.8], repeat=1),
        run("jigsaw", [0.9, 0.9, 0.9], repeat=1),
        run("jigsaw", [0.4, 0.5, 0.6], repeat=0),
        run("jigsaw", [0.0], n=10),
    ]
    found = summary.against_random(runs, "jigsaw", 5)
    assert sorted(found["differences"]) == pytest.approx([-0.1, 0.1])
    assert found["better"] == 1
    interval = summary.patients_against_random(runs, "jigsaw", 5)
    assert interval["mean"] == pytest.approx(0.0, abs=1e-12)
    # six differences of +-0.1: the mean of a draw has deviation 0.1 / sqrt(6)
    assert interval["high"] == pytest.approx(1.96 * 0.1 / math.sqrt(6), abs=0.02)
    assert interval["low"] == pytest.approx(-interval["high"], abs=1e-9)


def test_verdict_follows_the_interval(part: Any) -> None:
    bounds = {"a": (0.01, 0.2), "b": (-0.2, -0.01), "c": (-0.1, 0.1)}

    def compare(arm: str, n: int) -> dict[str, float]:
        return dict(zip(("low", "high"), bounds[arm], strict=True))

    assert part("summary").verdict(list(bounds), [5], compare) == {
        "better": ["a (n = 5)"],
        "worse": ["b (n = 5)"],
        "unclear": ["c (n = 5)"],
    }


def test_a_source_task_must_beat_every_answer_without_learning(part: Any) -> None:
    learnt = part("prose")._learnt
    scores = {"accuracy": 0.64, "constant_accuracy": 0.64}
    scores |= {"macro_accuracy": 0.2, "constant_macro_accuracy": 0.125}
    assert not learnt("classification", scores)
    assert learnt("classification", scores | {"accuracy": 0.65})
    rebuilt = {"hidden_error": 0.1, "hidden_error_constant": 0.2, "hidden_error_local": 0.09}
    assert not learnt("reconstruction", rebuilt | {"psnr": 20.0, "psnr_input": 15.0})


def test_stages_are_kept_until_a_setting_that_matters_changes(part: Any, tmp_path: Path) -> None:
    full = part("settings").FULL
    done: list[str] = []

    def times(settings: Any, name: str) -> int:
        stages = part("stages").Stages(tmp_path, settings, 1)
        stages.run(name, lambda: done.append(name) or {"scores": {}})
        return len(done)

    assert times(full, "ct random n=2") == 1
    assert times(full, "ct random n=2") == 1
    assert times(dataclasses.replace(full, ct_repeats=9, mr_steps=9), "ct random n=2") == 1
    assert times(dataclasses.replace(full, ct_steps=9), "ct random n=2") == 2
    assert times(dataclasses.replace(full, ct_steps=9), "ct random n=5") == 3
    # what the weights depend on, all depends on
    assert times(dataclasses.replace(full, pretext_steps=9), "ct random n=5") == 4

    with pytest.raises(ZeroDivisionError):
        part("stages").Stages(tmp_path, full, 1).run("mr random n=5", lambda: {"x": 1 / 0})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "ct_random_n_2.json",
        "ct_random_n_5.json",
    ]


def test_only_prose_is_wrapped(part: Any) -> None:
    wrapped = part("page")._wrapped
    table = "| a |\n|---|\n| " + "x " * 90 + "|"
    assert wrapped(table) == table
    lines = wrapped("- " + "word " * 60 + "\n- next").split("\n")
    assert max(map(len, lines)) <= 100
    assert lines[1].startswith("  word")
    assert lines[-1] == "- next"
    assert not re.search(r"^\s*\+", wrapped("word + " * 60), re.M)  # would be a list in Markdown


def test_the_page_in_docs_agrees_with_its_runs() -> None:
    docs = EXAMPLES.parent / "docs"
    with (docs / "results" / "runs.csv").open() as file:
        runs = list(csv.DictReader(file))
    page = (docs / "results.md").read_text()
    assert "quick form" not in page
    checked = 0
    for data, section in (("ct", "### Muscle on CT"), ("mr", "### Heart on MR")):
        text = page.split(section)[1].split("\n### ")[0]
        for n, arm, dice in re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]*\(.*?\)) \|", text, re.M):
            medians = [
                float(run["median_dice"])
                for run in runs
                if (run["data"], run["n"], run["arm"]) == (data, n, arm)
            ]
            shown = [float(number) for number in re.findall(r"[\d.]+", dice)]
            wanted = [statistics.median(medians), min(medians), max(medians)]
            assert shown == pytest.approx(wanted, abs=0.0006), (data, n, arm)
            checked += len(medians)
    assert checked == len(runs)


MACHINE: dict[str, Any] = {
    "processor": "P",
    "cores": 2,
    "threads": 1,
    "load": 0.5,
    "precision": "32-true",
    "python": "3.11",
    "system": "Linux",
    "versions": {"torch": "1"},
    "date": "2026-01-02",
}


def test_a_stage_keeps_the_machine_that_made_it(
    part: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages, full = part("stages"), part("settings").FULL
    machines = iter([MACHINE, MACHINE | {"processor": "another"}])
    monkeypatch.setattr(stages, "describe_machine", lambda: next(machines))
    made, kept = (
        stages.Stages(tmp_path, full, 1).run("ct random n=2", lambda: {"scores": {}})
        for _ in range(2)
    )
    assert made["machine"] == kept["machine"] == MACHINE


def test_the_page_names_the_machines_of_its_stages_and_not_its_own(part: Any) -> None:
    told = part("machine").told
    page = MACHINE | {"processor": "of the page"}
    later = MACHINE | {"date": "2026-01-04", "load": 3.0}
    words = ", 1 thread a process, no accelerator, 32-true; Python 3.11 on Linux; torch "
    one = f"2026-01-02, P, 2 cores{words}"
    assert told([{"machine": MACHINE}] * 3, page) == f"{one}1."
    assert told([{"machine": later}, {"machine": MACHINE}], page) == (
        "2026-01-02 to 2026-01-04, P, 2 cores shared with other work (load up to 3.0, so times are "
        f"long){words}1."
    )
    newer = {"machine": MACHINE | {"versions": {"torch": "2"}}}
    assert told([{"machine": MACHINE}, newer, newer], page) == (
        f"1 stage: {one}1. 2 stages: {one}2."
    )
    assert told([{}, {"machine": MACHINE}], page) == (
        f"1 stage: {one}1. Machine, versions, load and date of 1 of the 2 stages were not "
        f"recorded; the page was written on 2026-01-02, of the page, 2 cores{words}1."
    )
