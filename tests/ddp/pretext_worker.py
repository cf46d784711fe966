"""Run by test_pretext_ddp.py on one or two processes: validates source tasks, writes JSON."""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "pretext"))

from lightning import seed_everything
from pretext_toys import TINY, discs, loader, trainer

from muscletransfer.pretext import ClassificationPretext, SegmentationPretext

COUNTS = {"one image": (1, 2), "batch of repeats": (3, 1), "row of repeats": (7, 2)}


def score(devices, count, batch_size):
    image, mask, label = discs(count, 32)
    seed_everything(0, verbose=False)
    tasks = [
        ClassificationPretext(2, TINY, depth=3),
        SegmentationPretext(
            2, TINY, depth=3, decoder_kwargs={"decoder_channels": [16, 8, 8]}, loss="ce"
        ),
    ]
    run = trainer(devices=devices, strategy="ddp" if devices > 1 else "auto")
    data = loader(batch_size, image=image, mask=mask, label=label)
    return [run.validate(task, data, verbose=False)[0] for task in tasks]


def main(devices, folder):
    torch.set_num_threads(1)
    found = {name: score(devices, *given) for name, given in COUNTS.items()}
    rank = torch.distributed.get_rank() if devices > 1 else 0
    Path(folder, f"{devices}-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
