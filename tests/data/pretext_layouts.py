"""Images in each layout that `PretextDataModule` reads, drawn here."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from small_cohort import make_small_cohort

from muscletransfer.data import PretextDataModule


def paint(path: Path, value: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    x = np.linspace(0, 60, width)[None, :] + np.zeros((height, 1))
    planes = [np.clip(value + x, 0, 255), 255 - np.clip(value + x, 0, 255), x * 4]
    array = np.stack(planes, -1).astype(np.uint8)
    Image.fromarray(array if mode == "RGB" else array[..., 0]).save(path)


def paint_mask(path: Path, values: list[int], size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    bands = np.array_split(np.arange(width), len(values))
    mask = np.zeros((height, width), np.uint8)
    for value, columns in zip(values, bands, strict=True):
        mask[:, columns] = value
    Image.fromarray(mask).save(path)


def draw_layouts(folder: Path) -> Path:
    """Draw each layout of images that a source task can be trained on."""
    make_small_cohort(folder / "ct")
    make_small_cohort(folder / "volumes", patients=4, slices=6)
    for kind, step in (("cat", 10), ("dog", 90), ("eel", 160)):
        for k in range(4):
            paint(folder / "classes" / kind / f"{k}.jpg", step + k)
            paint(folder / "roles" / "train" / kind / f"{k}.png", step + k)
        paint(folder / "roles" / "val" / kind / "v.png", step + 9)
    for role, count, value in (("train", 5, 0), ("val", 2, 7), ("test", 3, 13)):
        for k in range(count):
            paint(folder / "pairs" / role / "images" / f"{k}.jpg", 20 * k + value)
            paint_mask(folder / "pairs" / role / "masks" / f"{k}.png", [0, 1, 2, 11])
    lines = ["file,name,coarse"]
    for k in range(12):
        paint(folder / "listed" / "images" / f"{k}.jpg", 10 * k, (60 - 3 * k, 40))
        lines.append(f"{k}.jpg,thing{k},{'fish' if k % 3 else 'bird'}")
    (folder / "listed" / "classes.csv").write_text("\n".join(lines))
    return folder


def ready(root: Path, source: Any, **kwargs: Any) -> PretextDataModule:
    if isinstance(source, str):
        source = root / source
    options: dict[str, Any] = {"size": 32, "batch_size": 4, "cache_dir": root / "cache"}
    data = PretextDataModule(source, **(options | kwargs))
    data.prepare_data()
    data.setup("fit")
    return data


def batches(data: PretextDataModule, loader: Any) -> list[dict[str, Any]]:
    return [data.on_after_batch_transfer(copy.copy(b), 0) for b in loader]


def cases(loader: Any) -> list[int]:
    return [c for b in loader for c in b["case"].tolist()]
