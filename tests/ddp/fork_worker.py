"""Run by test_forked_fit.py: fits tasks in a process that is forked, writes what comes back."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))
sys.path.insert(0, str(Path(__file__).parents[1] / "pretext"))

from finetune_toys import ToyData, copy_of, equal_states, tiny, trainer
from pretext_toys import ToyData as PretextData
from smallest_task import Mean, images

from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.transfer import inspect_file, save_encoder


def main(folder: Path) -> None:
    model = SegmentationFineTuner(**tiny())
    before = copy_of(model)
    run = trainer(
        folder,
        max_epochs=1,
        strategy="ddp_fork",
        enable_checkpointing=True,
        callbacks=model.default_callbacks(),
        limit_val_batches=1.0,
    )
    run.fit(model, datamodule=ToyData())
    found = {"moved": not equal_states(before, copy_of(model))}
    found["export"] = inspect_file(save_encoder(model, folder / "a.safetensors")).to_dict()
    best = run.checkpoint_callback.best_model_path
    found["file"] = inspect_file(best).to_dict()
    found["size"] = model.preprocessing.size
    run = trainer(folder, max_epochs=2)
    run.fit(model, datamodule=ToyData(), ckpt_path=best)
    found["resumed"] = [record.data for record in model.provenance().chain()]

    task = Mean()
    run = trainer(folder, max_epochs=1, strategy="ddp_fork")
    run.fit(task, datamodule=PretextData(image=images()))
    found["pretext"] = task.provenance().to_dict()
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
