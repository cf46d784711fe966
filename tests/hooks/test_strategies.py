"""Strategies on two real processes: static graph, sharded parameters; and FSDP's refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import strategy_worker
import torch
from finetune_toys import ToyData, copy_of, tiny, trainer
from torch.distributed.fsdp import FullyShardedDataParallel

from muscletransfer.finetune import SegmentationFineTuner

ROOT = Path(__file__).parents[2]


GPU = torch.cuda.is_available()


def work(folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", strategy_worker.__file__, str(folder), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies")
    work(folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["static", "sharded"])
def test_the_checkpoint_is_whole_and_each_case_counts_once(found, name):
    if name not in found[0] and not hasattr(torch.cpu.Stream, "record_event"):
        pytest.skip(f"torch {torch.__version__} cannot split parameters over CPUs")
    first, second = (process[name] for process in found)
    assert first == second
    assert first["sha"] == first["found"]
    assert first["steps"] == 4  # five cases, four a step: two an epoch
    assert first["cases"] == first["data"] == 5
    assert first["figure"] == pytest.approx(first["mean"])


def test_fsdp_asks_for_a_gpu(tmp_path):
    with pytest.raises(ValueError, match="`fsdp` requires a GPU accelerator"):
        trainer(tmp_path, strategy="fsdp", devices=2)


@pytest.mark.skipif(GPU, reason="a GPU is here, so torch does not refuse")
def test_it_is_torch_that_needs_the_gpu_for_fsdp():
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        with pytest.raises(RuntimeError, match="FSDP needs a non-CPU accelerator device"):
            FullyShardedDataParallel(torch.nn.Linear(2, 2))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(not GPU, reason="FSDP needs a GPU, and torch finds none on this machine")
def test_fsdp_on_a_gpu(tmp_path):
    work(tmp_path, "gpu")
    found = json.loads((tmp_path / "0.json").read_text())["fsdp"]
    assert found["sha"] == found["found"]
    assert found["steps"] == 6  # five cases, two a step: three an epoch
    assert found["cases"] == found["data"] == 5
    assert found["figure"] == pytest.approx(found["mean"])


@pytest.mark.skipif(not GPU, reason="needs a GPU, and torch finds none on this machine")
def test_half_precision_on_a_gpu(tmp_path):
    model = SegmentationFineTuner(**tiny(seed=1))
    before = copy_of(model)
    place = {"accelerator": "gpu", "precision": "16-mixed", "gradient_clip_val": 1.0}
    run = trainer(tmp_path, max_epochs=6, **place)
    run.fit(model, datamodule=ToyData(cases=4, batch_size=2))
    assert run.precision_plugin.scaler is not None
    after = copy_of(model)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(after[name].cpu(), value) for name, value in before.items())
    run.save_checkpoint(tmp_path / "half.ckpt")
    loaded = SegmentationFineTuner.load_from_checkpoint(tmp_path / "half.ckpt", map_location="cpu")
    for name, value in copy_of(loaded).items():
        assert torch.equal(value, after[name].cpu())
