"""Every error the library raises on purpose.

A message says what was found, what was wanted and the way out. Each class also derives from the
builtin a caller would expect (``LookupError``, ``ValueError``, ...), so existing handlers work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ChannelMismatchError",
    "ContractError",
    "DataError",
    "DiskFullError",
    "DuplicateNameError",
    "EmptyMaskError",
    "GeometryError",
    "ImageReadError",
    "ImageSizeError",
    "ManifestError",
    "MissingDependencyError",
    "MuscleTransferError",
    "PluginError",
    "SettingError",
    "SplitError",
    "StudyError",
    "TransferError",
    "UnknownNameError",
    "WeightsError",
    "close_matches",
]


class MuscleTransferError(Exception):
    """Base class of all errors of the library."""


class UnknownNameError(MuscleTransferError, LookupError):
    """A name that no registry, option list or label table knows."""


class DuplicateNameError(MuscleTransferError, ValueError):
    """A name that is registered twice without ``override=True``."""


class PluginError(MuscleTransferError, ImportError):
    """A plug-in package failed to import; the message names the package."""


class MissingDependencyError(MuscleTransferError, ImportError):
    """An optional dependency is absent; the message has the pip command."""


class ContractError(MuscleTransferError, TypeError):
    """An encoder, decoder or task does not keep its contract; the message names the member."""


class SettingError(MuscleTransferError, ValueError):
    """An argument has a value that cannot work; the message says which values can."""


class ImageSizeError(MuscleTransferError, ValueError):
    """An image has a height or width that the encoder cannot take."""


class TransferError(MuscleTransferError, RuntimeError):
    """Weights could not be moved from one model to another."""


class WeightsError(TransferError):
    """A weight source or weight file is missing, unreadable or of another format."""


class ChannelMismatchError(TransferError):
    """Weights and encoder (or image and encoder) have another number of channels."""


class DataError(MuscleTransferError, ValueError):
    """The data is not what was promised; base of the errors below."""


class ManifestError(DataError):
    """A manifest file, row or column is wrong; the message names the file and the row."""


class ImageReadError(DataError):
    """An image or mask file could not be read; the message names the file."""


class GeometryError(DataError):
    """Two images that should share a grid do not (shape, spacing, origin or direction)."""


class EmptyMaskError(DataError):
    """A reference mask has no foreground."""


class SplitError(DataError):
    """Folds or subsets cannot be drawn as asked, or share a patient."""


class StudyError(MuscleTransferError, RuntimeError):
    """A study cannot go on: its folder, its workers or its claims are not as they must be."""


class DiskFullError(StudyError, OSError):
    """The disk or quota under a study folder is full; nothing half-written is in place."""


def close_matches(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to ``count`` known names that resemble ``name``, best first.

    A name given without its namespace matches the namespaced one, so ``"resnet18"`` finds
    ``"timm/resnet18"``, and ``"resnt18"`` does too; so does the beginning of a long name.

    Args:
        name: The name that was not found.
        known: All names that exist.
        count: How many to return at most.

    Returns:
        The closest names, best first; empty when nothing is near.

    Example:
        >>> close_matches("jigsw", ["jigsaw", "reconstruction"])
        ['jigsaw']
    """
    names = list(known)
    lowered = name.lower()
    same_tail = sorted(n for n in names if _tail(n) == lowered)
    folded = {n.lower(): n for n in names}
    near = [folded[n] for n in difflib.get_close_matches(lowered, folded, n=count, cutoff=0.6)]
    begun: list[str] = []
    if "/" not in lowered:
        begun = [n for n in names if len(lowered) > 2 and _tail(n).startswith(lowered)]
        begun.sort(key=lambda n: (len(n), n))
        tails: dict[str, list[str]] = {}
        for n in sorted(names):
            tails.setdefault(_tail(n), []).append(n)
        for tail in difflib.get_close_matches(lowered, tails, n=count, cutoff=0.7):
            near.extend(tails[tail])
    return list(dict.fromkeys(same_tail + begun + near))[:count]


def _tail(name: str) -> str:
    return name.lower().rpartition("/")[2]
