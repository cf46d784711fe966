"""Scores of source tasks on two real processes are those of one, whether or not counts divide."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pretext_worker
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    pretext_worker.main(1, folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", pretext_worker.__file__, "2", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / name).read_text()) for name in ("1-0.json", "2-0.json")]


@pytest.mark.parametrize("name", pretext_worker.COUNTS)
def test_no_image_counts_twice(found, name):
    alone, both = found
    for expected, figures in zip(alone[name], both[name], strict=True):
        assert figures == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_a_contrastive_loss_is_the_mean_over_images(found):
    alone, both = found
    for expected, figures in zip(alone["simclr"], both["simclr"], strict=True):
        assert figures == pytest.approx(expected, abs=1e-5)


def test_no_image_of_a_sampler_with_an_order_of_its_own_is_dropped(found):
    alone, both = found
    assert both["own order"][0] == pytest.approx(alone["own order"][0], abs=1e-5)
