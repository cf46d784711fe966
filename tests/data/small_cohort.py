"""A tiny CT cohort on disk: one 40 x 48 slice a patient, a bright disc as muscle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

SPACING = (0.9, 0.8)  # sy, sx


def draw(seed: int, height: int = 40, width: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """HU and mask of one slice."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    body = (y - height / 2) ** 2 / (height / 2.2) ** 2 + (x - width / 2) ** 2 / (
        width / 2.2
    ) ** 2 < 1
    row, column = rng.uniform(14, 24), rng.uniform(16, 30)
    muscle = (y - row) ** 2 + (x - column) ** 2 < rng.uniform(6, 9) ** 2
    hu = np.where(body, -100, -1000) + np.where(muscle & body, 150, 0)
    noisy = hu + rng.normal(0, 10, hu.shape)
    return noisy.round().astype(np.int16), (muscle & body).astype(np.uint8)


def save(array: np.ndarray, path: Path) -> None:
    """Write one slice or a stack as NIfTI with the cohort's spacing."""
    image = sitk.GetImageFromArray(array if array.ndim == 3 else array[None])
    image.SetSpacing((SPACING[1], SPACING[0], 5.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def make_small_cohort(folder: Path, patients: int = 12, slices: int = 1) -> Path:
    """Write the cohort and return its manifest; several slices a patient make it a volume."""
    lines = ["patient_id,image,mask,slice_index"]
    for number in range(patients):
        drawn = [draw(100 * number + k) for k in range(slices)]
        name = f"p{number:02d}"
        save(np.stack([d[0] for d in drawn]), folder / f"{name}.nii.gz")
        save(np.stack([d[1] for d in drawn]), folder / f"{name}_mask.nii.gz")
        for k in range(slices):
            index = k if slices > 1 else ""
            lines.append(f"{name.upper()},{name}.nii.gz,{name}_mask.nii.gz,{index}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest
