"""Checks of what the data modules are given, before any file is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from muscletransfer.data.augmentation.batch import IGNORE_INDEX
from muscletransfer.errors import SettingError

__all__ = ["check_low_data", "check_pretext_data", "listed_sources"]


def check_low_data(train_patients: object, **counts: int | None) -> None:
    """Raise unless the numbers of a `LowDataModule` can work.

    Args:
        train_patients: A number from 1, or ``"all"``.
        counts: Arguments that are 1 or more, or None.

    Raises:
        SettingError: Naming the argument.
    """
    if train_patients != "all" and not (isinstance(train_patients, int) and train_patients > 0):
        raise SettingError(
            f"train_patients is {train_patients!r}; wanted a number from 1, or 'all'."
        )
    for name, value in counts.items():
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value}; wanted 1 or more, or None.")


def check_pretext_data(val_fraction: float, ignore_value: int | None) -> None:
    """Raise unless the numbers of a `PretextDataModule` can work.

    Args:
        val_fraction: A share.
        ignore_value: A mask value, or None.

    Raises:
        SettingError: Naming the argument.
    """
    if not 0 <= val_fraction < 1:
        raise SettingError(f"val_fraction is {val_fraction}; wanted 0 or more, and under 1.")
    if ignore_value is not None and not 0 <= ignore_value <= IGNORE_INDEX:
        raise SettingError(f"ignore_value is {ignore_value}; wanted a mask value, 0 to 255.")


def listed_sources(
    source: str | Path | Sequence[str | Path], kind: str | Sequence[str | None] | None
) -> tuple[list[str | Path], list[str | None]]:
    """Return the sources and the kind of each.

    Args:
        source: One, or several.
        kind: One for all, or one each; None finds out.

    Raises:
        SettingError: No source, or another number of kinds.

    Example:
        >>> listed_sources(["a", "b"], "image_folder")
        (['a', 'b'], ['image_folder', 'image_folder'])
    """
    paths = [source] if isinstance(source, str | Path) else list(source)
    kinds = [kind] * len(paths) if kind is None or isinstance(kind, str) else list(kind)
    if not paths or len(kinds) != len(paths):
        raise SettingError(
            f"{len(paths)} sources and {len(kinds)} kinds; wanted at least one source, "
            "and one kind for all or one each."
        )
    return paths, kinds
