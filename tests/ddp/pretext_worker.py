"""Run by test_pretext_ddp.py on one or two processes: validates source tasks, writes JSON."""

import json
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "pretext"))

from lightning import seed_everything
from pretext_toys import TINY, Samples, discs, loader, trainer
from torch.utils.data import DataLoader, DistributedSampler

from muscletransfer.pretext import ClassificationPretext, SegmentationPretext, SimCLRPretext

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


class Uneven(DistributedSampler):
    """Gives the first process two items and the second all others: none comes twice."""

    def __iter__(self):
        items = list(range(len(self.dataset)))
        return iter(items[:2] if self.rank == 0 else items[2:])


def score_in_an_order_of_its_own(devices, count=7):
    image, _, label = discs(count, 32)
    data = Samples(image=image, label=label)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    sampler = Uneven(data, devices, rank) if devices > 1 else None
    seed_everything(0, verbose=False)
    task = ClassificationPretext(2, TINY, depth=3)
    run = trainer(devices=devices, strategy="ddp" if devices > 1 else "auto")
    return run.validate(task, DataLoader(data, count, sampler=sampler), verbose=False)[0]


def contrast(devices, count, images_of_a_step=4):
    """Validate SimCLR where a step compares the same images, however many processes have them."""
    seed_everything(0, verbose=False)
    unchanged = {"crop": 1.0, "rotation": 0, "intensity": 0, "noise": 0, "blur": 0}
    task = SimCLRPretext(TINY, depth=3, flip=False, **unchanged)
    run = trainer(devices=devices, strategy="ddp" if devices > 1 else "auto")
    data = loader(images_of_a_step // devices, image=discs(count, 32)[0])
    found = run.validate(task, data, verbose=False)[0]
    return {name: found[f"val_{name}"] for name in ("loss", "accuracy", "chance")}


def main(devices, folder):
    torch.set_num_threads(1)
    found = {name: score(devices, *given) for name, given in COUNTS.items()}
    found["simclr"] = [contrast(devices, count) for count in (4, 3)]
    found["own order"] = [score_in_an_order_of_its_own(devices)]
    rank = torch.distributed.get_rank() if devices > 1 else 0
    Path(folder, f"{devices}-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
