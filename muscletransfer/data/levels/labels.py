"""The middle of a vertebra from a label map of any tool."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from muscletransfer.data.io import read_mask
from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.io.volume import check_exists
from muscletransfer.data.levels.vertebra import MidVertebra, mid_vertebra
from muscletransfer.data.outlines.label_maps import read_structure, structure_files, value_names
from muscletransfer.data.outlines.names import apart, matching, name_pairs
from muscletransfer.data.types import MaskImage
from muscletransfer.errors import DataError, EmptyMaskError

__all__ = ["labelled_middle", "read_vertebra_labels"]


def read_vertebra_labels(
    labels: str | Path | MaskImage, vertebra: str | int, names: Mapping[str, int] | None
) -> tuple[MaskImage, int, dict[str, int]]:
    """Return a label map, the vertebra's value there, and the names of its values.

    Args:
        labels: As in `find_level`.
        vertebra: Its name or value.
        names: Names of the values, where the file does not carry them.

    Raises:
        UnknownNameError: No such name, with close matches.
        DataError: A name where values have none.
        ImageReadError: A missing or damaged file.
    """
    if isinstance(labels, MaskImage):
        mask, path = labels, Path(labels.path or "the labels")
    else:
        path = Path(labels)
        check_exists(path)
        if path.is_dir():
            if isinstance(vertebra, int):
                raise DataError(
                    f"{path}: holds a file a structure, and vertebra is the value {vertebra}; "
                    "wanted its name, such as 'vertebrae_L3'."
                )
            files = structure_files(path)
            path = files[matching(vertebra, sorted(files), str(path), "label")[0]]
            mask = read_structure(path)
        else:
            mask = read_mask(path)
    if isinstance(vertebra, int):  # no name is needed, so none is guessed
        return mask, vertebra, dict(names) if names is not None else apart(name_pairs(path))
    known = value_names(path, mask, names)
    if not known:
        raise DataError(
            f"{path}: its values have no names, so {vertebra!r} means nothing; wanted the value of "
            "the vertebra (vertebra=29), or names={'vertebrae_L3': 29}."
        )
    name = matching(vertebra, dict.fromkeys(n for n, _ in known), str(path), "label")[0]
    values = [v for n, v in known if n == name]
    if len(values) > 1:
        raise DataError(
            f"{path}: {name!r} is the name of the values {', '.join(map(str, values))}; wanted one "
            "of them as vertebra."
        )
    return mask, values[0], apart(known)


def labelled_middle(
    mask: MaskImage, value: int, known: Mapping[str, int], vertebra: str | int, grid: ImageGrid
) -> MidVertebra:
    """Find the middle of a labelled vertebra, and compare its place with its neighbours'.

    Args:
        mask: The label map.
        value: The vertebra's.
        known: Names of the values.
        vertebra: What the caller calls it.
        grid: Where the labels lie.

    Raises:
        EmptyMaskError: The vertebra is missing; with what is there.
    """
    name = str(vertebra) if isinstance(vertebra, str) else f"label {vertebra}"
    chosen = mask.labels == value
    if not chosen.any():
        present = set(np.unique(mask.labels).tolist()) - {0, 255}
        called = [n for n, v in known.items() if v in present]
        shown = ", ".join(called[:12] or [str(v) for v in sorted(present)[:12]]) or "nothing"
        raise EmptyMaskError(
            f"{mask.path or 'the labels'}: {name} is missing (found {shown}); wanted a scan that "
            "shows it. Leave this image out, or name another vertebra."
        )
    found = mid_vertebra(chosen, grid, name)
    turned = _wrong_way_up(mask, value, known, grid, found)
    return found if turned is None else replace(found, warnings=(*found.warnings, turned))


def _wrong_way_up(
    mask: MaskImage, value: int, known: Mapping[str, int], grid: ImageGrid, found: MidVertebra
) -> str | None:
    """Compare with lumbar neighbours by name, where the labels have them: L2 lies above L3."""
    name = next((n for n, v in known.items() if v == value), "")
    head, _, number = name.rpartition("L")
    if not number.isdigit() or math.isnan(found.point_mm[2]):
        return None
    for other, sign in ((int(number) - 1, 1), (int(number) + 1, -1)):
        there = known.get(f"{head}L{other}")
        if there is None or not (mask.labels == there).any():
            continue
        slices = np.flatnonzero((mask.labels == there).any(axis=(1, 2)))
        height = float(grid.heights_mm[slices].mean())
        own = float(grid.heights_mm[list(found.slices)].mean())
        if (height - own) * sign < 0:
            return (
                f"{head}L{other} lies on the wrong side of {name}: labels are mixed up, or the "
                "image is stored upside down and does not say so"
            )
    return None
