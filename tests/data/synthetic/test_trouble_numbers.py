"""Sizes of metal and arms, and depths of streaks, against geometry: every random draw is its mean.

Shapes are rasterised here from their formulas (ellipse, disc, strip), and streaks are computed from
the chords of discs, with none of the phantom's own drawing or projecting.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from muscletransfer.data.synthetic import streaks
from muscletransfer.data.synthetic.arms import draw_arms, view_with_arms
from muscletransfer.data.synthetic.canvas import Canvas, Grid
from muscletransfer.data.synthetic.metal import draw_metal
from muscletransfer.data.synthetic.scanner import Scanner


class Means:
    """A generator whose draws are the means of their distributions; ``random`` is chosen."""

    def __init__(self, chosen=0.5):
        self.chosen = chosen

    def random(self):
        return self.chosen

    def normal(self, loc=0.0, scale=1.0, size=None):
        return loc if size is None else np.full(size, float(loc))

    def uniform(self, low=0.0, high=1.0, size=None):
        middle = (low + high) / 2
        return middle if size is None else np.full(size, middle)


def grid_of(size, step):
    first = -(size - 1) / 2 * step
    return Grid(size, step, first, first)


def blank_scene(size, step, scale=1.0, hu=0.0):
    """A trunk of 300 x 200 mm (its skin only), with labels everywhere."""
    canvas = Canvas(grid_of(size, step), lambda points: points)
    canvas.groups[:], canvas.tissues[:], canvas.hu[:] = 3, 2, hu
    turn = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    skin = np.stack([150 * np.cos(turn), 100 * np.sin(turn)], axis=1)
    return SimpleNamespace(
        canvas=canvas,
        frame=SimpleNamespace(scale=scale, skin=skin),
        hu=SimpleNamespace(skin=20.0, fat=-100.0, muscle=55.0, cortical=1000.0, vein=40.0),
        patient=SimpleNamespace(bmi=23.0),
        textured=lambda mean, *_: np.full(canvas.hu.shape, mean, np.float32),
    )


def hardware_mm2(screw):
    """One side's: head (an ellipse), rod beside it (a disc) and screw (a strip), in mm."""
    step = 0.02
    x, y = np.meshgrid(np.arange(0, 45, step), np.arange(-10, 65, step))
    drawn = ((x - 24) / 6) ** 2 + ((y - 47) / 5) ** 2 <= 1
    drawn |= np.hypot(x - 27, y - 49) <= 3
    if screw:
        head, tip = np.array([24.0, 45.0]), np.array([9.0, -2.0])
        length = np.hypot(*(tip - head))
        along, across = (tip - head) / length, np.array([-1, 1]) * (tip - head)[::-1] / length
        way = (x - head[0]) * along[0] + (y - head[1]) * along[1]
        side = (x - head[0]) * across[0] + (y - head[1]) * across[1]
        drawn |= (way >= 0) & (way <= length) & (np.abs(side) <= 5.6 / 2)
    return drawn.sum() * step**2


@pytest.mark.parametrize(("draw", "screw"), [(0.74, True), (0.76, False)])  # 3 of 4 have screws
@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_metal_has_the_area_of_screws_heads_and_rods(draw, screw, scale):
    scene = blank_scene(600, 0.25, scale)
    draw_metal(scene, Means(draw))
    hu = scene.canvas.hu
    found = (hu / 8000.0).sum() * 0.25**2  # pixels at the edge are metal in part
    assert found == pytest.approx(2 * hardware_mm2(screw) * scale**2, rel=0.01)
    np.testing.assert_allclose(hu[:, :300], hu[:, 300:][:, ::-1], atol=0.5)  # mirror images
    unlabelled = scene.canvas.groups == 0
    np.testing.assert_array_equal(unlabelled, scene.canvas.tissues == 0)
    assert ((hu >= 4000) != unlabelled).mean() < 1e-3


@pytest.mark.parametrize(
    ("draw", "share", "bones"), [(0.7, 1.0, [11.0]), (0.5, 0.82, [7.5, 6.5])]
)  # upper arm with the humerus; forearm, thinner, with radius and ulna
def test_arms_are_ellipses_beside_the_trunk(draw, share, bones):
    scene = blank_scene(900, 0.5, hu=-1000.0)
    draw_arms(scene, Means(draw))
    hu, pixel = scene.canvas.hu, 0.5**2
    radius = 40 * share * 0.975  # the mean of 0.9 to 1.05
    drawn = hu > -900
    assert drawn.sum() * pixel == pytest.approx(2 * math.pi * radius * 0.9 * radius, rel=0.02)
    x = np.meshgrid(scene.canvas.grid.x, scene.canvas.grid.y)[0][drawn & (np.arange(900) >= 450)]
    skin = 150 * math.sqrt(1 - 0.27**2)  # at the height of the arm, 27 mm behind the middle
    assert x.mean() == pytest.approx(skin + 3.5 + radius, abs=0.7)
    shells = [size**2 * 0.9 - (size - 3.2) * (0.9 * size - 3.2) for size in bones]
    assert (hu > 675).sum() * pixel == pytest.approx(2 * math.pi * sum(shells), rel=0.03)
    assert (scene.canvas.groups == 3).all()  # an arm is nobody's muscle group
    assert (scene.canvas.tissues == 2).all()


def test_fat_of_an_arm_grows_with_the_body_mass_index():
    """3 mm, and 0.28 mm more for each kg/m2 above 18, between skin (1.6 mm) and muscle."""
    scene = blank_scene(900, 0.5, hu=-1000.0)
    draw_arms(scene, Means(0.7))
    fat = ((scene.canvas.hu > -200) & (scene.canvas.hu < -45)).sum() * 0.5**2
    long, short = 39.0, 35.1
    outer, inner = (long - 1.6) * (short - 1.6), (long - 6.0) * (short - 6.0)
    assert fat == pytest.approx(2 * math.pi * (outer - inner), rel=0.05)


@pytest.mark.parametrize(
    ("own", "scale", "wanted"),
    [(350.0, 1.0, 496.0), (350.0, 1.2, 500.0), (502.0, 1.0, 502.0)],
)  # 300 mm of trunk, 4.4 arms' radii of 40 mm and 20 mm; the widest field; one that is wider
def test_the_field_is_widened_for_arms_as_far_as_it_goes(own, scale, wanted):
    scanner = Scanner(own, "smooth", 120, 5.0, 10.0, 0.0, 5.0)
    frame = blank_scene(10, 1.0, scale).frame
    assert view_with_arms(scanner, frame).field_of_view == wanted


def test_the_dark_band_between_two_rods_is_that_of_their_chords():
    """Chords of discs, a detector of triangular elements, the ramp as a sum over its kernel."""
    rod, hu, apart = 8.0, 8000.0, 40.0
    grid = grid_of(128, 2.0)
    x, y = np.meshgrid(grid.x, grid.y)
    drawn = (np.hypot(x - apart, y) < rod) | (np.hypot(x + apart, y) < rod)
    found = streaks.metal_streaks(np.where(drawn, hu, 0).astype(np.float32), grid, Quiet())

    radius = math.sqrt(drawn.sum() / 2 * grid.spacing**2 / math.pi)  # of a disc of as many pixels
    bins, half = 96, 0.5 * math.sqrt(2) * 256
    step = 2 * half / bins
    centres = (np.arange(bins) + 0.5) * step - half
    fine = np.arange(-half, half, 0.05)
    element = np.clip(1 - np.abs(fine - centres[:, None]) / step, 0, None) * 0.05 / step
    frequency = np.fft.fftfreq(2 * bins, step)
    hann = 0.5 + 0.5 * np.cos(np.pi * frequency / np.abs(frequency).max())
    kernel = np.fft.ifft(np.abs(frequency) * hann).real
    filtering = kernel[(np.arange(bins)[:, None] - np.arange(bins)) % (2 * bins)]
    spots = [np.hypot(x - a, y - b) < 6 for a, b in ((0, 0), (0, 44), (20, 0), (0, -80))]
    wanted = np.zeros(len(spots))
    for angle in np.pi * np.arange(180) / 180:
        ways = [fine - sign * apart * np.cos(angle) for sign in (-1, 1)]
        chords = sum(2 * hu * np.sqrt(np.maximum(radius**2 - way**2, 0)) for way in ways)
        spoiled = filtering @ (-7.5e-4 * (element @ chords) ** 1.5)
        for index, spot in enumerate(spots):
            along = x[spot] * np.cos(angle) + y[spot] * np.sin(angle)
            wanted[index] += np.interp(along, centres, spoiled).mean() * np.pi / 180
    assert [found[spot].mean() for spot in spots] == pytest.approx(wanted, rel=0.06, abs=1.0)
    assert wanted[0] < -20  # a band between the rods, and none beside it
    assert abs(wanted[1]) < 5


class Quiet:
    def normal(self, size):
        return np.zeros(size)


class Ones:
    def normal(self, size):
        return np.ones(size)


def test_noise_of_starved_rays_is_the_excess_over_a_usual_ray():
    """Photons fall off by exp(-0.02 / mm) in water, noise by their square root; 900 mm at most."""
    paths = np.array([100.0, 380.0, 480.0, 900.0, 2000.0])
    most = 2.5 * math.sqrt(math.exp(18.0) - math.exp(7.6))
    found = streaks._starvation(paths, Ones(), 2.5, 380.0)
    assert found == pytest.approx([0, 0, 282.476, most, most], rel=1e-4)


def test_metal_starves_the_rays_through_it():
    """Noise of one sign all over changes the image where rays are long, and not at its border."""
    grid = grid_of(128, 4.0)
    x, y = np.meshgrid(grid.x, grid.y)
    rods = (np.hypot(x - 40, y) < 12) | (np.hypot(x + 40, y) < 12)
    hu = np.where(rods, 8000, np.where(np.hypot(x, y) < 150, 0, -1000)).astype(np.float32)
    noisy, quiet = (streaks.metal_streaks(hu, grid, noise) for noise in (Ones(), Quiet()))
    change = np.abs(noisy - quiet)
    assert change[rods].max() > 10
    assert change[0].max() < 0.1
