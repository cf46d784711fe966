"""Images of a source task: the study's own, slices of other levels, another phantom, or files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muscletransfer.errors import SettingError
from muscletransfer.study.config.data import PhantomConfig, read_augmentation, read_phantom
from muscletransfer.study.config.fields import (
    anything,
    choice,
    each,
    flag,
    mapping,
    number,
    takes,
    text,
    whole,
)

__all__ = ["MANIFEST", "OTHER_LEVELS", "Images", "ImagesConfig", "read_images"]

MANIFEST = "manifest"
OTHER_LEVELS = "other_levels"
_KINDS = ("manifest", "class_folder", "class_csv", "mask_folders", "image_folder")


@dataclass(frozen=True)
class Images:
    """One collection.

    Args:
        word: ``manifest`` (the study's own cases), ``other_levels`` (of the study's phantom),
            ``phantom`` (another one), or ``path``.
        path: Of ``path``: a CSV or a folder, relative to the study's file.
        phantom: Of ``phantom``; its slices of other levels are used.
    """

    word: str
    path: str | None = None
    phantom: PhantomConfig | None = None

    def __str__(self) -> str:
        if self.word == MANIFEST:
            return "the study's own images"
        if self.word == OTHER_LEVELS:
            return "other levels of the study's phantom"
        return str(self.path) if self.phantom is None else f"a phantom (seed {self.phantom.seed})"


def read_images(given: Any, where: str) -> Images:
    """Read one collection: a word, a path, or ``{phantom: {...}}``."""
    if isinstance(given, Mapping):
        inner = mapping(given, where)
        if set(inner) != {"phantom"}:
            raise SettingError(
                f"{where} is {inner!r}; wanted {MANIFEST}, {OTHER_LEVELS}, a path, or "
                "{phantom: {patients: ..., seed: ...}}."
            )
        phantom = read_phantom(inner["phantom"], f"{where}.phantom")
        if not phantom.other_levels:
            raise SettingError(
                f"{where}.phantom.other_levels is 0; wanted 1 to 5, since source tasks learn from "
                "slices of other levels."
            )
        return Images("phantom", phantom=phantom)
    word = str(text(given, where))
    return Images(word) if word in (MANIFEST, OTHER_LEVELS) else Images("path", path=word)


def read_slices(given: Any, where: str) -> str | int:
    """Read ``listed``, ``all`` or every so many-th."""
    if isinstance(given, str):
        return str(choice("listed", "all")(given, where))
    return int(whole(1)(given, where))


@dataclass(frozen=True)
class ImagesConfig:
    """What a source task learns from; options as in `PretextDataModule`.

    Args:
        images: One collection or several, mixed.
        kind: Layout of a path; null finds out.
        val_fraction: Share of the images that show how well the task was learnt.
        slices: ``listed``, ``all`` or every so many-th slice of a manifest's volumes.
        exclude_validation: Leave out the validation patients of a fold too.
        label_column: Column of the classes.
        mask_column: Column of the masks.
        ignore_value: A mask value that means "no label".
        where: Only rows of a manifest whose columns hold these texts.
        augmentation: As in ``data``.
        preprocessing: Fields that differ from the study's preprocessing.
        licence: Licence of the images, for provenance.
        other_people: The images are of people outside the study although patient ids coincide
            (``P001`` of two hospitals); images of the same content are still held apart.
    """

    images: tuple[Images, ...] = field(metadata=takes(each(read_images)))
    kind: str | None = field(default=None, metadata=takes(choice(*_KINDS)))
    val_fraction: float = field(default=0.1, metadata=takes(number(0, 0.9)))
    slices: str | int = field(default="listed", metadata=takes(read_slices))
    exclude_validation: bool = field(default=False, metadata=takes(flag))
    label_column: str = field(default="label", metadata=takes(text))
    mask_column: str = field(default="mask", metadata=takes(text))
    ignore_value: int | None = field(default=None, metadata=takes(whole(0, 255, none=True)))
    where: dict[str, str] = field(default_factory=dict, metadata=takes(mapping))
    augmentation: str | dict[str, Any] = field(default="default", metadata=takes(read_augmentation))
    preprocessing: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))
    licence: str | None = field(default=None, metadata=takes(anything))
    other_people: bool = field(default=False, metadata=takes(flag))
