"""Folders of the user that the library writes to unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_cache_dir"]


def default_cache_dir() -> Path:
    """Return where caches go unless told otherwise.

    That is the environment variable ``MUSCLETRANSFER_CACHE``, else ``muscletransfer`` under
    ``XDG_CACHE_HOME``, else ``~/.cache/muscletransfer``.

    .. versionadded:: 0.1

    Example:
        >>> default_cache_dir().is_absolute()
        True
    """
    if named := os.environ.get("MUSCLETRANSFER_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "muscletransfer"
