import math

import pytest
import torch
import torch.nn.functional as F

from muscletransfer.errors import ImageSizeError, SettingError
from muscletransfer.pretext.tiles import (
    check_tile_size,
    cut_tiles,
    draw_corners,
    equalise_tiles,
    plan_tiles,
    resize_tiles,
    sample_tiles,
    shuffle_tiles,
)
from muscletransfer.pretext.views import body_window, draw_view, random_view


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("size", "grid", "crop", "tile"),
    [
        ((256, 256), 3, 64, 64),  # 73 pixels fit: the next multiple below is cut out
        ((192, 192), 3, 55, 64),  # 55 pixels fit: enlarged to the near multiple above
        ((512, 512), 2, 220, 224),
        ((96, 128), 3, 27, 32),
        ((40, 40), 2, 17, 32),
    ],
)
def test_layouts(size, grid, crop, tile):
    layout = plan_tiles(size, grid, stride=32)
    assert (layout.crop, layout.tile) == (crop, tile)


def test_given_tile_size_is_reached_by_resizing():
    layout = plan_tiles((256, 256), 2, stride=32, tile_size=64)
    assert (layout.crop, layout.tile) == (110, 64)


@pytest.mark.parametrize(("found", "near"), [(40, "32 or 64"), (5, "32"), (0, "32")])
def test_tile_size_must_fit_the_stride(found, near):
    with pytest.raises(SettingError, match=f"tile_size is {found}.* {near},"):
        check_tile_size(found, 32)


def test_tiles_are_as_large_as_the_encoder_takes():
    assert plan_tiles((224, 224), 2, stride=32, least=100).tile == 128
    assert plan_tiles((224, 224), 2, stride=32, least=64) == plan_tiles((224, 224), 2, stride=32)
    check_tile_size(128, 32, 100)
    with pytest.raises(SettingError, match=r"at least 100, such as 128,"):
        check_tile_size(96, 32, 100)


def test_too_small_an_image_says_what_would_do():
    with pytest.raises(ImageSizeError, match="at least 30 pixels a side") as caught:
        plan_tiles((16, 16), 3, stride=32)
    assert "5 pixels" not in str(caught.value)
    assert "gives tiles of 4 pixels" in str(caught.value)
    plan_tiles((30, 30), 3, stride=32)
    with pytest.raises(ImageSizeError):
        plan_tiles((27, 27), 3, stride=32)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(100, 131), (64, 64)])
def test_every_tile_lies_in_its_cell(size, jitter):
    layout = plan_tiles(size, 3, stride=16)
    corners = draw_corners(200, layout, jitter=jitter, generator=generator())
    for axis in (0, 1):
        index = torch.arange(9) // 3 if axis == 0 else torch.arange(9) % 3
        start = index * size[axis] // 3
        offset = corners[..., axis] - start
        free = layout.cell[axis] - layout.crop
        span = round(free * jitter)
        low = (free - span) // 2
        assert int(offset.min()) == low
        assert int(offset.max()) == low + span
        assert low + span <= free


def test_neighbouring_tiles_never_touch_by_less_than_the_gap_on_average():
    layout = plan_tiles((225, 225), 3, stride=32)
    corners = draw_corners(500, layout, jitter=1.0, generator=generator())
    right_edge = corners[:, 0, 1] + layout.crop
    space = (corners[:, 1, 1] - right_edge).float()
    assert space.min() >= 0
    assert space.mean().item() == pytest.approx(11, abs=0.5)  # the paper's average gap


def test_cut_equals_slicing():
    images = torch.rand(3, 2, 50, 60)
    layout = plan_tiles((50, 60), 2, stride=16)
    corners = draw_corners(3, layout, jitter=1.0, generator=generator())
    tiles = cut_tiles(images, corners, layout.crop)
    for b in range(3):
        for t in range(4):
            row, column = corners[b, t].tolist()
            wanted = images[b, :, row : row + layout.crop, column : column + layout.crop]
            assert torch.equal(tiles[b, t], wanted)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_sampled_from_the_image_are_those_cut_from_its_view(channels):
    images = torch.rand(3, channels, 50, 62, generator=generator())
    window = (torch.tensor([[0.1, -0.2], [0.0, 0.0], [-0.3, 0.2]]), torch.tensor([0.6, 1.0, 0.5]))
    settings = {"rotation": 30, "flip": True, "window": window}
    view = random_view(images, **settings, generator=generator(3))
    theta = draw_view(images, **settings, generator=generator(3))
    layout = plan_tiles((50, 62), 2, stride=16)
    corners = draw_corners(3, layout, jitter=1.0, generator=generator())
    wanted = cut_tiles(view, corners, layout.crop)
    assert torch.equal(sample_tiles(images, theta, corners, layout.crop), wanted)


def test_half_precision_images_are_read_where_whole_ones_are():
    images = torch.rand(2, 1, 64, 64, generator=generator())
    settings = {"rotation": 20, "flip": True, "window": None}
    whole = random_view(images, **settings, generator=generator(3))
    half = random_view(images.bfloat16(), **settings, generator=generator(3))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), whole, atol=0.01, rtol=0)


def test_shuffling_equals_indexing():
    tiles = torch.rand(3, 4, 2, 5, 5)
    order = torch.rand(3, 4).argsort(1)
    assert torch.equal(shuffle_tiles(tiles, order), tiles[torch.arange(3)[:, None], order])


def test_resize_a_tile_at_a_time():
    tiles = torch.rand(2, 4, 3, 27, 27)
    out = resize_tiles(tiles, 32)
    one = F.interpolate(tiles[1, 2][None], size=(32, 32), mode="bilinear")[0]
    torch.testing.assert_close(out[1, 2], one)
    assert resize_tiles(tiles, 27) is tiles


def test_equalised_tiles_share_mean_and_spread_and_pinned_ones_are_untouched():
    tiles = torch.rand(2, 9, 2, 16, 16) * torch.rand(2, 9, 2, 1, 1) + torch.rand(2, 9, 2, 1, 1)
    pinned = torch.rand(2, 9, generator=generator()) < 0.3
    out = equalise_tiles(tiles, pinned, eps=0.0)
    for b in range(2):
        free = ~pinned[b]
        mean, spread = tiles[b, free].mean((2, 3)), tiles[b, free].std((2, 3), correction=0)
        torch.testing.assert_close(out[b, free].mean((2, 3)), mean.mean(0).expand_as(mean))
        found = out[b, free].std((2, 3), correction=0)
        torch.testing.assert_close(found, spread.mean(0).expand_as(spread))
        assert torch.equal(out[b, pinned[b]], tiles[b, pinned[b]])


def test_equalising_flat_or_only_pinned_tiles_gives_no_nan():
    flat = torch.full((1, 4, 1, 8, 8), 0.3)
    assert equalise_tiles(flat, torch.zeros(1, 4, dtype=torch.bool)).isfinite().all()
    assert torch.equal(equalise_tiles(flat, torch.ones(1, 4, dtype=torch.bool)), flat)


def test_view_without_changes_is_the_image():
    images = torch.rand(2, 1, 16, 24)
    view = random_view(images, rotation=0, flip=False, window=None, generator=generator())
    assert torch.equal(view, images)


def test_flip_alone_moves_pixels_only():
    images = torch.rand(64, 1, 8, 8)
    view = random_view(images, rotation=0, flip=True, window=None, generator=generator())
    same = (view == images).flatten(1).all(1)
    mirrored = (view == images.flip(-1)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 16 < int(mirrored.sum()) < 48


def test_rotation_keeps_proportions_and_angles_on_wide_images():
    """A bright spot moves on a circle, also where the image is not square."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    spot = torch.exp(-((y - 31.5) ** 2 + (x - 67.5) ** 2) / 8).expand(50, 1, 64, 96)
    view = random_view(spot, rotation=45, flip=False, window=None, generator=generator())
    weight = view[:, 0] / view[:, 0].sum((1, 2), keepdim=True)
    dy, dx = ((weight * (y - 31.5)).sum((1, 2)), (weight * (x - 47.5)).sum((1, 2)))
    torch.testing.assert_close(torch.hypot(dy, dx), torch.full((50,), 20.0), atol=0.1, rtol=0)
    angle = torch.atan2(dy, dx).abs()
    assert angle.max() <= math.radians(45) + 1e-3
    assert angle.max() > math.radians(30)


def test_body_window_crops_to_the_body_and_stays_inside():
    brightness = torch.zeros(3, 64, 64)
    brightness[0, 20:36, 8:40] = 1  # 16 x 32 pixels
    brightness[1, :4, 60:] = 1  # in a corner
    (cx, cy), (right, top) = body_window(brightness, 0.5)[0][:2].tolist()
    zoom = body_window(brightness, 0.5)[1].tolist()
    assert (cx, cy, zoom[0]) == pytest.approx((24 / 32 - 1, 28 / 32 - 1, 0.5))
    assert (right, top) == pytest.approx((62 / 32 - 1, 2 / 32 - 1))
    assert zoom[1:] == [4 / 64, 1.0]  # all air: the whole image

    window = body_window(brightness, 0.5)
    view = random_view(
        brightness[:, None], rotation=0, flip=False, window=window, generator=generator()
    )
    assert view[0, 0, 17:47, 1:63].min() > 0.99
    assert view[0, 0, :15].max() == 0
    assert view[1, 0, :56, 8:].min() > 0.99  # the last half pixel blends with the air beside it


def test_specks_of_noise_are_no_body():
    brightness = torch.zeros(1, 100, 100)
    brightness[0, 40:60, 40:60] = 1
    brightness[0, 3, 90] = 1
    centre, zoom = body_window(brightness, 0.5)
    assert zoom.item() == pytest.approx(0.2)
    assert centre.abs().max() < 1e-6
