"""Encoders: networks that turn an image into a pyramid of features, by name.

Example:
    >>> from muscletransfer.encoders import create_encoder
    >>> create_encoder("timm/resnet18", in_channels=1).spec.name
    'timm/resnet18'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.encoders.base import Encoder, EncoderSpec
    from muscletransfer.encoders.registry import (
        build_encoder,
        create_encoder,
        list_encoders,
        register_encoder,
        resolve_encoder,
    )

_HOMES = {
    "base": ["Encoder", "EncoderSpec"],
    "registry": [
        "build_encoder",
        "create_encoder",
        "list_encoders",
        "register_encoder",
        "resolve_encoder",
    ],
}

__all__ = [
    "Encoder",
    "EncoderSpec",
    "build_encoder",
    "create_encoder",
    "list_encoders",
    "register_encoder",
    "resolve_encoder",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
