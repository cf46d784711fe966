"""Two real processes with an uneven number of cases give what one process gives."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from muscletransfer.metrics import DiceScore, DistanceToAgreement

# Case 6 misses its mask; case 0 is a padded repeat on the second process.
SHARES = {"uneven": ([0, 1, 2, 5], [3, 4, 6, 0]), "one has none": ([0, 1, 2, 3, 4, 5, 6], [])}


def make_case(case: int) -> tuple[np.ndarray, np.ndarray]:
    """Label maps of two classes, a size and shape of their own for each case."""
    rng = np.random.default_rng(case)
    target = np.zeros((30 + case, 40), np.uint8)
    target[5:15, 5:15], target[18:26, 12:30] = 1, 2
    pred = np.roll(target, rng.integers(-3, 4, 2), axis=(0, 1))
    return (np.zeros_like(target) if case == 6 else pred), target


def score(cases: list[int]) -> dict[str, dict[str, object]]:
    found = {}
    for name, metric in {
        "dice": DiceScore(num_classes=3),
        "rms": DistanceToAgreement(num_classes=3),
        "max": DistanceToAgreement("max", num_classes=3),
    }.items():
        for start in range(0, len(cases), 2):
            ids = cases[start : start + 2]
            preds, targets = zip(*map(make_case, ids), strict=True)
            metric.update(preds, targets, ids, [(0.7, 0.9)] * len(ids))
        found[name] = {
            "compute": {key: value.item() for key, value in metric.compute().items()},
            "per_case": {str(case): value for case, value in metric.per_case().items()},
            # After gathering, the process must have its own rows again.
            "kept": sum(len(rows) for rows in metric.case),
        }
    return found


def work(rank: int, folder: str, port_file: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{port_file}", rank=rank, world_size=2)
    found = {name: score(shares[rank]) for name, shares in SHARES.items()}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_two_processes_equal_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    # Spawned children import this file by name, so they must find it.
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *filter(None, sys.path)]))
    mp.spawn(work, args=(str(tmp_path), str(tmp_path / "meet")), nprocs=2)
    expected = score(list(range(7)))
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        for name, shares in SHARES.items():
            for metric, figures in expected.items():
                there = found[name][metric]
                assert there["compute"] == pytest.approx(figures["compute"], abs=1e-6)
                assert there["per_case"] == pytest.approx(figures["per_case"], abs=1e-6)
                assert there["compute"]["n_cases"] == 7
                assert there["compute"]["n_failed"] == 1
                assert there["kept"] == len(shares[rank])
