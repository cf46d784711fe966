"""Fine-tuning on two real processes: figures equal one process, weights equal on both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import finetune_worker
import pytest

from muscletransfer.data.synthetic import make_cohort

WORKER = Path(finetune_worker.__file__)
ROOT = Path(__file__).parents[2]


def on_two_processes(folder: Path, manifest: Path) -> list[dict]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(WORKER), "2", str(folder), str(manifest)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"2-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    manifest = make_cohort(folder / "cohort", patients=8, seed=1, size=96).manifest
    finetune_worker.main(1, folder, str(manifest))
    return json.loads((folder / "1-0.json").read_text()), on_two_processes(folder, manifest)


@pytest.mark.parametrize("name", ["odd", "classes", "one case", "files"])
def test_figures_equal_one_process(found, name):
    alone, both = found
    for process in both:
        assert process[name]["figures"] == pytest.approx(alone[name]["figures"], abs=1e-6)
        assert len(process[name]["table"]) == len(alone[name]["table"])
        for row, expected in zip(process[name]["table"], alone[name]["table"], strict=True):
            assert row == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["odd", "classes"])
def test_predictions_of_all_processes_are_those_of_one(found, name):
    alone, both = found
    together: dict[str, int] = {}
    for process in both:
        together |= process[name]["masks"]
    assert together == alone[name]["masks"]


@pytest.mark.parametrize("name", ["until_epoch", "frozen"])
def test_weights_are_equal_on_both(found, name):
    _, (first, second) = found
    assert first[name] == second[name]
    assert Path(first[name]["best"]).is_file()


def test_the_encoder_stays_as_long_as_it_should(found):
    alone, both = found
    for process in [alone, *both]:
        assert process["until_epoch"]["moved"] == [False, True, True]
        assert process["frozen"]["moved"] == [False, False, False]
    assert both[0]["frozen"]["encoder"] == alone["frozen"]["encoder"]


def test_a_process_without_cases_gathers_those_of_the_others(found):
    alone, both = found
    assert alone["rows"]["2"] == {"area": 3.0, "loss": 0.25}
    assert [process["rows"] for process in both] == [alone["rows"]] * 2
