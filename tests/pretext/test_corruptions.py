import pytest
import torch

from muscletransfer.errors import ImageSizeError
from muscletransfer.pretext.corruptions import (
    add_noise,
    draw_blocks,
    mask_blocks,
    swap_patches,
    visible_mean,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def distinct(batch, channels, height, width):
    """Images without two equal pixels, so that each can be traced."""
    count = batch * channels * height * width
    return torch.arange(count, dtype=torch.float64).view(batch, channels, height, width)


def test_noise_has_its_spread_and_differs_between_images():
    images = torch.zeros(4, 1, 64, 64)
    noisy = add_noise(images, 0.2, generator())
    assert noisy.std(dim=(1, 2, 3)).tolist() == pytest.approx([0.2] * 4, rel=0.05)
    assert not torch.equal(noisy[0], noisy[1])


@pytest.mark.parametrize(("size", "block"), [((64, 64), 16), ((50, 70), 16), ((9, 9), 4)])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.99])
def test_hidden_blocks(size, block, ratio):
    images = torch.rand(5, 2, *size, generator=generator(1)) + 1
    corrupted, hidden = mask_blocks(images, block, ratio, generator())
    rows, columns = -(-size[0] // block), -(-size[1] // block)
    wanted = min(rows * columns - 1, max(1, round(ratio * rows * columns)))
    for b in range(5):
        count = 0
        for i in range(rows):
            for j in range(columns):
                cell = hidden[b, 0, i * block : (i + 1) * block, j * block : (j + 1) * block]
                assert cell.all() or not cell.any()
                count += int(cell.all())
        assert count == wanted
        for c in range(2):
            visible = images[b, c][~hidden[b, 0]]
            filled = corrupted[b, c][hidden[b, 0]]
            torch.testing.assert_close(filled, visible.mean().expand_as(filled))
            assert torch.equal(corrupted[b, c][~hidden[b, 0]], visible)
    assert not torch.equal(hidden[0], hidden[1]) or rows * columns < 10


@pytest.mark.parametrize("size", [(32, 48), (30, 41)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_of_visible_pixels_against_a_loop(size, dtype):
    images = torch.rand(3, 2, *size, generator=torch.Generator().manual_seed(1)).to(dtype)
    hidden = draw_blocks(images, 8, 0.5, torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as inside a training step
        found = [visible_mean(images, hidden, block) for block in (1, 8)]
    for one in found:
        assert one.dtype == dtype
        for b in range(3):
            wanted = images[b].double()[:, ~hidden[b, 0]].mean(1)
            close = 1e-6 if dtype == torch.float32 else 4e-3
            torch.testing.assert_close(one[b, :, 0, 0].double(), wanted, atol=close, rtol=0)


def test_one_block_is_nothing_to_hide():
    with pytest.raises(ImageSizeError, match="8 x 8 pixels"):
        mask_blocks(torch.rand(1, 1, 8, 8), 8, 0.5, generator())


@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
@pytest.mark.parametrize("pairs", [1, 3, 100])
def test_swapped_patches_move_as_a_whole_and_in_pairs(size, pairs):
    patch, images = 12, distinct(3, 2, *size)
    swapped, moved = swap_patches(images, patch, pairs, generator(4))
    assert torch.equal(swapped.flatten().sort().values, images.flatten())
    assert torch.equal((swapped != images).any(1, keepdim=True), moved)
    for b in range(3):
        flat = images[b, 0].flatten().tolist()
        where = {value: divmod(k, size[1]) for k, value in enumerate(flat)}
        now = {
            (y, x): where[swapped[b, 0, y, x].item()]
            for y in range(size[0])
            for x in range(size[1])
        }
        shifts = {}
        for (y, x), (from_y, from_x) in now.items():
            assert now[from_y, from_x] == (y, x)  # an exchange, not a cycle
            if (y, x) != (from_y, from_x):
                shifts.setdefault((from_y - y, from_x - x), set()).add((y, x))
        per_image = {True: 0, False: 0}
        for cells in shifts.values():
            assert len(cells) % patch**2 == 0
            per_image[True] += len(cells) // patch**2
        fitting = (size[0] // patch) * (size[1] // patch)
        assert per_image[True] == 2 * min(pairs, fitting // 2)


def test_the_second_channel_moves_with_the_first():
    images = distinct(2, 1, 32, 32).repeat(1, 3, 1, 1)
    swapped, _ = swap_patches(images, 8, 4, generator())
    assert torch.equal(swapped[:, 0], swapped[:, 1])
    assert torch.equal(swapped[:, 0], swapped[:, 2])


def test_the_grid_of_patches_is_shifted_at_random():
    _, moved = swap_patches(distinct(50, 1, 64, 64), 16, 1, generator())
    first = [int(m.flatten().nonzero()[0]) % 64 for m in moved]
    assert len({f % 16 for f in first}) > 8


def test_too_large_a_patch_is_refused():
    with pytest.raises(ImageSizeError, match="smaller patch_size"):
        swap_patches(torch.rand(1, 1, 16, 16), 16, 1, generator())
    with pytest.raises(ImageSizeError):
        swap_patches(torch.rand(1, 1, 16, 16), 40, 1, generator())


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda x, g: add_noise(x, 0.1, g),
        lambda x, g: mask_blocks(x, 8, 0.5, g)[0],
        lambda x, g: swap_patches(x, 8, 3, g)[0],
    ],
)
def test_draws_come_from_the_generator_alone(corrupt):
    images = torch.rand(2, 1, 32, 32)
    before = torch.get_rng_state()
    assert torch.equal(corrupt(images, generator(7)), corrupt(images, generator(7)))
    assert not torch.equal(corrupt(images, generator(7)), corrupt(images, generator(8)))
    assert torch.equal(before, torch.get_rng_state())
