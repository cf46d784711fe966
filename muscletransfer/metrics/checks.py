"""What a mask, a pair of masks and a spacing must look like before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from muscletransfer.errors import DataError, GeometryError

__all__ = ["BoolMask", "check_pair", "check_spacing", "list_values", "to_array", "to_mask"]

BoolMask = NDArray[np.bool_]

_ORDER = {2: "(y, x)", 3: "(z, y, x)"}


def to_array(values: ArrayLike | torch.Tensor) -> NDArray[Any]:
    """Return a numpy view of an array or of a tensor on any device.

    Args:
        values: A numpy array, nested sequence or tensor.

    Returns:
        The same values as a numpy array (no copy where none is needed).

    Raises:
        DataError: No rectangular array of numbers or bools.

    Example:
        >>> to_array(torch.ones(2, dtype=torch.bfloat16)).dtype
        dtype('float32')
    """
    if isinstance(values, torch.Tensor):
        tensor = values.detach()
        if tensor.dtype == torch.bfloat16:  # numpy has no such type
            tensor = tensor.float()
        # as_subclass: MONAI's MetaTensor would otherwise keep its metadata machinery in the way
        return tensor.as_subclass(torch.Tensor).cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise DataError(
            f"The values make no array ({error}); wanted rows of one length."
        ) from error
    if array.dtype.kind not in "biufc":
        way_out = " Read the file first, with read_mask or read_ct." * isinstance(
            values, str | Path
        )
        raise DataError(
            f"{type(values).__name__} {str(values)[:60]!r} was given; wanted an array or a tensor "
            f"of numbers.{way_out}"
        )
    return array


def to_mask(values: ArrayLike | torch.Tensor, name: str = "mask") -> BoolMask:
    """Return one structure's mask as a bool array after checking that it is one.

    Args:
        values: ``(H, W)`` or ``(Z, H, W)``; bool, or numbers that are all 0 or 1.
        name: What the error message calls it.

    Returns:
        A bool array of the same shape.

    Raises:
        DataError: No array, not 2-D or 3-D, no pixels at all, or values other than 0 and 1.

    Example:
        >>> to_mask([[0, 1], [1, 0]]).tolist()
        [[False, True], [True, False]]
    """
    try:
        array = to_array(values)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    if array.ndim not in (2, 3):
        raise DataError(
            f"{name} has shape {array.shape}; wanted one mask, (H, W) or (Z, H, W). "
            "For a batch, call once per case or use the classes of muscletransfer.metrics."
        )
    if array.size == 0:
        raise DataError(f"{name} has shape {array.shape}, so it holds no pixels.")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "uif":
        raise DataError(f"{name} has dtype {array.dtype}; wanted bool, or the numbers 0 and 1.")
    mask: BoolMask = array != 0
    # For integers two reductions settle it; floats could hold fractions or NaN between 0 and 1.
    binary = (
        bool(array.min() >= 0 and array.max() <= 1)
        if array.dtype.kind in "ui"
        else bool(np.array_equal(array, mask))
    )
    if not binary:
        raise DataError(
            f"{name} holds the values {list_values(array)}; wanted 0 and 1 only. Threshold "
            "probabilities first (prob > 0.5), and pick one class of a label map (labels == 2)."
        )
    return mask


def list_values(array: NDArray[Any], count: int = 6) -> str:
    """Name the first distinct values of an array, for a message.

    Args:
        array: Any numbers.
        count: How many to name.

    Returns:
        The values in order, with an ellipsis when there are more.

    Example:
        >>> list_values(np.array([3, 1, 1, 2]), count=2)
        '1, 2, ...'
    """
    found = np.unique(array)
    return ", ".join([f"{value:g}" for value in found[:count]] + ["..."] * (found.size > count))


def check_pair(
    pred: ArrayLike | torch.Tensor, target: ArrayLike | torch.Tensor
) -> tuple[BoolMask, BoolMask]:
    """Return prediction and target as bool masks of one shape.

    Args:
        pred: Predicted mask, ``(H, W)`` or ``(Z, H, W)``.
        target: Reference mask of the same shape.

    Returns:
        Both as bool arrays.

    Raises:
        DataError: One of them is no mask (see :func:`to_mask`).
        GeometryError: The shapes differ.

    Example:
        >>> pred, target = check_pair([[1, 1]], [[0, 1]])
        >>> int((pred & target).sum())
        1
    """
    found, wanted = to_mask(pred, "pred"), to_mask(target, "target")
    if found.shape != wanted.shape:
        raise GeometryError(
            f"pred has shape {found.shape}, target {wanted.shape}; wanted one grid. Bring the "
            "prediction back to the native grid of the reference before scoring it."
        )
    return found, wanted


def check_spacing(spacing: Sequence[float] | ArrayLike | None, ndim: int) -> tuple[float, ...]:
    """Return a pixel spacing as floats after checking it.

    Args:
        spacing: Millimetres in array order: ``(y, x)`` for 2-D, ``(z, y, x)`` for 3-D.
        ndim: Number of dimensions of the mask, 2 or 3.

    Returns:
        ``ndim`` positive floats.

    Raises:
        GeometryError: Missing, of another length, not finite or not positive.

    Example:
        >>> check_spacing([0.78, 0.78], 2)
        (0.78, 0.78)
    """
    order = _ORDER[ndim]
    if spacing is None:
        raise GeometryError(
            f"The spacing is missing; wanted {order} in mm. If it is really unknown, pass "
            f"{(1.0,) * ndim} and report the result in pixels."
        )
    try:
        values = tuple(float(v) for v in np.asarray(spacing, dtype=np.float64).ravel())
    except (TypeError, ValueError) as error:
        raise GeometryError(
            f"The spacing is {spacing!r}; wanted {ndim} numbers {order} in mm. If it is unknown, "
            f"pass {(1.0,) * ndim} and report the result in pixels."
        ) from error
    if np.ndim(spacing) != 1 or len(values) != ndim:
        hint = " From a 3-D image take spacing[1:]." if ndim == 2 and len(values) == 3 else ""
        raise GeometryError(
            f"The spacing {spacing!r} has {len(values)} value(s); a {ndim}-D mask wants {ndim}, "
            f"{order} in mm.{hint}"
        )
    if not all(np.isfinite(v) and v > 0 for v in values):
        raise GeometryError(
            f"The spacing is {values}; wanted positive millimetres {order}. If a value is unknown "
            f"(NaN), pass {(1.0,) * ndim} and report the result in pixels."
        )
    return values
