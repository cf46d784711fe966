"""A cohort is written whole or not at all, and never over something else."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from muscletransfer.data.synthetic import OBSERVERS, TROUBLES, make_cohort
from muscletransfer.errors import DataError, UnknownNameError

_ENDLESS = """
import sys
from muscletransfer.data.synthetic import make_cohort
make_cohort(sys.argv[1], patients=5000, size=32, workers=1, progress=True)
"""
# Files may not grow beyond a size, as on a full disk; the first image is larger.
_ON_A_FULL_DISK = """
import resource, sys
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    make_cohort(sys.argv[1], patients=2, size=64, image_format=sys.argv[2], workers=1)
except DataError as error:
    print(error)
"""


def rows(path):
    """Rows of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stopped_in_the_middle(folder, how):
    """Start a long cohort in another process and end it after the second patient."""
    process = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(folder)], stderr=subprocess.PIPE
    )
    seen = b""
    while b" 2/5000" not in seen:
        piece = process.stderr.read(1)
        assert piece, seen  # it ended by itself
        seen += piece
    process.send_signal(how)
    process.stderr.close()
    assert process.wait(timeout=60) != 0


def test_an_interrupted_cohort_leaves_nothing(tmp_path):
    stopped_in_the_middle(tmp_path / "cohort", signal.SIGINT)
    assert not list(tmp_path.iterdir())


def test_a_killed_cohort_leaves_no_cohort_and_its_draft_is_swept(tmp_path):
    folder = tmp_path / "cohort"
    stopped_in_the_middle(folder, signal.SIGKILL)
    assert not folder.exists()
    drafts = list(tmp_path.iterdir())
    assert all(path.name.startswith(".building-") for path in drafts)
    long_ago = time.time() - 7200
    for draft in drafts:
        os.utime(draft, (long_ago, long_ago))
    cohort = make_cohort(folder, patients=1, size=32)
    assert len(rows(cohort.manifest)) == 1
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, kind):
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path / "cohort"), kind],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "P0001" in done.stdout
    assert "could not be written whole" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_same_cohort_is_used_as_it_is(tmp_path):
    first = make_cohort(tmp_path / "c", patients=1, size=32)
    before = {path: path.stat().st_mtime_ns for path in first.root.rglob("*")}
    assert make_cohort(tmp_path / "c", patients=1, size=32) == first
    assert {path: path.stat().st_mtime_ns for path in first.root.rglob("*")} == before


def test_another_cohort_is_not_written_over(tmp_path):
    make_cohort(tmp_path / "c", patients=1, size=32)
    with pytest.raises(DataError, match=r"seed=0 \(wanted 3\).*another folder"):
        make_cohort(tmp_path / "c", patients=1, size=32, seed=3)


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "c").mkdir()
    mine = tmp_path / "c" / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"not a phantom cohort.*cohort\.json"):
        make_cohort(tmp_path / "c", patients=1, size=32)
    mine.rename(tmp_path / "c" / "cohort.json")
    with pytest.raises(DataError, match="not readable JSON"):
        make_cohort(tmp_path / "c", patients=1, size=32)
    assert (tmp_path / "c" / "cohort.json").read_text() == "mine"
    for damaged, message in ((b"\xff\xfe", "not readable JSON"), (b"[]", "not hold what a cohort")):
        (tmp_path / "c" / "cohort.json").write_bytes(damaged)
        with pytest.raises(DataError, match=f"{message}.*another folder"):
            make_cohort(tmp_path / "c", patients=1, size=32)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "c").mkdir()
    cohort = make_cohort(tmp_path / "c", patients=1, size=32)
    assert json.loads((cohort.root / "cohort.json").read_text())["synthetic"] is True
    assert not (cohort.root / "observers").exists()
    assert not (cohort.root / "pretext").exists()
    assert cohort.observers_manifest is None
    assert cohort.pretext_manifest is None


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written.*another out_dir"):
        make_cohort(tmp_path / "file" / "c", patients=1, size=32)


@pytest.mark.parametrize(
    "wrong",
    [{"patients": 0}, {"size": 16}, {"observers": 11}, {"other_levels": 6}, {"workers": 0},
     {"seed": -1}, {"patients": 2.5}, {"seed": "3"}],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_numbers_out_of_range_are_named(tmp_path, wrong):
    name, value = next(iter(wrong.items()))
    wanted = "1 or more" if name == "workers" else r"a whole number from \d+ to \d+"
    with pytest.raises(DataError, match=f"{name}={value!r}; wanted {wanted}"):
        make_cohort(tmp_path / "c", **{"patients": 1, "size": 32} | wrong)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers(tmp_path):
    plain = {"patients": 1, "size": 32, "seed": 3}
    made = make_cohort(tmp_path / "c", **{k: np.int64(v) for k, v in plain.items()})
    assert make_cohort(tmp_path / "c", **plain) == made


def test_a_large_cohort_is_drawn_where_a_process_has_no_processors_of_its_own(
    tmp_path, monkeypatch
):
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    cohort = make_cohort(tmp_path / "c", patients=16, size=32)
    assert len(rows(cohort.manifest)) == 16


def test_every_third_patient_has_a_trouble_and_the_kinds_take_turns(tmp_path):
    cohort = make_cohort(
        tmp_path / "c", patients=12, size=48, troubles=TROUBLES, observers=1, workers=1
    )
    troubles = [row["troubles"] for row in rows(cohort.manifest)]
    assert troubles[2::3] == list(TROUBLES)
    assert not any(troubles[0::3] + troubles[1::3])
    observed = rows(cohort.observers_manifest)
    assert {row["observer"] for row in observed} == {OBSERVERS[0].name}
    assert all((cohort.root / row["mask"]).is_file() for row in observed)


def test_unknown_troubles_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UnknownNameError, match=r"'motionn'.*'motion'"):
        make_cohort(tmp_path / "c", patients=1, size=32, troubles=["motionn"])
    assert not list(tmp_path.iterdir())
