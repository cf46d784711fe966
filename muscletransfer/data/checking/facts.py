"""What there is to know of each row: grid, values, field of view, mask."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np

from muscletransfer.data.cache.cases import IGNORE, Case, read_group
from muscletransfer.data.checking.likeness import fingerprint, main_body
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.manifest.slices import count_slices
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array
from muscletransfer.errors import DataError

__all__ = ["Group", "RowFacts", "RowFailure", "look_at_group", "read_case"]

AIR_HU = -250
MUSCLE_HU = (-29, 150)


@dataclass(frozen=True)
class Group:
    """Rows of one image, for a worker."""

    rows: tuple[tuple[int, ManifestRow], ...]
    is_ct: bool
    masks: bool


@dataclass(frozen=True)
class RowFailure:
    """A row that cannot be used, and why."""

    index: int
    message: str


@dataclass(frozen=True, eq=False)
class RowFacts:
    """One row.

    Args:
        index: Number of the row in the manifest.
        shape: ``(rows, columns)``.
        spacing: ``(sy, sx)`` in mm, or None when unknown.
        low: First percentile of the values.
        middle: Median of the values inside the body.
        high: 99th percentile.
        edge: Share of the image's edge that the body touches; 0 for plain images.
        area: Of the mask in cm2, or in pixels where the spacing is unknown; ``nan`` without a mask.
        classes: Values of the mask, without 255.
        unlabelled: Share of the slice that is not annotated.
        on_air: Share of the mask that lies on air.
        in_window: Share of the mask that lies in the window of muscle.
        digest: Hash of the pixels.
        fingerprint: See `muscletransfer.data.checking.likeness.fingerprint`.
        volume: How many slices there are where the row names a whole volume; its middle slice is
            what the other fields are about. 0 for a row that names a slice.
    """

    index: int
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    low: float
    middle: float
    high: float
    edge: float
    area: float
    classes: tuple[int, ...]
    unlabelled: float
    on_air: float
    in_window: float
    digest: str
    fingerprint: Array
    volume: int = 0

    @property
    def field_of_view(self) -> tuple[float, float]:
        """``(height, width)`` of the image in mm; ``nan`` when unknown."""
        if self.spacing is None:
            return math.nan, math.nan
        return self.shape[0] * self.spacing[0], self.shape[1] * self.spacing[1]


def read_case(row: ManifestRow, is_ct: bool, masks: bool) -> Case | str:
    """Read one row as training would.

    Returns:
        The case, or why it cannot be used.
    """
    found = _read(Group(((0, row),), is_ct, masks))[0]
    return found if isinstance(found, Case) else found.message


def look_at_group(group: Group) -> list[RowFacts | RowFailure]:
    """Read the rows of one image and describe each.

    Args:
        group: The rows.

    Returns:
        Facts or a failure for each, in order.
    """
    volumes: dict[int, int] = {}
    return [
        replace(_facts(found, group.is_ct), volume=volumes.get(found.index, 0))
        if isinstance(found, Case)
        else found
        for found in _read(group, volumes)
    ]


def _read(group: Group, volumes: dict[int, int] | None = None) -> list[Case | RowFailure]:
    plain = is_plain(group.rows[0][1].image)
    # The size that training takes by default: on a smaller grid thin targets vanish.
    spec = PreprocessingSpec()
    if plain or not group.is_ct:
        # Of signed and fractional values no range is known, so that training needs percentiles too.
        spec = PreprocessingSpec(hu_window=None, percentiles=(1.0, 99.0))
    found: list[Case | RowFailure] = []
    counts = {} if volumes is None else volumes
    listed: list[tuple[int, ManifestRow]] = []
    for index, row in group.rows:
        try:
            listed.append((index, _one_slice(index, row, counts)))
        except DataError as error:
            found.append(RowFailure(index, f"{row.where}: {error}"))
    for masks in (True, False):
        rows = [(i, r) for i, r in listed if (group.masks and r.mask is not None) == masks]
        if rows:
            outcomes = read_group(rows, spec, masks, allow_empty=False, pad_label=0)
            found.extend(
                o if isinstance(o, Case) else RowFailure(o.index, o.message) for o in outcomes
            )
    return sorted(found, key=lambda f: f.index)


def _one_slice(index: int, row: ManifestRow, counts: dict[int, int]) -> ManifestRow:
    """Return the row; the middle slice of a volume of pretext images, which names none."""
    if row.mask is not None or row.slice_index is not None or is_plain(row.image):
        return row
    count = count_slices(row.image)
    if count == 1:
        return row
    counts[index] = count
    return replace(row, slice_index=count // 2)


def _facts(case: Case, is_ct: bool) -> RowFacts:
    pixels, mask = case.native, case.native_mask
    seen = pixels[:: -1 if case.geometry.flip[0] else 1, :: -1 if case.geometry.flip[1] else 1]
    body = main_body(pixels) if is_ct else np.ones(pixels.shape, bool)
    low, high = (float(v) for v in np.percentile(pixels, (1, 99)))
    inside = pixels[body] if body.any() else pixels
    edge = np.concatenate([body[0], body[-1], body[:, 0], body[:, -1]]).mean() if is_ct else 0.0
    drawn = np.zeros(pixels.shape, bool) if mask is None else (mask != 0) & (mask != IGNORE)
    spacing = case.geometry.spacing
    pixel = 1.0 if spacing is None else spacing[0] * spacing[1] / 100
    under = pixels[drawn]
    return RowFacts(
        index=case.index,
        shape=(int(pixels.shape[0]), int(pixels.shape[1])),
        spacing=spacing,
        low=low,
        middle=float(np.median(inside)),
        high=high,
        edge=float(edge),
        area=math.nan if mask is None else float(drawn.sum()) * pixel,
        classes=() if mask is None else tuple(int(v) for v in np.unique(mask) if v != IGNORE),
        unlabelled=0.0 if mask is None else float((mask == IGNORE).mean()),
        on_air=float((under < AIR_HU).mean()) if is_ct and under.size else 0.0,
        in_window=_in_window(under) if is_ct and under.size else math.nan,
        digest=hashlib.sha256(np.ascontiguousarray(seen).tobytes()).hexdigest(),
        fingerprint=fingerprint(seen, is_ct).astype(np.float16),
    )


def _in_window(values: Array) -> float:
    return float(((values >= MUSCLE_HU[0]) & (values <= MUSCLE_HU[1])).mean())
