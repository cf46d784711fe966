"""One process of two_processes.py: trains with one thread, prints what it measured as JSON.

Arguments as JSON: encoder, size, batch, steps, cases, manifest, cache, and whether to train under
DDP with the others (whose number and place are in the environment). Says "ready" before it trains
and waits for a line, so that processes that are not connected begin together too.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from training_only import training_only

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.finetune.case_rows import CaseRows

WARM_UP, REPEATS, COLUMNS = 2, 7, 12


def middle(function: Any) -> float:
    """Median seconds of several calls, after one that does not count."""
    times = []
    for number in range(REPEATS + 1):
        start = time.perf_counter()
        function()
        if number:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


class Clock(Callback):
    """Notes when steps end, and at the end of the run what talking to the others takes."""

    def __init__(self, cases: int) -> None:
        self.cases, self.ends, self.found = cases, [], {}

    def on_train_batch_end(self, *_: object) -> None:
        """Note it."""
        self.ends.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Time the exchange of gradients alone, and the gathering of a table of cases."""
        steps = [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)][WARM_UP:]
        count = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        self.found = {"steps": steps, "gradient_bytes": 4 * count}
        if trainer.world_size > 1:
            flat = torch.ones(count)
            self.found["all_reduce"] = middle(lambda: torch.distributed.all_reduce(flat))
            one = torch.ones(1)
            self.found["all_reduce_of_one"] = middle(lambda: torch.distributed.all_reduce(one))
            self.found["gather"] = middle(self._gather)
        self.found["gather_bytes_a_case"] = 8 * (COLUMNS + 1)

    def _gather(self) -> None:
        rows = CaseRows([str(k) for k in range(COLUMNS)])
        rows.update(range(self.cases), [[1.0] * COLUMNS] * self.cases)
        rows.compute()


def main(
    encoder: str,
    size: int,
    batch: int,
    steps: int,
    cases: int,
    manifest: str,
    cache: str,
    ddp: bool,
) -> None:
    """Train, print."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    data = LowDataModule(
        manifest,
        train_patients=10,
        preprocessing=PreprocessingSpec(size=size),
        batch_size=batch,
        steps_per_epoch=10_000,
        cache_dir=cache,
    )
    data.setup("fit")
    loader = iter(data.train_dataloader())
    host = middle(lambda: next(loader))
    clock = Clock(cases)
    with tempfile.TemporaryDirectory() as folder:
        trainer = training_only(
            folder,
            WARM_UP + steps + 1,
            "cpu",
            devices=2 if ddp else 1,
            strategy="ddp" if ddp else "auto",
            callbacks=[clock],
        )
        print("ready", flush=True)
        sys.stdin.readline()
        trainer.fit(SegmentationFineTuner(f"timm/{encoder}", "unet"), datamodule=data)
    print(json.dumps({**clock.found, "batch": host}), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
