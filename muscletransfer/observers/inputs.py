"""The cases of an observer study, checked before anything is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muscletransfer.errors import (
    DataError,
    EmptyMaskError,
    GeometryError,
    MuscleTransferError,
    close_matches,
)
from muscletransfer.metrics.checks import BoolMask, check_spacing, to_array, to_mask

__all__ = ["MODEL", "EmptyRule", "StudyCase", "check_cases", "patients_of"]

MODEL = "model"
_RESERVED = (MODEL, "reference", "consensus")

EmptyRule = Literal["error", "failure", "missing"]


@dataclass(frozen=True, eq=False)
class StudyCase:
    """One case of an observer study.

    Args:
        name: Its name.
        spacing: Millimetres in array order.
        masks: Observer to mask.
        reference: The reference mask, if there is one.
        model: The model's mask, if there is one.
        hu: The image in Hounsfield units, if it is known.
        ignored: Where somebody did not look; every mask is empty there.
        unseen_by: Who that was.
    """

    name: str
    spacing: tuple[float, ...]
    masks: dict[str, BoolMask]
    reference: BoolMask | None = None
    model: BoolMask | None = None
    hu: NDArray[Any] | None = None
    ignored: BoolMask | None = None
    unseen_by: tuple[str, ...] = ()


def check_cases(
    masks: Mapping[str, Mapping[str, Any]],
    spacing: Mapping[str, Sequence[float]],
    reference: Mapping[str, Any] | None,
    model: Mapping[str, Any] | None,
    hu: Mapping[str, Any] | None,
    empty: EmptyRule,
) -> tuple[list[StudyCase], list[str]]:
    """Check an observer study's input and gather it by case.

    Args:
        masks: Case to observer to mask.
        spacing: Case to spacing in mm.
        reference: Case to reference mask.
        model: Case to the model's mask.
        hu: Case to image.
        empty: What an observer's empty mask means.

    Returns:
        The cases, and a note for each mask that was left out.

    Raises:
        DataError: No masks, a reserved observer name, a case nobody outlined, values that are no
            mask.
        EmptyMaskError: An empty reference, or an observer's with ``empty="error"``.
        GeometryError: Shapes of a case differ, or its spacing is missing or wrong.
    """
    _check_mappings(masks, spacing, _optionals(reference, model, hu))
    cases: list[StudyCase] = []
    notes: list[str] = []
    for name, by_observer in masks.items():
        own = _outlined(name, by_observer, empty, notes)
        case = StudyCase(
            str(name),
            _spacing_of(name, spacing, next(iter(own.values())).ndim),
            own,
            _optional(reference, name, "reference"),
            _optional(model, name, "mask of the model"),
            None if hu is None or name not in hu else to_array(hu[name]),
        )
        _check_grid(case)
        if case.reference is not None and not case.reference.any():
            raise EmptyMaskError(f"Case {name!r}: the reference is empty; leave the case out.")
        cases.append(case)
    return cases, notes


def _check_mappings(
    masks: object, spacing: object, optionals: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Refuse what is no mapping of cases, and cases that nobody outlined."""
    for what, mapping in (("masks", masks), ("spacing", spacing), *optionals):
        if not isinstance(mapping, Mapping):
            raise DataError(
                f"{what} is a {type(mapping).__name__}; wanted a mapping whose keys are the cases."
            )
    assert isinstance(masks, Mapping)
    if not masks:
        raise DataError("No cases were given; wanted a mapping of case to observer to mask.")
    for what, given in optionals:
        for name in given:
            if name not in masks:
                near = close_matches(str(name), map(str, masks))
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise DataError(f"{what} has the case {name!r}, which no observer outlined.{hint}")


def _outlined(
    name: str, by_observer: Mapping[str, Any], empty: EmptyRule, notes: list[str]
) -> dict[str, BoolMask]:
    """Return the masks of one case by observer; what is left out goes to ``notes``."""
    if not isinstance(by_observer, Mapping):
        raise DataError(
            f"Case {name!r}: its masks are a {type(by_observer).__name__}; wanted a mapping of "
            "observer to mask."
        )
    own: dict[str, BoolMask] = {}
    for observer, values in by_observer.items():
        if observer in _RESERVED:
            raise DataError(
                f"Case {name!r}: an observer is called {observer!r}, a word the tables use; "
                "give the observer another name."
            )
        mask = to_mask(values, f"Case {name!r}: the mask of observer {observer!r}")
        if mask.any() or empty == "failure":
            own[str(observer)] = mask
        elif empty == "error":
            raise EmptyMaskError(
                f"Case {name!r}: the mask of observer {observer!r} is empty. If nothing "
                "was outlined pass empty='missing'; if the observer saw no muscle pass "
                "empty='failure', which scores Dice 0 and an infinite distance."
            )
        else:
            notes.append(f"case {name!r}: the empty mask of observer {observer!r} left out")
    if not own:
        raise DataError(f"Case {name!r}: no observer outlined it; leave it out.")
    return own


def _optionals(
    reference: Mapping[str, Any] | None,
    model: Mapping[str, Any] | None,
    hu: Mapping[str, Any] | None,
) -> list[tuple[str, Mapping[str, Any]]]:
    given = (("reference", reference), (MODEL, model), ("hu", hu))
    return [(what, mapping) for what, mapping in given if mapping is not None]


def _optional(given: Mapping[str, Any] | None, name: str, what: str) -> BoolMask | None:
    if given is None or name not in given:
        return None
    return to_mask(given[name], f"Case {name!r}: the {what}")


def _spacing_of(name: str, spacing: Mapping[str, Sequence[float]], ndim: int) -> tuple[float, ...]:
    try:
        return check_spacing(spacing.get(name), ndim)
    except MuscleTransferError as error:
        raise GeometryError(f"Case {name!r}: {error}") from error


def _check_grid(case: StudyCase) -> None:
    found = {observer: mask.shape for observer, mask in case.masks.items()}
    for what, array in (("reference", case.reference), (MODEL, case.model), ("hu", case.hu)):
        if array is not None:
            found[what] = np.shape(array)
    if len(set(found.values())) != 1:
        raise GeometryError(
            f"Case {case.name!r}: the shapes differ: "
            f"{', '.join(f'{who} {shape}' for who, shape in found.items())}; wanted one grid."
        )


def patients_of(given: Mapping[str, str] | None, cases: Sequence[str]) -> dict[str, str]:
    """Whose each case is.

    Args:
        given: Case to patient, or ``None``: each case is another patient.
        cases: Names of the cases.

    Returns:
        Case to patient, for every case.

    Raises:
        DataError: A case has no patient.

    Example:
        >>> patients_of(None, ["c1", "c2"])
        {'c1': 'c1', 'c2': 'c2'}
    """
    if given is None:
        return {name: name for name in cases}
    known = {str(name): str(patient) for name, patient in given.items()}
    if lacking := [name for name in cases if name not in known]:
        raise DataError(
            f"patients lacks the cases {lacking[:5]}; name the patient of every case, or pass None "
            "when each case is another patient."
        )
    return {name: known[name] for name in cases}
