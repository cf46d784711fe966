"""Run by test_finetune_ddp.py on one or two processes: scores, predicts, trains, writes JSON."""

import json
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))

from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from lightning.pytorch import Callback

from muscletransfer.data import LowDataModule, PreprocessingSpec
from muscletransfer.finetune import BestAndLast, SegmentationFineTuner
from muscletransfer.finetune.case_rows import CaseRows
from muscletransfer.transfer import state_sha256


class Moves(Callback):
    """Notes whether the encoder moved in each epoch."""

    def __init__(self):
        self.moved = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.before = copy_of(pl_module.model.encoder)

    def on_train_epoch_end(self, trainer, pl_module):
        self.moved.append(not equal_states(self.before, copy_of(pl_module.model.encoder)))


def on(devices, folder, **changes):
    strategy = "ddp" if devices > 1 else "auto"
    return trainer(folder, devices=devices, strategy=strategy, **changes)


def score(devices, folder, cases, num_classes):
    # Random weights: a trained one would be right everywhere and prove little.
    model = SegmentationFineTuner(**tiny(num_classes=num_classes, seed=3))
    run = on(devices, folder)
    data = ToyData(cases=cases, num_classes=num_classes, spacing=[(0.9, 0.8), None])
    figures = run.test(model, datamodule=data, verbose=False)[0]
    predicted = run.predict(model, datamodule=data)
    masks = {row["case"]: int(row["mask"].sum()) for batch in predicted for row in batch}
    return {"figures": figures, "table": model.case_table(), "masks": masks}


def train(devices, folder, **settings):
    model = SegmentationFineTuner(**tiny(**settings))
    watch, keep = Moves(), BestAndLast(folder / f"kept{devices}-{settings.get('freeze')}")
    run = on(
        devices,
        folder,
        max_epochs=3,
        callbacks=[watch, keep],
        enable_checkpointing=True,
        limit_val_batches=1.0,
    )
    run.fit(model, datamodule=ToyData(cases=8, batch_size=2))
    return {
        "moved": watch.moved,
        "encoder": state_sha256(model.model.encoder.state_dict()),
        "all": state_sha256(model.model.state_dict()),
        "best": keep.best_model_path,
        "val_dice": float(run.callback_metrics["val_dice"]),
    }


def on_files(devices, folder, manifest):
    spec = PreprocessingSpec(size=64)
    data = LowDataModule(
        manifest, train_patients=3, val_patients=3, preprocessing=spec, cache_dir=folder / "cache"
    )
    model = SegmentationFineTuner(**tiny(seed=3))
    run = on(devices, folder, limit_val_batches=1.0)
    figures = run.validate(model, datamodule=data, verbose=False)[0]
    return {"figures": figures, "table": model.case_table()}


def gather_rows(rank):
    """Process 1 of 2 has nothing to add."""
    table = CaseRows(["area", "loss"])
    if rank == 0:
        table.update([4, 2], [[1.0, 0.5], [3.0, 0.25]])
    return {str(case): row for case, row in table.compute().items()}


def main(devices: int, folder: Path, manifest: str) -> None:
    torch.set_num_threads(1)
    found = {
        "odd": score(devices, folder, 5, 1),
        "classes": score(devices, folder, 3, 3),
        "one case": score(devices, folder, 1, 1),
        "files": on_files(devices, folder, manifest),
        "until_epoch": train(devices, folder, freeze="until_epoch", unfreeze_epoch=1),
        "frozen": train(devices, folder, freeze="encoder"),
    }
    rank = int(os.environ.get("LOCAL_RANK", 0))
    found["rows"] = gather_rows(rank)
    (folder / f"{devices}-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
