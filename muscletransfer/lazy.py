"""Names of a package that are imported from their home when first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["lazy_names", "load_names"]


def lazy_names(
    package: str, homes: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package's ``__init__``.

    A name must differ from every submodule of the package: once a submodule was imported it would
    be found in the name's place.

    Args:
        package: The package's ``__name__``.
        homes: For each submodule the public names that it holds.

    Returns:
        ``(__getattr__, __dir__)``.

    Example:
        In an ``__init__.py``, beside ``__all__`` and a ``TYPE_CHECKING`` block with the plain
        imports::

            __getattr__, __dir__ = lazy_names(__name__, {"jigsaw": ["JigsawPretext"]})

        >>> find, listed = lazy_names("muscletransfer", {"errors": ["DataError"]})
        >>> find("DataError").__module__
        'muscletransfer.errors'
        >>> find("DataEror")
        Traceback (most recent call last):
        AttributeError: module 'muscletransfer' has no attribute 'DataEror'
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)  # the next look-up does not come here
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return find, listed


def load_names(module: ModuleType) -> None:
    """Import every public name of a module now.

    A class can be found by its short name (``--model JigsawPretext``) only when it has been
    imported.

    Args:
        module: A module with ``__all__``.

    Example:
        >>> import muscletransfer.decoders
        >>> load_names(muscletransfer.decoders)
        >>> "SegmentationHead" in vars(muscletransfer.decoders)
        True
    """
    for name in module.__all__:
        getattr(module, name)
