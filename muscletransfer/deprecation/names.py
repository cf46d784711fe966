"""Names of a module that have moved."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from muscletransfer.deprecation.record import Deprecation, register

__all__ = ["deprecated_names"]


def deprecated_names(
    module: str,
    moved: dict[str, str],
    *,
    since: str,
    removal: str,
    otherwise: Callable[[str], Any] | None = None,
) -> Callable[[str], Any]:
    """Make a module's ``__getattr__`` that finds names which have moved, with a warning.

    .. versionadded:: 0.1

    Args:
        module: The module's ``__name__``.
        moved: For each old name the path of what it is now, such as
            ``"muscletransfer.data.read_ct"``.
        since: The first version that warns.
        removal: The version that no longer has the names; a test fails from then on.
        otherwise: The module's own ``__getattr__`` for all other names, if it has one.

    Returns:
        The function to assign to ``__getattr__``.

    Example:
        >>> find = deprecated_names(
        ...     "muscletransfer.data", {"load_ct": "muscletransfer.data.read_ct"},
        ...     since="0.2", removal="0.4",
        ... )
        >>> import warnings
        >>> from muscletransfer.deprecation import DeprecatedUseWarning
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecatedUseWarning)
        ...     find("load_ct").__name__
        'read_ct'
        >>> find("load_mr")
        Traceback (most recent call last):
        AttributeError: module 'muscletransfer.data' has no attribute 'load_mr'
    """
    entries = {
        old: register(Deprecation("name", f"{module}.{old}", since, removal, new))
        for old, new in moved.items()
    }

    def find(name: str) -> Any:
        entry = entries.get(name)
        if entry is not None:
            entry.warn()
            home, _, there = moved[name].rpartition(".")
            return getattr(importlib.import_module(home), there)
        if otherwise is not None:
            return otherwise(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find
