"""Time of a contrastive batch, two views of each image, beside lightly's transform.

Run from a checkout on an otherwise idle machine, where the peers are (see peers/environment.py)::

    python examples/benchmarks/contrastive.py

Both sides start from the same stored 8-bit slices and end with two float views of each: cropped,
turned, mirrored, changed in contrast and brightness, blurred. The library does gamma and noise as
well. lightly's `SimCLRTransform` takes a Pillow image at a time and is collated by a `DataLoader`,
in this process, in turn with the library's side; and, when those turns are over, once more with two
loader processes, batch after batch. On a GPU the library's side works there, and lightly has a
loader process a core, up to 16.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from machine import cores, describe, quartiles
from peers.installed import installed
from PIL import Image
from puzzles import AFTER_THE_TURNS, Endless, body_slices, in_turn, throughput
from record import Record, add_json_argument
from torch.utils.data import DataLoader, Dataset

from muscletransfer.pretext import SimCLRPretext

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Views(Dataset):
    """Two views of an image by lightly's transform."""

    def __init__(self, slices: np.ndarray) -> None:
        from lightly.transforms import SimCLRTransform

        task = SimCLRPretext()
        ours = task.augment
        self.slices = slices
        self.transform = SimCLRTransform(
            input_size=slices.shape[1],
            cj_prob=1.0,
            cj_strength=1.0,
            cj_bright=ours.brightness,
            cj_contrast=ours.contrast,
            cj_sat=0.0,
            cj_hue=0.0,
            min_scale=ours.crop,
            random_gray_scale=0.0,
            gaussian_blur=1.0,
            sigmas=(0.01, ours.blur),
            hf_prob=ours.flip,
            rr_prob=1.0,
            rr_degrees=ours.rotation,
            normalize=None,
        )

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return self.transform(Image.fromarray(self.slices[index]))


def loader_processes() -> int:
    """How many lightly has when it may work ahead: a GPU has many cores beside it."""
    return min(cores(), 16) if DEVICE == "cuda" else 2


def loader(samples: Views, workers: int) -> Callable[[], list[torch.Tensor]]:
    """Return a function that gets one batch of all samples."""
    order = Endless(len(samples))
    source = DataLoader(samples, batch_size=len(samples), num_workers=workers, sampler=order)
    batches = iter(source)
    return lambda: next(batches)


def main() -> None:
    """Time both sides, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=11)
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    record = Record(f"A contrastive batch: two views of {args.batch} x {args.size} x {args.size}")
    slices = body_slices(args.batch, args.size)
    if DEVICE == "cuda":
        record.remark("lightly works on the CPU.")
    stored = torch.from_numpy(slices)
    task = SimCLRPretext().to(DEVICE)

    def ours() -> torch.Tensor:
        images = stored.to(DEVICE).unsqueeze(1).float().div_(255)
        views = task.make_targets({"image": images})[0]
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return views

    sides: dict[str, Callable[[], object]] = {"ours": ours}
    peer = installed(record, "lightly")
    if peer:
        torch.manual_seed(0)
        sides["lightly, one by one"] = loader(Views(slices), 0)
        first, second = loader(Views(slices), 0)()
        if torch.cat([first, second]).shape != ours().shape:
            raise SystemExit(f"lightly gave {first.shape} twice, and we {ours().shape}")
    in_turn(list(sides.values()), repeats=2)  # what is allocated on first use does not count
    times = in_turn(list(sides.values()), args.repeats)
    walls = {side: [wall for wall, _ in t] for side, t in zip(sides, times, strict=True)}
    for side, found in walls.items():
        record.add(side, 1e3 * float(np.median(found)), "ms", note=quartiles(found))
    if peer:
        processes = loader_processes()
        several = f"lightly, {processes} loader processes"
        ahead = throughput(loader(Views(slices), processes), args.repeats)
        record.add(several, 1e3 * ahead, "ms")
        middle = {side: float(np.median(found)) for side, found in walls.items()}
        record.add("lightly, one by one / ours", middle["lightly, one by one"] / middle["ours"])
        record.add(f"{several} / ours", ahead / middle["ours"], note=AFTER_THE_TURNS)
    record.write(args.json)


if __name__ == "__main__":
    main()
