"""Masks that a run predicted, on the native grid: one small file for all test cases."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muscletransfer.data.files import atomic_path
from muscletransfer.errors import DataError

__all__ = ["read_masks", "write_masks"]

_VERSION = 1

# What zipfile and numpy raise on damage; RuntimeError where a flag says encrypted or unknown.
_DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def write_masks(path: str | Path, masks: Mapping[str, ArrayLike]) -> Path:
    """Write masks by case, whole or not at all.

    Masks of 0 and 1 are packed to a bit a pixel, label maps to a byte, and both compressed: 50
    muscle masks of 512 x 512 take some 100 KB. The same masks give the same bytes.

    .. versionadded:: 0.1

    Args:
        path: Name of the file, ending in ``.npz``.
        masks: Case to mask, ``(H, W)`` or ``(Z, H, W)``, bool or labels from 0 to 255.

    Returns:
        The path.

    Raises:
        DataError: Another ending, or a mask of another shape or with other values.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "masks.npz"
        >>> _ = write_masks(path, {"P1": np.eye(3, dtype=bool), "P2": [[0, 2], [1, 0]]})
        >>> {case: mask.tolist()[0] for case, mask in read_masks(path).items()}
        {'P1': [True, False, False], 'P2': [0, 2]}
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise DataError(f"{path} does not end in .npz, as a file of masks does.")
    shapes = np.zeros((len(masks), 3), dtype=np.int64)
    kinds, parts = [], []
    for row, (case, values) in enumerate(masks.items()):
        mask = _checked(case, values)
        shapes[row, 3 - mask.ndim :] = mask.shape
        is_bool, packed = mask.dtype == np.bool_, bool(mask.max() <= 1)
        kinds.append((mask.ndim, is_bool, packed))
        parts.append(np.packbits(mask.ravel() > 0) if packed else mask.ravel())
    arrays = {
        "version": np.array(_VERSION),
        "cases": np.array([str(case) for case in masks], dtype=np.str_),
        "shapes": shapes,
        "kinds": np.array(kinds, dtype=np.uint8).reshape(len(masks), 3),
        "data": np.concatenate([np.zeros(0, np.uint8), *parts]).astype(np.uint8),
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    return path


def read_masks(path: str | Path | IO[bytes]) -> dict[str, NDArray[np.bool_] | NDArray[np.uint8]]:
    """Read what :func:`write_masks` wrote.

    .. versionadded:: 0.1

    Args:
        path: The file, or one that is open.

    Returns:
        Case to mask, of the shape and type it had: bool, or uint8 for any other type of labels.

    Raises:
        DataError: The file is missing, damaged, or holds something else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "masks.npz"
        >>> _ = write_masks(path, {"P1": [[0, 2], [1, 0]]})
        >>> read_masks(path)["P1"].tolist()
        [[0, 2], [1, 0]]
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("cases", "shapes", "kinds", "data")}
            version = int(stored["version"])
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; wanted the masks of a run.") from error
    except _DAMAGE as error:
        raise DataError(f"{path} cannot be read as masks of a run: {error}") from error
    if version != _VERSION:
        raise DataError(f"{path} is of version {version}; this library reads {_VERSION}.")
    found: dict[str, NDArray[np.bool_] | NDArray[np.uint8]] = {}
    place, data = 0, arrays["data"]
    for case, shape, kind in zip(arrays["cases"], arrays["shapes"], arrays["kinds"], strict=True):
        ndim, is_bool, packed = (int(value) for value in kind)
        own = tuple(int(size) for size in shape[3 - ndim :])
        pixels = int(np.prod(own))
        size = -(-pixels // 8) if packed else pixels
        part = data[place : place + size]
        place += size
        if part.size != size:
            raise DataError(f"{path} ends before the mask of case {str(case)!r} does.")
        flat = np.unpackbits(part, count=pixels) if packed else part
        mask = flat.reshape(own)
        found[str(case)] = mask.astype(np.bool_) if is_bool else mask.copy()
    return found


def _checked(case: str, values: ArrayLike) -> NDArray[np.bool_] | NDArray[np.uint8]:
    mask = np.asarray(values)
    if mask.ndim not in (2, 3) or not mask.size:
        raise DataError(
            f"The mask of case {case!r} has shape {mask.shape}; wanted (H, W) or (Z, H, W)."
        )
    if mask.dtype == np.bool_:
        return mask
    if mask.dtype.kind not in "ui" or mask.min() < 0 or mask.max() > 255:
        raise DataError(
            f"The mask of case {case!r} holds {mask.dtype} values from {mask.min()} to "
            f"{mask.max()}; wanted bool, or whole labels from 0 to 255."
        )
    return mask.astype(np.uint8)
