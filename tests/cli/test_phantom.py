"""`muscletransfer phantom`: what is asked for on the line is in the cohort."""

import csv
import subprocess
import sys

import pytest

from muscletransfer.data.synthetic import TROUBLES


def muscletransfer(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "muscletransfer", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_troubles_are_drawn_in_turn(tmp_path):
    options = ["--patients", "6", "--size", "32", "--other-levels", "0"]
    done = muscletransfer(
        "phantom", "out", *options, "--troubles", "motion", "arms", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "manifest.csv" in done.stdout
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        found = [row["troubles"] for row in csv.DictReader(file)]
    assert found == ["", "", "arms", "", "", "motion"]


@pytest.mark.parametrize(("wrong", "near"), [("metl", "metal"), ("Motion", "motion")])
def test_an_unknown_trouble_is_one_line_with_the_close_name(tmp_path, wrong, near):
    done = muscletransfer("phantom", "out", "--troubles", "arms", wrong, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"did you mean {near!r}?" in done.stderr
    assert all(name in done.stderr for name in TROUBLES)
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_trouble(tmp_path):
    shown = " ".join(muscletransfer("phantom", "--help", folder=tmp_path).stdout.split())
    assert f"{', '.join(TROUBLES)}: every third patient" in shown
