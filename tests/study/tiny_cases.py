"""Tiny labelled cases on disk, and the smallest study on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PIL import Image

SIDE = 48
SMALL_NET: dict[str, Any] = {
    "encoders": [{"name": "timm/resnet10t", "depth": 3}],
    "decoders": [{"name": "unet", "kwargs": {"decoder_channels": [16, 8, 8]}}],
}


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey values and a disc of one slice."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    row, column = rng.uniform(18, 30, 2)
    disc = (y - row) ** 2 + (x - column) ** 2 < rng.uniform(7, 10) ** 2
    return rng.normal(-100, 12, disc.shape) + 150 * disc, disc


def ct_cases(folder: Path, patients: int = 12, first: int = 0, prefix: str = "P") -> Path:
    """One CT slice a patient; the content follows from the patient's number alone."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["patient_id,image,mask"]
    for number in range(first, first + patients):
        grey, disc = drawn(number)
        for name, array in ((f"{number}.nii.gz", grey), (f"{number}_m.nii.gz", disc)):
            kind = np.int16 if array is grey else np.uint8
            image = sitk.GetImageFromArray(array.astype(kind)[None])
            image.SetSpacing((0.8, 0.9, 5.0))
            sitk.WriteImage(image, str(folder / name))
        lines.append(f"{prefix}{number:02d},{number}.nii.gz,{number}_m.nii.gz")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def grey_cases(folder: Path, patients: int = 10) -> Path:
    """Two PNG slices a patient, ``primary`` and ``further``, with two structures; no spacing."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["patient_id,image,mask,role"]
    for number in range(patients):
        for role in ("primary", "further"):
            grey, disc = drawn(2 * number + (role == "further"))
            mask = disc.astype(np.uint8)
            mask[:6, :6] = 2
            name = f"{number}_{role}"
            Image.fromarray(np.clip(grey + 140, 0, 255).astype(np.uint8)).save(
                folder / f"{name}.png"
            )
            Image.fromarray(mask).save(folder / f"{name}_m.png")
            lines.append(f"Q{number:02d},{name}.png,{name}_m.png,{role}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def photographs(folder: Path, count: int = 6, seed: int = 0) -> Path:
    """Colour images without anybody in them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(rng.integers(0, 255, (40, 52, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def study(manifest: Path | str, **changes: Any) -> dict[str, Any]:
    """A study that trains in seconds; ``changes`` replace whole sections."""
    plain: dict[str, Any] = {
        "data": {"manifest": str(manifest), "num_folds": 2, "preprocessing": {"size": 32}},
        "train_patients": [2, 4],
        **SMALL_NET,
        "sources": ["random"],
        "pretraining": {"steps": 3, "batch_size": 4},
        "finetune": {"steps": 4, "batch_size": 2, "lr": 0.01},
    }
    return {**plain, **changes}
