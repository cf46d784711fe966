"""Few labelled patients: nested training subsets, fixed validation and test patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_info

from muscletransfer.data.augmentation.batch import IGNORE_INDEX
from muscletransfer.data.augmentation.own import AugmentationLike
from muscletransfer.data.cache import SliceCache
from muscletransfer.data.datamodules.arguments import check_low_data
from muscletransfer.data.datamodules.labelled import LabelledDataModule
from muscletransfer.data.datamodules.low_record import drawn, licence_of, spent
from muscletransfer.data.datamodules.low_split import (
    cases_of,
    check_classes,
    draw_split,
    open_split,
)
from muscletransfer.data.datamodules.transforms import SampleTransform, name_of
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.splits import Split

__all__ = ["LowDataModule"]


class LowDataModule(LabelledDataModule):
    """Labelled slices for fine-tuning with few patients, in k-fold cross-validation.

    Patients are dealt into folds; one fold tests. Of the others, a few validate (they choose the
    checkpoint, so their labels count in the budget) and ``train_patients`` train. The 5 are among
    the 10, the 10 among the 25; validation and test are the same for all of them.

    .. versionadded:: 0.1

    Args:
        manifest: The CSV, or a `Manifest`; every row needs a mask.
        train_patients: How many patients train, or ``"all"`` that are left.
        fold: Which fold tests, from 0. None for no test: a final model may learn from everyone
            (``train_patients="all"``), and from one patient if there is no other. Nothing then
            says how good it is, and provenance says that nobody was held out.
        num_folds: How many folds.
        seed: Seed of folds, subsets, order and augmentation.
        repeat: Another number, another draw of the training patients.
        val_patients: How many validate. None for a quarter of the training folds, 5 at most, and
            for nobody with ``fold=None``; 0 for no validation: the last weights are kept.
        split: A `Split`, or the JSON that :meth:`save_split` wrote; then the arguments above (but
            ``seed``) are not used.
        preprocessing: Network grid, window and normalisation; None for the defaults of
            `PreprocessingSpec` (CT, 256 x 256).
        batch_size: Images a step and process (device).
        steps_per_epoch: Training steps an epoch, whatever the subset; None for one pass.
        num_workers: Loader processes; 0 is the fast choice.
        cache_dir: Where preprocessed slices are kept; see `default_cache_dir`.
        augmentation: ``"default"``, None, or an `Augmentation`.
        transform: A transform of single training samples (MONAI dictionary transforms fit), in
            place of the default augmentation.
        num_classes: Classes of the task, 1 for one structure; masks with other values are then
            an error before training starts. None takes what the masks hold.
        slices_per_patient: At most this many training slices a patient, evenly spaced; None for
            all. Validation and test keep all of theirs.
        where: Only rows whose columns hold these texts, such as ``{"role": "primary"}``.
        mask_column: Column of the masks, where there are several kinds; for a `Manifest` it is
            given where that is read.
        fold_column: Column that gives each patient's fold, in place of dealing them.
        predict_manifest: Images without masks for ``Trainer.predict``; None predicts the test set.
        licence: Licence of the images, for provenance; None takes what the sidecar of the manifest
            says (``manifest.json``, as ``muscletransfer data prepare`` writes it).
        cache_workers: Threads that build the cache, or processes from 512 slices on; 0 for none.
        progress: Show a progress bar while the cache is built.

    Attributes:
        split: Who does what, after ``setup``.
        manifest: The rows in use; case ``i`` is ``manifest.rows[i]``.

    Raises:
        ManifestError: The CSV is wrong, a mask is missing, or a patient stands under two ids (from
            ``setup``, as all below).
        SplitError: Fewer patients than folds, or a subset larger than what is left.
        EmptyMaskError, GeometryError, ImageReadError: Files that cannot be used, by row.
        DataError: Mask values beyond ``num_classes``.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> lines = ["patient_id,image,mask"]
        >>> for i in range(8):
        ...     Image.new("L", (40, 40), 20 * i).save(root / f"{i}.png")
        ...     Image.new("L", (40, 40), 1).save(root / f"{i}_mask.png")
        ...     lines.append(f"P{i},{i}.png,{i}_mask.png")
        >>> _ = (root / "manifest.csv").write_text(chr(10).join(lines))
        >>> data = LowDataModule(
        ...     root / "manifest.csv", train_patients=3, batch_size=2, cache_dir=root / "cache",
        ...     preprocessing=PreprocessingSpec(size=32, hu_window=None),
        ... )
        >>> data.setup("fit")
        >>> data.label_budget
        {'patients': 4, 'slices': 4}
        >>> batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        >>> batch["image"].shape, batch["mask"].dtype
        (torch.Size([2, 1, 32, 32]), torch.int64)
    """

    def __init__(
        self,
        manifest: str | Path | Manifest,
        train_patients: int | Literal["all"] = 10,
        fold: int | None = 0,
        num_folds: int = 4,
        seed: int = 0,
        repeat: int = 0,
        val_patients: int | None = None,
        split: Split | str | Path | None = None,
        preprocessing: PreprocessingSpec | None = None,
        batch_size: int = 8,
        steps_per_epoch: int | None = None,
        num_workers: int = 0,
        cache_dir: str | Path | None = None,
        augmentation: AugmentationLike = "default",
        transform: SampleTransform | None = None,
        *,
        num_classes: int | None = None,
        slices_per_patient: int | None = None,
        where: Mapping[str, str] | None = None,
        mask_column: str = "mask",
        fold_column: str | None = None,
        predict_manifest: str | Path | Manifest | None = None,
        licence: str | None = None,
        cache_workers: int = 0,
        progress: bool = False,
    ) -> None:
        super().__init__(
            manifest,
            preprocessing or PreprocessingSpec(),
            predict_manifest=predict_manifest,
            where=where,
            mask_column=mask_column,
            cache_options={
                "cache_dir": cache_dir,
                "workers": cache_workers,
                "progress": progress,
            },
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            num_workers=num_workers,
            seed=seed,
            augmentation=augmentation,
            transform=transform,
        )
        check_low_data(
            train_patients, num_classes=num_classes, slices_per_patient=slices_per_patient
        )
        self.train_patients: int | Literal["all"] = train_patients
        self.fold = fold
        self.num_folds = num_folds
        self.repeat = repeat
        self.val_patients = val_patients
        self.num_classes = num_classes
        self.slices_per_patient = slices_per_patient
        self.licence = licence
        self.split: Split | None = None
        self._given_split = split
        self._fold_column = fold_column

    def prepare_data(self) -> None:
        """Check the manifest and split, and build the cache, on one process of each machine."""
        self._draw_split()
        self._open_cache()

    def setup(self, stage: str) -> None:
        """Draw the split (the same on every process) and open the cache.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``; all sets are made at once.
        """
        if self.train_set is not None:
            return
        self.split = self._draw_split()
        self.train_patients = len(self.split.train)
        self._cache = self._open_cache()
        if self.num_classes is not None:
            check_classes(self.manifest, self._cache, self.num_classes)
        self.train_set = self._dataset(self._cases("train"), training=True)
        self.val_set = self._dataset(self._cases("val")) if self.split.val else None
        self.test_set = self._dataset(self._cases("test")) if self.split.test else None
        self.predict_set = self._predict_dataset()
        rank_zero_info(spent(self.split, self.label_budget))

    @property
    def label_budget(self) -> dict[str, int]:
        """Labels spent on training and on choosing the checkpoint, in patients and in slices."""
        split, _ = self._ready_split()
        slices = len(self._cases("train")) + len(self._cases("val"))
        return {"patients": split.label_budget, "slices": slices}

    @property
    def classes(self) -> tuple[int, ...]:
        """Mask values that occur in the manifest, ascending, without 255."""
        _, cache = self._ready_split()
        return tuple(c for c in cache.classes if c != IGNORE_INDEX)

    def save_split(self, path: str | Path) -> Path:
        """Write who trains, validates and tests as JSON; it names patients, by aliases too.

        Args:
            path: The file; its folder is made.

        Returns:
            The path written.
        """
        return self._ready_split()[0].save(path)

    def describe(self) -> dict[str, Any]:
        """Return what provenance records of the data: counts and hashes, never a patient id."""
        split, cache = self._ready_split()
        return {
            "manifest_hash": cache.manifest_hash,
            **drawn(split, len(self._cases("train")), self.label_budget, self.classes),
            "seed": self.seed,
            "preprocessing": self.preprocessing.to_dict(),
            "augmentation": self.augmentation.to_dict() if self.augmentation else None,
            "transform": name_of(self.transform) if self.transform else None,
            "licence": self.licence or licence_of(self.manifest),
        }

    def _draw_split(self) -> Split:
        if self._given_split is not None:
            return open_split(self._given_split, self.manifest)
        return draw_split(
            self.manifest,
            None if self.train_patients == "all" else self.train_patients,
            fold=self.fold,
            num_folds=self.num_folds,
            seed=self.seed,
            repeat=self.repeat,
            val_patients=self.val_patients,
            fold_column=self._fold_column,
        )

    def _cases(self, role: str) -> list[int]:
        split, _ = self._ready_split()
        limit = self.slices_per_patient if role == "train" else None
        return cases_of(self.manifest, getattr(split, role), limit)

    def _ready_split(self) -> tuple[Split, SliceCache]:
        if self.split is None or self._cache is None:
            self.setup("fit")
        assert self.split is not None
        assert self._cache is not None
        return self.split, self._cache
