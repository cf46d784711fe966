import itertools

import pytest
import torch
from lightning import seed_everything
from pretext_toys import ENCODER, TINY, ToyData, loader, textured, trainer

from muscletransfer.encoders import create_encoder
from muscletransfer.errors import DataError, ImageSizeError, SettingError
from muscletransfer.pretext import JigsawPretext
from muscletransfer.pretext.tiles import draw_corners, plan_tiles
from muscletransfer.pretext.views import random_view


def with_air(count=6, side=96, channels=1, seed=0):
    """Images with air in the corners, and one that is nearly all air."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    inside = (y - side / 2).abs() + (x - side / 2).abs() < side * 0.45
    images = 0.1 + 0.9 * torch.rand(count, channels, side, side, generator=generator)
    images = images * inside
    images[-1] *= (x < side // 3) & (y < side // 2) & (y > side // 3)
    return images


def puzzle_by_hand(task, images):
    """The same puzzle in plain Python: an image, a tile, a permutation at a time."""
    generator = task.generator.manual_seed(5)
    view = random_view(
        images,
        rotation=task.rotation,
        flip=task.flip,
        window=task._window(images),
        generator=generator,
    )
    layout = plan_tiles(tuple(view.shape[2:]), task.grid, stride=task.encoder.output_stride)
    corners = draw_corners(len(view), layout, jitter=task.jitter, generator=generator).tolist()
    permutations = task.permutations.tolist()
    choice = torch.randint(len(permutations), (len(view),), generator=generator).tolist()
    count = task.grid**2
    shuffled, possible, usable = [], [], []
    for b in range(len(view)):
        tiles = [
            view[b, :, row : row + layout.crop, column : column + layout.crop]
            for row, column in corners[b]
        ]
        air = [task.air_below is not None and bool(t.mean() < task.air_below) for t in tiles]

        def arranged(permutation, air=air):
            queue = [tile for tile in permutation if not air[tile]]
            return [slot if air[slot] else queue.pop(0) for slot in range(count)]

        shown = arranged(permutations[choice[b]])
        shuffled.append(torch.stack([tiles[tile] for tile in shown]))
        possible.append([arranged(p) == shown for p in permutations])
        usable.append(air.count(False) >= 2)
    return torch.stack(shuffled), torch.tensor(possible), torch.tensor(usable)


@pytest.mark.parametrize("grid", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rotation": 0.0, "flip": False, "crop_to_body": False},
        {"air_below": None, "jitter": 0.5},
    ],
)
def test_puzzle_equals_one_made_by_hand(grid, channels, settings):
    task = JigsawPretext(
        ENCODER, channels, depth=4, grid=grid, normalise_tiles=False, gap=0.14, **settings
    )
    images = with_air(side=128, channels=channels)
    task.generator.manual_seed(5)
    tiles, (possible, usable) = task.make_targets({"image": images})
    by_hand = puzzle_by_hand(task, images)
    assert torch.equal(tiles, by_hand[0])
    assert torch.equal(possible, by_hand[1])
    assert torch.equal(usable, by_hand[2])
    assert possible.any(dim=1).all()
    if settings.get("crop_to_body") is False:
        assert possible.sum(1).max() > 1  # pinned tiles did occur
        assert not usable[-1]


def test_without_air_the_loss_is_cross_entropy_on_the_permutation():
    task = JigsawPretext(ENCODER, grid=3, air_below=None)
    task.generator.manual_seed(0)
    tiles, (possible, usable) = task.make_targets({"image": torch.rand(5, 1, 96, 96)})
    assert (possible.sum(1) == 1).all()
    assert usable.all()
    logits = torch.randn(5, 72)
    wanted = torch.nn.functional.cross_entropy(logits, possible.float().argmax(1))
    torch.testing.assert_close(task.compute_loss(logits, (possible, usable)), wanted)
    assert tiles.shape == (5, 9, 1, 32, 32)


def test_with_air_any_permutation_that_looks_the_same_is_right():
    task = JigsawPretext(ENCODER, grid=2)
    possible = torch.zeros(2, 24, dtype=torch.bool)
    possible[0, [3, 7]] = True
    possible[1, 4] = True
    usable = torch.tensor([True, False])
    logits = torch.randn(2, 24, requires_grad=True)
    probability = logits.softmax(1)
    wanted = -(probability[0, 3] + probability[0, 7]).log()
    loss = task.compute_loss(logits, (possible, usable))
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    assert logits.grad[1].abs().max() == 0  # an image that does not count teaches nothing
    assert logits.grad[0].isfinite().all()

    task.stage = "val"
    scores = task.add_metrics(possible.float(), (possible, usable))
    assert scores["accuracy"].compute() == 1
    assert scores["chance"].compute() == pytest.approx(2 / 24)


def test_a_batch_that_is_all_air_gives_a_loss_of_zero_with_a_gradient():
    task = JigsawPretext(ENCODER, grid=2)
    tiles, targets = task.make_targets({"image": torch.zeros(3, 1, 64, 64)})
    loss = task.compute_loss(task(tiles), targets)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in task.head.parameters())


def test_an_epoch_of_air_is_an_error():
    task = JigsawPretext(ENCODER, grid=2)
    with pytest.raises(DataError, match=r"No image of the epoch.*air_below=0.02"):
        trainer(max_steps=-1, max_epochs=1).fit(task, loader(image=torch.zeros(4, 1, 64, 64)))


def test_air_is_told_in_units_before_standardisation():
    """(x - 0.4) / 0.2 of a dark but not airy image must not look like air."""
    images = textured(4)
    task = JigsawPretext(TINY, depth=3, grid=2, lr=1e-6)
    data = ToyData({"mean": 0.4, "std": 0.2}, image=(images - 0.4) / 0.2)
    run = trainer(1)
    run.fit(task, datamodule=data)
    _, (_, usable) = task.make_targets({"image": (images - 0.4) / 0.2})
    assert usable.all()
    assert task._is_air(torch.full((1, 4, 1, 8, 8), (0.01 - 0.4) / 0.2)).all()
    assert not task._is_air(torch.full((1, 4, 1, 8, 8), (0.03 - 0.4) / 0.2)).any()
    coloured = JigsawPretext(ENCODER, in_channels=3, grid=2)
    coloured._preprocessing = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 2.0]}
    dark = -torch.tensor([0.1, 0.2, 0.15]).view(1, 1, 3, 1, 1).expand(1, 4, 3, 8, 8)
    assert coloured._is_air(dark).all()
    assert not coloured._is_air(dark + 0.03).any()


def test_tiles_of_an_image_share_brightness_so_that_it_cannot_be_matched():
    task = JigsawPretext(ENCODER, grid=2, rotation=0, crop_to_body=False)
    ramp = torch.linspace(0.1, 1, 64).expand(1, 1, 64, 64) + 0.02 * torch.rand(1, 1, 64, 64)
    tiles, _ = task.make_targets({"image": ramp})
    means = tiles.mean(dim=(2, 3, 4))
    assert (means - means.mean()).abs().max() < 1e-2


def test_the_trunk_is_shared_and_context_free():
    """Features of a tile do not depend on the other tiles, nor on the slot it is in."""
    task = JigsawPretext(ENCODER, grid=2).eval()
    seen = []
    task.head.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    tiles = torch.rand(1, 4, 1, 32, 32)
    with torch.no_grad():
        task(tiles)
        task(tiles[:, [2, 0, 3, 1]])
    torch.testing.assert_close(seen[0][:, [2, 0, 3, 1]], seen[1])


def test_learns_2x2_far_beyond_chance():
    seed_everything(0)
    encoder = {"name": TINY, "kwargs": {"width": 16}}
    task = JigsawPretext(encoder, depth=4, grid=2, lr=1e-2, warmup_steps=5, rotation=0)
    run = trainer(100)
    run.fit(task, loader(16, image=textured(160)))
    (scores,) = run.validate(task, loader(32, image=textured(64, seed=99)), verbose=False)
    assert scores["val_chance"] == pytest.approx(1 / 24)
    assert scores["val_accuracy"] > 0.5


def test_images_that_are_equal_everywhere_stay_at_chance():
    """No leak: with nothing to see, accuracy is what guessing gives."""
    seed_everything(0)
    task = JigsawPretext(TINY, depth=3, grid=2, lr=1e-2, warmup_steps=2, crop_to_body=False)
    noise = 0.2 + 0.6 * torch.rand(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    run = trainer(40)
    run.fit(task, loader(16, image=noise))
    fresh = 0.2 + 0.6 * torch.rand(256, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    (scores,) = run.validate(task, loader(64, image=fresh), verbose=False)
    assert scores["val_accuracy"] < 0.1
    assert scores["val_loss"] > 3.0  # log 24 = 3.18


def test_any_grid_and_number_of_permutations():
    task = JigsawPretext(ENCODER, depth=4, grid=4, permutations=20)
    tiles, (possible, _) = task.make_targets({"image": 0.1 + torch.rand(2, 1, 96, 64)})
    assert tiles.shape == (2, 16, 1, 16, 16)
    assert possible.shape == task(tiles).shape == (2, 20)


def test_a_fixed_size_encoder_gets_tiles_of_its_size():
    vit = {"name": "timm/vit_tiny_patch16_224", "depth": 4, "kwargs": {"img_size": 32}}
    task = JigsawPretext(vit, depth=4, grid=2)
    tiles, _ = task.make_targets({"image": torch.rand(2, 1, 96, 96)})
    assert tiles.shape == (2, 4, 1, 32, 32)
    assert task(tiles).shape == (2, 24)
    with pytest.raises(SettingError, match=r"exactly 32 x 32 pixels.*tile_size is 64"):
        JigsawPretext(vit, depth=4, grid=2, tile_size=64)


@pytest.mark.parametrize(("sides", "tile"), [({"multiple": 64}, 64), ({"least": 60}, 64), ({}, 40)])
def test_an_encoder_gets_tiles_that_it_takes(sides, tile):
    encoder = create_encoder(TINY, depth=3)
    for name, pixels in sides.items():
        setattr(encoder, name, pixels)
    task = JigsawPretext(encoder, depth=3, grid=2)
    tiles, _ = task.make_targets({"image": torch.rand(2, 1, 96, 96)})
    assert tiles.shape == (2, 4, 1, tile, tile)
    JigsawPretext(encoder, depth=3, grid=2, tile_size=128)
    if sides:
        with pytest.raises(SettingError, match=r"tile_size is 32.*such as 64,"):
            JigsawPretext(encoder, depth=3, grid=2, tile_size=32)


def test_images_of_air_do_not_count_in_the_logged_loss():
    task = JigsawPretext(TINY, depth=3, grid=2)
    body, air = textured(4), torch.zeros(4, 1, 64, 64)
    alone, mixed = (
        trainer().validate(task, loader(4, image=image), verbose=False)[0]
        for image in (body, torch.cat((body, air)))
    )
    assert mixed == pytest.approx(alone)


def test_one_image_has_no_statistics():
    with pytest.raises(DataError, match=r"'jigsaw' got 1 image\(s\) of 64 x 64.*batch_size"):
        trainer(1).fit(JigsawPretext(TINY, depth=3, grid=2), loader(1, image=textured(1)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": 1}, "grid is 1"),
        ({"tile_size": 50}, "32 or 64"),
        ({"gap": 1.0}, "gap=1.0"),
        ({"jitter": 2}, "jitter=2"),
        ({"rotation": -3}, "rotation=-3"),
        ({"air_below": "none"}, "air_below is 'none'"),
        ({"permutations": 10**7}, "2 to 100,000"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(SettingError, match=message):
        JigsawPretext(ENCODER, **settings)


def test_images_too_small_for_the_grid():
    with pytest.raises(ImageSizeError, match="16 x 16 pixels cut into 3 x 3"):
        JigsawPretext(ENCODER, grid=3).make_targets({"image": torch.rand(1, 1, 16, 16)})


def test_every_permutation_is_drawn():
    task = JigsawPretext(ENCODER, grid=2, air_below=None)
    _, (possible, _) = task.make_targets({"image": torch.rand(600, 1, 32, 32)})
    drawn = possible.float().argmax(1).bincount(minlength=24)
    assert drawn.min() > 5
    assert {tuple(p) for p in task.permutations.tolist()} == set(itertools.permutations(range(4)))
