"""Masks: class indices on the grid of their image, read and written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.files import atomic_path
from muscletransfer.data.io.plain import is_plain, read_plain_mask, write_plain_mask
from muscletransfer.data.io.read import read_volume
from muscletransfer.data.io.volume import quiet
from muscletransfer.data.io.write import save_image
from muscletransfer.data.types import Array, MaskImage, Volume
from muscletransfer.errors import DataError, GeometryError

__all__ = ["check_same_grid", "read_mask", "write_mask"]


def read_mask(
    path: str | Path,
    reference: Volume | None = None,
    *,
    values: Iterable[int] | None = None,
) -> MaskImage:
    """Read class indices: 0 background, 255 not annotated.

    .. versionadded:: 0.1

    Args:
        path: NIfTI, NRRD, MHA, or PNG or TIFF (where a drawing of 0 and 255 becomes 0 and 1).
        reference: The image it belongs to; its grid must be the mask's, to a tenth of a pixel. A
            plain image has only its shape to compare.
        values: Which values may occur; ``None`` for any.

    Returns:
        Labels ``(Z, Y, X)``, uint8 when they fit. A plain image gets the grid of the reference.

    Raises:
        ImageReadError: Missing, damaged, or of another format.
        GeometryError: Another grid than the reference, with both.
        DataError: Fractions, negative or unexpected values.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from muscletransfer.data import CTImage, write_mask
        >>> ct = CTImage(np.zeros((1, 2, 3), np.int16), spacing=(5.0, 0.8, 0.8))
        >>> file = Path(tempfile.mkdtemp()) / "mask.nii.gz"
        >>> _ = write_mask(np.array([[[0, 1, 255], [0, 0, 2]]]), file, ct)
        >>> read_mask(file, reference=ct).classes
        (0, 1, 2, 255)
    """
    path = Path(path)
    _check_reference(reference)
    if is_plain(path):
        volume = Volume(read_plain_mask(path)[None], path=str(path))
    else:
        volume = read_volume(path)
    labels = _as_labels(volume.array, str(path))
    if values is not None:
        allowed = set(values)
        found = sorted(set(np.unique(labels).tolist()) - allowed)
        if found:
            shown = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
            raise DataError(
                f"{path}: holds the values {shown}; wanted only {sorted(allowed)}. Map the "
                "classes, or say which are meant."
            )
    mask = MaskImage(labels, volume.spacing, volume.direction, volume.origin, str(path))
    if reference is None:
        return mask
    if is_plain(path):
        if mask.shape != reference.shape:
            raise GeometryError(
                f"{path}: the mask has shape {mask.shape[1:]}, its image "
                f"{reference.path or ''} {reference.shape}; wanted the same."
            )
        return MaskImage(
            labels, reference.spacing, reference.direction, reference.origin, str(path)
        )
    check_same_grid(mask, reference)
    return mask


def write_mask(
    mask: Array | MaskImage,
    path: str | Path,
    reference: Volume | None = None,
    slice_index: int | None = None,
) -> Path:
    """Write class indices on the grid of their image, whole or not at all.

    .. versionadded:: 0.1

    Args:
        mask: Whole numbers from 0, ``(H, W)`` or ``(Z, Y, X)``.
        path: ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha`` (with a grid); ``.png``, ``.tif``
            (without a reference: they hold no geometry).
        reference: The image the mask was drawn or predicted on. A `MaskImage` that knows its
            millimetres and its place needs none, and has to lie on the grid of one that is given;
            a slice of a series with uneven gaps does not know where it lies.
        slice_index: Place a single slice into the reference's volume, zeros elsewhere.

    Returns:
        The path written. NRRD and MHA keep the grid in float64, NIfTI in float32 (which is all that
        a NIfTI image had). An unknown slice spacing is written as 1 mm: no format can say unknown.

    Raises:
        GeometryError: The mask does not have the reference's shape, or is a `MaskImage` of another
            grid.
        DataError: Values that are no class indices, a file ending that cannot be written, or a file
            that could not be written whole; for a plain image also 0 and 255 alone, which is a
            drawing there (see `read_mask`).

    Example:
        >>> import tempfile
        >>> from muscletransfer.data import CTImage, read_mask, write_mask
        >>> ct = CTImage(np.full((1, 2, 2), -5, np.int16), spacing=(5.0, 0.8, 0.8))
        >>> file = write_mask(np.eye(2), Path(tempfile.mkdtemp()) / "mask.nrrd", ct)
        >>> read_mask(file, reference=ct).labels.tolist()
        [[[1, 0], [0, 1]]]
    """
    path = Path(path)
    array = mask.array if isinstance(mask, Volume) else np.asarray(mask)
    _check_reference(reference)
    labels = _as_labels(array, "the mask")
    own = mask if isinstance(mask, Volume) and mask.slice_spacing is not None else None
    holds_grid = path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha"))
    if reference is None and own is not None and holds_grid and _is_placed(own):
        reference = own
    if reference is None:
        return _write_without_grid(labels, path)
    if not holds_grid:
        raise DataError(
            f"{path}: cannot hold a grid; wanted .nii.gz, .nii, .nrrd or .mha. For a plain image "
            "leave reference out."
        )
    labels = _fit_to(labels, reference, slice_index)
    if own is not None:
        _check_own_grid(own, reference if slice_index is None else reference.one_slice(slice_index))
    image = sitk.GetImageFromArray(labels)
    sz, sy, sx = reference.spacing
    image.SetSpacing([1.0 if math.isnan(s) else s for s in (sx, sy, sz)])
    image.SetOrigin([0.0 if math.isnan(o) else o for o in reference.origin])
    image.SetDirection(reference.direction)
    with atomic_path(path) as temporary, quiet():
        save_image(image, temporary)
    return path


def is_same_grid(mask: Volume, reference: Volume) -> bool:
    """Whether `check_same_grid` lets the two pass."""
    try:
        check_same_grid(mask, reference)
    except GeometryError:
        return False
    return True


def check_same_grid(mask: Volume, reference: Volume) -> None:
    """Raise `GeometryError` unless both lie on one grid, to a tenth of a pixel.

    Spacings that one of them does not know are not compared, nor is the gap between slices where
    there is one slice (what a file says of it is its thickness, or nothing).

    .. versionadded:: 0.1

    Example:
        >>> image = Volume(np.zeros((1, 2, 3)), spacing=(5.0, 0.8, 0.8))
        >>> check_same_grid(image, image)
        >>> check_same_grid(Volume(np.zeros((1, 3, 2)), spacing=(5.0, 0.8, 0.8)), image)
        Traceback (most recent call last):
        muscletransfer.errors.GeometryError: ...differ in shape...
    """
    problems: list[str] = []
    if mask.shape != reference.shape:
        problems.append("shape")
    else:
        pairs = list(zip(mask.spacing, reference.spacing, strict=True))
        pairs = pairs[1:] if mask.num_slices == 1 else pairs
        if any(abs(a - b) > 1e-3 * b for a, b in pairs):
            problems.append("spacing")
        if not np.allclose(mask.direction, reference.direction, atol=1e-3):
            problems.append("direction")
        pixel = min((s for s in reference.spacing[1:] if not math.isnan(s)), default=1.0)
        away = [abs(a - b) for a, b in zip(mask.origin, reference.origin, strict=True)]
        if any(d > 0.1 * pixel for d in away):
            problems.append("origin")
    if problems:
        raise GeometryError(
            f"{mask.path or 'the mask'} and its image {reference.path or ''} differ in "
            f"{' and '.join(problems)}: the mask has {_grid(mask)}; the image has "
            f"{_grid(reference)}. Export the mask on the image's grid, or resample it to it with "
            "nearest-neighbour interpolation."
        )


def _check_reference(reference: object) -> None:
    if reference is not None and not isinstance(reference, Volume):
        raise DataError(
            f"reference is a {type(reference).__name__}; wanted the image itself, such as "
            "read_ct(path)."
        )


def _as_labels(array: Array, name: str) -> Array:
    if array.dtype.kind == "f" and not (
        np.isfinite(array).all() and (array == np.rint(array)).all()
    ):
        odd = array[~np.isfinite(array) | (array != np.rint(array))].flat[0]
        raise DataError(
            f"{name}: holds {odd:g}; wanted class indices (whole numbers). It looks like "
            "probabilities or an interpolated mask: threshold it first."
        )
    if array.dtype.kind not in "iufb":
        raise DataError(f"{name}: holds {array.dtype}; wanted class indices (whole numbers).")
    if not array.size:
        raise DataError(f"{name}: is empty, shape {array.shape}; wanted class indices.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise DataError(
            f"{name}: values run from {low} to {high}; wanted class indices from 0 to 65535."
        )
    return array.astype(np.uint8 if high <= 255 else np.uint16)


def _fit_to(labels: Array, reference: Volume, slice_index: int | None) -> Array:
    if labels.ndim == 2:
        labels = labels[None]
    if slice_index is not None:
        if not 0 <= slice_index < reference.num_slices:
            raise GeometryError(
                f"slice_index is {slice_index}; the reference {reference.path or ''} has slices 0 "
                f"to {reference.num_slices - 1}."
            )
        if labels.shape != (1, *reference.shape[1:]):
            raise GeometryError(
                f"the mask has shape {labels.shape}, a slice of the reference "
                f"{reference.path or ''} {(1, *reference.shape[1:])}; wanted the same."
            )
        volume = np.zeros(reference.shape, labels.dtype)
        volume[slice_index] = labels[0]
        return volume
    if labels.shape != reference.shape:
        hint = " Pass slice_index to place a slice into the volume." if len(labels) == 1 else ""
        raise GeometryError(
            f"the mask has shape {labels.shape}, the reference {reference.path or ''} "
            f"{reference.shape}; wanted the same.{hint}"
        )
    return labels


def _check_own_grid(mask: Volume, reference: Volume) -> None:
    """Raise for a mask that lies elsewhere: its labels on another grid would be other outlines."""
    try:
        check_same_grid(mask, reference)
    except GeometryError as error:
        raise GeometryError(
            f"{error} Leave reference out to write the mask on its own grid; if its labels were "
            "drawn on the reference after all, pass them alone (mask.labels)."
        ) from error


def _is_placed(mask: Volume) -> bool:
    gap = 0.0 if mask.num_slices == 1 else mask.spacing[0]
    return all(map(math.isfinite, (gap, *mask.origin)))


def _write_without_grid(labels: Array, path: Path) -> Path:
    if path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise DataError(
            f"{path}: pass the image as reference, so that the mask keeps its grid (spacing and "
            "place, which the mask itself does not know); without one only .png and .tif can be "
            "written."
        )
    if labels.ndim == 3 and labels.shape[0] == 1:
        labels = labels[0]
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise DataError(
            f"{path}: the mask has shape {labels.shape} and values up to {labels.max()}; wanted "
            "(H, W) and at most 255 for a plain image."
        )
    if np.unique(labels).tolist() == [0, 255]:
        raise DataError(
            f"{path}: the mask holds 0 and 255 (not annotated) and no class, and a plain image of "
            "these two is read as a drawing, in which 255 is class 1. Write 1 for that, or .nii.gz "
            "for a mask without a class."
        )
    write_plain_mask(labels, path)
    return path


def _grid(volume: Volume) -> str:
    def short(numbers: Iterable[float]) -> str:
        return "(" + ", ".join(f"{n:.6g}" for n in numbers) + ")"

    return (
        f"shape {volume.shape}, spacing {short(volume.spacing)} mm, origin "
        f"{short(volume.origin)}, direction {short(volume.direction)}"
    )
