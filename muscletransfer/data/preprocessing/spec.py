"""From a native slice to the network's grid and back: one frozen, plain, hashable description.

What is kept on disk is int16, so that a cache of thousands of slices is small and memory-mapped:

- CT (``hu_window`` given): HU, rounded, never below -1024. The window is applied later, on the
  device, so one cache serves every window.
- Plain images (``hu_window=None``): intensities mapped to 0..32767 for each image, between two
  percentiles of that image or over the range of its file type.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from muscletransfer.data.preprocessing.fields import AIR_HU, PreprocessingFields
from muscletransfer.data.preprocessing.intensities import FULL_SCALE, finite_float, scale_plain
from muscletransfer.data.preprocessing.per_channel import per_channel
from muscletransfer.data.preprocessing.resampling import resample, resample_classes
from muscletransfer.data.preprocessing.resampling_weights import weights_back
from muscletransfer.data.types import Array, SliceGeometry
from muscletransfer.errors import DataError, GeometryError

if TYPE_CHECKING:
    import torch

__all__ = ["AIR_HU", "PreprocessingSpec"]


@dataclass(frozen=True)
class PreprocessingSpec(PreprocessingFields):
    """How slices become network input; equal specs give equal arrays.

    .. versionadded:: 0.1

    Args:
        spacing: Pixel size of the network grid in mm. ``None`` scales the whole slice, keeping its
            proportions, until it fits; a number resamples to that spacing, then crops or pads
            around the centre (and needs to know the slice's own spacing).
        size: Side of the network grid in pixels, or ``(rows, columns)``.
        hu_window: ``(low, high)`` HU that become 0 and 1; ``None`` for images that are not CT.
        percentiles: ``(low, high)`` percentiles of each plain image that become 0 and 1; only
            without ``hu_window``. ``None`` takes the range of the file type (0..255, 0..65535).
        channels: 1, or 3 (grey is repeated; colour is kept in plain images).
        mean: Subtracted after the mapping to [0, 1]; one number, or one a channel.
        std: Divides after that; one number, or one a channel.

    Raises:
        SettingError: A field has a value that cannot work; the message says which would.

    Example:
        >>> import numpy as np, torch
        >>> spec = PreprocessingSpec(size=128)
        >>> image, geometry = spec.apply(np.full((512, 400), 40, np.int16), (0.8, 0.8))
        >>> image.shape, image.dtype, geometry.scale
        ((128, 128), dtype('int16'), (0.25, 0.25))
        >>> spec.to_float(torch.from_numpy(image)[None]).shape
        torch.Size([1, 1, 128, 128])
        >>> spec.invert(torch.zeros(2, 128, 128), geometry).shape
        torch.Size([2, 512, 400])
        >>> PreprocessingSpec.from_dict(spec.to_dict()) == spec
        True
    """

    def geometry(
        self,
        shape: tuple[int, int],
        spacing: tuple[float, float] | None = None,
        flip: tuple[bool, bool] = (False, False),
    ) -> SliceGeometry:
        """Return how a slice of this shape lies on the network grid.

        Args:
            shape: Native ``(H, W)``.
            spacing: Native ``(sy, sx)`` in mm. When both are known and differ, fitting keeps the
                patient's proportions, not the array's.
            flip: Axes to reverse; see `Volume.flips`.

        Returns:
            The geometry; its offset is a whole number of network pixels, so that a slice which is
            already at the wanted spacing is copied and not interpolated.

        Raises:
            GeometryError: The spec asks for a spacing and the slice's own is unknown, or that is
                no pair of millimetres.
        """
        h, w = self.shape
        if spacing is not None and not (
            isinstance(spacing, tuple) and len(spacing) == 2 and all(s > 0 for s in spacing)
        ):
            raise GeometryError(
                f"the slice's spacing is {spacing!r}; wanted (sy, sx) in mm above 0, or None when "
                "unknown."
            )
        if self.spacing is not None:
            if spacing is None:
                raise GeometryError(
                    f"preprocessing wants {self.spacing} mm pixels, but the image's spacing is "
                    "unknown. Give spacing_x_mm and spacing_y_mm in the manifest, or set "
                    "preprocessing spacing=None to fit the whole image."
                )
            scale = (spacing[0] / self.spacing, spacing[1] / self.spacing)
        else:
            sy, sx = spacing if spacing is not None else (1.0, 1.0)
            k = min(h / (shape[0] * sy), w / (shape[1] * sx))
            scale = (k * sy, k * sx)
        offset = (
            float(math.floor((h - shape[0] * scale[0]) / 2 + 0.5)),
            float(math.floor((w - shape[1] * scale[1]) / 2 + 0.5)),
        )
        return SliceGeometry(
            (int(shape[0]), int(shape[1])),
            None if spacing is None else (float(spacing[0]), float(spacing[1])),
            (h, w),
            scale,
            offset,
            (bool(flip[0]), bool(flip[1])),
        )

    def apply(
        self,
        array: Array,
        spacing: tuple[float, float] | None = None,
        flip: tuple[bool, bool] = (False, False),
    ) -> tuple[Array, SliceGeometry]:
        """Bring a slice to the network grid.

        Args:
            array: ``(H, W)`` HU or grey values, or ``(H, W, 3)`` colour.
            spacing: ``(sy, sx)`` in mm, or ``None`` when unknown.
            flip: Axes to reverse; see `Volume.flips`.

        Returns:
            int16 ``(h, w)``, or ``(h, w, 3)`` when ``stored_channels`` is 3, and the geometry.

        Raises:
            DataError: The array is of another rank, empty, or not finite.
            GeometryError: See `geometry`.
        """
        array = np.asarray(array)
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
            raise DataError(
                f"the slice has shape {array.shape}; wanted (H, W), or (H, W, 3) for colour."
            )
        geometry = self.geometry((array.shape[0], array.shape[1]), spacing, flip)
        values = self._stored_scale(array)
        planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
        least = None if self.hu_window is None else AIR_HU
        stored = resample(planes, geometry, self.pad_value, least=least, kind=np.int16)
        if values.ndim == 2:
            return stored[0], geometry
        return np.ascontiguousarray(stored.transpose(1, 2, 0)), geometry

    def apply_mask(self, mask: Array, geometry: SliceGeometry, pad_label: int = 0) -> Array:
        """Bring class indices to the network grid: each class is resampled and the largest wins.

        Args:
            mask: ``(H, W)`` integers 0..255.
            geometry: What `apply` returned for the image of this mask.
            pad_label: Class outside the native slice: 0, or 255 to have it ignored.

        Returns:
            uint8 ``(h, w)``.

        Raises:
            GeometryError: The mask has another shape than the image had.
            DataError: Values that are no class indices.
        """
        mask = np.asarray(mask)
        if mask.dtype.kind not in "iub" or (mask.size and not 0 <= mask.min() <= mask.max() <= 255):
            raise DataError(
                f"the mask holds {mask.dtype} from {mask.min()} to {mask.max()}; wanted class "
                "indices, whole numbers from 0 to 255."
            )
        if mask.shape != geometry.native_shape:
            raise GeometryError(
                f"the mask has shape {mask.shape}, its image {geometry.native_shape}; "
                "wanted the same. Draw the mask on the image's own grid."
            )
        return resample_classes(mask, geometry, pad_label)

    def to_float(self, batch: torch.Tensor) -> torch.Tensor:
        """Turn stored int16 slices into network input, on the batch's own device.

        Args:
            batch: int16 (or float) ``(B, h, w)`` or ``(B, h, w, 3)``, as `apply` stores them.

        Returns:
            float32 ``(B, channels, h, w)``: mapped to [0, 1], then ``(x - mean) / std``.

        Raises:
            DataError: The batch has another rank, or is colour where grey is wanted.
        """
        if batch.ndim not in (3, 4) or (batch.ndim == 4 and batch.shape[-1] != 3):
            raise DataError(
                f"the batch has shape {tuple(batch.shape)}; wanted (B, h, w) or (B, h, w, 3)."
            )
        x = batch.unsqueeze(1) if batch.ndim == 3 else batch.movedim(-1, 1)
        if x.shape[1] > self.channels:
            raise DataError(
                f"the batch has {x.shape[1]} channels and the preprocessing {self.channels}; "
                "wanted channels=3 for colour, or slices stored with these settings."
            )
        x = x.float()
        if self.hu_window is None:
            x = x * (1.0 / FULL_SCALE)
        else:
            low, high = self.hu_window
            x = ((x - low) * (1.0 / (high - low))).clamp_(0.0, 1.0)
        if self.mean != 0.0 or self.std != 1.0:
            x = (x - per_channel(self.mean, x)) / per_channel(self.std, x)
        return x.expand(-1, self.channels, -1, -1).contiguous()

    def invert(
        self,
        scores: torch.Tensor,
        geometry: SliceGeometry,
        outside: float = 0.0,
    ) -> torch.Tensor:
        """Bring scores from the network grid back to the slice's own grid.

        Args:
            scores: ``(K, h, w)`` probabilities (or logits), any device and float type.
            geometry: What `apply` returned.
            outside: Score of native pixels the network never saw (cropped away). With 0, a
                threshold on ``> 0.5`` and an argmax over classes both call them background.

        Returns:
            ``(K, H, W)`` float32, linear between network pixels, in the file's own orientation.

        Raises:
            GeometryError: The scores are of another size than the geometry's network grid.
        """
        if scores.ndim != 3 or tuple(scores.shape[1:]) != tuple(geometry.size):
            raise GeometryError(
                f"scores have shape {tuple(scores.shape)}; wanted (K, {geometry.size[0]}, "
                f"{geometry.size[1]}), the network grid of this slice."
            )
        import torch  # here, so that processes which only build caches start without it

        x = scores.float()
        (wy, inside_y), (wx, inside_x) = (
            [torch.tensor(part, device=x.device) for part in weights_back(geometry, axis)]
            for axis in (0, 1)
        )
        seen = inside_y[:, None] & inside_x[None, :]
        return torch.where(seen, wy @ x @ wx.T, torch.full((), outside, device=x.device))

    def seen(self, geometry: SliceGeometry) -> Array:
        """Return which native pixels lie on the network grid, boolean ``(H, W)``."""
        y, x = (weights_back(geometry, axis)[1] for axis in (0, 1))
        return y[:, None] & x[None, :]

    def _stored_scale(self, array: Array) -> Array:
        if self.hu_window is None:
            return scale_plain(array, self.percentiles, colour=self.stored_channels == 3)
        if array.ndim == 3:
            raise DataError(
                f"a colour image of shape {array.shape} cannot be CT; for plain images set "
                "preprocessing hu_window=None."
            )
        if array.dtype == np.int16:  # as nearly all CT: nothing to check or to cut off above
            return array
        values = finite_float(array)  # a copy of its own
        return np.minimum(values, FULL_SCALE, out=values)
