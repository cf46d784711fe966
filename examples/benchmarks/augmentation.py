"""Time of augmenting a batch, beside MONAI's transforms and nnU-Net's batchgenerators.

Run from a checkout on an otherwise idle machine, where the peers are (see peers/environment.py)::

    python examples/benchmarks/augmentation.py

All sides start from the same float images in [0, 1] with masks in memory and end with the batch,
and take turns in one process. MONAI and batchgenerators do the same steps as the library's default
augmentation; batchgenerators does nnU-Net's own 2-D recipe as well, in which most steps concern
some of the samples only. They work on the CPU wherever the library works. On a GPU the limit is the
share of a training step (resnet34 U-Net, bf16, the same batch), not a time. The library draws its
numbers on the CPU on every device, as it does in training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from fit_steps import steps_of_turn
from machine import describe, quartiles
from peers.installed import installed
from peers.same_augmentation import batchgenerators_transform, monai_transforms, nnunet_transform
from record import Record, add_json_argument
from torch import Tensor

from muscletransfer import SegmentationFineTuner
from muscletransfer.data.augmentation import Augmentation
from muscletransfer.hardware import recommended_precision

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def batch_of(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Images (B, 1, H, W) in [0, 1] and masks (B, H, W)."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 1, size, size, generator=generator)
    return image, (image[:, 0] > 0.7).long()


def wait() -> None:
    """Let a GPU finish what it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def in_turn(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each side, in turn, after two rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(repeats + 2):
        for name, function in sides.items():
            wait()
            start = time.perf_counter()
            function()
            wait()
            if number >= 2:
                times[name].append(time.perf_counter() - start)
    return times


def with_ours(image: Tensor, mask: Tensor) -> Callable[[], object]:
    """The whole batch at once, where it lies."""
    augment, generator = Augmentation(), torch.Generator().manual_seed(0)
    return lambda: augment(image, mask, generator)


def with_monai(image: Tensor, mask: Tensor) -> Callable[[], object]:
    """A sample at a time, collated."""
    from monai.data import list_data_collate
    from monai.transforms import Compose

    samples = [{"image": i, "mask": m[None].float()} for i, m in zip(image, mask, strict=True)]
    transform = Compose(monai_transforms(image.shape[-1])).set_random_state(0)
    return lambda: list_data_collate([transform(dict(sample)) for sample in samples])


def training_step(image: Tensor, mask: Tensor, encoder: str) -> Callable[[], object]:
    """One optimiser step of a U-Net on a ready batch."""
    model = SegmentationFineTuner(f"timm/{encoder}", "unet").train().to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    mixed = recommended_precision() != "32-true"

    def step() -> None:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=mixed):
            loss = model.loss(model(image), mask)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Time all sides, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--encoder", default="resnet34", help="a timm name, for the step")
    parser.add_argument("--steps", type=int, default=3, help="of training, for the share of a step")
    add_json_argument(parser)
    args = parser.parse_args()
    print(describe())
    size = f"{args.batch} x {args.size} x {args.size}"
    record = Record(f"Augmentation of {size} images and masks")
    image, mask = batch_of(args.batch, args.size)
    here, labels = image.to(DEVICE), mask.to(DEVICE)
    sides: dict[str, Callable[[], object]] = {
        "ours": with_ours(here, labels),
    }
    if DEVICE == "cuda":
        record.remark("The others work on the CPU.")
    if installed(record, "monai"):
        sides["MONAI, same steps"] = with_monai(image, mask)
    if installed(record, "batchgenerators"):
        arrays = {"data": image.numpy(), "seg": mask[:, None].float().numpy()}
        np.random.seed(0)
        for name, make in (
            ("batchgenerators, same steps", batchgenerators_transform),
            ("batchgenerators, nnU-Net's 2-D recipe", nnunet_transform),
        ):
            transform = make(args.size)
            sides[name] = lambda t=transform: t(**{k: v.copy() for k, v in arrays.items()})
    times = in_turn(sides, args.repeats)
    full, on_cpu = (args.batch, args.size) == (8, 256), DEVICE == "cpu"
    for name, found in times.items():
        limit = 13 if name == "ours" and full and on_cpu else None
        middle = 1e3 * float(np.median(found))
        record.add(
            name,
            middle,
            "ms",
            at_most=limit,
            note=f"{quartiles(found)}; fastest {1e3 * min(found):.4g}",
        )
    for name, found in list(times.items())[1:]:
        record.add(f"{name} / ours", float(np.median(found) / np.median(times["ours"])))
    steps = steps_of_turn(args.steps)
    step = in_turn({"step": training_step(here, labels, args.encoder)}, steps)["step"]
    share = 100 * float(np.median(times["ours"]) / np.median(step))
    what = "ours as a share of a training step on a ready batch"
    note = "the step after the turns, not in turn"
    record.add(what, share, "%", at_most=None if on_cpu else 5, note=note)
    record.write(args.json)


if __name__ == "__main__":
    main()
