"""Images for source tasks: CT slices, photographs, with classes, masks, or neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.augmentation.own import AugmentationLike
from muscletransfer.data.datamodules.arguments import check_pretext_data, listed_sources
from muscletransfer.data.datamodules.base import SliceDataModule
from muscletransfer.data.datamodules.pretext_record import assigned, shares
from muscletransfer.data.datamodules.source_slices import SourceSlices
from muscletransfer.data.datamodules.transforms import SampleTransform, name_of
from muscletransfer.data.manifest.slices import SliceChoice
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.sources.opening import open_source
from muscletransfer.data.sources.roles import Roles, assign_roles
from muscletransfer.data.splits import Split
from muscletransfer.errors import DataError

__all__ = ["PretextDataModule"]


class PretextDataModule(SliceDataModule):
    """Images for pre-training, from any of five layouts on disk, or several of them mixed.

    A batch has ``image`` and ``case``; ``label`` where every image has a class; ``mask`` where
    every image has one. Tasks make their own puzzles from it.

    .. versionadded:: 0.1

    Args:
        source: A manifest or a CSV of classes; a folder of images a class (``cat/a.jpg``, also
            under ``train/`` and ``val/``); a folder with ``images/`` and ``masks/`` paired by name
            (also under ``train/``, ``val/``, ``test/``); a folder of images. A list mixes several,
            image only.
        kind: ``manifest``, ``class_csv``, ``class_folder``, ``mask_folders`` or ``image_folder``
            (one for all, or one each); None finds out.
        exclude: A `Split` or its JSON; its test patients are left out, so that nothing is learnt
            from images a model will be tested on, under whatever name a manifest (in its column
            ``aliases``) or the split has for them. Concerns manifests.
        val_fraction: Share of the images of each source that validate, where its layout does not
            say; 0 for none. Whole patients are drawn until another would exceed it, at least one
            in all.
        preprocessing: Network grid, window and normalisation; None for the defaults of
            `PreprocessingSpec`. Photographs take its size, channels, percentiles, mean and std.
        size: Side of the network grid in pixels, in place of the one of ``preprocessing``.
        channels: 1 (grey) or 3, in place of the one of ``preprocessing``.
        slices: ``"listed"``: the slices the manifest names; ``"all"``: every slice of each volume;
            a number: every so many-th.
        exclude_val: Leave out the split's validation patients too.
        label_column: Column of a CSV that holds the class, such as ``coarse``.
        mask_column: Column of a manifest that holds the masks.
        ignore_value: A mask value that means "no label"; it becomes 255.
        where: Only rows of a manifest whose columns hold these texts.
        batch_size: Images a step and process (device).
        steps_per_epoch: Training steps an epoch; None for one pass.
        num_workers: Loader processes; 0 is the fast choice.
        cache_dir: Where preprocessed slices are kept; see `default_cache_dir`.
        augmentation: ``"default"`` (the one for CT, or for photographs), None, or an
            `Augmentation`.
        transform: A transform of single training samples, in place of the default augmentation.
        seed: Seed of the validation split, order and augmentation.
        licence: Licence of the images, for provenance.
        cache_workers: Threads that build the cache, or processes from 512 slices on; 0 for none.
        progress: Show a progress bar while the cache is built.

    Raises:
        DataError, ManifestError, SplitError: From ``setup``: see `open_source` and the files'
            own errors; everything is excluded; nobody is left to validate.
        SettingError: A number that cannot work.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for i, name in enumerate(("cat", "dog")):
        ...     (root / "photos" / name).mkdir(parents=True)
        ...     for k in range(3):
        ...         Image.new("RGB", (60, 40), (80 * i, 50 * k, 9)).save(
        ...             root / "photos" / name / f"{k}.png")
        >>> data = PretextDataModule(
        ...     root / "photos", size=32, channels=3, batch_size=4, cache_dir=root / "cache")
        >>> data.setup("fit")
        >>> data.classes, data.num_classes
        (('cat', 'dog'), 2)
        >>> batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        >>> sorted(batch), batch["image"].shape
        (['case', 'image', 'label'], torch.Size([4, 3, 32, 32]))
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path],
        kind: str | Sequence[str | None] | None = None,
        exclude: Split | str | Path | None = None,
        val_fraction: float = 0.1,
        preprocessing: PreprocessingSpec | None = None,
        size: int | None = None,
        channels: int | None = None,
        slices: SliceChoice = "listed",
        *,
        exclude_val: bool = False,
        label_column: str = "label",
        mask_column: str = "mask",
        ignore_value: int | None = None,
        where: Mapping[str, str] | None = None,
        batch_size: int = 16,
        steps_per_epoch: int | None = None,
        num_workers: int = 0,
        cache_dir: str | Path | None = None,
        augmentation: AugmentationLike = "default",
        transform: SampleTransform | None = None,
        seed: int = 0,
        licence: str | None = None,
        cache_workers: int = 0,
        progress: bool = False,
    ) -> None:
        super().__init__(
            _with(preprocessing or PreprocessingSpec(), size, channels),
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            num_workers=num_workers,
            seed=seed,
            augmentation=augmentation,
            transform=transform,
        )
        check_pretext_data(val_fraction, ignore_value)
        self.paths, self.kinds = listed_sources(source, kind)
        self.exclude = exclude
        self.exclude_val = exclude_val
        self.val_fraction = val_fraction
        self.ignore_value = ignore_value
        self.licence = licence
        self.sources: list[ImageSource] = []
        self._reading: dict[str, Any] = {
            "label_column": label_column,
            "mask_column": mask_column,
            "where": where,
            "slices": slices,
        }
        self._cache_options: dict[str, Any] = {
            "cache_dir": cache_dir,
            "workers": cache_workers,
            "progress": progress,
        }
        self._default_augmentation = augmentation == "default" and transform is None
        self._slices: SourceSlices | None = None
        self._roles: Roles | None = None

    def prepare_data(self) -> None:
        """Read the sources and build the caches, on one process of each machine."""
        _, slices = self._read()
        slices.build()

    def setup(self, stage: str) -> None:
        """Assign training and validation (the same on every process) and open the caches.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``; all sets are made at once.
        """
        if self.train_set is not None:
            return
        roles, slices = self._read()
        slices.open()
        self.train_set = slices.dataset(roles.train, self.transform, self.seed)
        self.val_set = slices.dataset(roles.val, None, self.seed)
        self.test_set = slices.dataset(roles.test, None, self.seed)
        self.predict_set = self.test_set or self.val_set
        rank_zero_info(shares(roles, excluding=self.exclude is not None))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the image classes in index order; empty where images carry no class."""
        return self._read()[1].classes

    @property
    def num_classes(self) -> int:
        """Number of image classes.

        Raises:
            DataError: The images carry no class.
        """
        if not self.classes:
            raise DataError(
                f"{', '.join(map(str, self.paths))}: the images carry no class; wanted a folder a "
                "class, a CSV of classes, or a manifest whose rows all have a label. For the "
                "classes of masks see num_mask_classes."
            )
        return len(self.classes)

    @property
    def num_mask_classes(self) -> int:
        """Number of mask classes, the largest value + 1, ignored pixels apart.

        Raises:
            DataError: The images carry no mask.
        """
        values = self._opened()[1].mask_values
        if not values:
            raise DataError(
                f"{', '.join(map(str, self.paths))}: the images carry no mask; wanted one source "
                "with images/ and masks/, or a manifest whose rows all have a mask."
            )
        return max(values) + 1

    def describe(self) -> dict[str, Any]:
        """Return what provenance records of the data: counts and hashes, never a patient id."""
        roles, slices = self._opened()
        hashes = slices.manifest_hashes
        return {
            "manifest_hash": slices.manifest_hash,
            # the joined one does not tell which manifests were among several
            **({"manifest_hashes": ", ".join(hashes)} if len(hashes) > 1 else {}),
            **assigned(roles, self.sources, self.classes),
            "seed": self.seed,
            "preprocessing": self.preprocessing.to_dict(),
            "augmentation": self.augmentation.to_dict() if self.augmentation else None,
            "transform": name_of(self.transform) if self.transform else None,
            "licence": self.licence,
        }

    def _read(self) -> tuple[Roles, SourceSlices]:
        if self._roles is None or self._slices is None:
            # a study has opened them before, to see whether they are what was planned
            self.sources = self.sources or [
                open_source(path, kind, **self._reading)
                for path, kind in zip(self.paths, self.kinds, strict=True)
            ]
            self._roles = assign_roles(
                self.sources,
                val_fraction=self.val_fraction,
                seed=self.seed,
                exclude=self.exclude,
                exclude_val=self.exclude_val,
            )
            self._slices = SourceSlices(
                self.sources, self.preprocessing, self.ignore_value, self._cache_options
            )
            self.preprocessing = self._slices.preprocessing
            if self._default_augmentation and any(s.is_natural for s in self.sources):
                self.augmentation = Augmentation.natural()
        return self._roles, self._slices

    def _opened(self) -> tuple[Roles, SourceSlices]:
        roles, slices = self._read()
        if not slices.is_open:
            self.setup("fit")
        return roles, slices


def _with(spec: PreprocessingSpec, size: int | None, channels: int | None) -> PreprocessingSpec:
    changed: dict[str, Any] = {"size": size, "channels": channels}
    changed = {k: v for k, v in changed.items() if v is not None}
    # the base class refuses what is no spec
    return replace(spec, **changed) if isinstance(spec, PreprocessingSpec) else spec
