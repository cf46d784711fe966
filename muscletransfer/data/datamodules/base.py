"""What both data modules share: loaders, devices, and the way from a stored batch to a task's."""

from __future__ import annotations

from typing import Any, TypeAlias

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader

from muscletransfer.data.augmentation.choosing import augmentation_of
from muscletransfer.data.augmentation.own import AugmentationLike
from muscletransfer.data.datamodules.collate import as_is
from muscletransfer.data.datamodules.datasets import MixedSlices, SliceDataset
from muscletransfer.data.datamodules.on_device import finish_batch
from muscletransfer.data.datamodules.samplers import EvaluationSampler, ResumableLoader, StepSampler
from muscletransfer.data.datamodules.transforms import SampleTransform
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.errors import DataError, SettingError

__all__ = ["SliceDataModule"]

_Slices: TypeAlias = SliceDataset | MixedSlices


class SliceDataModule(pl.LightningDataModule):
    """Base of the data modules; not used by itself.

    A subclass fills ``train_set`` and, where it has them, ``val_set``, ``test_set`` and
    ``predict_set`` in ``setup``. Loaders hand out stored integers; ``on_after_batch_transfer``
    turns them into what tasks get, on the device, a batch at a time.

    Args:
        preprocessing: The network grid, window and normalisation.
        batch_size: Images a step and process (device).
        steps_per_epoch: Training steps an epoch; None for one pass over the images.
        num_workers: Loader processes. 0 is the fast choice: a batch is one copy from memory.
            Raise it only for a slow ``transform``.
        seed: Seed of splits, order and augmentation.
        augmentation: ``"default"``, ``"natural"``, None (or ``"none"``), an `Augmentation`, or a
            function ``(image, mask, generator) -> (image, mask)``, see
            :class:`~muscletransfer.data.augmentation.own.OwnAugmentation`, itself or by the path of
            its module.
        transform: A transform of single training samples; see
            :func:`~muscletransfer.data.datamodules.transforms.run_transform`. It takes the place
            of the
            default augmentation; pass an `Augmentation` as well to have both, transform first.

    Raises:
        SettingError: A number that cannot work.
        UnknownNameError: An unknown name of an augmentation.
    """

    def __init__(
        self,
        preprocessing: PreprocessingSpec,
        *,
        batch_size: int,
        steps_per_epoch: int | None,
        num_workers: int,
        seed: int,
        augmentation: AugmentationLike,
        transform: SampleTransform | None,
    ) -> None:
        super().__init__()
        if not isinstance(preprocessing, PreprocessingSpec):
            raise SettingError(
                f"preprocessing is a {type(preprocessing).__name__}; wanted a PreprocessingSpec: "
                "PreprocessingSpec(size=..., hu_window=...), or PreprocessingSpec.from_dict(...)."
            )
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("steps_per_epoch", steps_per_epoch, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ):
            if value is not None and value < least:
                raise SettingError(f"{name} is {value}; wanted {least} or more.")
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.num_workers = num_workers
        self.seed = seed
        self.transform = transform
        replaced = transform is not None and augmentation == "default"
        self.augmentation = None if replaced else augmentation_of(augmentation)
        self.train_set: _Slices | None = None
        self.val_set: _Slices | None = None
        self.test_set: _Slices | None = None
        self.predict_set: _Slices | None = None
        self._asked = ""  # name of the set whose images were asked for last

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training loader: equal steps an epoch, resumable, shared out over ranks."""
        dataset = self._ready("train_set")
        assert dataset is not None
        world, rank = self._processes()
        sampler = StepSampler(
            len(dataset),
            self.batch_size,
            self.steps_per_epoch,
            self.seed,
            world,
            rank,
            numbered=self.transform is not None,
        )
        loader = ResumableLoader(dataset, sampler=sampler, **self._loader_options())
        loader.counts_epochs = self.trainer is None
        return loader

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the validation loader; an empty list in a fit without validation images."""
        dataset = self._ready("val_set")
        fitting = self.trainer is None or self.trainer.state.fn == TrainerFn.FITTING
        return [] if dataset is None and fitting else self._evaluation_loader(dataset, "validate")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test loader.

        Raises:
            DataError: There is nothing to test on.
        """
        return self._evaluation_loader(self._ready("test_set"), "test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the cases to predict; each case goes to one process only.

        Raises:
            DataError: There is nothing to predict.
        """
        dataset = self._ready("predict_set")
        if dataset is not None and len(dataset) >= self._processes()[0]:
            # a plain loader: Lightning shares it out without repeats for prediction
            return DataLoader(dataset, **self._loader_options())
        return self._evaluation_loader(dataset, "predict")

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Window, augment (training batches only) and normalise a batch on its device."""
        _, rank = self._processes()
        done = finish_batch(batch, self.preprocessing, self.augmentation, self.seed, rank)
        if self.trainer is not None:  # the precision may want another float type
            done["image"] = self.trainer.precision_plugin.convert_input(done["image"])
        return done

    def _evaluation_loader(self, dataset: _Slices | None, purpose: str) -> DataLoader[Any]:
        if dataset is None:
            raise DataError(
                f"{type(self).__name__} has no images to {purpose}: its split leaves none for it. "
                "Change the split, or do not ask for it."
            )
        sampler = EvaluationSampler(len(dataset), *self._processes())
        return DataLoader(dataset, sampler=sampler, **self._loader_options())

    def _ready(self, name: str) -> _Slices | None:
        if self.train_set is None:
            self.prepare_data()
            self.setup("fit")
        self._asked = name
        dataset: _Slices | None = getattr(self, name)
        return dataset

    def _loader_options(self) -> dict[str, Any]:
        strategy = getattr(self.trainer, "strategy", None)
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "collate_fn": as_is,
            "pin_memory": strategy is not None and strategy.root_device.type == "cuda",
        }

    def _processes(self) -> tuple[int, int]:
        """Return how many processes share the data, and which this is."""
        shares = None if self.trainer is None else self.trainer.distributed_sampler_kwargs
        return (1, 0) if not shares else (shares["num_replicas"], shares["rank"])
