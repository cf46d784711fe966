"""Are the values of a label map TotalSegmentator's: none above its table, vertebrae in order?"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from muscletransfer.data.outlines.names import TOTALSEGMENTATOR
from muscletransfer.data.types import MaskImage
from muscletransfer.errors import DataError

__all__ = ["check_spine", "check_table"]

_VERTEBRAE = {v: n for n, v in TOTALSEGMENTATOR.items() if n.startswith("vertebrae_")}
_STRAY = 0.05  # of the largest vertebra: segmentation models leave specks of one in another


_WAY_OUT = (
    "Say what its values mean: to find_level and read_outlines by names=, such as "
    "names={'vertebrae_L3': 20}; to prepare_totalsegmentator by a file a structure in a folder "
    "segmentations/."
)


def check_table(path: Path, mask: MaskImage) -> None:
    """Check values that are said to be TotalSegmentator's; 255 means not annotated.

    Raises:
        DataError: A value above its table, or what `check_spine` says.
    """
    high = int(mask.labels.max(initial=0, where=mask.labels != 255))
    if high > len(TOTALSEGMENTATOR):
        raise DataError(
            f"{path}: holds the value {high}, and TotalSegmentator's table (version 2) ends at "
            f"{len(TOTALSEGMENTATOR)}: its values have another meaning. {_WAY_OUT}"
        )
    check_spine(path, mask)


def check_spine(path: Path, mask: MaskImage) -> None:
    """Check values against TotalSegmentator's table, in which vertebrae count from S1 upwards.

    Version 1 of it and other tools number other organs with these values, which then lie anyhow.

    Raises:
        DataError: A vertebra lies above one that it should lie below.
    """
    upwards = np.array(mask.direction[6:9])
    along = int(np.argmax(np.abs(upwards)))
    planes = np.moveaxis(mask.labels, 2 - along, 0)
    last = max(_VERTEBRAE)
    counts = np.array([np.bincount(p.ravel(), minlength=last + 1)[: last + 1] for p in planes])
    sizes = {v: int(counts[:, v].sum()) for v in _VERTEBRAE}
    least = max(1.0, _STRAY * max(sizes.values()))
    places = np.arange(len(planes)) * np.sign(upwards[along])
    heights = [(v, float(places @ counts[:, v]) / sizes[v]) for v in sizes if sizes[v] >= least]
    for (below, low), (above, high) in pairwise(heights):
        if low > high:  # in one slice there may be parts of two
            raise DataError(
                f"{path}: value {below} lies above {above}, and in TotalSegmentator's table "
                f"(version 2) they are {_VERTEBRAE[below]} and {_VERTEBRAE[above]}: its values "
                "have another meaning, or the image is stored upside down and does not say so. "
                f"{_WAY_OUT}"
            )
