"""``muscletransfer study`` from the first plan to the results, through the real command line."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_cases import ct_cases, study

from muscletransfer.cli import main
from muscletransfer.study.plan.printing import finished_ids

ON_CPU = ["--devices", "", "--no-report"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study_cli")
    ct_cases(folder / "cases", 8)
    return folder


def write(place: Path, **changes: object) -> str:
    (place / "mine.yaml").write_text(yaml.safe_dump(study("cases/cases.csv", **changes)))
    return str(place / "mine.yaml")


def test_plan_says_what_would_run_and_writes_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    sources = ["random", {"pretext": "jigsaw", "data": {"images": "manifest"}}]
    assert main(["study", "plan", write(place, sources=sources), "--no-probe", "--list"]) == 0
    text = capsys.readouterr().out
    assert "8 runs = 2 arms x 2 n x 2 folds x 1 repeat; 2 pre-trainings." in text
    assert "one for each of 2 folds" in text
    assert text.count("jigsaw n=") == 4
    assert not (place / "mine").exists()


def test_a_mistake_is_one_line_with_the_place(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(place, sorces=["random"])
    assert main(["study", "plan", file]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "mine.yaml: study: unknown key 'sorces'. Did you mean 'sources'?" in error


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--executor", "ray", "--devices", "0,1"], "'ray' shares out its own"),
        (["--address", "ray://head:10001"], "add --executor ray"),
    ],
    ids=["devices of ray", "address without ray"],
)
def test_an_option_of_another_executor_is_never_dropped(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["study", "run", write(place), *options]) == 2
    assert told in capsys.readouterr().err


def test_from_start_through_failures_and_an_edit_to_results(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    file = write(place, train_patients=[2])
    start = ["study", "run", file, *ON_CPU]
    blocker = place / "blocker"
    blocker.write_text("a file where the cache wants a folder")

    assert main([*start, "--cache", str(blocker)]) == 1
    said = capsys.readouterr()
    assert "mine: 0 done, 0 of them now." in said.out
    assert "study retry" in said.err
    failed = sorted(path.name for path in (place / "mine" / "failed").iterdir())
    assert len(failed) == 2
    assert str(blocker) in (place / "mine" / "failed" / failed[0] / "traceback.txt").read_text()
    assert main(["study", "status", "mine"]) == 0
    assert "0 done, 0 running, 2 failed" in capsys.readouterr().out

    assert main(start) == 1  # what failed is not run again unasked
    capsys.readouterr()
    assert main(["study", "retry", "mine", "nonesuch"]) == 2
    assert "no such failed run" in capsys.readouterr().err
    assert main(["study", "retry", "mine", *ON_CPU]) == 0
    said = capsys.readouterr()
    assert "2 to run again." in said.out
    assert "mine: 2 done, 2 of them now." in said.out
    assert not any((place / "mine" / "failed").iterdir())

    before = finished_ids(place / "mine")
    stamps = {run: os.stat(place / "mine" / "runs" / run).st_mtime_ns for run in before}
    file = write(place, train_patients=[2, 3])
    assert main(start) == 0
    assert "mine: 4 done, 2 of them now." in capsys.readouterr().out
    assert {run: os.stat(place / "mine" / "runs" / run).st_mtime_ns for run in before} == stamps
    assert main(["study", "run", "mine", *ON_CPU]) == 0  # the folder knows its study
    assert "mine: 4 done, 0 of them now." in capsys.readouterr().out

    assert main(["study", "results", "mine"]) == 0
    table = pd.read_csv(place / "mine" / "results" / "cases.csv")
    assert len(table) == 2 * 8  # each patient is tested once at each n
    assert set(table["n"]) == {2, 3}
    assert set(table["source"]) == {"random"}


@pytest.mark.parametrize("word", ["status", "results", "retry"])
def test_a_folder_without_a_study_is_told(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", word, str(tmp_path)]) == 2
    assert "study run" in capsys.readouterr().err
