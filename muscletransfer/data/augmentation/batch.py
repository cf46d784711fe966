"""Augmentation of a whole batch at once, on the device that holds it.

The image is resampled once, whatever the number of geometric changes: flip, rotation, zoom, shift
and distortion are folded into one sampling grid (``affine_grid`` and ``grid_sample``). Every random
number comes from the generator that is passed in, so the result is a pure function of its state.

Ranges follow the published code of the paper's group: horizontal flip, rotation of +-20 degrees,
scale of +-10 % and grid distortion; muscles are near symmetric, so the flip keeps their labels.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from muscletransfer.data.augmentation.sending import send
from muscletransfer.data.augmentation.warping import affine_matrices, warp
from muscletransfer.errors import DataError, SettingError

__all__ = ["IGNORE_INDEX", "Augmentation"]

#: Mask value of pixels without a label; kept by every step.
#:
#: .. versionadded:: 0.1
IGNORE_INDEX = 255


@dataclass(frozen=True)
class Augmentation:
    """Random geometry and intensity changes for images in [0, 1] and their masks.

    Call it with ``(image, mask, generator)``. Intensities must be window-mapped to [0, 1] and not
    yet standardised, so that a gamma means what it says; values leaving [0, 1] are cut off, as
    the window would. With every strength at 0 the input is returned untouched.

    .. versionadded:: 0.1

    Args:
        flip: Probability of a left-right flip.
        rotation: Largest angle in degrees, uniform in both directions.
        scale: Largest relative zoom; the factor is uniform in ``1 - scale`` to ``1 + scale``.
        shift: Largest shift as a fraction of the side, uniform in both directions and axes.
        crop: Smallest fraction of the area that is kept by a random crop resized to the full size
            (uniform up to 1); 1 switches it off. For photographs rather than for CT.
        distortion: Largest displacement of a control point as a fraction of the distance between
            control points, at most 0.25, under which distortion alone cannot fold the image;
            where ``crop`` or ``scale`` enlarge it too, strong ones can. 0 switches it off.
        distortion_cells: Cells a side of the grid of control points.
        gamma: The exponent is log-uniform in ``1 / (1 + gamma)`` to ``1 + gamma``.
        contrast: Largest relative change of the contrast about 0.5.
        brightness: Largest value added, in both directions.
        noise: Largest standard deviation of the Gaussian noise; uniform from 0.
        blur: Largest standard deviation of the Gaussian blur in pixels; uniform from 0.
        fill: Image value outside the image: 0 is air under a CT window, and black.
        mask_fill: Mask value outside the image: 0 is background, 255 is ignored by losses.

    Raises:
        SettingError: A strength is out of its range; the message names it.

    Example:
        >>> import torch
        >>> augment = Augmentation(noise=0.0)
        >>> image, mask = torch.rand(2, 1, 32, 32), torch.ones(2, 32, 32, dtype=torch.long)
        >>> out, out_mask = augment(image, mask, torch.Generator().manual_seed(0))
        >>> again, _ = augment(image, mask, torch.Generator().manual_seed(0))
        >>> out.shape == image.shape, out_mask.dtype, torch.equal(out, again)
        (True, torch.int64, True)
    """

    flip: float = 0.5
    rotation: float = 20.0
    scale: float = 0.1
    shift: float = 0.05
    crop: float = 1.0
    distortion: float = 0.0
    distortion_cells: int = 5
    gamma: float = 0.2
    contrast: float = 0.1
    brightness: float = 0.05
    noise: float = 0.03
    blur: float = 0.0
    fill: float = 0.0
    mask_fill: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "flip": (0, 1),
            "rotation": (0, 180),
            "scale": (0, 0.9),
            "shift": (0, 1),
            "crop": (0.01, 1),
            "distortion": (0, 0.25),
            "distortion_cells": (1, 64),
            "contrast": (0, 1),
            "brightness": (0, 1),
            "fill": (0, 1),
            "mask_fill": (0, IGNORE_INDEX),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = ranges.get(field.name, (0, math.inf))
            if not (isinstance(value, int | float) and low <= value <= high):
                raise SettingError(
                    f"Augmentation({field.name}={value!r}) is out of range: wanted a number from "
                    f"{low} to {high}"
                )

    @classmethod
    def none(cls) -> Augmentation:
        """Return the augmentation that changes nothing.

        Example:
            >>> Augmentation.none().is_identity
            True
        """
        return cls(flip=0, rotation=0, scale=0, shift=0, gamma=0, contrast=0, brightness=0, noise=0)

    @classmethod
    def natural(cls) -> Augmentation:
        """Return the recipe for photographs: random resized crop, flip, contrast, brightness.

        Pixels outside the image are ignored by losses (``mask_fill`` 255), since natural data
        sets rarely have a background class 0.

        Example:
            >>> Augmentation.natural().crop
            0.35
        """
        return cls(
            rotation=10, scale=0, shift=0, crop=0.35, contrast=0.2, brightness=0.1, mask_fill=255
        )

    def to_dict(self) -> dict[str, float]:
        """Return the hyperparameters as plain types.

        Example:
            >>> Augmentation(**Augmentation(rotation=5).to_dict()).rotation
            5
        """
        return asdict(self)

    @property
    def is_geometric(self) -> bool:
        """Whether pixels can move."""
        moves = self.flip or self.rotation or self.scale or self.shift or self.distortion
        return bool(moves) or self.crop < 1

    @property
    def is_identity(self) -> bool:
        """Whether nothing can change."""
        intensity = self.gamma or self.contrast or self.brightness or self.noise or self.blur
        return not (self.is_geometric or intensity)

    @torch.no_grad()
    def __call__(
        self, image: Tensor, mask: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Augment one batch.

        Args:
            image: ``(B, C, H, W)`` floats in [0, 1], on any device.
            mask: ``(B, H, W)`` class indices (255 = ignore) on the same device, or None.
            generator: Source of all random numbers, on any device; its state moves on. One on the
                CPU is best for images on a GPU too: what is drawn a sample is a handful of numbers,
                worked out there and sent at once, while noise is drawn on the images' device from a
                seed that the generator gives.

        Returns:
            The image in the same shape and type, and the mask as int64 (or None).

        Raises:
            DataError: The image is not ``(B, C, H, W)`` floats, or the mask does not fit it.
        """
        _check_shapes(image, mask)
        if self.is_identity:
            return image, None if mask is None else mask.long()
        dtype = image.dtype
        with torch.autocast(image.device.type, enabled=False):
            out = image.float()
            if self.is_geometric:
                theta, displacement = self._draw_geometry(out, generator)
                out, mask = warp(out, mask, theta, displacement, self.fill, self.mask_fill)
            out = self._change_intensity(out, generator)
        return out.to(dtype), None if mask is None else mask.long()

    def _draw_geometry(
        self, image: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Draw one affine map, and one displacement field if asked for, a sample."""
        batch, _, height, width = image.shape
        # one draw of a fixed size: the stream stays aligned when a single strength changes
        draw = torch.rand(batch, 8, generator=generator, device=generator.device)
        signed = draw * 2 - 1
        kept = (self.crop + (1 - self.crop) * draw[:, 5]).sqrt()
        # a crop stays inside the image: the smaller it is, the further it may move
        shift = signed[:, 3:5] * self.shift * 2 + signed[:, 6:8] * (1 - kept)[:, None]
        theta = affine_matrices(
            angle=signed[:, 0] * math.radians(self.rotation),
            scale=(1 + signed[:, 1] * self.scale) / kept,
            shift=shift,
            flip=draw[:, 2] < self.flip,
            size=(height, width),
        )
        if not self.distortion:
            return theta, None
        cells = self.distortion_cells
        points = torch.rand(
            batch, 2, cells + 1, cells + 1, generator=generator, device=generator.device
        )
        reach = self.distortion * 2 / cells  # the grid spans [-1, 1]
        (coarse,) = send([(points * 2 - 1) * reach], image.device)
        # bilinear between control points: the slope stays under 2 * distortion, so no folding as
        # long as the affine map does not enlarge
        fine = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
        return theta, fine

    def _change_intensity(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Blur, gamma, contrast, brightness and noise, each drawn once a sample."""
        if not (self.gamma or self.contrast or self.brightness or self.noise or self.blur):
            return image
        batch = len(image)
        draw = torch.rand(batch, 5, 1, 1, 1, generator=generator, device=generator.device)
        signed = draw * 2 - 1
        slope = 1 + signed[:, 1] * self.contrast
        numbers = [
            torch.exp(signed[:, 0] * math.log1p(self.gamma)),
            slope,
            0.5 * (1 - slope) + signed[:, 2] * self.brightness,
            draw[:, 3] * self.noise,
            draw[:, 4].reshape(batch) * self.blur,
        ]
        exponent, slope, offset, spread, sigma = send(numbers, image.device)
        if self.blur:
            image = _blur(image, sigma, self.blur)
        if self.gamma:
            image = image.clamp_min(0).pow_(exponent)
        if self.contrast or self.brightness:
            image = torch.addcmul(offset, image, slope)
        if self.noise:
            image = torch.addcmul(image, _normal(image, generator), spread)
        return image.clamp_(0, 1)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a number a pixel on the images' own device."""
    if generator.device != like.device:
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=generator, device=like.device)


def _check_shapes(image: Tensor, mask: Tensor | None) -> None:
    if image.ndim != 4 or not image.is_floating_point():
        raise DataError(
            f"the images are {tuple(image.shape)} of {image.dtype}; wanted (B, C, H, W) floats in "
            "[0, 1]. A data module's raw batch becomes that by on_after_batch_transfer(batch, 0)."
        )
    wanted = (len(image), *image.shape[2:])
    if mask is not None and tuple(mask.shape) != wanted:
        raise DataError(
            f"the masks are {tuple(mask.shape)} and the images {tuple(image.shape)}; wanted masks "
            f"of {wanted}, class indices without a channel axis."
        )


def _blur(image: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur each sample with its own Gaussian, as two grouped 1-D convolutions."""
    batch, channels, height, width = image.shape
    radius = max(1, math.ceil(3 * largest))
    offsets = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    kernels = kernels.repeat_interleave(channels, 0)
    flat = image.reshape(1, batch * channels, height, width)
    flat = F.pad(flat, (radius, radius, radius, radius), mode="replicate")
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=batch * channels)
    flat = F.conv2d(flat, kernels[:, None, :, None], groups=batch * channels)
    return flat.reshape(image.shape)
