"""Reading CT slices, volumes and masks, and writing masks, with their geometry.

Slices keep the file's own order and orientation (``Volume.flips`` tells how they lie), so that a
written mask fits its image voxel by voxel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.io.masks import read_mask, write_mask
    from muscletransfer.data.io.plain import read_image
    from muscletransfer.data.io.read import read_ct, read_volume

_HOMES = {
    "masks": ["read_mask", "write_mask"],
    "plain": ["read_image"],
    "read": ["read_ct", "read_volume"],
}

__all__ = [
    "read_ct",
    "read_image",
    "read_mask",
    "read_volume",
    "write_mask",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
