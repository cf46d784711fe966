"""The way to the network grid and back: exact to a fraction of a pixel, on any shape."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from muscletransfer.data import PreprocessingSpec, SliceGeometry
from muscletransfer.errors import DataError, GeometryError, SettingError

SHAPES = [(512, 512), (511, 387), (101, 122), (64, 90), (300, 1024)]
SPACINGS = [None, (0.8, 0.8), (0.9, 0.6)]
FLIPS = [(False, False), (True, True), (True, False)]


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def centroid(weights: np.ndarray) -> np.ndarray:
    return np.array([(weights * i).sum() / weights.sum() for i in np.indices(weights.shape)])


def back(spec: PreprocessingSpec, mask: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    return spec.invert(torch.from_numpy(mask)[None].float(), geometry)[0].numpy()


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"hu_window": [-150, 250]}, {}),
        ({"size": [64, 64], "mean": 0, "std": 1}, {"size": 64}),
        ({"spacing": 1, "size": (np.int64(64), 48)}, {"spacing": 1.0, "size": (64, 48)}),
        (
            {"hu_window": None, "percentiles": (1, np.float32(99))},
            {"hu_window": None, "percentiles": (1.0, 99.0)},
        ),
        ({"channels": 3, "mean": (0, 1, 0)}, {"channels": 3, "mean": (0.0, 1.0, 0.0)}),
    ],
)
def test_equal_settings_are_one_however_written(given: Any, same: Any) -> None:
    """Ids of runs come from the text, so another text would train everything anew."""
    one, other = PreprocessingSpec(**given), PreprocessingSpec(**same)
    assert one == other
    assert repr(one) == repr(other)
    assert hash(one) == hash(other)
    for text in (PreprocessingSpec.to_dict, PreprocessingSpec.storage_dict):
        assert json.dumps(text(one)) == json.dumps(text(other))


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [256, (192, 160)])
def test_disc_survives_the_round_trip(
    shape: tuple[int, int], spacing: Any, flip: Any, size: Any
) -> None:
    spec = PreprocessingSpec(size=size)
    mask = disc(shape, (shape[0] * 0.45, shape[1] * 0.6), min(shape) * 0.3)
    _, geometry = spec.apply(np.where(mask, 40, -100), spacing, flip)
    small = spec.apply_mask(mask.astype(np.uint8), geometry)
    probability = back(spec, small, geometry)
    assert probability.shape == shape
    assert dice(probability > 0.5, mask) > 0.97


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize(("spacing", "target"), [((0.8, 0.8), 1.0), ((0.7, 1.1), 0.9)])
def test_round_trip_at_a_wanted_spacing(spacing: Any, target: float, flip: Any) -> None:
    spec = PreprocessingSpec(spacing=target, size=288)
    mask = disc((301, 210), (160.3, 108.8), 60)
    _, geometry = spec.apply(np.where(mask, 40, -100), spacing, flip)
    assert geometry.scale == (spacing[0] / target, spacing[1] / target)
    probability = back(spec, spec.apply_mask(mask.astype(np.uint8), geometry), geometry)
    assert dice(probability > 0.5, mask) > 0.98


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_shifts_by_a_fraction_of_a_pixel(
    shape: tuple[int, int], spacing: Any, flip: Any
) -> None:
    """Centroid of a soft blob: there, by the formula in SliceGeometry; and back, where it was."""
    spec = PreprocessingSpec(size=(128, 112))
    y, x = np.indices(shape)
    at = np.array([shape[0] * 0.4, shape[1] * 0.55])
    blob = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * (min(shape) / 12) ** 2))
    out, g = spec.apply(blob * 30000 - 1000, spacing, flip)
    inside = spec.apply(np.full(shape, 100), spacing, flip)[0] == 100
    soft = np.where(inside, (out.astype(float) + 1000) / 30000, 0).astype(np.float32)
    edge = np.where(flip, np.array(shape) - 1 - at, at) + 0.5
    np.testing.assert_allclose(centroid(soft), edge * g.scale + g.offset - 0.5, atol=0.02)
    np.testing.assert_allclose(centroid(back(spec, soft, g)), at, atol=0.05)


def test_outlines_neither_grow_nor_shrink_when_halved() -> None:
    """At a scale of just one half many pixels are half covered, the worst case for the area."""
    rng = np.random.default_rng(0)
    spec = PreprocessingSpec(size=128)
    change = []
    for _ in range(20):
        mask = disc((256, 256), tuple(rng.uniform(100, 150, 2)), rng.uniform(30, 60))
        out = spec.apply_mask(mask.astype(np.uint8), spec.geometry(mask.shape))
        change.append(out.sum() * 4 / mask.sum() - 1)
    assert abs(np.mean(change)) < 0.001


@pytest.mark.parametrize("target", [0.8, 0.5])
def test_enlarging_equals_simpleitk_linear(target: float) -> None:
    rng = np.random.default_rng(0)
    hu = sitk.GetArrayFromImage(
        sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(rng.normal(0, 500, (40, 50))), 2.0)
    )
    spec = PreprocessingSpec(spacing=target, size=96)
    out, g = spec.apply(hu, (0.8, 0.8))
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.8, 0.8))
    # Edges as coordinates: the centre of network pixel v is at ((v + 0.5) - offset) / scale - 0.5.
    origin = [(0.5 - g.offset[k]) / g.scale[k] * 0.8 - 0.4 for k in (1, 0)]
    wanted = sitk.Resample(
        image, (96, 96), sitk.Transform(), sitk.sitkLinear, origin, (target, target),
        (1, 0, 0, 1), -1024.0,
    )  # fmt: skip
    expected = sitk.GetArrayFromImage(wanted)
    inner = (slice(30, 66), slice(30, 66))
    np.testing.assert_allclose(out[inner], expected[inner], atol=0.51)
    assert (out[0] == -1024).all()
    assert (expected[0] == -1024).all()


def test_shrinking_averages_and_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 200], np.int16), (256, 128))
    out, _ = PreprocessingSpec(size=64).apply(stripes)
    np.testing.assert_allclose(out[:, 1:-1], 100, atol=1)
    noise = np.random.default_rng(0).normal(0, 100, (512, 512))
    out, _ = PreprocessingSpec(size=128).apply(noise)
    pillow = Image.fromarray(noise.astype(np.float32)).resize((128, 128), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(out, np.asarray(pillow), atol=0.6)


def test_slice_already_on_the_grid_is_copied() -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, (101, 122)).astype(np.int16)
    out, g = PreprocessingSpec(spacing=3.0, size=128).apply(hu, (3.0, 3.0))
    np.testing.assert_array_equal(out[14:115, 3:125], hu)
    assert (g.scale, g.offset) == ((1.0, 1.0), (14.0, 3.0))
    assert out[:14].max() == out[115:].max() == out[:, :3].max() == -1024
    flipped, _ = PreprocessingSpec(spacing=3.0, size=128).apply(hu, (3.0, 3.0), (True, True))
    np.testing.assert_array_equal(flipped[14:115, 3:125], hu[::-1, ::-1])


def test_native_larger_than_the_grid_is_cropped_and_background_outside() -> None:
    spec = PreprocessingSpec(spacing=1.0, size=64)
    hu = np.arange(100 * 100).reshape(100, 100)
    out, g = spec.apply(hu, (1.0, 1.0))
    np.testing.assert_array_equal(out, hu[18:82, 18:82])
    scores = torch.rand(3, 64, 64)
    inverse = spec.invert(scores, g)
    torch.testing.assert_close(inverse[:, 18:82, 18:82], scores)
    assert inverse[:, :18].abs().max() == inverse[:, :, 82:].abs().max() == 0
    assert (spec.invert(scores, g, outside=-9.0)[:, 0] == -9).all()
    seen = spec.seen(g)
    assert seen[18:82, 18:82].all()
    assert seen.sum() == 64 * 64


def test_values_below_air_do_not_ring_into_the_body() -> None:
    hu = np.full((64, 64), -3024, np.int16)
    hu[16:48, 16:48] = 40
    out, _ = PreprocessingSpec(size=32).apply(hu)
    assert out.min() == -1024


def test_small_classes_win_where_they_cover_most() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 20:44] = 3
    mask[24:40, 28:36] = 7
    mask[:4] = 255
    spec = PreprocessingSpec(size=32)
    out = spec.apply_mask(mask, spec.geometry((64, 64)))
    # The boundaries fall between network pixels, so each class keeps just what it covered.
    np.testing.assert_array_equal(out, mask[::2, ::2])
    wide = np.full((32, 64), 5, np.uint8)
    out = spec.apply_mask(wide, spec.geometry(wide.shape), pad_label=255)
    assert (out[8:24] == 5).all()
    assert (out[:8] == 255).all()


def test_anisotropic_pixels_keep_the_patients_proportions() -> None:
    g = PreprocessingSpec(size=100).geometry((100, 100), (2.0, 1.0))
    assert g.scale == (1.0, 0.5)
    assert PreprocessingSpec(size=100).geometry((100, 100)).scale == (1.0, 1.0)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU"))])  # fmt: skip
def test_window_mean_and_std(device: str) -> None:
    batch = torch.tensor([[[-1024, -150, 50, 250, 3000]]], dtype=torch.int16, device=device)
    plain = PreprocessingSpec().to_float(batch)
    assert plain.shape == (1, 1, 1, 5)
    assert plain.flatten().tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    three = PreprocessingSpec(channels=3, mean=mean, std=std).to_float(batch)
    for k in range(3):
        torch.testing.assert_close(three[:, k], (plain[:, 0] - mean[k]) / std[k])
    shared = PreprocessingSpec(channels=3, mean=0.5, std=0.5).to_float(batch)
    torch.testing.assert_close(shared, (plain.repeat(1, 3, 1, 1) - 0.5) / 0.5)
    assert batch.flatten().tolist() == [-1024, -150, 50, 250, 3000]


def test_plain_images_by_type_and_by_percentile() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(20, 120, (64, 64), np.uint8)
    spec = PreprocessingSpec(size=64, hu_window=None)
    x = spec.to_float(torch.from_numpy(spec.apply(grey)[0])[None])
    np.testing.assert_allclose(x[0, 0], grey / 255, atol=1e-4)
    deep = grey.astype(np.uint16) * 200
    x = spec.to_float(torch.from_numpy(spec.apply(deep)[0])[None])
    np.testing.assert_allclose(x[0, 0], deep / 65535, atol=1e-4)
    spec = PreprocessingSpec(size=64, hu_window=None, percentiles=(1, 99))
    low, high = np.percentile(grey, (1, 99))
    for values in (grey, deep, grey.astype(np.float32) - 500):
        x = spec.to_float(torch.from_numpy(spec.apply(values)[0])[None])
        np.testing.assert_allclose(x[0, 0], ((grey - low) / (high - low)).clip(0, 1), atol=1e-4)
    flat = spec.apply(np.full((64, 64), 9, np.uint8))[0]
    assert not flat.any()


def test_colour_is_kept_or_made_grey() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    three = PreprocessingSpec(size=64, hu_window=None, channels=3)
    stored, _ = three.apply(colour)
    assert stored.shape == (64, 64, 3)
    x = three.to_float(torch.from_numpy(stored)[None])[0]
    np.testing.assert_allclose(x[:, 8:56].permute(1, 2, 0), colour / 255, atol=1e-4)
    grey, _ = three.apply(colour[..., 0])
    np.testing.assert_array_equal(grey, np.repeat(stored[..., :1], 3, 2))
    one, _ = PreprocessingSpec(size=64, hu_window=None).apply(colour)
    pillow = np.asarray(Image.fromarray(colour).convert("L")).astype(float)
    np.testing.assert_allclose(one[8:56] / 32767 * 255, pillow, atol=1.0)
    with pytest.raises(DataError, match="cannot be CT"):
        PreprocessingSpec().apply(colour)


@pytest.mark.parametrize(
    "spec",
    [
        PreprocessingSpec(),
        PreprocessingSpec(1.5, (128, 96), (-200, 300), None, 3, (0.1, 0.2, 0.3), 2.0),
        PreprocessingSpec(hu_window=None, percentiles=(0.5, 99.5)),
    ],
)
def test_plain_dictionary_survives_json(spec: PreprocessingSpec) -> None:
    again = PreprocessingSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert hash(again) == hash(spec)
    _, g = spec.apply(np.full((50, 60), 7, np.uint8), (0.8, 0.9), (True, False))
    assert SliceGeometry.from_dict(json.loads(json.dumps(g.to_dict()))) == g


def test_numbers_of_numpy_become_plain() -> None:
    spec = PreprocessingSpec(np.float64(1.5), np.int64(64), [np.int64(-100), 200])  # type: ignore[arg-type]
    assert spec == PreprocessingSpec(1.5, 64, (-100, 200))
    assert json.dumps(spec.to_dict())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("spacing", 0, "spacing is 0; wanted mm above 0, or None"),
        ("spacing", float("nan"), "spacing is nan"),
        ("spacing", "1.0", "spacing is '1.0'"),
        ("size", 4, "size is 4; wanted pixels, at least 8"),
        ("size", 256.0, "size is 256.0"),
        ("size", (256,) * 3, "size is"),
        ("size", True, "size is True"),
        ("hu_window", (250, -150), r"hu_window is \(250, -150\); wanted two rising"),
        ("hu_window", (0,), "hu_window"),
        ("percentiles", (1, 99), "exclude each other"),
        ("channels", 4, "channels is 4; wanted 1 or 3"),
        ("mean", (0.1, 0.2), "wanted one number or 1"),
        ("std", 0.0, "std is 0.0; wanted above 0"),
        ("std", float("inf"), "std is inf"),
    ],
)
def test_fields_that_cannot_work(field: str, value: object, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        PreprocessingSpec(**{field: value})


def test_percentiles_out_of_range() -> None:
    with pytest.raises(SettingError, match=r"percentiles is \(1, 101\)"):
        PreprocessingSpec(hu_window=None, percentiles=(1, 101))


def test_unknown_key_offers_the_near_one() -> None:
    with pytest.raises(SettingError, match=r"no field 'windows'.*Did you mean hu_window|'windows'"):
        PreprocessingSpec.from_dict({"windows": (0, 1)})
    with pytest.raises(SettingError, match="preprocessing is a list; wanted the dictionary"):
        PreprocessingSpec.from_dict([1])  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="Did you mean spacing"):
        PreprocessingSpec.from_dict({"spacings": 1})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.apply(np.zeros((2, 5, 5))), DataError, r"shape \(2, 5, 5\); wanted"),
        (lambda s: s.apply(np.zeros((0, 5))), DataError, r"shape \(0, 5\)"),
        (lambda s: s.apply(np.full((5, 5), np.nan)), DataError, "nan or infinite"),
        (lambda s: s.apply(np.full((5, 5), "a")), DataError, "wanted numbers"),
        (lambda s: s.to_float(torch.zeros(5, 5)), DataError, r"shape \(5, 5\)"),
        (lambda s: s.to_float(torch.zeros(1, 5, 5, 3)), DataError, r"has 3 channels and the"),
        (lambda s: s.apply(np.zeros((5, 5)), (0.0, 1.0)), GeometryError, r"spacing is \(0\.0, 1"),
        (lambda s: s.apply(np.zeros((5, 5)), 0.8), GeometryError, r"spacing is 0\.8; wanted"),
        (
            lambda s: s.apply_mask(np.full((5, 5), 300), s.geometry((5, 5))),
            DataError,
            "from 300 to 300; wanted class indices",
        ),
        (
            lambda s: s.apply_mask(np.full((5, 5), 0.5), s.geometry((5, 5))),
            DataError,
            "holds float64",
        ),
        (
            lambda s: s.apply_mask(np.zeros((5, 5), np.uint8), s.geometry((5, 6))),
            GeometryError,
            r"mask has shape \(5, 5\), its image \(5, 6\)",
        ),
        (
            lambda s: s.invert(torch.zeros(1, 5, 5), s.geometry((5, 6))),
            GeometryError,
            r"shape \(1, 5, 5\); wanted \(K, 256, 256\)",
        ),
        (
            lambda s: PreprocessingSpec(spacing=1.0).apply(np.zeros((5, 5))),
            GeometryError,
            "spacing is unknown.*spacing_x_mm",
        ),
        (
            lambda s: PreprocessingSpec(hu_window=None).apply(np.zeros((5, 5), np.int16)),
            DataError,
            "no natural range.*percentiles",
        ),
    ],
)
def test_input_that_cannot_work(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call(PreprocessingSpec())


def test_half_precision_scores_come_back_as_float32() -> None:
    spec = PreprocessingSpec(size=16)
    out = spec.invert(torch.ones(1, 16, 16, dtype=torch.bfloat16), spec.geometry((20, 20)))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, torch.ones(1, 20, 20))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
def test_values_beyond_int16_end_at_its_end(dtype):
    """Metal in a file of 32-bit numbers must not come out as air."""
    out, _ = PreprocessingSpec(size=16).apply(np.full((16, 16), 40_000).astype(dtype))
    assert (out == 32767).all()
