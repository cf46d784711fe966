"""What each source task makes of a slice, drawn from the phantom with the tasks' own code.

``python docs/site_code/pictures.py [FOLDER]`` writes one PNG a task, the same bytes each time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

import muscletransfer as mt
from muscletransfer.data import PreprocessingSpec
from muscletransfer.data.synthetic import OTHER_LEVELS, TISSUES, phantom_slice

FOLDER = Path(__file__).parents[1] / "pictures"
SIZE = 224
PANEL = 2.1  # inches
COLOURS = ListedColormap(matplotlib.colormaps["tab20"].colors)
MUSCLE = 18  # a colour that no tissue has

Panel = tuple[str, np.ndarray | Tensor]


def slices(count: int, level: str = "L3") -> Tensor:
    """Return phantom slices under the default window as a batch (B, 1, H, W) in [0, 1]."""
    low, high = PreprocessingSpec().hu_window or (-150.0, 250.0)
    hu = [phantom_slice(seed, size=SIZE, level=level).hu for seed in range(count)]
    windowed = (np.stack(hu).astype(np.float32) - low) / (high - low)
    return torch.from_numpy(windowed.clip(0, 1)).unsqueeze(1)


def row(panels: Sequence[Panel]) -> Figure:
    """Draw grey images side by side, each under its title."""
    figure = Figure(figsize=(PANEL * len(panels), PANEL + 0.3), layout="constrained", dpi=110)
    for axis, (title, image) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        axis.imshow(np.asarray(image).squeeze(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    return figure


def jigsaw() -> Figure:
    """Tiles as the encoder gets them, with and without equal brightness; and the easier 2 x 2."""
    batch = {"image": slices(1)}
    panels: list[Panel] = [("slice", batch["image"][0])]
    for title, settings in (
        ("grid=3", {"grid": 3, "normalise_tiles": False}),
        ("grid=3, tiles equalised", {"grid": 3}),
        ("grid=2, tiles equalised", {"grid": 2}),
    ):
        task = mt.JigsawPretext(seed=3, rotation=10.0, **settings)
        tiles, _ = task.make_targets(batch)
        panels.append((title, _board(tiles[0, :, 0], task.grid)))
    return row(panels)


def _board(tiles: Tensor, grid: int, gap: int = 6) -> Tensor:
    """Lay tiles (T, h, w) out as a square with white gaps; stretch them to [0, 1] together."""
    tiles = (tiles - tiles.min()) / (tiles.max() - tiles.min())
    framed = torch.nn.functional.pad(tiles, (gap, gap, gap, gap), value=1.0)
    lines = framed.unflatten(0, (grid, grid)).permute(0, 2, 1, 3)
    return lines.reshape(grid * framed.shape[1], grid * framed.shape[2])


def reconstruction() -> Figure:
    """What each corruption leaves; the target is the slice."""
    batch = {"image": slices(1)}
    panels: list[Panel] = []
    for corruption in ("none", "noise", "mask", "swap"):
        task = mt.ReconstructionPretext(corruption=corruption)
        corrupted, _ = task.make_targets(batch)
        panels.append((f'corruption="{corruption}"', corrupted[0]))
    return row([*panels, ("target", batch["image"][0])])


def masked() -> Figure:
    """Patches that are gone, patches that are filled, and what has to be said of them."""
    batch = {"image": slices(1)}
    panels: list[Panel] = [("slice", batch["image"][0])]
    for masking in ("sparse", "filled"):
        task = mt.create_pretext("masked", masking=masking, seed=1)
        (shown, hidden), (target, _, _) = task.make_targets(batch)
        panels.append((f'masking="{masking}"', shown[0]))
    target = torch.where(hidden, target / 4 + 0.5, torch.ones(()))  # two deviations each way
    return row([*panels, ("target: hidden patches", target[0].clip(0, 1))])


def rotation() -> Figure:
    """All four quarter turns."""
    task = mt.create_pretext("rotation", all_turns=True)
    turned, turns = task.make_targets({"image": slices(1)})
    return row([(f"turns = {turn}", image) for image, turn in zip(turned, turns, strict=True)])


def simclr() -> Figure:
    """Two views each of two slices."""
    images = slices(2)
    views, _ = mt.create_pretext("simclr", seed=1).make_targets({"image": images})
    first, second = views[:2], views[2:]
    panels: list[Panel] = []
    for index, name in enumerate("AB"):
        panels += [(f"slice {name}", images[index])]
        panels += [(f"view 1 of {name}", first[index]), (f"view 2 of {name}", second[index])]
    return row(panels)


def classification() -> Figure:
    """One patient at the levels that the phantom's classes are."""
    return row([(f"label: {level}", slices(1, level)[0]) for level in OTHER_LEVELS])


def segmentation() -> Figure:
    """Organs and tissues other than muscle; beside it the muscle, for fine-tuning."""
    phantom = phantom_slice(0, size=SIZE)
    image = slices(1)[0]
    figure = row([("slice", image), ("source mask", image), ("target of fine-tuning", image)])
    for axis, mask in zip(figure.axes[1:], (phantom.tissues, phantom.mask * MUSCLE), strict=True):
        shown = np.ma.masked_equal(mask, 0)
        axis.imshow(shown, cmap=COLOURS, vmin=0, vmax=20, alpha=0.65, interpolation="nearest")
    present = {name: code for name, code in TISSUES.items() if (phantom.tissues == code).any()}
    handles = [
        matplotlib.patches.Patch(color=COLOURS(code / 20), alpha=0.65, label=name)
        for name, code in present.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.set_size_inches(3 * PANEL, PANEL + 0.8)
    return figure


def multitask() -> Figure:
    """Each task's own puzzle of the same slice."""
    tasks = {"rotation": {}, "restore": {"name": "reconstruction", "corruption": "swap"}}
    images = slices(1)
    inputs, _ = mt.create_pretext("multitask", tasks=tasks, seed=2).make_targets({"image": images})
    return row([("slice", images[0]), *((label, shown[0]) for label, shown in inputs.items())])


PICTURES: dict[str, Callable[[], Figure]] = {
    draw.__name__: draw
    for draw in (
        jigsaw,
        reconstruction,
        masked,
        rotation,
        simclr,
        classification,
        segmentation,
        multitask,
    )
}


def draw(folder: Path = FOLDER, names: Sequence[str] = tuple(PICTURES)) -> None:
    """Write the pictures; a file is replaced only by other bytes, so that Sphinx sees no change."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        torch.manual_seed(0)
        new = folder / f"{name}.new"
        PICTURES[name]().savefig(new, format="png", metadata={"Software": None})
        old = folder / f"{name}.png"
        if old.exists() and old.read_bytes() == new.read_bytes():
            new.unlink()
        else:
            new.replace(old)


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:2]))
