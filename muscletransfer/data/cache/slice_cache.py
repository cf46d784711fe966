"""Preprocessed slices on disk: read, checked and resampled once, then memory-mapped.

A cache is a folder named by a hash of what the files hold and of the preprocessing, so a changed
mask or size makes another cache and a renamed file does not. It is built under a temporary name
and renamed when whole. Of many processes one builds and the others wait; where they cannot (some
network file systems), the first to finish wins. A killed one locks nobody out. Opening checks that
the cache is whole. No patient id, path or file name is stored.

Folder: ``cache_dir``, else the environment variable ``MUSCLETRANSFER_CACHE``, else
``$XDG_CACHE_HOME/muscletransfer``, else ``~/.cache/muscletransfer``. It may be deleted any time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from muscletransfer.data.cache.build import build, cache_key, warn_about_twins
from muscletransfer.data.cache.checksum import checksum
from muscletransfer.data.cache.lock import lock_of, one_at_a_time, sweep_locks
from muscletransfer.data.cache.store import FORMAT, problem_of, read_index
from muscletransfer.data.cache.work import COLUMNS
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.table import hash_of_rows
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array, SliceGeometry
from muscletransfer.errors import DataError, SettingError
from muscletransfer.folders import default_cache_dir

Arrays = TypeVar("Arrays", Array, list[Array])

__all__ = ["SliceCache", "default_cache_dir"]


class SliceCache:
    """Slices of a manifest on the network grid and on their own, by row number.

    Made by `open_or_build`; a folder that it made can be opened by itself. Arrays are read-only
    views of files; pickling sends only the folder's name, so data-loader workers share the pages.

    .. versionadded:: 0.1

    Args:
        directory: A folder that `open_or_build` made.

    Raises:
        DataError: The folder holds no whole cache.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from muscletransfer.data import Manifest, PreprocessingSpec
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("L", (40, 30), 200).save(root / "a.png")
        >>> _ = (root / "m.csv").write_text("patient_id,image" + chr(10) + "P1,a.png")
        >>> spec = PreprocessingSpec(size=16, hu_window=None)
        >>> cache = SliceCache.open_or_build(
        ...     Manifest.read(root / "m.csv"), spec, root / "cache", need_masks=False
        ... )
        >>> len(cache), cache.image(0).shape, cache.native_image(0).shape
        (1, (16, 16), (30, 40))
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        problem = problem_of(self.directory)
        if problem:
            raise DataError(
                f"{self.directory}: {problem}; wanted a whole cache of format {FORMAT}. Build it "
                "with SliceCache.open_or_build, which replaces a damaged one."
            )
        self._index = read_index(self.directory)
        self._manifest_hash: str = self._index["manifest_hash"]
        self._cases = np.load(self.directory / "cases.npy", mmap_mode="r")
        self._geometries = [SliceGeometry.from_dict(g) for g in self._index["geometries"]]
        self.has_masks: bool = self._index["has_masks"]
        #: ``(N, h, w)`` or ``(N, h, w, 3)`` int16, all network-grid slices.
        self.images: Array = np.load(self.directory / "images.npy", mmap_mode="r")
        self._masks: Array | None = None
        self._native = self._parts(".bin")
        self._native_masks: list[Array] | None = None
        if self.has_masks:
            self._masks = np.load(self.directory / "masks.npy", mmap_mode="r")
            self._native_masks = self._parts("-masks.bin")

    def __reduce__(self) -> tuple[Callable[..., SliceCache], tuple[Path], dict[str, str]]:
        return type(self), (self.directory,), {"_manifest_hash": self._manifest_hash}

    @classmethod
    def open_or_build(
        cls,
        manifest: Manifest,
        preprocessing: PreprocessingSpec,
        cache_dir: str | Path | None = None,
        *,
        need_masks: bool = True,
        allow_empty_masks: bool = False,
        pad_label: int = 0,
        workers: int = 0,
        progress: bool = False,
    ) -> SliceCache:
        """Open the cache of these slices, building it first where there is none.

        Args:
            manifest: The cases.
            preprocessing: The network grid. Its window, mean and std do not matter here: they are
                applied later, so changing them rebuilds nothing.
            cache_dir: Where caches live; ``None`` for `default_cache_dir`.
            need_masks: Read masks too; every row must then have one.
            allow_empty_masks: Accept masks without foreground (pretext data, not references).
            pad_label: Class outside the slice on the network grid: 0, or 255 to ignore it there.
            workers: Processes that build, or threads where slices are few; 0 builds in this one.
            progress: Show a progress bar while building.

        Returns:
            The cache; case ``i`` is ``manifest.rows[i]``.

        Raises:
            EmptyMaskError, GeometryError, ImageReadError, ManifestError: When all rows that fail
                do so for that one reason; names up to ten rows.
            DataError: When they fail for several reasons, or the folder cannot be written.
        """
        _check_types(manifest, preprocessing)
        root = default_cache_dir() if cache_dir is None else Path(cache_dir)
        options = (need_masks, allow_empty_masks, pad_label)
        memo_dir, known = root / "digests", dict[Path, str]()
        key = cache_key(manifest, preprocessing, *options, memo_dir, known)
        # Patients and labels change no array, so one cache serves manifests that group its images
        # differently: hash and twins are those of the manifest at hand, not of the one that built.
        manifest_hash = hash_of_rows(manifest.rows, memo_dir, known)
        directory = root / "slices" / key
        if problem_of(directory):
            with one_at_a_time(lock_of(directory)):
                sweep_locks(directory.parent)
                if problem_of(directory):  # no other process has built it while this one waited
                    build(
                        manifest,
                        preprocessing,
                        directory,
                        *options,
                        is_whole=lambda: problem_of(directory) is None,
                        manifest_hash=manifest_hash,
                        workers=workers,
                        progress=progress,
                    )
        cache = cls(directory)
        cache._manifest_hash = manifest_hash
        warn_about_twins(manifest, known)
        return cache

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def __repr__(self) -> str:
        return f"SliceCache({len(self)} slices, {self.images.shape[1:]}, {self.directory})"

    @property
    def manifest_hash(self) -> str:
        """`Manifest.content_hash` of what `open_or_build` got; opened by folder, of the first."""
        return self._manifest_hash

    @property
    def classes(self) -> tuple[int, ...]:
        """Mask values that occur on the native grid, ascending; empty without masks."""
        return tuple(self._index["classes"])

    @property
    def masks(self) -> Array:
        """``(N, h, w)`` uint8, all network-grid masks.

        Raises:
            DataError: Built without masks.
        """
        return self._need(self._masks)

    def image(self, index: int) -> Array:
        """Return int16 ``(h, w)`` or ``(h, w, 3)`` on the network grid."""
        return self.images[index]  # type: ignore[no-any-return]

    def mask(self, index: int) -> Array:
        """Return uint8 ``(h, w)`` class indices on the network grid."""
        return self.masks[index]  # type: ignore[no-any-return]

    def native_image(self, index: int) -> Array:
        """Return ``(H, W)`` HU or grey values as in the file, int16 where they fit."""
        kind = self._index["kinds"][self._number(index, "kind")]
        shape = self.geometry(index).native_shape
        part = self._native[self._number(index, "part")]
        return _view(part, self._number(index, "offset"), kind, shape)

    def native_mask(self, index: int) -> Array:
        """Return uint8 ``(H, W)`` class indices as in the file."""
        part = self._need(self._native_masks)[self._number(index, "part")]
        shape = self.geometry(index).native_shape
        return _view(part, self._number(index, "mask_offset"), "uint8", shape)

    def geometry(self, index: int) -> SliceGeometry:
        """Return the way between the two grids."""
        return self._geometries[self._number(index, "geometry")]

    def verify(self) -> None:
        """Read everything and compare it with the checksums of the build.

        Opening checks sizes and samples; this finds a single changed bit, in seconds a gigabyte.

        Raises:
            DataError: A slice is not what was written; names it and the way out.
        """
        for index in range(len(self)):
            arrays = {"image_sum": self.image(index), "native_sum": self.native_image(index)}
            if self.has_masks:
                arrays |= {"mask_sum": self.mask(index), "native_mask_sum": self.native_mask(index)}
            for name, array in arrays.items():
                if checksum(array) != self._number(index, name):
                    raise DataError(
                        f"{self.directory}: the {name.removesuffix('_sum').replace('_', ' ')} "
                        f"values of case {index} are not what was written; wanted a sound cache. "
                        "Remove the folder, and the next start builds it again; check the disk."
                    )

    def _number(self, index: int, column: str) -> int:
        return int(self._cases[index, COLUMNS.index(column)])

    def _parts(self, ending: str) -> list[Array]:
        names = (f"part{k}{ending}" for k in range(self._index["parts"]))
        return [np.memmap(self.directory / name, np.uint8, "r") for name in names]

    def _need(self, array: Arrays | None) -> Arrays:
        if array is None:
            raise DataError(
                f"{self.directory}: was built without masks; build it with need_masks=True."
            )
        return array


def _check_types(manifest: object, preprocessing: object) -> None:
    if not isinstance(manifest, Manifest):
        raise SettingError(
            f"manifest is a {type(manifest).__name__}; wanted a Manifest, such as "
            "Manifest.read(path)."
        )
    if not isinstance(preprocessing, PreprocessingSpec):
        raise SettingError(
            f"preprocessing is a {type(preprocessing).__name__}; wanted a PreprocessingSpec, such "
            "as PreprocessingSpec.from_dict(...)."
        )


def _view(flat: Array, offset: int, dtype: str, shape: tuple[int, int]) -> Array:
    kind = np.dtype(dtype)
    end = offset + shape[0] * shape[1] * kind.itemsize
    return np.asarray(flat[offset:end]).view(kind).reshape(shape)
