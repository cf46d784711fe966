"""The models of timm and smp by name, without importing either (and torch) each time.

Both libraries know their models only once they are imported, which takes seconds. The names are
kept in the user's cache folder for each installed version, and asked for anew when the version or
the place of the library changes. A library that is already imported is asked itself: it may have
been given models of the user's own.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muscletransfer.folders import default_cache_dir

__all__ = ["cached_names"]

_FORMAT = 1
_LOG = logging.getLogger(__name__)


def cached_names(module: str, distribution: str, ask: Callable[[], list[str]]) -> list[str]:
    """List the models of a library.

    Args:
        module: The library's import name, such as ``"timm"``.
        distribution: The distribution that holds it.
        ask: Imports the library and asks it; called when it is imported already, or when the cache
            folder holds no list of this version. A cache that cannot be read or written costs time
            and nothing else.

    Returns:
        The names, in the library's order.

    Example:
        >>> import timm
        >>> cached_names("timm", "timm", timm.list_models) == timm.list_models()
        True
    """
    if module in sys.modules:
        return ask()
    try:
        key = _key(module, distribution)
    except importlib.metadata.PackageNotFoundError:  # on the path, but not installed
        return ask()
    path = default_cache_dir() / "names" / f"{module}.json"
    names = _read(path, key)
    if names is None:
        names = ask()
        _write(path, {**key, "names": names})
    return names


def _key(module: str, distribution: str) -> dict[str, Any]:
    """Return what must agree for a list to hold: version and place of the library."""
    spec = importlib.util.find_spec(module)
    return {
        "format": _FORMAT,
        "version": importlib.metadata.version(distribution),
        "place": None if spec is None else spec.origin,
    }


def _read(path: Path, key: dict[str, Any]) -> list[str] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _LOG.debug("%s is not usable, the library is asked instead: %s", path, error)
        return None
    if not isinstance(found, dict) or any(found.get(name) != value for name, value in key.items()):
        return None
    names = found.get("names")
    usable = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return names if usable else None


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write the whole file or none: several processes may do so at the same time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        _LOG.debug("%s cannot be written, the next listing takes as long: %s", path, error)
