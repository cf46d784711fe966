"""Small bowel and colon: packed loops with walls, contents, gas above fluid, and stool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muscletransfer.data.synthetic.canvas import Float32
from muscletransfer.data.synthetic.packing import inside, loop_outlines, relax
from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import Array, area, blob, strip
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_bowel", "fill_lumen", "lumen_of"]

_ANGLES = 64


@dataclass(frozen=True)
class _Diet:
    """What is in the bowel of this patient.

    Attributes:
        contrast: HU of oral contrast, or ``None``.
        gas: Share of loops with visible gas.
        collapsed: Share of collapsed loops.
        stool: HU of stool in the colon.
    """

    contrast: float | None
    gas: float
    collapsed: float
    stool: float


def fill_lumen(scene: Scene, lumens: list[Array], contents: Float32, gas: float) -> None:
    """Fill connected lumens: gas above a horizontal level (share of the height), contents below."""
    canvas = scene.canvas
    covered = canvas.cover(lumens)
    if covered is None:
        return
    window, cover = covered
    canvas.lay(window, cover, contents)
    if gas <= 0.0:
        return
    heights = canvas.warp(np.vstack(lumens))[:, 1]
    level = heights.min() + gas * np.ptp(heights)
    y = canvas.grid.y[window[0]]
    above = np.clip((level - y) / canvas.grid.spacing + 0.5, 0.0, 1.0).astype(np.float32)
    canvas.lay(window, cover * above[:, None], -930.0)


def lumen_of(outline: Array, wall: float) -> Array:
    """Star-shaped outline without its wall; never less than a slit."""
    middle = outline.mean(axis=0)
    arm = outline - middle
    length = np.hypot(*arm.T)
    return np.asarray(middle + arm * np.maximum(1.0 - wall / length, 0.12)[:, None])


def _chyme(scene: Scene, diet: _Diet) -> tuple[Float32, float]:
    """Contents of one stretch of small bowel, and its share of gas."""
    rng, hu, t = scene.rng, scene.hu, scene.textures
    if diet.contrast is not None and rng.random() < 0.55:
        mean = float(np.clip(diet.contrast * rng.uniform(0.5, 1.25), 90.0, 700.0))
        contents = scene.textured(mean, 10.0, 0.14 * mean)
    elif rng.random() < diet.collapsed:
        # Folds fill a collapsed loop; it is as dense as its wall, hence as muscle.
        contents = scene.textured(hu.bowel_wall - 10.0, 9.0, 9.0)
    else:
        # Folds and chyme mix: a feathery pattern between the fluid and the wall.
        fluid = hu.fluid + rng.uniform(-6.0, 24.0)
        folds = np.clip(0.3 + 0.35 * t.medium + 0.3 * t.fine, 0.0, 1.0)
        contents = fluid + (np.float32(0.75 * (hu.bowel_wall - fluid)) * folds)
        contents += np.float32(5.0) * t.fine
    gas = float(rng.uniform(0.12, 0.7)) if rng.random() < diet.gas else 0.0
    return np.asarray(contents, dtype=np.float32), gas


def _small_bowel(
    scene: Scene, outlines: list[Array], links: list[tuple[Array, float]], diet: _Diet
) -> None:
    """One stretch of small bowel that the slice cuts once or several times."""
    rng = scene.rng
    tissue = TISSUES["bowel"]
    wall = float(rng.uniform(1.1, 2.2))
    density = scene.hu.bowel_wall + rng.normal(0.0, 6.0)
    bridges = [strip(path, width) for path, width in links]
    scene.canvas.paint([*outlines, *bridges], scene.textured(density, 6.0, 4.0), tissue=tissue)
    contents, gas = _chyme(scene, diet)
    lumens = [lumen_of(outline, wall) for outline in outlines]
    lumens += [strip(path, max(width - 2.0 * wall, 1.0)) for path, width in links]
    fill_lumen(scene, lumens, contents, gas)


def _colon(scene: Scene, outline: Array, diet: _Diet, collapsed: bool) -> None:
    """One cross-section of the colon with stool, gas or nothing in it."""
    rng, hu, t = scene.rng, scene.hu, scene.textures
    wall = hu.bowel_wall - 8.0
    scene.canvas.paint(outline, scene.textured(wall, 6.0, 4.0), tissue=TISSUES["bowel"])
    if collapsed:
        radius = float(np.sqrt(abs(area(outline)) / np.pi))
        lumen = lumen_of(outline, rng.uniform(0.5, 0.75) * radius)
        fill_lumen(scene, [lumen], scene.textured(rng.uniform(-250.0, 20.0), 40.0, 60.0), 0.0)
        return
    lumen = lumen_of(outline, float(rng.uniform(1.3, 2.6)))
    bubbles = 0.35 * t.medium + 0.85 * t.fine - np.float32(rng.uniform(0.3, 1.3))
    stool = scene.textured(diet.stool + rng.normal(0.0, 10.0), 12.0, 16.0)
    stool += np.clip(bubbles * 0.9, 0.0, 1.0) * (np.float32(-780.0) - stool)
    gas = float(rng.uniform(0.1, 0.95)) if rng.random() < 0.45 else 0.0
    fill_lumen(scene, [lumen], stool, gas)


def _haustra(rng: np.random.Generator, radius: float) -> Array:
    """Radius of a colon at each angle: a few shallow sacs."""
    turn = np.linspace(0.0, 2.0 * np.pi, _ANGLES, endpoint=False)
    sacs = rng.integers(2, 5)
    wave = 0.1 * np.abs(np.sin(0.5 * sacs * turn + rng.uniform(0, 6.3)))
    oval = 0.12 * np.cos(2.0 * turn + rng.uniform(0, 6.3))
    return np.asarray(radius * (0.95 + wave + oval))


def _organic(rng: np.random.Generator, radii: Array) -> Array:
    """Radius of each small loop at each angle."""
    turn = np.linspace(0.0, 2.0 * np.pi, _ANGLES, endpoint=False)
    reach = np.ones((len(radii), _ANGLES))
    for order, size in ((1, 0.1), (2, 0.2), (3, 0.07), (5, 0.03)):
        phase = rng.uniform(0.0, 2.0 * np.pi, size=(len(radii), 1))
        reach += size * rng.uniform(0.2, 1.0, size=phase.shape) * np.cos(order * turn + phase)
    return np.asarray(1.12 * radii[:, None] * reach)


def draw_bowel(
    scene: Scene,
    obstacles: list[Obstacle],
    *,
    amount: float = 1.0,
    sides: tuple[float, ...] = (-1.0, 1.0),
) -> None:
    """Place colon and small bowel around the obstacles and draw them with their mesentery.

    Args:
        scene: The slice, with everything but bowel drawn.
        obstacles: Discs to keep clear of.
        amount: How much of the usual small bowel is at this level.
        sides: Where the colon runs: -1 ascending, 1 descending.
    """
    rng, frame = scene.rng, scene.frame
    s, fat = frame.scale, 0.6 * scene.patient.visceral + 0.03 * (scene.patient.bmi - 26.0)
    diet = _Diet(
        contrast=float(rng.uniform(150.0, 420.0)) if rng.random() < 0.4 else None,
        gas=float(rng.uniform(0.05, 0.35)),
        collapsed=float(rng.uniform(0.2, 0.6)),
        stool=float(rng.uniform(5.0, 60.0)),
    )
    region = frame.cavity[frame.cavity[:, 1] < 14.0 * s]
    places = [_pushed_in(place, obstacles, s) for place in _colon_places(scene, sides)]
    colon = np.array(places)
    taken = np.array([*obstacles, *places])
    seeds, radii = _loop_places(scene, region, taken, amount, 0.95 - 1.1 * fat)
    everything = np.vstack([colon[:, :2], seeds])
    sizes = np.concatenate([colon[:, 2], radii])
    fixed = np.array(obstacles, dtype=np.float64)
    centres = relax(everything, sizes, fixed, region, rng)
    reach = np.vstack([*(_haustra(rng, r)[None] for r in colon[:, 2]), _organic(rng, radii)])
    # What was pushed out of the cavity has no room at this level.
    stays = inside(centres, region)
    colon_count = int(stays[: len(colon)].sum())
    centres, sizes, reach = centres[stays], sizes[stays], reach[stays]
    gap = float(np.clip(0.3 + 5.0 * (fat - 0.3), 0.2, 3.0))
    outlines = loop_outlines(centres, reach, sizes, fixed, region, gap)
    _mesentery(scene, centres[colon_count:], region)
    for index in range(colon_count):
        collapsed = bool(rng.random() < (0.45 if index == 1 else 0.08))
        _colon(scene, outlines[index], diet, collapsed)
    for group, links in _chains(rng, centres, sizes, colon_count):
        _small_bowel(scene, [outlines[k] for k in group], links, diet)


def _colon_places(scene: Scene, sides: tuple[float, ...]) -> list[tuple[float, float, float]]:
    """Centre and radius of each stretch of colon: the sides first, then the transverse."""
    rng, frame, s = scene.rng, scene.frame, scene.frame.scale
    colon = [
        (-1.0, rng.uniform(17.0, 29.0) * s, -26.0 * s + rng.normal(0.0, 8.0)),
        (1.0, rng.uniform(8.0, 20.0) * s, -18.0 * s + rng.normal(0.0, 8.0)),
    ]
    places = [
        (side * (frame.half_width - 0.95 * radius - rng.uniform(1.0, 9.0)), y, radius)
        for side, radius, y in colon
        if side in sides
    ]
    if rng.random() < 0.5:  # the transverse colon hangs down to this level
        start = rng.uniform(-60.0, 0.0) * s
        for step in range(int(rng.integers(1, 4))):
            radius = rng.uniform(13.0, 24.0) * s
            places.append((start + 42.0 * s * step, frame.front + radius + 4.0, radius))
    return places


def _loop_places(
    scene: Scene, region: Array, taken: Array, amount: float, share: float
) -> tuple[Array, Array]:
    """Centres and radii of small loops that fill a share of the room that is not taken."""
    rng, s = scene.rng, scene.frame.scale
    low, high = region.min(axis=0), region.max(axis=0)
    seeds = rng.uniform(low, high, size=(700, 2))
    free = np.hypot(seeds[:, :1] - taken[:, 0], seeds[:, 1:] - taken[:, 1]) > taken[:, 2]
    seeds = seeds[inside(seeds, region) & free.all(axis=1)]
    room = len(seeds) / 700.0 * float(np.prod(high - low))
    share = float(np.clip(share + rng.normal(0.0, 0.08), 0.22, 0.86))
    radii = rng.uniform(7.5, 16.5, size=60) * s
    radii = radii[np.cumsum(np.pi * radii**2) < room * share * amount]
    seeds = seeds[np.argsort(rng.random(len(seeds)) + 0.012 * np.abs(seeds[:, 1] + 60.0 * s))]
    seeds = seeds[: len(radii)]
    return seeds, radii[: len(seeds)]


def _chains(
    rng: np.random.Generator, centres: Array, sizes: Array, first: int
) -> Iterator[tuple[list[int], list[tuple[Array, float]]]]:
    """Gather loops from ``first`` on into chains of one to four, with the links between them.

    Chains are made one at a time: whoever draws one takes from the same stream.
    """
    waiting = list(range(first, len(centres)))
    while waiting:
        group = [waiting.pop(0)]
        links: list[tuple[Array, float]] = []
        while waiting and rng.random() < 0.45 and len(group) < 4:
            last = group[-1]
            distance = np.hypot(*(centres[waiting] - centres[last]).T)
            near = int(np.argmin(distance))
            partner = waiting[near]
            if distance[near] > 1.12 * (sizes[last] + sizes[partner]):
                break
            waiting.pop(near)
            group.append(partner)
            width = 1.45 * min(sizes[last], sizes[partner])
            links.append((centres[[last, partner]], width))
        yield group, links


def _pushed_in(
    place: tuple[float, float, float], obstacles: list[Obstacle], scale: float
) -> tuple[float, float, float]:
    """A stretch of colon moved forwards and to the middle until it is clear of solid organs."""
    x, y, radius = place
    for _ in range(12):
        gaps = [np.hypot(x - ox, y - oy) - radius - r for ox, oy, r in obstacles]
        if min(gaps) > -0.2 * radius:
            break
        x, y = 0.92 * x, y + 0.12 * (-55.0 * scale - y)
    return float(x), float(y), radius


def _mesentery(scene: Scene, loops: Array, region: Array) -> None:
    """Vessels that fan out from the root of the mesentery to the loops, and fine strands."""
    rng, canvas, s = scene.rng, scene.canvas, scene.frame.scale
    fat = (canvas.tissues == TISSUES["visceral_fat"]).astype(np.float32)
    root = np.array([0.0, -48.0 * s])
    vessels, dots, strands = [], [], []
    t = np.linspace(0.0, 1.0, 14)[:, None]
    for place in loops[rng.random(len(loops)) < 0.7]:
        start = root + rng.normal(0.0, 9.0, size=2)
        across = np.array([place[1] - start[1], start[0] - place[0]]) / 60.0
        first, last = np.sort(rng.uniform(0.0, 1.0, size=2))
        part = first + (last - first) * t
        path = start + part * (place - start) + across * np.sin(np.pi * part) * rng.normal(0, 12.0)
        path += rng.normal(0.0, 0.35, size=path.shape)
        vessels.append(strip(path, np.linspace(2.6, 1.3, 14) * rng.uniform(0.6, 1.2)))
    low, high = region.min(axis=0), region.max(axis=0)
    for x, y in rng.uniform(low, high, size=(70, 2)):
        dots.append(blob(x, y, float(rng.uniform(0.6, 1.8)), rng))
    for x, y in rng.uniform(low, high, size=(45, 2)):
        heading = rng.uniform(0.0, 2.0 * np.pi) + rng.normal(0.0, 0.9) * t
        path = (x, y) + rng.uniform(5.0, 22.0) * t * np.hstack([np.cos(heading), np.sin(heading)])
        strands.append(strip(path, 0.9))
    vein = float(min(scene.hu.vein, 190.0))
    canvas.paint(strands, -20.0, keep_labels=True, opacity=fat * np.float32(0.45))
    canvas.paint(vessels, vein, keep_labels=True, opacity=fat * np.float32(0.75))
    canvas.paint(dots, vein, keep_labels=True, opacity=fat * np.float32(0.8))
