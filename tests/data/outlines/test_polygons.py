"""Contours to pixels against discs (analytic) and an independent point-in-polygon rule."""

from __future__ import annotations

import numpy as np
import pytest
from planned import circle

from muscletransfer.data.outlines.polygons import combine, fill


def crossings(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Even-odd by counting crossings of a ray, pixel by pixel, in double precision."""
    y, x = np.indices(shape, dtype=float)
    inside = np.zeros(shape, bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        between = (y1 > y) != (y2 > y)
        inside ^= between & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


@pytest.mark.parametrize("radius", [3.3, 7.7, 20.5])
@pytest.mark.parametrize("centre", [(32.0, 31.0), (31.4, 30.7), (31.5, 31.5)])
def test_area_of_discs(centre: tuple[float, float], radius: float) -> None:
    region = fill(circle(centre, radius, 2000), (64, 64))
    # Pixel centres inside a circle differ from its area by order r^(2/3) (Gauss's circle problem).
    assert region.sum() == pytest.approx(np.pi * radius**2, abs=2.5 * radius ** (2 / 3) + 1)
    y, x = np.argwhere(region).mean(0)
    assert (x, y) == pytest.approx(centre, abs=0.25)
    distance = np.hypot(*(np.indices((64, 64)) - np.array(centre[::-1])[:, None, None]))
    sure = np.abs(distance - radius) > 1e-3
    assert (region == (distance < radius))[sure].all()


def test_mean_area_over_sub_pixel_shifts_has_no_bias() -> None:
    rng = np.random.default_rng(0)
    areas = [
        fill(circle(tuple(rng.uniform(20, 21, 2)), 12.0, 1000), (42, 42)).sum() for _ in range(200)
    ]
    assert np.mean(areas) == pytest.approx(np.pi * 144, rel=0.002)


def test_random_polygons_equal_an_independent_rule() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        points = rng.uniform(-5, 45, (int(rng.integers(3, 12)), 2))  # they cross themselves
        np.testing.assert_array_equal(fill(points, (40, 38)), crossings(points, (40, 38)))


def test_keyhole_and_two_contours_leave_one_hole() -> None:
    outer, inner = circle((20, 20), 15.3), circle((22, 19), 6.2)
    wanted = crossings(outer, (40, 40)) & ~crossings(inner, (40, 40))
    # One contour: around the outside, along a channel, around the inside the other way, and back.
    keyhole = np.vstack([outer, outer[:1], inner[::-1], inner[-1:]])
    np.testing.assert_array_equal(fill(keyhole, (40, 40)), wanted)
    for exclusive in (False, True):
        region, notes = combine([inner, outer], (40, 40), exclusive)
        np.testing.assert_array_equal(region, wanted)
        assert notes == []


def test_an_island_in_a_hole_and_a_second_part() -> None:
    rings = [circle((20, 20), r) for r in (15.3, 9.2, 4.1)]
    beside = circle((46, 20), 5.3)
    region, notes = combine([*rings, beside], (40, 60))
    a, b, c, d = (crossings(p, (40, 60)) for p in (*rings, beside))
    np.testing.assert_array_equal(region, (a & ~b) | c | d)
    assert notes == []


@pytest.mark.parametrize("how", ["begun elsewhere", "backwards", "closed once more"])
def test_one_contour_written_in_two_ways_is_taken_once(how: str) -> None:
    disc, hole = circle((20, 20), 12.3), circle((21, 19), 5.2)
    again = {
        "begun elsewhere": np.roll(disc, 7, axis=0),
        "backwards": disc[::-1],
        "closed once more": np.vstack([disc, disc[:1]]),
    }[how]
    wanted = crossings(disc, (40, 40)) & ~crossings(hole, (40, 40))
    region, notes = combine([disc, hole, again], (40, 40))
    np.testing.assert_array_equal(region, wanted)
    assert notes == ["a contour occurs twice and was taken once"]


def test_contours_that_cross_are_added_and_twins_are_taken_once() -> None:
    a, b = circle((15, 15), 8.2), circle((22, 15), 8.2)
    region, notes = combine([a, b], (30, 40))
    np.testing.assert_array_equal(region, crossings(a, (30, 40)) | crossings(b, (30, 40)))
    assert "cross each other" in notes[0]
    region, notes = combine([a, a.copy(), a[:2]], (30, 40))
    np.testing.assert_array_equal(region, crossings(a, (30, 40)))
    assert [n.split(" and ")[0] for n in notes] == [
        "a contour occurs twice",
        "a contour of fewer than 3 points was left out",
    ]
    exclusive, _ = combine([a, b], (30, 40), exclusive=True)
    np.testing.assert_array_equal(exclusive, crossings(a, (30, 40)) ^ crossings(b, (30, 40)))


def test_contours_beside_the_image_fill_nothing() -> None:
    assert not fill(circle((100, 100), 5), (20, 20)).any()
    assert not fill(circle((5.5, 5.5), 0.2), (20, 20)).any()
