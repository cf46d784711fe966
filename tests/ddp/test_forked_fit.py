"""A fit in a process that the Trainer forks: the task here knows what its weights learned from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("fork_worker.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fork")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(WORKER), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


def test_the_record_comes_back_with_the_weights(found):
    assert found["moved"]
    export, file = found["export"], found["file"]
    assert export["data"]["patients"] == 6
    assert (export["data"], export["sha256"]) == (file["data"], file["sha256"])
    assert found["size"] == file["preprocessing"]["size"] == 32


def test_a_run_that_goes_on_from_the_file_is_one_training(found):
    assert [data["patients"] for data in found["resumed"]] == [6]


def test_the_record_of_a_pretext_task_comes_back(found):
    record = found["pretext"]
    assert (record["data"]["patients"], record["preprocessing"]["size"]) == (3, 64)
    assert len(record["sha256"]) == 64
