"""Decoders: from an encoder's pyramid to one feature map, and whole segmentation models.

Example:
    >>> from muscletransfer.decoders import list_decoders
    >>> "unet" in list_decoders()
    True
"""

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
]
