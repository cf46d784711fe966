"""The stored slices of several sources, as one data set whose cases are numbered through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from muscletransfer.data.augmentation.batch import IGNORE_INDEX
from muscletransfer.data.cache import SliceCache
from muscletransfer.data.datamodules.datasets import MixedSlices, SliceDataset
from muscletransfer.data.datamodules.transforms import SampleTransform
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.preprocessing.photographs import photograph_spec
from muscletransfer.data.sources.image_source import ImageSource

__all__ = ["SourceSlices"]


class SourceSlices:
    """Sources with their caches.

    Several sources give images only; one gives its masks and classes too.

    Args:
        sources: The collections, at least one.
        preprocessing: The network grid; photographs take their part of it.
        ignore_value: A mask value that means "no label", or None.
        cache_options: ``cache_dir``, ``workers`` and ``progress`` of the caches.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        preprocessing: PreprocessingSpec,
        ignore_value: int | None,
        cache_options: Mapping[str, Any],
    ) -> None:
        self._sources = sources
        self._base = preprocessing
        self._ignore_value = ignore_value
        self._cache_options = cache_options
        self._caches: list[SliceCache] = []

    @property
    def is_open(self) -> bool:
        """Whether the caches are open."""
        return bool(self._caches)

    @property
    def preprocessing(self) -> PreprocessingSpec:
        """What brings stored slices to the network: the same grid and channels for all sources."""
        return self._spec(self._sources[0])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the image classes; empty where images carry none."""
        return self._sources[0].classes if len(self._sources) == 1 else ()

    @property
    def mask_values(self) -> list[int]:
        """Values in the masks of the open caches that are labels."""
        ignored = {IGNORE_INDEX, self._ignore_value}
        return [c for cache in self._caches for c in cache.classes if c not in ignored]

    @property
    def manifest_hash(self) -> str:
        """Hash of what the open caches hold."""
        hashes = self.manifest_hashes
        joined = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
        return hashes[0] if len(hashes) == 1 else joined

    @property
    def manifest_hashes(self) -> list[str]:
        """Hash of what each open cache holds."""
        return [cache.manifest_hash for cache in self._caches]

    def build(self) -> list[SliceCache]:
        """Build the caches that are not there, and return all."""
        return [
            SliceCache.open_or_build(
                source.manifest,
                self._spec(source),
                need_masks=self._uses_masks(source),
                allow_empty_masks=True,
                **self._cache_options,
            )
            for source in self._sources
        ]

    def open(self) -> None:
        """Open the caches for `dataset`."""
        self._caches = self.build()

    def dataset(
        self, cases: Sequence[Sequence[int]], transform: SampleTransform | None, seed: int
    ) -> SliceDataset | MixedSlices | None:
        """Return chosen rows of all sources, or None where none is chosen.

        Args:
            cases: Row numbers, one list a source.
            transform: A transform of single samples, or None.
            seed: Seed of the transform.
        """
        parts, first_case = [], 0
        mixed = len(self._sources) > 1
        for source, cache, chosen in zip(self._sources, self._caches, cases, strict=True):
            if len(chosen):
                parts.append(
                    SliceDataset(
                        cache,
                        chosen,
                        self._spec(source),
                        masks=self._uses_masks(source),
                        labels=None if mixed else source.labels,
                        transform=transform,
                        ignore_value=self._ignore_value,
                        first_case=first_case,
                        seed=seed,
                    )
                )
            first_case += len(cache)
        if mixed and parts:
            return MixedSlices(parts)
        return parts[0] if parts else None

    def _spec(self, source: ImageSource) -> PreprocessingSpec:
        return photograph_spec(self._base) if source.is_natural else self._base

    def _uses_masks(self, source: ImageSource) -> bool:
        return len(self._sources) == 1 and source.has_masks
