"""Resampling to the network grid, against sums written out pixel by pixel."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from muscletransfer.data.preprocessing.resampling import resample
from muscletransfer.data.preprocessing.resampling_weights import taps_of
from muscletransfer.data.types import SliceGeometry


def dense(size_in: int, size_out: int, scale: float, offset: float, flip: bool) -> np.ndarray:
    """What each output takes from each input; rows of outputs outside are nan."""
    found = np.full((size_out, size_in), np.nan)
    reach = max(1.0, 1.0 / scale)
    for i in range(size_out):
        centre = (i + 0.5 - offset) / scale
        if -1e-9 < centre < size_in + 1e-9:
            row = [max(0.0, 1 - abs(j + 0.5 - centre) / reach) for j in range(size_in)]
            found[i] = np.array(row) / sum(row)
    return found[:, ::-1] if flip else found


def geometries() -> Iterator[SliceGeometry]:
    rng = np.random.default_rng(0)
    whole, any_scale = [0.5, 1.0, 0.25, 2.0, 1 / 3], [0.37, 1.7, 0.1, 0.8]
    for number in range(120):
        scales = whole if number % 2 else [*whole, *any_scale]
        height, width = rng.integers(1, 90, 2).tolist()
        yield SliceGeometry(
            (height, width),
            None,
            tuple(rng.integers(8, 100, 2).tolist()),
            tuple(rng.choice(scales, 2).tolist()),
            tuple(map(float, rng.integers(-40, 40, 2).tolist())),
            tuple(map(bool, rng.integers(0, 2, 2).tolist())),
        )


def test_every_kind_of_grid_equals_the_sum_of_all_pixels() -> None:
    rng = np.random.default_rng(1)
    paths: set[bool] = set()
    for geometry in geometries():
        plane = rng.integers(-3000, 3000, geometry.native_shape).astype(np.int16)
        found = resample(plane[None], geometry, -1024.0, least=-1024.0)[0]
        y, x = (
            dense(*(getattr(geometry, name)[axis] for name in ("native_shape", "size")),
                  geometry.scale[axis], geometry.offset[axis], geometry.flip[axis])
            for axis in (0, 1)
        )  # fmt: skip
        expected = y @ np.maximum(plane, -1024).astype(float) @ x.T
        expected[np.isnan(expected)] = -1024
        np.testing.assert_allclose(found, expected, atol=2e-3)
        rounded = resample(plane[None], geometry, -1024.0, least=-1024.0, kind=np.int16)[0]
        np.testing.assert_array_equal(rounded, np.rint(found))
        for axis in (0, 1):
            sizes = geometry.native_shape[axis], geometry.size[axis]
            paths.add(bool(taps_of(*sizes, geometry.scale[axis], geometry.offset[axis]).step))
    assert paths == {True, False}


@pytest.mark.parametrize("size", [512, 300, 256, 128])
def test_ct_sizes(size: int) -> None:
    """Larger than a block, so that blocks meet where they should."""
    plane = np.random.default_rng(size).normal(0, 500, (1, 512, 512)).astype(np.float32)
    scale = size / 512
    geometry = SliceGeometry((512, 512), None, (size, size), (scale, scale), (0.0, 0.0))
    weights = dense(512, size, scale, 0.0, False)
    expected = weights @ plane[0].astype(float) @ weights.T
    np.testing.assert_allclose(resample(plane, geometry, 0.0)[0], expected, atol=1e-3)


def test_colour_planes_do_not_mix_and_flips_are_exact() -> None:
    planes = np.random.default_rng(2).integers(0, 255, (3, 40, 60)).astype(np.uint8)
    plain = SliceGeometry((40, 60), None, (20, 20), (0.5, 0.5), (0.0, -5.0))
    flipped = SliceGeometry((40, 60), None, (20, 20), (0.5, 0.5), (0.0, -5.0), (True, True))
    together = resample(planes, plain, 0.0)
    for plane, alone in zip(planes, together, strict=True):
        np.testing.assert_array_equal(resample(plane[None], plain, 0.0)[0], alone)
    turned = np.ascontiguousarray(planes[:, ::-1, ::-1])
    np.testing.assert_array_equal(resample(turned, flipped, 0.0), together)


def test_threads_do_not_share_their_buffers() -> None:
    planes = np.random.default_rng(3).integers(-900, 900, (8, 1, 256, 200)).astype(np.int16)
    geometry = SliceGeometry((256, 200), None, (128, 128), (0.5, 0.5), (0.0, 14.0))
    alone = [resample(plane, geometry, -1024.0) for plane in planes]
    found: dict[int, np.ndarray] = {}
    barrier = threading.Barrier(len(planes))

    def work(number: int) -> None:
        barrier.wait(30)
        for _ in range(5):
            found[number] = resample(planes[number], geometry, -1024.0)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(planes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(planes)
    for number, expected in enumerate(alone):
        np.testing.assert_array_equal(found[number], expected)
