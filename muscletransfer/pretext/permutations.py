"""Sets of tile permutations for the jigsaw task, far apart from each other by construction.

A permutation is a row ``p`` of tile indices, ``p[slot] = tile``: the tile that a slot shows. Slots
and tiles are numbered row by row, from 0.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor

from muscletransfer.errors import SettingError

__all__ = ["affine_permutations", "arrange", "min_hamming_distance", "permutation_set"]

_ENUMERATE = 9  # 9! = 362,880 permutations are searched exhaustively; 10! would not fit in a cache
_SAMPLES = 100_000
_AUTO = 100


def affine_permutations() -> Tensor:
    """Return the 72 affine maps ``x -> a x + b`` (``a != 0``) of GF(9) as permutations of 9 tiles.

    Two different affine maps agree in at most one point, so the minimum Hamming distance is 8, and
    9 * 8 = 72 is the most that any set with that distance can hold. GF(9) is GF(3)[i] with
    ``i * i = -1``; tile ``u + 3 v`` stands for ``u + v i``. The nine translations (``a = 1``) come
    first, the identity at their head, so any leading part of the set is at least as far apart.

    .. versionadded:: 0.1

    Returns:
        (72, 9) int64.

    Example:
        >>> maps = affine_permutations()
        >>> maps.shape, min_hamming_distance(maps), min_hamming_distance(maps[:9])
        (torch.Size([72, 9]), 8, 9)
        >>> maps[0].tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """
    x = torch.arange(9)
    a = torch.arange(1, 9).view(8, 1, 1)
    b = x.view(1, 9, 1)
    real = (a % 3) * (x % 3) - (a // 3) * (x // 3) + b % 3
    imaginary = (a % 3) * (x // 3) + (a // 3) * (x % 3) + b // 3
    return (real % 3 + 3 * (imaginary % 3)).reshape(72, 9)


def min_hamming_distance(permutations: Tensor) -> int:
    """Return the smallest number of slots in which two of the permutations differ.

    .. versionadded:: 0.1

    Args:
        permutations: (P, T) integers, P at least 2.

    Example:
        >>> min_hamming_distance(torch.tensor([[0, 1, 2], [1, 0, 2], [1, 2, 0]]))
        2
    """
    tiles = permutations.shape[1]
    smallest = tiles
    for index in range(1, len(permutations)):
        distances = (permutations[:index] != permutations[index]).sum(dim=1)
        smallest = min(smallest, int(distances.min()))
    return smallest


def permutation_set(grid: int, count: int | Literal["auto"] = "auto", seed: int = 0) -> Tensor:
    """Return permutations of the ``grid * grid`` tiles that differ from each other in many slots.

    - ``grid=2``: all 24 (or the ``count`` that lie farthest apart).
    - ``grid=3``: the 72 of :func:`affine_permutations` (or the first ``count`` of them).
    - otherwise, and for more than 72: greedy max-min search. From all permutations (up to 9 tiles)
      or a seeded sample of 100,000, take one after another the permutation whose smallest Hamming
      distance to those already taken is largest, ties broken by the seed. The common rule of
      Noroozi & Favaro (2016), the largest *mean* distance, leaves pairs only 2 slots apart; this
      one keeps 6 at 100 permutations of 9 tiles.

    .. versionadded:: 0.1

    Args:
        grid: Tiles a side, at least 2.
        count: How many permutations, which is the number of classes of the jigsaw; ``"auto"`` takes
            24, 72, or 100 for larger grids.
        seed: Seed of the search. The result is the same on every machine.

    Returns:
        (count, grid * grid) int64, the identity first.

    Raises:
        SettingError: If ``grid`` is below 2, or ``count`` below 2 or more than there are.

    Example:
        >>> [len(permutation_set(grid)) for grid in (2, 3)]
        [24, 72]
        >>> min_hamming_distance(permutation_set(3, 16))
        8
    """
    if grid < 2:
        raise SettingError(f"grid is {grid}; wanted at least 2 tiles a side.")
    tiles = grid * grid
    possible = math.factorial(tiles)
    if count == "auto":
        count = {2: 24, 3: 72}.get(grid, _AUTO)
    if not isinstance(count, int):
        raise SettingError(f'permutations is {count!r}; wanted a number or "auto".')
    if not 2 <= count <= min(possible, _SAMPLES):
        raise SettingError(
            f"permutations is {count}; wanted 2 to {min(possible, _SAMPLES):,} for a grid of "
            f'{grid} x {grid} ("auto" is a good choice).'
        )
    if grid == 3 and count <= 72:
        return affine_permutations()[:count]
    generator = torch.Generator().manual_seed(seed)
    if tiles <= _ENUMERATE:
        flat = itertools.chain.from_iterable(itertools.permutations(range(tiles)))
        pool = torch.tensor(list(flat), dtype=torch.int8).view(-1, tiles)
    else:
        draws = torch.rand(max(_SAMPLES, 2 * count), tiles, generator=generator)
        pool = draws.argsort(dim=1).to(torch.int8 if tiles < 128 else torch.int64)
    return _greedy(pool, count, generator).long()


def _greedy(pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Pick ``count`` rows: the identity, then always the one farthest from those picked."""
    # A random order makes "the first of the best" a seeded tie-break.
    pool = pool[torch.randperm(len(pool), generator=generator)]
    columns = pool.t().contiguous()  # one tile position a row: comparisons run over contiguous int8
    chosen = torch.arange(pool.shape[1], dtype=pool.dtype)
    picked = [chosen]
    nearest = torch.full((len(pool),), pool.shape[1], dtype=torch.int16)
    for _ in range(count - 1):
        same = torch.zeros(len(pool), dtype=torch.int16)
        for column, tile in zip(columns, chosen, strict=True):
            same += column == tile
        nearest = torch.minimum(nearest, pool.shape[1] - same)
        chosen = pool[int(nearest.argmax())]
        picked.append(chosen)
    return torch.stack(picked)


def arrange(permutations: Tensor, pinned: Tensor) -> Tensor:
    """Apply permutations to the tiles that may move; the pinned ones keep their places.

    The order-preserving rule: strike the pinned tiles out of ``p``; what is left of it fills the
    slots of the movable tiles from first to last. Without pinned tiles this is ``p`` itself.

    .. versionadded:: 0.1

    Args:
        permutations: (..., T) int64 rows.
        pinned: (..., T) bool, true for tiles that stay; broadcasts with ``permutations``.

    Returns:
        (..., T) int64: for each slot the tile that it shows, again a permutation.

    Example:
        >>> arrange(torch.tensor([3, 1, 0, 2]), torch.tensor([False, True, False, False])).tolist()
        [3, 1, 0, 2]
        >>> arrange(torch.tensor([1, 3, 2, 0]), torch.tensor([False, True, False, False])).tolist()
        [3, 1, 2, 0]
    """
    permutations, pinned = torch.broadcast_tensors(permutations, pinned)  # type: ignore[no-untyped-call]
    struck = pinned.gather(-1, permutations)
    # Movable tiles first, each group in the order of p.
    order = struck.to(torch.uint8).argsort(dim=-1, stable=True)
    remaining = permutations.gather(-1, order)
    rank = ((~pinned).cumsum(-1) - 1).clamp(min=0)
    slots = torch.arange(pinned.shape[-1], device=pinned.device).expand_as(permutations)
    return torch.where(pinned, slots, remaining.gather(-1, rank))
