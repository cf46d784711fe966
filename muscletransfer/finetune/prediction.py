"""Predict one slice without a data module or a Trainer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array, CTImage
from muscletransfer.errors import DataError
from muscletransfer.finetune.gathering import evaluating
from muscletransfer.finetune.native import native_prediction

__all__ = ["predict_slice"]


def predict_slice(
    model: nn.Module,
    image: CTImage | Array,
    spacing: tuple[float, float] | None = None,
    preprocessing: PreprocessingSpec | None = None,
) -> npt.NDArray[np.uint8]:
    """Outline one slice; a fine-tuned checkpoint is all it takes.

    .. versionadded:: 0.1

    Args:
        model: A `SegmentationFineTuner`, or any module from images (1, C, h, w) to logits
            (1, K, h, w).
        image: One slice: HU (H, W) as an array (in the radiological view: rows run to the
            patient's back, columns to the left), or a `CTImage`, whose spacing and orientation
            are then taken from its file.
        spacing: (sy, sx) in mm of an array; ``None`` when unknown.
        preprocessing: How images are prepared; by default as the model's checkpoint says.

    Returns:
        uint8 (H, W) class indices, on the grid of ``image``.

    Raises:
        DataError: More than one slice, or no preprocessing is known.
        GeometryError: The preprocessing needs a spacing and none is known.

    Example:
        >>> from muscletransfer.finetune import SegmentationFineTuner
        >>> model = SegmentationFineTuner("timm/resnet18")
        >>> spec = PreprocessingSpec(size=64)
        >>> predict_slice(model, np.full((100, 120), -1000), (0.8, 0.8), spec).shape
        (100, 120)
    """
    spec = preprocessing or getattr(model, "preprocessing", None)
    if not isinstance(spec, PreprocessingSpec):
        raise DataError(
            f"{type(model).__name__} does not say how its images were prepared. Load it with "
            "SegmentationFineTuner.load_from_checkpoint(path), or pass preprocessing="
            "PreprocessingSpec(...) as in training."
        )
    flip = (False, False)
    if isinstance(image, CTImage):
        if image.num_slices != 1:
            raise DataError(
                f"the image has {image.num_slices} slices; wanted one. Pass image.slice(k)."
            )
        spacing = spacing or image.slice_spacing
        flip = image.flips if image.is_axial else flip
        image = image.hu[0]
    stored, geometry = spec.apply(np.asarray(image), spacing, flip)
    like = next(model.parameters())
    batch = spec.to_float(torch.from_numpy(stored).unsqueeze(0)).to(like.device, like.dtype)
    with evaluating(model), torch.inference_mode():
        logits = model(batch)
    mask: npt.NDArray[np.uint8] = native_prediction(logits[0], geometry, spec).mask.numpy()
    return mask
