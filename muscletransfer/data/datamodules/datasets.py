"""Data sets over a cache: whole batches by fancy indexing, no work a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from muscletransfer.data.augmentation.batch import IGNORE_INDEX
from muscletransfer.data.cache import SliceCache
from muscletransfer.data.datamodules.collate import CaseList, join_samples
from muscletransfer.data.datamodules.on_device import to_unit
from muscletransfer.data.datamodules.samplers import step_seed
from muscletransfer.data.datamodules.transforms import SampleTransform, run_transform
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.errors import DataError

__all__ = ["MixedSlices", "SliceDataset"]


class SliceDataset(Dataset[dict[str, Any]]):
    """Slices of one cache, given out as batches.

    ``dataset.__getitems__([3, 0, 7])`` is what a loader calls: one copy out of the memory map for
    the whole batch. ``dataset[3]`` gives a batch of one, for looking at.

    Args:
        cache: The cached slices.
        cases: Rows of the manifest that belong to this data set, in order.
        preprocessing: Their preprocessing; only a ``transform`` needs it here.
        masks: Whether to give masks.
        labels: Class index of each row of the manifest, or None.
        native: Give what scoring needs: raw values, mask and geometry on the native grid.
        transform: A user's transform, run on each sample; see
            :func:`~muscletransfer.data.datamodules.transforms.run_transform`.
        ignore_value: A mask value to be read as 255 (ignored).
        first_case: Added to the case numbers, where several caches are mixed.
        seed: Seed of the transform.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from muscletransfer.data import Manifest, SliceCache
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("L", (40, 30), 200).save(root / "a.png")
        >>> _ = (root / "m.csv").write_text("patient_id,image" + chr(10) + "P1,a.png")
        >>> spec = PreprocessingSpec(size=16, hu_window=None)
        >>> manifest = Manifest.read(root / "m.csv")
        >>> cache = SliceCache.open_or_build(manifest, spec, root, need_masks=False)
        >>> batch = SliceDataset(cache, [0], spec, masks=False).__getitems__([0, 0, 0])
        >>> batch["image"].shape, batch["case"].tolist()
        (torch.Size([3, 16, 16]), [0, 0, 0])
    """

    def __init__(
        self,
        cache: SliceCache,
        cases: Sequence[int],
        preprocessing: PreprocessingSpec,
        *,
        masks: bool = True,
        labels: Sequence[int] | None = None,
        native: bool = False,
        transform: SampleTransform | None = None,
        ignore_value: int | None = None,
        first_case: int = 0,
        seed: int = 0,
    ) -> None:
        self.cache = cache
        self.cases = np.asarray(cases, dtype=np.int64)
        self.preprocessing = preprocessing
        self.has_masks = masks
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self.native = native
        self.transform = transform
        self.ignore_value = ignore_value
        self.first_case = first_case
        self.seed = seed

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one case as a batch of one."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"case {index} of {len(self)}")
        return self.__getitems__([index % len(self)])

    def __getitems__(self, draws: Sequence[int]) -> dict[str, Any]:
        """Return the batch of these items.

        Args:
            draws: Item numbers; or numbered draws, ``position * len(self) + item``, as a
                :class:`~muscletransfer.data.datamodules.samplers.StepSampler` gives them for a
                transform.
        """
        cases = self.cases[np.asarray(draws) % len(self)]
        batch: dict[str, Any] = {
            "image": torch.from_numpy(_take(self.cache.images, cases)),
            "case": torch.from_numpy(cases + self.first_case),
        }
        if self.has_masks:
            batch["mask"] = self._remap(torch.from_numpy(_take(self.cache.masks, cases)))
        if self.labels is not None:
            batch["label"] = torch.from_numpy(self.labels[cases])
        if self.transform is not None:
            batch |= self._transformed(batch, [int(d) for d in draws])
        if self.native:
            batch |= self._on_native_grid(cases.tolist())
        return batch

    def _remap(self, mask: Tensor) -> Tensor:
        if self.ignore_value is not None:
            mask[mask == self.ignore_value] = IGNORE_INDEX
        return mask

    def _transformed(self, batch: Mapping[str, Any], draws: Sequence[int]) -> dict[str, Tensor]:
        assert self.transform is not None
        images = to_unit(batch["image"], self.preprocessing)
        samples = []
        for i, draw in enumerate(draws):
            sample = {"image": images[i]}
            if self.has_masks:
                sample["mask"] = batch["mask"][i].unsqueeze(0)
            samples.append(run_transform(self.transform, sample, step_seed(self.seed, draw)))
        joined = join_samples(samples)
        if "mask" in joined:
            joined["mask"] = joined["mask"].squeeze(1)
        return joined

    def _on_native_grid(self, cases: Sequence[int]) -> dict[str, Any]:
        values: dict[str, Any] = {
            "native_hu": [_copy(self.cache.native_image(c)) for c in cases],
            "geometry": CaseList([self.cache.geometry(c) for c in cases]),
        }
        if self.has_masks:
            masks = [_copy(self.cache.native_mask(c)) for c in cases]
            values["native_mask"] = [self._remap(m) for m in masks]
        return values


class MixedSlices(Dataset[dict[str, Any]]):
    """Several data sets as one, image and case only: for tasks that make their own targets.

    Images are brought to [0, 1] here, since a CT cache and a cache of photographs store different
    scales, and to one number of channels.

    Args:
        parts: The data sets; their network grids must agree.

    Raises:
        DataError: The parts have different sizes or channels.
    """

    def __init__(self, parts: Sequence[SliceDataset]) -> None:
        self.parts = list(parts)
        shapes = {(*p.preprocessing.shape, p.preprocessing.channels) for p in parts}
        if len(shapes) > 1:
            raise DataError(
                f"mixed sources have network grids (rows, columns, channels) {sorted(shapes)}; "
                "wanted one for all: set size and channels alike"
            )
        self.starts = np.cumsum([0, *(len(p) for p in parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one case as a batch of one."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"case {index} of {len(self)}")
        return self.__getitems__([index % len(self)])

    def __getitems__(self, draws: Sequence[int]) -> dict[str, Any]:
        """Return the batch of these items; see :meth:`SliceDataset.__getitems__`."""
        position, item = np.divmod(np.asarray(draws), len(self))
        owner = np.searchsorted(self.starts, item, side="right") - 1
        spec = self.parts[0].preprocessing
        case = torch.empty(len(item), dtype=torch.int64)
        found = []
        for number in np.unique(owner).tolist():
            part, mine = self.parts[number], np.flatnonzero(owner == number)
            local = item[mine] - self.starts[number] + position[mine] * len(part)
            batch = part.__getitems__(local.tolist())
            place = torch.from_numpy(mine)
            grey = to_unit(batch["image"], part.preprocessing)
            found.append((place, grey.expand(-1, spec.channels, -1, -1)))
            case[place] = batch["case"]
        shapes = {tuple(one.shape[1:]) for _, one in found}
        if len(shapes) > 1:
            raise DataError(
                f"the transform returned images of shapes {sorted(shapes)} for several sources; "
                "wanted one shape for all (crop or resize at the end of the transform)"
            )
        image = torch.empty(len(item), *shapes.pop())
        for place, one in found:
            image[place] = one
        return {"image": image, "case": case}


def _take(array: Any, rows: Any) -> Any:
    # the base class: fancy indexing of np.memmap itself is slower and returns a memmap
    return np.asarray(array)[rows]


def _copy(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))  # int16, int32 or float32; masks uint8
