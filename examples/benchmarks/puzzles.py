"""Time of jigsaw and masking batches made a whole batch at a time, beside one sample at a time.

Run from a checkout::

    OMP_NUM_THREADS=2 python examples/benchmarks/puzzles.py --batch 64 --size 256

Both sides start from the same stored 8-bit slices and end with a batch of float tensors, and both
do the same work: the jigsaw rotates (20 degrees), mirrors and crops to the body, cuts a randomly
placed tile out of each of 3 x 3 cells, gives tiles equal statistics and shuffles them by one of 72
permutations; masking hides 60 % of the blocks and fills them with the mean of what stays visible.

The other side is what people write: a data set whose ``__getitem__`` makes one puzzle with Pillow
and torchvision, a tile or a block at a time, as the widely copied JigsawPuzzlePytorch does (crop,
random crop, to tensor, normalise by its own mean and deviation, stack), collated by a
``DataLoader``. It is timed in this process, in turn with the library's side, so that what else the
machine does meets both; and, when those turns are over, once more with two loader processes, batch
after batch, which is the best that it can make of two cores. Both sides work on the CPU, whether or
not there is a GPU; the library's runs on torch's threads. The process keeps freed memory, as every
training with the library does by itself.

"tiles alone" is the narrower comparison of cutting, equalising and shuffling without a view, both
sides in torch.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import describe, spread
from PIL import Image
from record import Record, add_json_argument
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from muscletransfer.freed_memory import keep_freed_memory
from muscletransfer.pretext import JigsawPretext, permutation_set
from muscletransfer.pretext.corruptions import mask_blocks
from muscletransfer.pretext.tiles import (
    cut_tiles,
    draw_corners,
    equalise_tiles,
    plan_tiles,
    shuffle_tiles,
)

GRID, BLOCK, RATIO, AIR = 3, 16, 0.6, 0.02
AFTER_THE_TURNS = "the loader processes after the turns, not in turn"
BILINEAR = InterpolationMode.BILINEAR


def body_slices(count: int, size: int) -> np.ndarray:
    """Return (B, H, W) uint8: a noisy body on black air, as windowed CT slices are."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size - 0.5
    slices = []
    for _ in range(count):
        a, b = rng.uniform(0.3, 0.45, 2)
        body = (x / a) ** 2 + (y / b) ** 2 < 1
        texture = rng.uniform(60, 220) + 30 * rng.standard_normal((size, size))
        slices.append(np.where(body, texture.clip(0, 255), 0).astype(np.uint8))
    return np.stack(slices)


class JigsawSamples(Dataset):
    """One puzzle a sample, one tile at a time."""

    def __init__(self, slices: np.ndarray) -> None:
        size = slices.shape[1]
        layout = plan_tiles((size, size), GRID, stride=32)
        self.slices, self.size, self.cell = slices, size, size // GRID
        self.permutations = permutation_set(GRID).numpy()
        self.view = transforms.Compose(
            [
                transforms.RandomRotation(20, interpolation=BILINEAR),
                transforms.RandomHorizontalFlip(),
            ]
        )
        self.crop = transforms.RandomCrop(layout.crop)

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.to_body(self.view(Image.fromarray(self.slices[index])))
        tiles = []
        for place in range(GRID**2):
            row, column = divmod(place, GRID)
            left, top = column * self.cell, row * self.cell
            cell = image.crop((left, top, left + self.cell, top + self.cell))
            tile = TF.to_tensor(self.crop(cell))
            mean, std = tile.mean(), tile.std().clamp(min=1e-3)
            tiles.append(TF.normalize(tile, [float(mean)], [float(std)]))
        choice = random.randrange(len(self.permutations))
        return torch.stack([tiles[place] for place in self.permutations[choice]]), choice

    def to_body(self, image: Image.Image) -> Image.Image:
        body = np.asarray(image) > AIR * 255
        rows, columns = np.flatnonzero(body.mean(1) > AIR), np.flatnonzero(body.mean(0) > AIR)
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        return image.crop(box).resize((self.size, self.size), Image.Resampling.BILINEAR)


class MaskedSamples(Dataset):
    """One masked image a sample, one block at a time."""

    def __init__(self, slices: np.ndarray) -> None:
        self.slices = slices

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = TF.to_tensor(Image.fromarray(self.slices[index]))
        columns = image.shape[2] // BLOCK
        count = image.shape[1] // BLOCK * columns
        visible = torch.ones(image.shape[1:], dtype=torch.bool)
        for block in random.sample(range(count), round(RATIO * count)):
            top, left = block // columns * BLOCK, block % columns * BLOCK
            visible[top : top + BLOCK, left : left + BLOCK] = False
        mean = image[:, visible].mean()
        return torch.where(visible, image, mean), ~visible


def tiles_at_once(images: Tensor, permutations: Tensor, generator: torch.Generator) -> Tensor:
    """Cut, equalise, shuffle: (B, C, H, W) to (B, T, C, h, w), with a few calls for all."""
    layout = plan_tiles(tuple(images.shape[-2:]), GRID, stride=32)
    corners = draw_corners(len(images), layout, jitter=1.0, generator=generator)
    tiles = cut_tiles(images, corners, layout.crop)
    tiles = equalise_tiles(tiles, torch.zeros(tiles.shape[:2], dtype=torch.bool))
    choice = torch.randint(len(permutations), (len(images),), generator=generator)
    return shuffle_tiles(tiles, permutations[choice])


def tiles_one_by_one(images: Tensor, permutations: Tensor, draws: random.Random) -> Tensor:
    """The same, an image and a tile at a time, on tensors."""
    layout = plan_tiles(tuple(images.shape[-2:]), GRID, stride=32)
    puzzles = []
    for image in images:
        tiles, means, stds = [], [], []
        for row in range(GRID):
            for column in range(GRID):
                top = row * layout.size[0] // GRID + draws.randint(0, layout.cell[0] - layout.crop)
                left = column * layout.size[1] // GRID
                left += draws.randint(0, layout.cell[1] - layout.crop)
                tile = image[:, top : top + layout.crop, left : left + layout.crop]
                means.append(tile.mean((1, 2), keepdim=True))
                stds.append((tile.std((1, 2), keepdim=True, correction=0).square() + 1e-4).sqrt())
                tiles.append((tile - means[-1]) / stds[-1])
        mean, std = torch.stack(means).mean(0), torch.stack(stds).mean(0)
        order = permutations[draws.randrange(len(permutations))].tolist()
        puzzles.append(torch.stack([tiles[place] * std + mean for place in order]))
    return torch.stack(puzzles)


def loader(samples: Dataset, workers: int) -> Callable[[], object]:
    """Return a function that gets one batch of all samples."""

    def endless():
        source = DataLoader(
            samples, batch_size=len(samples), num_workers=workers, sampler=Endless(len(samples))
        )
        yield from source

    batches = endless()
    return lambda: next(batches)


class Endless(torch.utils.data.Sampler):
    """All samples again and again, so that loader processes never wait for an epoch to end."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self):
        while True:
            yield from range(self.length)


def agree(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Stop unless puzzles have one shape and equal statistics, and masks one share hidden."""
    assert ours[0].shape == theirs[0].shape, (ours[0].shape, theirs[0].shape)
    for puzzle in (ours[0], theirs[0]):
        # Tiles of one image share their mean (air, which ours leaves alone, is left out).
        means = puzzle.mean(dim=(2, 3, 4))
        assert float((means - means.median(1, keepdim=True).values).abs().median()) < 1e-3
    shares = [mask.float().mean().item() for mask in (ours[1], theirs[1])]
    assert abs(shares[0] - shares[1]) < 1e-3, shares


def in_turn(sides: list[Callable[[], object]], repeats: int) -> list[list[tuple[float, float]]]:
    """Wall and processor seconds of each, in turn."""
    times: list[list[tuple[float, float]]] = [[] for _ in sides]
    for _ in range(repeats):
        for which, function in enumerate(sides):
            wall, processor = time.perf_counter(), time.process_time()
            function()
            times[which].append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def throughput(function: Callable[[], object], repeats: int) -> float:
    """Seconds a batch of loader processes that always work: what is ready at first is used up."""
    for _ in range(8):
        function()
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def report(
    record: Record,
    name: str,
    labels: list[str],
    times: list[list[tuple[float, float]]],
    limit: float | None = 10,
) -> None:
    """Print and keep the times of each side and how many times as long as the first it took."""
    for label, side in zip(labels, times, strict=True):
        wall = [seconds for seconds, _ in side]
        processor = [seconds for _, seconds in side]
        ratio = np.median([b[0] / a[0] for a, b in zip(times[0], side, strict=True)])
        used = np.median(processor) * 1e3
        print(f"{name:<11} {label:<22} {spread(wall)}, processor {used:.2f} ms")
        if side is not times[0]:
            record.add(f"{name}: {label} / {labels[0]}", ratio, at_least=limit)


def main() -> None:
    """Check that both sides agree, time them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    add_json_argument(parser)
    options = parser.parse_args()
    record = Record(f"Puzzles of {options.size} x {options.size} pixels, batch {options.batch}")
    print(f"{describe()}; batch {options.batch}, {options.size} x {options.size} pixels")
    slices = body_slices(options.batch, options.size)
    keep_freed_memory()
    stored = torch.from_numpy(slices)
    permutations = permutation_set(GRID)
    generator, draws = torch.Generator().manual_seed(0), random.Random(0)
    task = JigsawPretext("timm/resnet10t", grid=GRID)

    def floats() -> Tensor:
        return stored.unsqueeze(1).float().div_(255)

    def jigsaw() -> tuple[Tensor, object]:
        return task.make_targets({"image": floats()})

    def masking() -> tuple[Tensor, Tensor]:
        return mask_blocks(floats(), BLOCK, RATIO, generator)

    samples = {
        "jigsaw": (jigsaw, JigsawSamples(slices)),
        "masking": (masking, MaskedSamples(slices)),
    }
    torch.manual_seed(0)
    theirs = [loader(one, 0)() for _, one in samples.values()]
    agree((jigsaw()[0], masking()[1]), (theirs[0][0], theirs[1][1]))
    labels = ["at once", "one by one", "two loader processes"]
    for name, (at_once, one) in samples.items():
        sides = [at_once, loader(one, 0)]
        in_turn(sides, repeats=2)  # what is loaded and allocated on first use does not count
        times = in_turn(sides, options.repeats)
        report(record, name, labels[:2], times)
        ahead = throughput(loader(one, 2), options.repeats)
        ours = float(np.median([wall for wall, _ in times[0]]))
        print(f"{name:<11} {labels[2]:<22} {ahead * 1e3:8.2f} ms")
        record.add(f"{name}: {labels[2]} / {labels[0]}", ahead / ours, note=AFTER_THE_TURNS)
    images = floats()
    sides = [
        lambda: tiles_at_once(images, permutations, generator),
        lambda: tiles_one_by_one(images, permutations, draws),
    ]
    in_turn(sides, repeats=2)
    report(record, "tiles alone", labels[:2], in_turn(sides, options.repeats), None)
    record.write(options.json)


if __name__ == "__main__":
    main()
