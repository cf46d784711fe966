"""From files to batches: reading, preprocessing, manifests, splits, caches and data modules.

Where a thing lives, in the order in which an image passes through:

- ``indexing``, ``archives``: folders and known data sets become a manifest; ``dicom``, ``io``: one
  file or series becomes an array with its grid; ``levels``, ``outlines``: which slice, which mask
- ``manifest``, ``checking``: the rows, and what is wrong with them; ``splits``: who trains and
  who tests
- ``preprocessing``, ``cache``: to the network grid, once, on disk
- ``sources``, ``augmentation``, ``datamodules``: batches for pretext tasks and fine-tuning
- ``synthetic``: the phantom; ``types``, ``files``, ``parallel``: what all of them use

Names are loaded on first use, so that reading one CT does not import the training stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.augmentation import Augmentation
    from muscletransfer.data.cache import SliceCache, default_cache_dir
    from muscletransfer.data.datamodules import LowDataModule, PretextDataModule
    from muscletransfer.data.io import read_ct, read_image, read_mask, read_volume, write_mask
    from muscletransfer.data.levels import find_level
    from muscletransfer.data.manifest import Manifest, ManifestRow
    from muscletransfer.data.outlines import read_outlines
    from muscletransfer.data.preprocessing import PreprocessingSpec
    from muscletransfer.data.splits import (
        Split,
        make_folds,
        make_split,
        nested_subsets,
        predefined_folds,
    )
    from muscletransfer.data.types import CTImage, MaskImage, Sample, SliceGeometry

_HOMES = {
    "augmentation": ["Augmentation"],
    "cache": ["SliceCache", "default_cache_dir"],
    "datamodules": ["LowDataModule", "PretextDataModule"],
    "io": ["read_ct", "read_image", "read_mask", "read_volume", "write_mask"],
    "levels": ["find_level"],
    "manifest": ["Manifest", "ManifestRow"],
    "outlines": ["read_outlines"],
    "preprocessing": ["PreprocessingSpec"],
    "splits": ["Split", "make_folds", "make_split", "nested_subsets", "predefined_folds"],
    "types": ["CTImage", "MaskImage", "Sample", "SliceGeometry"],
}

__all__ = [
    "Augmentation",
    "CTImage",
    "LowDataModule",
    "Manifest",
    "ManifestRow",
    "MaskImage",
    "PreprocessingSpec",
    "PretextDataModule",
    "Sample",
    "SliceCache",
    "SliceGeometry",
    "Split",
    "default_cache_dir",
    "find_level",
    "make_folds",
    "make_split",
    "nested_subsets",
    "predefined_folds",
    "read_ct",
    "read_image",
    "read_mask",
    "read_outlines",
    "read_volume",
    "write_mask",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
