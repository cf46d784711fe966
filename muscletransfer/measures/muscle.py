"""Area, density and fat of an outlined muscle, from the original Hounsfield units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from muscletransfer.errors import DataError, GeometryError
from muscletransfer.measures.cutoffs import check_bmi, check_sex, cutoffs
from muscletransfer.measures.windows import Window, check_hu, hu_windows
from muscletransfer.metrics.checks import check_spacing, list_values, to_array

__all__ = ["FIGURES", "muscle_measures"]

#: What is measured in each outline, that of a group too.
FIGURES = (
    "sma_cm2",
    "sma_outline_cm2",
    "smd_hu",
    "smd_outline_hu",
    "imat_cm2",
    "imat_percent",
    "lama_cm2",
    "nama_cm2",
)

MUSCLE_WINDOWS = ("muscle", "fat", "lama", "nama")


def muscle_measures(
    hu: ArrayLike | torch.Tensor,
    mask: ArrayLike | torch.Tensor,
    spacing: Sequence[float],
    height_m: float | None = None,
    sex: str | None = None,
    bmi: float | None = None,
    windows: Mapping[str, Window] | None = None,
    groups: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """Measure muscle in a CT slice, or in several.

    Every key ends in its unit. With ``M`` the outline and ``W`` the muscle window:

    - ``sma_cm2``: area of M and W, N * sx * sy / 100. ``sma_outline_cm2``: area of M alone.
    - ``smd_hu``: mean HU in M and W (also called SMRA, MRA). ``smd_outline_hu``: in M alone.
    - ``imat_cm2``: area in M and the fat window; ``imat_percent``: of SMA + IMAT.
    - ``lama_cm2``, ``nama_cm2``: area in M and the window of low and normal attenuation. With
      whole HU the two make up the muscle window; between 29 and 30 HU lies neither.
    - ``smi_cm2_m2``: SMA / height^2; only with ``height_m``.
    - ``<table>_smi_cutoff_cm2_m2``, ``<table>_smi_below_cutoff`` and so on: the published
      cut-offs that apply; only with ``sex`` or ``bmi``. Reported, never a diagnosis.
    - ``<window>_window_low_hu``, ``<window>_window_high_hu``: the windows used, inclusive.
    - ``<group>_sma_cm2`` and so on for each of ``groups``.

    Several slices: ``slices_count`` is the number of slices with an outline, areas are the mean
    over those slices, HU the mean over all pixels, and ``muscle_volume_cm3`` is the volume of M
    and W.

    Where nothing was outlined, areas are 0. What would divide by nothing is NaN, and only that:
    ``smd_hu`` without a pixel in M and W, ``smd_outline_hu`` without an outline,
    ``imat_percent`` without muscle and fat.

    .. versionadded:: 0.1

    Args:
        hu: ``(H, W)`` or ``(Z, H, W)``, original Hounsfield units: after slope and intercept,
            before any window.
        mask: The same shape; bool or 0/1, or group codes with ``groups``.
        spacing: Millimetres in array order, ``(y, x)`` or ``(z, y, x)``. With one slice ``z`` may
            be NaN.
        height_m: Height in metres.
        sex: ``"M"``, ``"F"``, ``"male"``, ``"female"`` or ``None``.
        bmi: Body mass index in kg/m2, or ``None``.
        windows: Changes to :data:`muscletransfer.measures.HU_WINDOWS`, inclusive.
        groups: Name to code of each muscle group in ``mask``; codes that are not in it are an
            error. The total is over all groups.

    Returns:
        Measure to value; the cut-off comparisons are True or False (NaN when the measure is).

    Raises:
        GeometryError: Shapes differ, or the spacing is missing, wrong or in another order.
        DataError: Values that are no HU (windowed to 8 bits, not finite), an unknown mask value,
            a height in centimetres, an unknown sex, an impossible body mass index.
        UnknownNameError: An unknown window.

    Warns:
        UserWarning: The image looks clipped inside one of the windows.

    Example:
        >>> hu = np.full((4, 5), -1000)
        >>> hu[1, 1:4] = [40, 60, -100]
        >>> measures = muscle_measures(hu, hu > -500, spacing=(10, 10), height_m=2.0)
        >>> measures["sma_cm2"], measures["smd_hu"], measures["imat_cm2"], measures["smi_cm2_m2"]
        (2.0, 50.0, 1.0, 0.5)
    """
    image, labels = _check_arrays(hu, mask)
    if height_m is not None:
        height_m = _check_height(height_m)
    sex, bmi = check_sex(sex), check_bmi(bmi)
    chosen = hu_windows(windows)
    check_hu(image, {name: chosen[name] for name in MUSCLE_WINDOWS})
    step, thickness = _check_grid(spacing, image)
    _check_codes(labels, groups)

    image, labels = (a if a.ndim == 3 else a[None] for a in (image, labels))
    outline = labels != 0
    result = _measure(image, outline, step, chosen)
    if image.shape[0] > 1:
        result["slices_count"] = float(outline.any(axis=(1, 2)).sum())
        result["muscle_volume_cm3"] = result["sma_cm2"] * result["slices_count"] * thickness / 10
    if height_m is not None:
        result["smi_cm2_m2"] = result["sma_cm2"] / height_m**2
    if sex is not None or bmi is not None:
        result |= _compared(result, sex, bmi)
    for group, code in (groups or {}).items():
        figures = _measure(image, labels == code, step, chosen)
        result |= {f"{group}_{name}": value for name, value in figures.items()}
    for name in MUSCLE_WINDOWS:
        result[f"{name}_window_low_hu"], result[f"{name}_window_high_hu"] = chosen[name]
    return result


def _measure(
    image: NDArray[Any],
    outline: NDArray[np.bool_],
    step: tuple[float, ...],
    windows: Mapping[str, Window],
) -> dict[str, float]:
    """Figures of one outline in ``(Z, H, W)``; areas are a mean over the slices that have it."""
    values = image[outline].astype(np.float64)
    slices = max(1, int(outline.any(axis=(1, 2)).sum()))
    to_cm2 = step[0] * step[1] / 100 / slices

    def within(name: str) -> NDArray[np.bool_]:
        low, high = windows[name]
        return (values >= low) & (values <= high)

    muscle = within("muscle")
    sma = float(np.count_nonzero(muscle)) * to_cm2
    imat = float(np.count_nonzero(within("fat"))) * to_cm2
    return {
        "sma_cm2": sma,
        "sma_outline_cm2": values.size * to_cm2,
        "smd_hu": _mean(values[muscle]),
        "smd_outline_hu": _mean(values),
        "imat_cm2": imat,
        "imat_percent": 100 * imat / (sma + imat) if sma + imat > 0 else math.nan,
        "lama_cm2": float(np.count_nonzero(within("lama"))) * to_cm2,
        "nama_cm2": float(np.count_nonzero(within("nama"))) * to_cm2,
    }


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


def _compared(
    measures: Mapping[str, float], sex: str | None, bmi: float | None
) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in cutoffs(measures, sex, bmi):
        short, _, unit = str(row["measure"]).partition("_")
        cutoff, below = row["cutoff"], row["below"]
        assert isinstance(cutoff, float)
        found[f"{row['table']}_{short}_cutoff_{unit}"] = cutoff
        found[f"{row['table']}_{short}_below_cutoff"] = math.nan if below is None else bool(below)
    return found


def _check_arrays(
    hu: ArrayLike | torch.Tensor, mask: ArrayLike | torch.Tensor
) -> tuple[NDArray[Any], NDArray[Any]]:
    image, labels = to_array(hu), to_array(mask)
    if image.ndim not in (2, 3) or image.size == 0:
        raise DataError(
            f"The image has shape {image.shape}; wanted one slice (H, W) or slices (Z, H, W)."
        )
    if image.shape != labels.shape:
        raise GeometryError(
            f"The image has shape {image.shape}, the mask {labels.shape}; wanted one grid. Bring "
            "the mask back to the native grid of the image."
        )
    if labels.dtype.kind not in "biuf":
        raise DataError(f"The mask has dtype {labels.dtype}; wanted bool or whole numbers.")
    return image, labels


def _check_height(height_m: float) -> float:
    try:
        height = float(height_m)
    except (TypeError, ValueError) as error:
        raise DataError(f"height_m is {height_m!r}; wanted metres, between 0.3 and 2.7.") from error
    if 0.3 <= height <= 2.7:
        return height
    hint = (
        f" {height:g} looks like centimetres: pass {height / 100:g}." if 30 <= height <= 270 else ""
    )
    raise DataError(f"height_m is {height:g}; wanted metres, between 0.3 and 2.7.{hint}")


def _check_grid(spacing: Sequence[float], image: NDArray[Any]) -> tuple[tuple[float, ...], float]:
    """Return the in-plane spacing and the distance of the slices, all in mm."""
    if image.ndim == 2:
        return check_spacing(spacing, 2), math.nan
    if np.shape(spacing) == (3,) and image.shape[0] == 1:
        return check_spacing(spacing[1:], 2), math.nan  # one slice: its thickness does not matter
    z, y, x = check_spacing(spacing, 3)
    if math.isclose(z, y, rel_tol=1e-3) and not math.isclose(y, x, rel_tol=1e-3):
        raise GeometryError(
            f"The spacing is ({z:g}, {y:g}, {x:g}), which looks like (x, y, z); wanted array "
            f"order (z, y, x), so ({x:g}, {y:g}, {z:g})."
        )
    return (y, x), z


def _check_codes(labels: NDArray[Any], groups: Mapping[str, int] | None) -> None:
    if labels.dtype == np.bool_ and groups is None:
        return
    if groups is not None and (
        not isinstance(groups, Mapping)
        or not groups
        or len(set(groups.values())) != len(groups)
        or 0 in groups.values()
    ):
        raise DataError(
            f"groups is {groups!r}; wanted a mapping of names to different codes, none of them 0."
        )
    known = {0, 1} if groups is None else {0, *groups.values()}
    unknown = [value for value in np.unique(labels).tolist() if value not in known]
    if not unknown:
        return
    not_annotated = " 255 marks pixels nobody outlined: no area can be given." * (255 in unknown)
    if groups is None:
        raise DataError(
            f"The mask holds the values {list_values(labels)}; wanted 0 and 1.{not_annotated} For "
            "a mask of several muscles pass groups={name: code}, for one class labels == code."
        )
    raise DataError(
        f"The mask holds {list_values(np.array(unknown))}, which groups does not name; known: "
        f"{dict(groups)!r}.{not_annotated} Name every code, or clear it in the mask first."
    )
