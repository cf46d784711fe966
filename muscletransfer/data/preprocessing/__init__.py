"""From a native slice to the network's grid and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muscletransfer.lazy import lazy_names

if TYPE_CHECKING:
    from muscletransfer.data.preprocessing.spec import PreprocessingSpec

_HOMES = {
    "spec": ["PreprocessingSpec"],
}

__all__ = [
    "PreprocessingSpec",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
