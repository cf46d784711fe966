"""Reading CT slices, volumes and masks, and writing masks, with their geometry.

Slices keep the file's own order and orientation (``Volume.flips`` tells how they lie), so that a
written mask fits its image voxel by voxel.
"""

from __future__ import annotations

from muscletransfer.data.io_masks import check_same_grid, read_mask, write_mask
from muscletransfer.data.io_plain import read_image
from muscletransfer.data.io_read import read_ct, read_volume

__all__ = ["check_same_grid", "read_ct", "read_image", "read_mask", "read_volume", "write_mask"]
