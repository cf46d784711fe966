"""The library's default augmentation in the words of MONAI and of batchgenerators.

Same steps, probabilities and ranges: a mirror image half of the time, one affine map, gamma,
contrast, brightness, noise, clipping. nnU-Net's own 2-D recipe is here as well; it changes other
things, most of them in some of the samples only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from muscletransfer.data.augmentation import Augmentation


def monai_transforms(size: int, image: str = "image", mask: str = "mask") -> list[Any]:
    """Dictionary transforms for (1, size, size) images in [0, 1] and their masks."""
    from monai import transforms as mt

    ours, keys, modes = Augmentation(), (image, mask), ("bilinear", "nearest")
    return [
        mt.RandFlipd(keys, prob=ours.flip, spatial_axis=1),
        mt.RandAffined(
            keys,
            prob=1.0,
            rotate_range=math.radians(ours.rotation),
            scale_range=(ours.scale, ours.scale),
            translate_range=(ours.shift * size, ours.shift * size),
            mode=modes,
            padding_mode="zeros",
        ),
        mt.RandAdjustContrastd(image, prob=1.0, gamma=(1 / (1 + ours.gamma), 1 + ours.gamma)),
        mt.RandScaleIntensityd(image, prob=1.0, factors=ours.contrast),
        mt.RandShiftIntensityd(image, prob=1.0, offsets=ours.brightness),
        mt.RandGaussianNoised(image, prob=1.0, std=ours.noise),
        mt.ScaleIntensityRanged(image, 0, 1, 0, 1, clip=True),
    ]


def batchgenerators_transform(size: int) -> Callable[..., dict[str, np.ndarray]]:
    """The same for batchgenerators: ``f(data=(B, 1, size, size), seg=...)``."""
    from batchgenerators.transforms import color_transforms as color
    from batchgenerators.transforms.abstract_transforms import Compose
    from batchgenerators.transforms.noise_transforms import GaussianNoiseTransform
    from batchgenerators.transforms.spatial_transforms import MirrorTransform, SpatialTransform

    ours = Augmentation()
    turn = math.radians(ours.rotation)
    return Compose(
        [
            SpatialTransform(
                (size, size),
                patch_center_dist_from_border=size / 2 - ours.shift * size,
                do_elastic_deform=False,
                angle_x=(-turn, turn),
                scale=(1 - ours.scale, 1 + ours.scale),
                border_mode_data="constant",
                order_data=1,
                order_seg=0,
                random_crop=True,
            ),
            MirrorTransform(axes=(1,)),
            color.GammaTransform((1 / (1 + ours.gamma), 1 + ours.gamma), p_per_sample=1),
            color.ContrastAugmentationTransform((1 - ours.contrast, 1 + ours.contrast)),
            color.BrightnessTransform(0, ours.brightness),
            GaussianNoiseTransform((0, ours.noise), p_per_sample=1),
            color.ClipValueRange(0, 1),
        ]
    )


def nnunet_transform(size: int) -> Callable[..., dict[str, np.ndarray]]:
    """nnU-Net's training transforms for 2-D patches, as nnUNetTrainer 2.2 lists them."""
    from batchgenerators.transforms import color_transforms as color
    from batchgenerators.transforms.abstract_transforms import Compose
    from batchgenerators.transforms.noise_transforms import (
        GaussianBlurTransform,
        GaussianNoiseTransform,
    )
    from batchgenerators.transforms.resample_transforms import SimulateLowResolutionTransform
    from batchgenerators.transforms.spatial_transforms import MirrorTransform, SpatialTransform

    return Compose(
        [
            SpatialTransform(
                (size, size),
                patch_center_dist_from_border=None,
                do_elastic_deform=False,
                angle_x=(-math.pi, math.pi),
                scale=(0.7, 1.4),
                border_mode_data="constant",
                border_mode_seg="constant",
                border_cval_seg=-1,
                order_data=3,
                order_seg=1,
                random_crop=False,
                p_scale_per_sample=0.2,
                p_rot_per_sample=0.2,
            ),
            GaussianNoiseTransform(p_per_sample=0.1),
            GaussianBlurTransform((0.5, 1.0), p_per_sample=0.2, p_per_channel=0.5),
            color.BrightnessMultiplicativeTransform((0.75, 1.25), p_per_sample=0.15),
            color.ContrastAugmentationTransform(p_per_sample=0.15),
            SimulateLowResolutionTransform(
                (0.5, 1),
                per_channel=True,
                p_per_channel=0.5,
                order_downsample=0,
                order_upsample=3,
                p_per_sample=0.25,
            ),
            color.GammaTransform((0.7, 1.5), True, True, retain_stats=True, p_per_sample=0.1),
            color.GammaTransform((0.7, 1.5), False, True, retain_stats=True, p_per_sample=0.3),
            MirrorTransform((0, 1)),
        ]
    )
