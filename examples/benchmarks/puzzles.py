"""Time of jigsaw and masking batches made a whole batch at a time, beside one sample at a time.

Run from a checkout::

    python examples/benchmarks/puzzles.py --batch 64 --size 256

Both sides make the same puzzle with the same settings: the jigsaw cuts a randomly placed tile out
of each cell, equalises tiles and shuffles them by a permutation; masking hides the same number of
blocks and fills them with the mean of what stays visible. "One by one" is what a data set does
whose ``__getitem__`` makes the puzzle: a sample and a tile or block at a time, then stacked. Both
run on the same cores of one process, in turn; before that, the two are checked to agree on what
does not depend on the draws.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from machine import describe, spread
from torch import Tensor

from muscletransfer.pretext import permutation_set
from muscletransfer.pretext.corruptions import mask_blocks
from muscletransfer.pretext.tiles import (
    cut_tiles,
    draw_corners,
    equalise_tiles,
    plan_tiles,
    resize_tiles,
)

GRID, BLOCK, RATIO = 3, 16, 0.6


def jigsaw_at_once(images: Tensor, permutations: Tensor, generator: torch.Generator) -> Tensor:
    """What the library does: (B, C, H, W) to (B, T, C, h, w), with a few calls for all."""
    layout = plan_tiles(tuple(images.shape[-2:]), GRID, stride=32)
    corners = draw_corners(len(images), layout, jitter=1.0, generator=generator)
    tiles = cut_tiles(images, corners, layout.crop)
    tiles = equalise_tiles(tiles, torch.zeros(tiles.shape[:2], dtype=torch.bool))
    choice = torch.randint(len(permutations), (len(images),), generator=generator)
    sample = torch.arange(len(images)).unsqueeze(1)
    return resize_tiles(tiles[sample, permutations[choice]], layout.tile)


def jigsaw_one_by_one(images: Tensor, permutations: Tensor, draws: random.Random) -> Tensor:
    """The same, an image and a tile at a time."""
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
                variance, mean = torch.var_mean(tile, dim=(1, 2), keepdim=True, correction=0)
                stds.append((variance + 1e-4).sqrt())
                means.append(mean)
                tiles.append((tile - mean) / stds[-1])
        mean, std = torch.stack(means).mean(0), torch.stack(stds).mean(0)
        tiles = [tile * std + mean for tile in tiles]
        order = permutations[draws.randrange(len(permutations))].tolist()
        shuffled = [tiles[place] for place in order]
        if layout.crop != layout.tile:
            shuffled = [
                F.interpolate(tile[None], size=(layout.tile,) * 2, mode="bilinear")[0]
                for tile in shuffled
            ]
        puzzles.append(torch.stack(shuffled))
    return torch.stack(puzzles)


def masking_at_once(images: Tensor, generator: torch.Generator) -> Tensor:
    """What the library does: blocks of all images hidden at once."""
    return mask_blocks(images, BLOCK, RATIO, generator)[0]


def masking_one_by_one(images: Tensor, draws: random.Random) -> Tensor:
    """The same, an image and a block at a time."""
    masked = []
    for image in images:
        rows, columns = -(-image.shape[1] // BLOCK), -(-image.shape[2] // BLOCK)
        hidden = draws.sample(range(rows * columns), round(RATIO * rows * columns))
        visible = torch.ones(image.shape[1:], dtype=torch.bool)
        for index in hidden:
            top, left = index // columns * BLOCK, index % columns * BLOCK
            visible[top : top + BLOCK, left : left + BLOCK] = False
        mean = (image * visible).sum(dim=(1, 2)) / visible.sum()
        out = image.clone()
        for index in hidden:
            top, left = index // columns * BLOCK, index % columns * BLOCK
            out[:, top : top + BLOCK, left : left + BLOCK] = mean[:, None, None]
        masked.append(out)
    return torch.stack(masked)


def agree(images: Tensor, permutations: Tensor) -> None:
    """Stop unless both sides make puzzles of one shape, one brightness and one share hidden."""
    generator, draws = torch.Generator().manual_seed(0), random.Random(0)
    ours = jigsaw_at_once(images, permutations, generator)
    theirs = jigsaw_one_by_one(images, permutations, draws)
    assert ours.shape == theirs.shape
    for puzzle in (ours, theirs):
        means = puzzle.mean(dim=(2, 3, 4))
        assert float((means - means[:, :1]).abs().max()) < 1e-3
    masked = (masking_at_once(images, generator), masking_one_by_one(images, draws))
    hidden = [(puzzle != images).float().mean().item() for puzzle in masked]
    assert abs(hidden[0] - hidden[1]) < 1e-3, hidden


def in_turn(first: Callable[[], object], second: Callable[[], object], repeats: int) -> list[list]:
    """Seconds of both, taken in turn so that what else the machine does meets both."""
    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for which, function in enumerate((first, second)):
            start = time.perf_counter()
            function()
            times[which].append(time.perf_counter() - start)
    return times


def main() -> None:
    """Check that both sides agree, time them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    print(f"{describe()}; batch {options.batch}, {options.size} x {options.size} pixels")
    images = torch.rand(options.batch, 1, options.size, options.size)
    permutations = permutation_set(GRID)
    agree(images, permutations)
    generator, draws = torch.Generator().manual_seed(0), random.Random(0)
    sides = {
        "jigsaw": (
            lambda: jigsaw_at_once(images, permutations, generator),
            lambda: jigsaw_one_by_one(images, permutations, draws),
        ),
        "masking": (
            lambda: masking_at_once(images, generator),
            lambda: masking_one_by_one(images, draws),
        ),
    }
    for name, pair in sides.items():
        in_turn(*pair, repeats=2)  # what is loaded and allocated on first use does not count
        ours, theirs = in_turn(*pair, repeats=options.repeats)
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        print(f"{name:<8} at once    {spread(ours)}")
        print(f"{'':<8} one by one {spread(theirs)}")
        print(f"{'':<8} ratio of each pair, median: {ratios[len(ratios) // 2]:.1f}")


if __name__ == "__main__":
    main()
