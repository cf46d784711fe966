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
    """Base class of all errors of the library.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer.transfer import read_artifact
        >>> try:
        ...     read_artifact("nowhere.ckpt")
        ... except MuscleTransferError as error:
        ...     print(type(error).__name__)
        WeightsError
    """


class UnknownNameError(MuscleTransferError, LookupError):
    """A name that no registry, option list or label table knows.

    .. versionadded:: 0.1

    Example:
        >>> import muscletransfer as mt
        >>> mt.create_pretext("jigsw")
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: ...'jigsaw'...
    """


class DuplicateNameError(MuscleTransferError, ValueError):
    """A name that is registered twice without ``override=True``.

    .. versionadded:: 0.1

    Example:
        >>> import muscletransfer as mt
        >>> mt.register_encoder("timm/resnet18")
        Traceback (most recent call last):
        muscletransfer.errors.DuplicateNameError: ...
    """


class PluginError(MuscleTransferError, ImportError):
    """A plug-in package failed to import; the message names the package.

    .. versionadded:: 0.1

    Example:
        >>> issubclass(PluginError, ImportError)  # an except clause for imports catches it too
        True
    """


class MissingDependencyError(MuscleTransferError, ImportError):
    """An optional dependency is absent; the message has the pip command.

    .. versionadded:: 0.1

    Example:
        >>> try:
        ...     raise MissingDependencyError("pip install 'muscletransfer[dicom]'")
        ... except ImportError as error:
        ...     print(error)
        pip install 'muscletransfer[dicom]'
    """


class ContractError(MuscleTransferError, TypeError):
    """An encoder, decoder or task does not keep its contract; the message names the member.

    .. versionadded:: 0.1

    Example:
        >>> import muscletransfer as mt
        >>> class Empty(mt.PretextTask):
        ...     pass
        >>> Empty()
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: Empty does not define make_targets...
    """


class SettingError(MuscleTransferError, ValueError):
    """An argument has a value that cannot work; the message says which values can.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer.losses import SegmentationLoss
        >>> SegmentationLoss(num_classes=0)
        Traceback (most recent call last):
        muscletransfer.errors.SettingError: ...
    """


class ImageSizeError(MuscleTransferError, ValueError):
    """An image has a height or width that the encoder cannot take.

    .. versionadded:: 0.1

    Example:
        >>> import torch
        >>> from muscletransfer import create_encoder
        >>> create_encoder("timm/resnet18")(torch.zeros(1, 1, 65, 64))
        Traceback (most recent call last):
        muscletransfer.errors.ImageSizeError: ...
    """


class TransferError(MuscleTransferError, RuntimeError):
    """Weights could not be moved from one model to another.

    .. versionadded:: 0.1

    Example:
        >>> issubclass(ChannelMismatchError, TransferError), issubclass(WeightsError, TransferError)
        (True, True)
    """


class WeightsError(TransferError):
    """A weight source or weight file is missing, unreadable or of another format.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer.transfer import inspect_file
        >>> inspect_file("nowhere.safetensors")
        Traceback (most recent call last):
        muscletransfer.errors.WeightsError: No such file: nowhere.safetensors...
    """


class ChannelMismatchError(TransferError):
    """Weights and encoder (or image and encoder) have another number of channels.

    .. versionadded:: 0.1

    Example:
        >>> import torch
        >>> from muscletransfer import create_encoder
        >>> create_encoder("timm/resnet18", in_channels=1)(torch.zeros(1, 3, 64, 64))
        Traceback (most recent call last):
        muscletransfer.errors.ChannelMismatchError: ...
    """


class DataError(MuscleTransferError, ValueError):
    """The data is not what was promised; base of the errors below.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer import muscle_measures
        >>> muscle_measures([[[0, 1]]], [[[0, 7]]], (5.0, 0.8, 0.8))
        Traceback (most recent call last):
        muscletransfer.errors.DataError: ...
    """


class ManifestError(DataError):
    """A manifest file, row or column is wrong; the message names the file and the row.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer.data import Manifest
        >>> Manifest.read("nowhere.csv")
        Traceback (most recent call last):
        muscletransfer.errors.ManifestError: ...nowhere.csv...
    """


class ImageReadError(DataError):
    """An image or mask file could not be read; the message names the file.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer import read_ct
        >>> read_ct("nowhere.nii.gz")
        Traceback (most recent call last):
        muscletransfer.errors.ImageReadError: ...nowhere.nii.gz...
    """


class GeometryError(DataError):
    """Two images that should share a grid do not (shape, spacing, origin or direction).

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer import muscle_measures
        >>> muscle_measures([[1, 2]], [[1]], (0.8, 0.8))
        Traceback (most recent call last):
        muscletransfer.errors.GeometryError: The image has shape (1, 2), the mask (1, 1)...
    """


class EmptyMaskError(DataError):
    """A reference mask has no foreground.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer.metrics import dice
        >>> dice([[0, 1]], [[0, 0]])  # an outline where the reference has none
        Traceback (most recent call last):
        muscletransfer.errors.EmptyMaskError: ...
    """


class SplitError(DataError):
    """Folds or subsets cannot be drawn as asked, or share a patient.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer.data import nested_subsets
        >>> nested_subsets(["A", "B"], [3])
        Traceback (most recent call last):
        muscletransfer.errors.SplitError: ...
    """


class StudyError(MuscleTransferError, RuntimeError):
    """A study cannot go on: its folder, its workers or its claims are not as they must be.

    .. versionadded:: 0.1

    Example:
        >>> issubclass(StudyError, RuntimeError)
        True
    """


class DiskFullError(StudyError, OSError):
    """The disk or quota under a study folder is full; nothing half-written is in place.

    .. versionadded:: 0.1

    Example:
        >>> issubclass(DiskFullError, OSError)  # an except clause for files catches it too
        True
    """


def close_matches(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to ``count`` known names that resemble ``name``, best first.

    A name given without its namespace matches the namespaced one, so ``"resnet18"`` finds
    ``"timm/resnet18"``, and ``"resnt18"`` does too; so does the beginning of a long name.

    .. versionadded:: 0.1

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
