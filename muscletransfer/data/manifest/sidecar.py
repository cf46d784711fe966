"""Facts beside a manifest: which data set it is, on what terms, and what its classes are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from muscletransfer.errors import ManifestError

__all__ = ["SIDECAR_FORMAT", "read_sidecar", "sidecar_path"]

SIDECAR_FORMAT = "muscletransfer data set 1"


def sidecar_path(manifest: str | Path) -> Path:
    """Return where the facts of a manifest lie: beside it, ending in ``.json``.

    Example:
        >>> sidecar_path("saros/manifest.csv").name
        'manifest.json'
    """
    return Path(manifest).with_suffix(".json")


def read_sidecar(manifest: str | Path) -> dict[str, Any] | None:
    """Read the facts beside a manifest.

    .. versionadded:: 0.1

    Args:
        manifest: The CSV.

    Returns:
        The facts, or None where there are none.

    Raises:
        ManifestError: The file is damaged.

    Example:
        >>> read_sidecar("a_manifest_of_your_own.csv") is None
        True
    """
    path = sidecar_path(manifest)
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error}); wanted what 'muscletransfer data prepare' writes. "
            "Run it again, or remove the file."
        ) from error
    return found if isinstance(found, dict) and found.get("format") == SIDECAR_FORMAT else None
