"""Decoders: from an encoder's pyramid to one feature map, and whole segmentation models.

Example:
    >>> from muscletransfer.decoders import list_decoders
    >>> "unet" in list_decoders()
    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.decoders.base import Decoder, DecoderSpec
    from muscletransfer.decoders.head import SegmentationHead
    from muscletransfer.decoders.model import SegmentationModel, build_segmentation_model
    from muscletransfer.decoders.registry import (
        build_decoder,
        create_decoder,
        list_decoders,
        register_decoder,
        required_encoder_kwargs,
    )
    from muscletransfer.decoders.upsampling import use_fast_upsampling

_HOMES = {
    "base": ["Decoder", "DecoderSpec"],
    "head": ["SegmentationHead"],
    "model": ["SegmentationModel", "build_segmentation_model"],
    "registry": [
        "build_decoder",
        "create_decoder",
        "list_decoders",
        "register_decoder",
        "required_encoder_kwargs",
    ],
    "upsampling": ["use_fast_upsampling"],
}

__all__ = [
    "Decoder",
    "DecoderSpec",
    "SegmentationHead",
    "SegmentationModel",
    "build_decoder",
    "build_segmentation_model",
    "create_decoder",
    "list_decoders",
    "register_decoder",
    "required_encoder_kwargs",
    "use_fast_upsampling",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
