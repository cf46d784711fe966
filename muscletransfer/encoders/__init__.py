"""Encoders: networks that turn an image into a pyramid of features, by name.

Example:
    >>> from muscletransfer.encoders import create_encoder
    >>> create_encoder("timm/resnet18", in_channels=1).spec.name
    'timm/resnet18'
"""

from muscletransfer.encoders.base import Encoder, EncoderSpec
from muscletransfer.encoders.registry import (
    build_encoder,
    create_encoder,
    list_encoders,
    register_encoder,
    resolve_encoder,
)

__all__ = [
    "Encoder",
    "EncoderSpec",
    "build_encoder",
    "create_encoder",
    "list_encoders",
    "register_encoder",
    "resolve_encoder",
]
