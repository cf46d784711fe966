"""Run by test_strategies.py on two processes: trains, saves, scores, writes JSON.

``strategy_worker.py FOLDER gpu`` does it with FSDP on one GPU.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))

import torch
from finetune_toys import ToyData, tiny, trainer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch.distributed.fsdp import fully_shard

from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.transfer import read_artifact, state_sha256


class Sharded(SegmentationFineTuner):
    """Splits all parameters over the processes."""

    def configure_model(self):
        if getattr(self, "_split", False):
            return
        self._split = True
        for part in (self.model.encoder, self.model.decoder, self.model):
            fully_shard(part, mesh=self.device_mesh["data_parallel"])


def run_with(strategy, kind, folder, name, scoring="ddp", **place):
    torch.manual_seed(0)
    # Shards are cut out of contiguous kernels.
    settings = {"channels_last": name not in ("sharded", "fsdp"), "seed": 1}
    place = {"devices": 2} | place
    model = kind(**tiny(metrics={"error": "own_parts.volume_error"}, **settings))
    run = trainer(folder, strategy=strategy, max_epochs=2, **place)
    run.fit(model, datamodule=ToyData(cases=5, batch_size=2))
    path = folder / f"{name}.ckpt"
    run.save_checkpoint(path)
    run.strategy.barrier()
    artifact = read_artifact(path)
    loaded = SegmentationFineTuner.load_from_checkpoint(path)
    figures = trainer(folder, strategy=scoring, **place).test(
        loaded, datamodule=ToyData(cases=5), verbose=False
    )[0]
    table = loaded.case_table()
    errors = [row["error"] for row in table]
    return {
        "sha": artifact.provenance.sha256,
        "found": state_sha256(artifact.encoder_state),
        "steps": run.global_step,
        "cases": len(table),
        "mean": sum(errors) / len(errors),
        "figure": figures["test_error"],
        "data": artifact.provenance.data["patients"],
    }


def main(folder, place=None):
    if place == "gpu":
        one = {"scoring": "auto", "accelerator": "gpu", "devices": 1}
        found = {"fsdp": run_with("fsdp", SegmentationFineTuner, folder, "fsdp", **one)}
        (folder / "0.json").write_text(json.dumps(found))
        return
    static = DDPStrategy(static_graph=True, process_group_backend="gloo")
    found = {"static": run_with(static, SegmentationFineTuner, folder, "static")}
    if hasattr(torch.cpu.Stream, "record_event"):  # torch 2.6 has no shards on a CPU
        found["sharded"] = sharded(folder)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    (folder / f"{rank}.json").write_text(json.dumps(found))


def sharded(folder):
    sizes = {"data_parallel_size": 2, "tensor_parallel_size": 1}
    shards = ModelParallelStrategy(**sizes, save_distributed_checkpoint=False)
    return run_with(shards, Sharded, folder, "sharded")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
