"""A few slices with masks and their manifest, for the tests of the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_files import body

from muscletransfer.data import Manifest, PreprocessingSpec

SPEC = PreprocessingSpec(size=32)
SHAPES = [(40, 50), (64, 64), (33, 71)]


def save(path: Path, array: np.ndarray, *, nifti_ras: bool = False) -> None:
    image = sitk.GetImageFromArray(array)
    if array.ndim == 3:
        image.SetSpacing((0.8, 0.8, 5.0))
        if nifti_ras:
            image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


def make_root(tmp_path: Path) -> Path:
    """Three single slices of three sizes, and two slices of one volume."""
    for k, shape in enumerate(SHAPES):
        hu = body(shape, k)
        save(tmp_path / f"ct{k}.nii.gz", hu[None], nifti_ras=k == 1)
        save(tmp_path / f"m{k}.nii.gz", (hu[None] > -20).astype(np.uint8), nifti_ras=k == 1)
    volume = np.stack([body((30, 36), k) for k in range(10, 14)])
    save(tmp_path / "ct3.nrrd", volume)
    save(tmp_path / "m3.nrrd", (volume > -20).astype(np.uint8) * 2)
    rows = [f"P{k},ct{k}.nii.gz,m{k}.nii.gz," for k in range(3)]
    rows += ["P3,ct3.nrrd,m3.nrrd,3", "P3,ct3.nrrd,m3.nrrd,1"]
    return write(tmp_path, *rows)


def write(root: Path, *rows: str, header: str = "patient_id,image,mask,slice_index") -> Path:
    (root / "m.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def manifest_of(root: Path) -> Manifest:
    return Manifest.read(root / "m.csv")


def folders(root: Path) -> list[str]:
    where = root / "cache" / "slices"
    return sorted(p.name for p in where.iterdir()) if where.exists() else []
