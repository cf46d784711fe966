"""Strategies on two real processes: static graph, sharded parameters; and FSDP's refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import strategy_worker
from finetune_toys import trainer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", strategy_worker.__file__, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["static", "sharded"])
def test_the_checkpoint_is_whole_and_each_case_counts_once(found, name):
    first, second = (process[name] for process in found)
    assert first == second
    assert first["sha"] == first["found"]
    assert first["steps"] == 4  # five cases, four a step: two an epoch
    assert first["cases"] == first["data"] == 5
    assert first["figure"] == pytest.approx(first["mean"])


def test_fsdp_asks_for_a_gpu(tmp_path):
    with pytest.raises(ValueError, match="`fsdp` requires a GPU accelerator"):
        trainer(tmp_path, strategy="fsdp", devices=2)
