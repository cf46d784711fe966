"""``muscletransfer study`` when the reader goes away, a path is odd, or the study is elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_cases import ct_cases, study

from muscletransfer.cli import main
from muscletransfer.study.running import Job, read_status, run_jobs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four runs, in a folder of that name."""
    folder = tmp_path_factory.mktemp("study_ends")
    ct_cases(folder / "cases", 8)
    (folder / "mine.yaml").write_text(yaml.safe_dump(study("cases/cases.csv", train_patients=[2])))
    return folder


def command(place: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "muscletransfer", "study", *words]


@pytest.fixture(scope="module")
def finished(place: Path) -> Path:
    """The study, run with both streams into a pipe that is closed after one line."""
    words = command(place, "run", "mine.yaml", "--devices", "")
    started = subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert started.stdout is not None
    assert b"0 of 2 done" in started.stdout.readline()
    started.stdout.close()
    assert started.wait(timeout=300) == 0
    return place / "mine"


def test_a_closed_pipe_ends_no_study_and_the_report_is_there(finished: Path) -> None:
    assert len(list((finished / "runs").iterdir())) == 2
    assert (finished / "results" / "report.html").exists()
    assert (finished / "results" / "cases.csv").exists()


def test_a_listing_that_is_cut_short_is_no_failure_and_written_files_are_told(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed() -> None:
        read, write = os.pipe()
        os.close(read)
        monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w", buffering=1))

    for words, status in (
        (["list", "encoders"], 0),
        (["study", "status", str(finished)], 0),
        (["study", "results", str(finished)], 1),
    ):
        closed()
        assert main(words) == status, words


@pytest.mark.parametrize("word", ["status", "results", "report", "retry"])
def test_a_file_in_place_of_the_folder(
    word: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", word, str(place / "mine.yaml")]) == 2
    error = capsys.readouterr().err
    assert "mine.yaml is a file; wanted a study's folder" in error


def test_a_file_in_place_of_the_output(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(place / "mine.yaml")
    assert main(["study", "run", file, "-o", file]) == 2
    assert "is a file; wanted a folder" in capsys.readouterr().err


def test_an_error_of_the_system_is_one_line(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("")
    assert main(["study", "report", str(finished), "-o", str(tmp_path / "blocked" / "x")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "blocked" in error
    assert error.count("\n") == 1


def test_a_study_behind_a_url_is_fetched_and_reported(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{finished}"
    for word in ("results", "report"):
        assert main(["study", word, url]) == 2
        assert f"`muscletransfer study fetch {url}`" in capsys.readouterr().err
    here = tmp_path / "here"
    assert main(["study", "fetch", url, "-o", str(here)]) == 0
    assert "2 fetched" in capsys.readouterr().out
    plans = [path.name for path in (finished / "plans").iterdir()]
    assert [path.name for path in (here / "plans").iterdir()] == plans
    assert main(["study", "report", str(here)]) == 0
    assert (here / "results" / "report.html").exists()
    capsys.readouterr()
    assert main(["study", "fetch", f"file://{tmp_path}/none", "-o", str(here)]) == 2
    assert "holds no study" in capsys.readouterr().err
    assert main(["study", "fetch", str(finished)]) == 2
    assert "is no URL" in capsys.readouterr().err


def test_retry_looks_at_the_ids_before_it_forgets_and_leaves_older_plans_alone(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    config = json.loads(next((finished / "plans").iterdir()).read_text())["config"]

    def fail(*names: str) -> None:
        jobs = [Job(name, "run", (), "no_such_module:f") for name in names]
        run_jobs(jobs, folder, workers=1, progress=False, plan=config)

    fail("old")
    fail("one", "two")
    assert main(["study", "retry", str(folder), "one", "typo"]) == 2
    assert "typo: no such failed run of the current plan" in capsys.readouterr().err
    assert main(["study", "retry", str(folder), "old"]) == 2
    status = read_status(folder)
    assert status is not None
    assert sorted(status.failed) == ["one", "two"]
    # the start itself runs the jobs of the file, which are others
    main(["study", "retry", str(folder), "--devices", "", "--no-report"])
    assert "2 to run again" in capsys.readouterr().out
    assert [path.name for path in (folder / "failed").iterdir()] == ["old"]
