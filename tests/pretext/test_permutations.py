import itertools
import math

import pytest
import torch

from muscletransfer.errors import SettingError
from muscletransfer.pretext.permutations import (
    affine_permutations,
    arrange,
    min_hamming_distance,
    permutation_set,
)


def brute_min_distance(rows):
    return min(
        sum(a != b for a, b in zip(one, other, strict=True))
        for one, other in itertools.combinations(rows, 2)
    )


def arrange_by_hand(permutation, pinned):
    movable = [tile for tile in permutation if not pinned[tile]]
    return [slot if pinned[slot] else movable.pop(0) for slot in range(len(permutation))]


def test_affine_set_against_complex_arithmetic_over_gf3():
    def element(index):
        return complex(index % 3, index // 3)

    def index(value):
        return round(value.real) % 3 + 3 * (round(value.imag) % 3)

    expected = [
        [index(element(a) * element(x) + element(b)) for x in range(9)]
        for a in range(1, 9)
        for b in range(9)
    ]
    assert affine_permutations().tolist() == expected
    assert all(sorted(row) == list(range(9)) for row in expected)
    assert brute_min_distance(expected) == 8


@pytest.mark.parametrize(("count", "distance"), [(2, 9), (9, 9), (72, 8)])
def test_leading_parts_of_the_affine_set_stay_far_apart(count, distance):
    rows = permutation_set(3, count).tolist()
    assert len(rows) == count
    assert brute_min_distance(rows) == distance


def test_2x2_has_all_24():
    assert {tuple(row) for row in permutation_set(2).tolist()} == set(
        itertools.permutations(range(4))
    )


def test_greedy_keeps_distance_6_at_100_of_9_tiles():
    rows = permutation_set(3, 100).tolist()
    assert all(sorted(row) == list(range(9)) for row in rows)
    assert rows[0] == list(range(9))
    assert brute_min_distance(rows) >= 6
    assert min_hamming_distance(torch.tensor(rows)) == brute_min_distance(rows)


@pytest.mark.parametrize(("grid", "count", "distance"), [(2, 4, 4), (4, "auto", 12), (5, 20, 23)])
def test_other_sizes(grid, count, distance):
    rows = permutation_set(grid, count, seed=3)
    assert all(sorted(row) == list(range(grid * grid)) for row in rows.tolist())
    assert min_hamming_distance(rows) >= distance
    assert torch.equal(rows, permutation_set(grid, count, seed=3))


def test_seed_changes_a_searched_set_and_not_the_affine_one():
    assert not torch.equal(permutation_set(4, 10, seed=0), permutation_set(4, 10, seed=1))
    assert torch.equal(permutation_set(3, 72, seed=0), permutation_set(3, 72, seed=1))


def test_search_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    permutation_set(4, 10)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("grid", "count", "word"),
    [(1, "auto", "grid"), (2, 25, "24"), (3, 1, "2 to"), (3, "all", "auto"), (3, 10**6, "100,000")],
)
def test_impossible_sets_are_refused(grid, count, word):
    with pytest.raises(SettingError, match=word):
        permutation_set(grid, count)


def test_arrange_every_air_mask_and_permutation_of_3x3_by_brute_force():
    permutations = affine_permutations()
    masks = torch.tensor(list(itertools.product([False, True], repeat=9)))
    arranged = arrange(permutations, masks.unsqueeze(1))
    assert arranged.shape == (512, 72, 9)
    for mask, rows in zip(masks.tolist(), arranged.tolist(), strict=True):
        for permutation, row in zip(permutations.tolist(), rows, strict=True):
            assert row == arrange_by_hand(permutation, mask)
            assert all(row[slot] == slot for slot in range(9) if mask[slot])
            assert sorted(row) == list(range(9))


def test_how_many_permutations_share_an_arrangement():
    """The numbers in JigsawPretext's docstring."""
    permutations = affine_permutations()
    masks = torch.tensor(list(itertools.product([False, True], repeat=9)))
    arranged = arrange(permutations, masks.unsqueeze(1))
    same = (arranged.unsqueeze(2) == arranged.unsqueeze(1)).all(-1).sum(-1).float().mean(-1)
    movable = (~masks).sum(1)
    assert (same[movable >= 7] == 1).all()
    assert same[movable == 5].mean().item() == pytest.approx(1.4, abs=0.05)
    assert (same[movable == 2] == 36).all()
    assert math.comb(9, 2) == int((movable == 2).sum())
