"""A study that really trains, killed in the middle by the system, ends with the same rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from in_process import Here
from tiny_cases import ct_cases, study

from muscletransfer.study import analyse_study, read_config, run_study

TIMEOUT = 300
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="finds workers to kill through /proc"
    ),
]


def start(file: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "muscletransfer", "study", "run", str(file)]
    command += ["-o", str(folder), "--no-report"]
    cache = {"MUSCLETRANSFER_CACHE": str(folder.parent / "cache")}
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **cache},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(driver: subprocess.Popen[str], folder: Path, done: int) -> None:
    """Wait until so many jobs stand in place and another one is under way."""
    while True:
        try:
            driver.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            if len(in_place(folder)) >= done and any((folder / "working").glob("*")):
                return
        else:
            raise AssertionError("the driver ended before it could be killed")


def workers_of(pid: int) -> list[int]:
    """Processes of a driver that work for it, found as the system lists them."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            for child in (task / "children").read_text().split():
                if "muscletransfer.study.running" in Path(f"/proc/{child}/cmdline").read_text():
                    found.add(int(child))
        except (FileNotFoundError, ProcessLookupError):  # the thread or child has just ended
            continue
    return sorted(found)


def in_place(folder: Path) -> dict[str, int]:
    """Finished jobs and the file system's number of their folder."""
    kinds = ("pretexts", "runs")
    return {
        path.name: path.stat().st_ino
        for kind in kinds
        for path in (folder / kind).glob("[0-9a-f]*")
    }


def rows(folder: Path) -> pd.DataFrame:
    table = analyse_study(folder)[0].table
    return table.sort_values(["run_id", "case"]).reset_index(drop=True)


def test_driver_and_worker_are_killed_while_they_train(tmp_path: Path) -> None:
    plain = study(
        ct_cases(tmp_path / "cases"),
        sources=["random"],
        finetune={"steps": 25, "batch_size": 2, "lr": 0.01},
    )
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(plain))
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"

    assert run_study(read_config(file), undisturbed, Here(), progress=False).complete

    first = start(file, disturbed)
    wait_for(first, disturbed, 1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=TIMEOUT)
    kept = in_place(disturbed)
    assert 0 < len(kept) < len(in_place(undisturbed))

    second = start(file, disturbed)
    wait_for(second, disturbed, len(kept))
    while not (workers := workers_of(second.pid)):  # a claim stands before its worker does
        assert second.poll() is None
    (worker,) = workers
    os.kill(worker, signal.SIGKILL)
    _, said = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 0, said

    after = in_place(disturbed)
    assert after.keys() == in_place(undisturbed).keys()
    assert kept.items() <= after.items()  # what stood in place was not done again
    assert not list((disturbed / "working").glob("*"))
    pd.testing.assert_frame_equal(rows(disturbed), rows(undisturbed))
