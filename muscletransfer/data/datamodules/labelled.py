"""Labelled cases as a data module holds them: their rows, their cache, and a case asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.trainer.states import RunningStage

from muscletransfer.data.cache import SliceCache
from muscletransfer.data.datamodules.base import SliceDataModule
from muscletransfer.data.datamodules.datasets import MixedSlices, SliceDataset
from muscletransfer.data.datamodules.on_device import finish_batch
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.case_files import case_names, reference_volume
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Volume
from muscletransfer.errors import ManifestError, SettingError

__all__ = ["LabelledDataModule", "unasked"]


class LabelledDataModule(SliceDataModule):
    """Base of `LowDataModule`; not used by itself.

    A subclass says with ``_cases`` whose images train, validate and test, and opens the cache with
    ``_open_cache``.

    Args:
        manifest: The labelled rows.
        preprocessing: As for `SliceDataModule`.
        predict_manifest: Rows to predict in place of the test set, or None.
        where: Only rows whose columns hold these texts.
        mask_column: Column of the masks.
        cache_options: ``cache_dir``, ``workers`` and ``progress`` of the cache.
        loading: The other arguments of `SliceDataModule`.
    """

    def __init__(
        self,
        manifest: str | Path | Manifest,
        preprocessing: PreprocessingSpec,
        *,
        predict_manifest: str | Path | Manifest | None,
        where: Mapping[str, str] | None,
        mask_column: str,
        cache_options: Mapping[str, Any],
        **loading: Any,
    ) -> None:
        super().__init__(preprocessing, **loading)
        if isinstance(manifest, Manifest) and mask_column != "mask":
            raise SettingError(
                f"mask_column is {mask_column!r}, but manifest is a Manifest, which has been read "
                f"already. Leave mask_column out and read it with Manifest.read(path, "
                f"mask_column={mask_column!r}), or pass its path."
            )
        self._given_manifest = manifest
        self._given_predict = predict_manifest
        self._where = dict(where or {})
        self._mask_column = mask_column
        self._cache_options = cache_options
        self._manifest: Manifest | None = None
        self._predicted: Manifest | None = None
        self._cache: SliceCache | None = None
        self._names: tuple[Manifest, list[str]] | None = None

    @property
    def manifest(self) -> Manifest:
        """The rows in use, read when first asked for."""
        if self._manifest is None:
            manifest = self._given_manifest
            if not isinstance(manifest, Manifest):
                manifest = Manifest.read(manifest, need_masks=True, mask_column=self._mask_column)
            if self._where:
                path, manifest = manifest.path, manifest.where(**self._where)
                if not len(manifest):
                    raise ManifestError(
                        f"{path}: no row has {self._where}; wanted at least one. Check the values "
                        "of where."
                    )
            self._manifest = manifest
        return self._manifest

    def plain_batches(self, role: Literal["train", "val"], limit: int) -> Iterator[dict[str, Any]]:
        """Give training or validation images as they are: each once, not augmented, on the CPU.

        Afterwards `case_row` speaks of these.

        Args:
            role: Whose images.
            limit: At most how many; with more, evenly spaced ones are taken.

        Yields:
            Batches as validation gets them: ``image`` float32 (B, C, h, w), ``mask``, ``case``,
            and lists of ``native_hu``, ``native_mask`` and ``geometry``.
        """
        cases = self._cases(role)
        step = max(1.0, len(cases) / limit)
        chosen = [cases[int(k * step)] for k in range(min(limit, len(cases)))]
        dataset = self._dataset(chosen)
        for start in range(0, len(chosen), self.batch_size):
            items = range(start, min(start + self.batch_size, len(chosen)))
            self._asked = f"{role}_set"
            yield finish_batch(dataset.__getitems__(items), self.preprocessing, None, self.seed)

    def case_row(self, case: int, *, predicted: bool | None = None) -> ManifestRow:
        """Return the row of a case.

        Args:
            case: Its number in a batch or a prediction.
            predicted: Whether it is one of ``predict_manifest``. None for the images of the loop
                that runs, or else of the loader or the plain batches that were asked for last:
                after ``trainer.predict`` those that were predicted.
        """
        return self._manifest_of(predicted).rows[case]

    def case_name(self, case: int, *, predicted: bool | None = None) -> str:
        """Return a file name, without ending, for the outputs of a case; see `case_row`."""
        manifest = self._manifest_of(predicted)
        if self._names is None or self._names[0] is not manifest:
            self._names = (manifest, case_names(manifest))  # each name looks at all others
        return self._names[1][case]

    def reference_image(self, case: int, *, predicted: bool | None = None) -> Volume | None:
        """Read a case's image again, for `write_mask`; None for a plain image (no geometry).

        See `case_row`.
        """
        # an override of case_row need not know of predicted
        row = self.case_row(case) if predicted is None else self.case_row(case, predicted=predicted)
        return reference_volume(row, self.preprocessing.hu_window is not None)

    def _cases(self, role: str) -> list[int]:
        raise NotImplementedError

    def _manifest_of(self, predicted: bool | None) -> Manifest:
        if predicted is None:
            stage = None if self.trainer is None else self.trainer.state.stage
            predicted = (
                self._asked == "predict_set" if stage is None else stage == RunningStage.PREDICTING
            )
        if predicted and self._given_predict is not None:
            return self._read_predict_manifest()
        return self.manifest

    def _open_cache(self) -> SliceCache:
        cache = SliceCache.open_or_build(
            self.manifest, self.preprocessing, need_masks=True, **self._cache_options
        )
        if self._given_predict is not None:
            self._open_predict_cache()
        return cache

    def _read_predict_manifest(self) -> Manifest:
        if self._predicted is None:
            given = self._given_predict
            assert given is not None
            self._predicted = given if isinstance(given, Manifest) else Manifest.read(given)
        return self._predicted

    def _open_predict_cache(self) -> SliceCache:
        manifest = self._read_predict_manifest()
        return SliceCache.open_or_build(
            manifest, self.preprocessing, need_masks=False, **self._cache_options
        )

    def _predict_dataset(self) -> SliceDataset | MixedSlices | None:
        """Return the images of ``predict_manifest``, or else the test set."""
        if self._given_predict is None:
            return self.test_set
        cache = self._open_predict_cache()
        return SliceDataset(cache, range(len(cache)), self.preprocessing, masks=False, native=True)

    def _dataset(self, cases: Sequence[int], training: bool = False) -> SliceDataset:
        assert self._cache is not None
        return SliceDataset(
            self._cache,
            cases,
            self.preprocessing,
            native=not training,
            transform=self.transform if training else None,
            seed=self.seed,
        )


@contextmanager
def unasked(source: object) -> Iterator[None]:
    """Leave a module speaking of whom it speaks now, whatever images it is asked for meanwhile.

    Args:
        source: A data module; nothing is done to other kinds.
    """
    if not isinstance(source, LabelledDataModule):
        yield
        return
    asked = source._asked
    try:
        yield
    finally:
        source._asked = asked
