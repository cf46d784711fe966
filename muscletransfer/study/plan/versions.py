"""Versions of what other packages bring: another version may give another result."""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache

__all__ = ["class_version", "part_versions", "plugin_version"]


@lru_cache(maxsize=256)
def plugin_version(group: str, name: str) -> str | None:
    """Return distribution and version of an entry point; ``None`` for what is no plug-in.

    Args:
        group: Such as ``"muscletransfer.pretexts"``.
        name: The registered name.

    Example:
        >>> plugin_version("muscletransfer.pretexts", "jigsaw") is None
        True
    """
    for point in importlib.metadata.entry_points(group=group, name=name):
        if point.dist is not None:
            return f"{point.dist.name} {point.dist.version}"
    return None


@lru_cache(maxsize=256)
def class_version(path: str) -> str | None:
    """Return distribution and version of a class path; ``None`` where it is no installed package.

    Args:
        path: Such as ``"mypackage.tasks.Flip"``.

    Example:
        >>> class_version("pytest.Item").partition(" ")[0]
        'pytest'
    """
    owners = importlib.metadata.packages_distributions().get(path.partition(".")[0])
    return f"{owners[0]} {importlib.metadata.version(owners[0])}" if owners else None


def part_versions(
    encoder: str, decoder: str | None = None, task: str | None = None
) -> dict[str, str]:
    """Return the versions of what is from other packages, by part.

    Args:
        encoder: Name of the encoder.
        decoder: Name of the decoder.
        task: Name or class path of a pretext task.

    Example:
        >>> part_versions("timm/resnet18", "unet", "jigsaw")
        {}
    """
    parts = {"encoder": encoder, "decoder": decoder, "pretext": task}
    found = {}
    for part, name in parts.items():
        if name is None:
            continue
        version = plugin_version(f"muscletransfer.{part}s", name)
        if version is None and part == "pretext" and "." in name and "/" not in name:
            version = class_version(name)
        if version is not None:
            found[part] = version
    return found
