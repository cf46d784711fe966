"""Section ``data``: the labelled cases the study is about."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.errors import SettingError
from muscletransfer.study.config.fields import (
    anything,
    choice,
    did_you_mean,
    each,
    mapping,
    read_fields,
    takes,
    text,
    whole,
)

__all__ = ["DataConfig", "PhantomConfig"]


@dataclass(frozen=True)
class PhantomConfig:
    """A synthetic cohort, drawn when the study starts; see `make_cohort`.

    .. versionadded:: 0.1

    Args:
        patients: How many.
        seed: Everything follows from it.
        size: Rows and columns of a slice.
        observers: Simulated observers who outline every patient.
        other_levels: Slices of other levels a patient, for source tasks.
        troubles: Kinds of trouble every third patient has.

    Example:
        >>> PhantomConfig(patients=12, observers=5).size
        512
    """

    patients: int = field(default=40, metadata=takes(whole(1, 9999)))
    seed: int = field(default=0, metadata=takes(whole(0)))
    size: int = field(default=512, metadata=takes(whole(32, 2048)))
    observers: int = field(default=0, metadata=takes(whole(0, 10)))
    other_levels: int = field(default=3, metadata=takes(whole(0, 5)))
    troubles: tuple[str, ...] = field(default=(), metadata=takes(each(text, 0)))


def read_phantom(given: Any, where: str) -> PhantomConfig:
    """Read the settings of a synthetic cohort."""
    return read_fields(PhantomConfig, given, where)


def read_preprocessing(given: Any, where: str) -> PreprocessingSpec:
    """Read a preprocessing specification from a mapping of its fields."""
    try:
        return PreprocessingSpec.from_dict(mapping(given, where))
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error


def read_augmentation(given: Any, where: str) -> str | dict[str, Any]:
    """Read ``default``, ``natural``, ``none``, or a mapping of strengths."""
    if isinstance(given, dict):
        strengths = mapping(given, where)
        _check_strengths(strengths, where)
        return strengths
    if given is None:
        return "none"
    return str(choice("default", "natural", "none")(given, where))


def _check_strengths(strengths: dict[str, Any], where: str) -> None:
    # brings torch, which a file without strengths of its own need not
    from muscletransfer.data.augmentation import Augmentation

    known = [one.name for one in fields(Augmentation)]
    for name in strengths:
        if name not in known:
            raise SettingError(
                f"{where}: unknown key {name!r}.{did_you_mean(name, known)} Keys: "
                f"{', '.join(known)}."
            )
    try:
        Augmentation(**strengths)
    except SettingError as error:
        raise SettingError(f"{where}: {error}.") from error


@dataclass(frozen=True)
class DataConfig:
    """The labelled cases, their folds, and how images are prepared.

    .. versionadded:: 0.1

    Args:
        manifest: Manifest of the cases, every row with a mask; or
        phantom: a synthetic cohort.
        observers: Manifest of observers' masks (``patient_id,image,mask,observer``), for the
            human-level test; a phantom brings its own.
        num_folds: Folds of the cross-validation.
        seed: Seed of folds, validation patients and subsets.
        preprocessing: Network grid, window, normalisation, channels.
        augmentation: ``default``, ``natural``, ``none``, or strengths of `Augmentation`.
        class_names: Names of the foreground classes, in the order of the mask's values; as many
            names as classes.
        where: Only rows of the manifest whose columns hold these texts.
        mask_column: Column of the masks.
        fold_column: Column with the fold of each patient, in place of dealing them.
        slices_per_patient: At most so many training slices a patient; null for all.

    Example:
        >>> DataConfig(phantom=PhantomConfig(patients=12), num_folds=3).num_classes
        1
    """

    manifest: str | None = field(default=None, metadata=takes(text))
    phantom: PhantomConfig | None = field(default=None, metadata=takes(read_phantom))
    observers: str | None = field(default=None, metadata=takes(text))
    num_folds: int = field(default=4, metadata=takes(whole(2)))
    seed: int = field(default=0, metadata=takes(whole(0)))
    preprocessing: PreprocessingSpec = field(
        default=PreprocessingSpec(), metadata=takes(read_preprocessing)
    )
    augmentation: str | dict[str, Any] = field(default="default", metadata=takes(read_augmentation))
    class_names: tuple[str, ...] = field(default=("muscle",), metadata=takes(each(text)))
    where: dict[str, str] = field(default_factory=dict, metadata=takes(mapping))
    mask_column: str = field(default="mask", metadata=takes(text))
    fold_column: str | None = field(default=None, metadata=takes(text))
    slices_per_patient: int | None = field(default=None, metadata=takes(whole(1, none=True)))
    licence: str | None = field(default=None, metadata=takes(anything))

    def __post_init__(self) -> None:
        if (self.manifest is None) == (self.phantom is None):
            found = "neither" if self.manifest is None else "both"
            raise SettingError(
                f"data has {found} of 'manifest' and 'phantom'; wanted one: the CSV of your cases, "
                "or a synthetic cohort such as phantom: {patients: 24}."
            )
        if self.phantom is not None:
            for name in ("observers", "fold_column"):
                if getattr(self, name) is not None:
                    raise SettingError(
                        f"data.{name} goes with a manifest; a phantom takes data.phantom.observers "
                        "(a number) and deals its own folds."
                    )

    @property
    def num_classes(self) -> int:
        """Channels of the logits, 1 for one structure, else structures and background."""
        return 1 if len(self.class_names) == 1 else 1 + len(self.class_names)
