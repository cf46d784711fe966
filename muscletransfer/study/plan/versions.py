"""Versions of what other packages bring: another version may give another result."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["class_version", "part_versions", "plugin_version", "weights_version"]

_NOT_TOLD = ("muscletransfer", "torch")  # every result comes from these, and ids tell of neither


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


def weights_version(name: str) -> str | None:
    """Return what stands for named weights: their source fetches what its library names.

    Args:
        name: A registered source; of a repository (``hf-hub:``) nothing is known, name a revision.

    Example:
        >>> weights_version("imagenet").partition(" ")[0], weights_version("hf-hub:a/b@1")
        ('timm', None)
    """
    if name.startswith("hf-hub:"):
        return None
    library = "torchvision" if name.startswith("coco") else "timm"
    version = plugin_version("muscletransfer.weights", name)
    return version or f"{library} {importlib.metadata.version(library)}"


def part_versions(
    encoder: str,
    decoder: str | None = None,
    task: str | None = None,
    *,
    inner: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None,
    loss: str | None = None,
) -> dict[str, str]:
    """Return the versions of what is from other packages, by part.

    Args:
        encoder: Name of the encoder.
        decoder: Name or class path of the decoder.
        task: Name or class path of a pretext task.
        inner: Name and arguments of the tasks that it trains at once, by label.
        loss: Name or class path of a loss; one that is given otherwise has no version.

    Example:
        >>> part_versions("timm/resnet18", "unet", "jigsaw", loss="torch.nn.BCEWithLogitsLoss")
        {}
    """
    parts = {"encoder": ("encoders", encoder), "decoder": ("decoders", decoder)}
    parts["pretext"] = ("pretexts", task)
    paths: dict[str, Any] = {"loss": loss, "decoder": decoder}
    for label, (one, arguments) in (inner or {}).items():
        parts[f"pretext {label}"] = ("pretexts", one)
        parts[f"decoder {label}"] = ("decoders", arguments.get("decoder"))
        paths |= {f"{part} {label}": arguments.get(part) for part in ("loss", "decoder")}
    found = {}
    for part, (group, name) in parts.items():
        if not isinstance(name, str):
            continue
        version = plugin_version(f"muscletransfer.{group}", name)
        if version is None and group == "pretexts" and "." in name and "/" not in name:
            version = class_version(name)
        if version is not None:
            found[part] = version
    for part, path in paths.items():
        if part in found or not isinstance(path, str) or "." not in path or "/" in path:
            continue
        if path.partition(".")[0] in _NOT_TOLD:
            continue
        version = class_version(path)
        if version is not None:
            found[part] = version
    return found
