"""Augmentation against scipy's resampling, and the promises of its docstring."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.augmentation.warping import affine_matrices, warp
from muscletransfer.errors import SettingError

OFF = Augmentation.none().to_dict()


def make(**changes: float) -> Augmentation:
    return Augmentation(**{**OFF, **changes})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob(height: int, width: int, row: float, column: float, sigma: float = 4.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))


def centroid(weights: torch.Tensor) -> np.ndarray:
    return np.array(ndimage.center_of_mass(weights.double().numpy()))


def theta(
    angle: float = 0.0,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
    size: tuple[int, int] = (64, 64),
) -> torch.Tensor:
    return affine_matrices(
        torch.tensor([math.radians(angle)]),
        torch.tensor([scale]),
        torch.tensor([shift]),
        torch.tensor([flip]),
        size,
    )


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
@pytest.mark.parametrize(("angle", "scale"), [(20.0, 1.0), (-35.0, 1.0), (0.0, 1.25), (15.0, 0.8)])
def test_matches_scipy_affine_transform(size: tuple[int, int], angle: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random(size), 3).astype(np.float32)
    # scipy maps output to input in (row, column): the inverse of a counter-clockwise turn
    a = math.radians(angle)
    inverse = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) / scale
    centre = (np.array(size) - 1) / 2
    expected = ndimage.affine_transform(
        image, inverse, centre - inverse @ centre, order=1, mode="constant"
    )
    found, _ = warp(torch.from_numpy(image)[None, None], None, theta(angle, scale, size=size))
    frame = np.pad(np.ones((size[0] - 4, size[1] - 4)), 2)  # the two fade out differently there
    inner = ndimage.affine_transform(frame, inverse, centre - inverse @ centre, order=1) > 0.999
    assert inner.mean() > 0.4
    np.testing.assert_allclose(found[0, 0].numpy()[inner], expected[inner], atol=2e-5)


def test_positive_angle_turns_counter_clockwise_on_screen() -> None:
    image = blob(65, 65, row=32, column=52)[None, None]  # right of the centre
    moved, _ = warp(image, None, theta(90.0, size=(65, 65)))
    np.testing.assert_allclose(centroid(moved[0, 0]), [12, 32], atol=0.05)  # now above it


def test_shift_moves_by_whole_pixels_and_fills() -> None:
    image = torch.rand(1, 1, 8, 8, generator=generator())
    mask = torch.ones(1, 8, 8, dtype=torch.long)
    moved, moved_mask = warp(image, mask, theta(shift=(0.5, 0.0), size=(8, 8)), None, 0.25, 255)
    assert moved_mask is not None
    torch.testing.assert_close(moved[..., :6], image[..., 2:])
    torch.testing.assert_close(moved[..., 6:], torch.full((1, 1, 8, 2), 0.25))
    assert moved_mask[0, :, :6].unique().tolist() == [1]
    assert moved_mask[0, :, 6:].unique().tolist() == [255]


@pytest.mark.parametrize("changes", [{}, {"distortion": 0.2}, {"crop": 0.5}])
def test_image_and_mask_move_together(changes: dict[str, float]) -> None:
    spots = torch.stack([blob(96, 128, 40 + 2 * i, 80 - 4 * i) for i in range(6)])
    augment = make(flip=0.5, rotation=20, scale=0.1, shift=0.05, **changes)
    image, mask = augment(spots[:, None], (spots > 0.3).long(), generator(3))
    assert mask is not None
    moved = 0
    for before, picture, labels in zip(spots, image[:, 0], mask, strict=True):
        assert np.abs(centroid(picture) - centroid(labels)).max() < 0.7
        moved += np.abs(centroid(picture) - centroid(before)).max() > 2
    assert moved >= 4


def test_flip_is_a_mirror_for_image_and_mask() -> None:
    image = torch.rand(3, 2, 16, 24, generator=generator())
    mask = torch.randint(0, 4, (3, 16, 24), generator=generator(1))
    mask[:, 2:5, 3:9] = 255
    out, out_mask = make(flip=1.0)(image, mask, generator())
    torch.testing.assert_close(out, image.flip(-1), atol=1e-5, rtol=0)
    assert out_mask is not None
    assert torch.equal(out_mask, mask.flip(-1))


def test_flip_probability() -> None:
    image = torch.linspace(0, 1, 8).expand(2000, 1, 8, 8).contiguous()
    out, _ = make(flip=0.3)(image, None, generator())
    share = (out[:, 0, 0, 0] > 0.5).float().mean().item()
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)


def test_inverse_map_restores_image_and_mask() -> None:
    spot = blob(80, 80, 36, 45, 7)[None, None]
    there, mask = warp(spot, (spot[0] > 0.5).long(), theta(18, 1.1, size=(80, 80)))
    back, back_mask = warp(there, mask, theta(-18, 1 / 1.1, size=(80, 80)))
    assert (back - spot).abs().max() < 0.01
    assert back_mask is not None
    assert (back_mask != (spot[0] > 0.5)).sum() < 20  # nearest neighbour twice, edge only


def test_ranges_are_reached_and_kept() -> None:
    draws = [
        make(rotation=20)._draw_geometry(torch.zeros(64, 1, 8, 8), generator(s))[0]
        for s in range(16)
    ]
    angles = torch.cat([torch.rad2deg(torch.atan2(d[:, 1, 0], d[:, 0, 0])) for d in draws])
    assert -20 <= angles.min() < -19
    assert 19 < angles.max() <= 20
    zoom = make(scale=0.1)._draw_geometry(torch.zeros(2000, 1, 8, 8), generator())[0][:, 0, 0]
    assert 0.9 <= (1 / zoom).min() < 0.905
    assert 1.095 < (1 / zoom).max() <= 1.1


def test_crop_stays_inside_the_image() -> None:
    out, mask = make(crop=0.2, mask_fill=255)(
        torch.ones(64, 1, 16, 16), torch.ones(64, 16, 16, dtype=torch.long), generator()
    )
    assert mask is not None
    assert mask.unique().tolist() == [1]
    assert out[..., 1:-1, 1:-1].min() > 0.999  # an edge pixel may take in a part of the fill


def test_distortion_never_folds() -> None:
    size = (64, 64)
    for seed in range(10):
        _, field = make(distortion=0.25)._draw_geometry(torch.zeros(4, 1, *size), generator(seed))
        assert field is not None
        field = field * 32  # in pixels
        dx = field.diff(dim=-1)[..., :-1, :]
        dy = field.diff(dim=-2)[..., :, :-1]
        jacobian = (1 + dx[:, 0]) * (1 + dy[:, 1]) - dx[:, 1] * dy[:, 0]
        assert jacobian.min() > 0
        assert field.abs().max() > 1


def test_strength_zero_is_exact() -> None:
    image = torch.rand(2, 3, 9, 7, generator=generator())
    mask = torch.randint(0, 256, (2, 9, 7), dtype=torch.uint8, generator=generator())
    out, out_mask = Augmentation.none()(image, mask, generator())
    assert torch.equal(out, image)
    assert out_mask is not None
    assert out_mask.dtype == torch.int64
    assert torch.equal(out_mask, mask.long())


def test_input_is_not_changed_in_place() -> None:
    image = torch.rand(2, 1, 16, 16, generator=generator())
    kept = image.clone()
    for augment in (Augmentation(), make(noise=0.1), make(gamma=0.5), make(blur=1.0)):
        augment(image, None, generator())
        assert torch.equal(image, kept)


def test_result_depends_on_the_generator_only() -> None:
    image = torch.rand(4, 1, 32, 32, generator=generator())
    mask = torch.randint(0, 3, (4, 32, 32), generator=generator())
    augment = Augmentation(distortion=0.2, blur=1.0)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = augment(image, mask, generator(5))
    assert torch.equal(torch.random.get_rng_state(), state)  # no global draw
    torch.manual_seed(2)
    second = augment(image, mask, generator(5))
    other = augment(image, mask, generator(6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    # the mask's presence does not shift the stream
    assert torch.equal(augment(image, None, generator(5))[0], first[0])


def test_samples_of_a_batch_differ() -> None:
    image = blob(32, 32, 10, 20).expand(8, 1, 32, 32).contiguous()
    out, _ = Augmentation()(image, None, generator())
    assert len({tuple(o.flatten().tolist()) for o in out}) == 8


def test_gamma_contrast_brightness_by_formula() -> None:
    image = torch.linspace(0.3, 0.6, 64).reshape(1, 1, 8, 8)
    draw = torch.rand(1, 5, generator=generator(4))[0] * 2 - 1
    out, _ = make(gamma=0.3)(image, None, generator(4))
    torch.testing.assert_close(out, image ** (1.3 ** float(draw[0])))
    out, _ = make(contrast=0.2, brightness=0.1)(image, None, generator(4))
    expected = (image - 0.5) * (1 + 0.2 * draw[1]) + 0.5 + 0.1 * draw[2]
    torch.testing.assert_close(out, expected)


def test_noise_has_the_drawn_spread_and_stays_in_range() -> None:
    image = torch.full((4, 1, 128, 128), 0.5)
    out, _ = make(noise=0.05)(image, None, generator(1))
    wanted = torch.rand(4, 5, generator=generator(1))[:, 3] * 0.05
    torch.testing.assert_close(out.std(dim=(1, 2, 3)), wanted, rtol=0.03, atol=1e-4)
    out, _ = make(noise=1.0, brightness=1.0, contrast=1.0)(image, None, generator(1))
    assert out.min() >= 0
    assert out.max() <= 1


def test_blur_matches_scipy() -> None:
    image = torch.rand(3, 2, 40, 40, generator=generator())
    out, _ = make(blur=2.0)(image, None, generator(7))
    sigma = torch.rand(3, 5, generator=generator(7))[:, 4] * 2.0
    for sample, blurred, s in zip(image, out, sigma, strict=True):
        for channel, found in zip(sample, blurred, strict=True):
            expected = ndimage.gaussian_filter(channel.numpy(), float(s), mode="nearest", radius=6)
            np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_types_and_autocast(channels: int, dtype: torch.dtype) -> None:
    image = torch.rand(2, channels, 32, 48, generator=generator()).to(dtype)
    mask = torch.full((2, 32, 48), 255)
    plain = Augmentation()(image, mask, generator())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, out_mask = Augmentation()(image, mask, generator())
    assert out.dtype == dtype
    assert out.shape == image.shape
    assert torch.equal(out, plain[0])
    assert out_mask is not None
    assert set(out_mask.unique().tolist()) <= {0, 255}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_result_on_gpu() -> None:
    """But for the noise, which is drawn where the images are."""
    augment = Augmentation(noise=0, blur=1.0, distortion=0.1)
    image = torch.rand(4, 1, 64, 64, generator=generator())
    mask = torch.randint(0, 3, (4, 64, 64), generator=generator())
    on_cpu, cpu_mask = augment(image, mask, generator(2))
    on_gpu, gpu_mask = augment(image.cuda(), mask.cuda(), generator(2))
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-3, rtol=0)
    assert (gpu_mask.cpu() != cpu_mask).float().mean() < 1e-3
    flat = torch.full((4, 1, 64, 64), 0.5, device="cuda")
    noisy = [
        replace(Augmentation.none(), noise=0.1)(flat, None, generator(s))[0] for s in (2, 2, 3)
    ]
    assert torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy[0], noisy[2])
    assert 0 < noisy[0].std(dim=(1, 2, 3)).max() < 0.11


@pytest.mark.parametrize(
    ("field", "value"),
    [("rotation", -1), ("flip", 1.5), ("crop", 0.0), ("distortion", 0.4), ("noise", math.nan)],
)
def test_bad_strength_is_named(field: str, value: float) -> None:
    with pytest.raises(SettingError, match=rf"{field}={value}.*wanted a number from"):
        Augmentation(**{field: value})


def test_round_trip_of_hyperparameters() -> None:
    for augment in (Augmentation(), Augmentation.natural(), Augmentation.none()):
        assert Augmentation(**augment.to_dict()) == augment
    assert Augmentation.none().is_identity
    assert not Augmentation.natural().is_identity
