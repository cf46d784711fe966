"""How far trained observers agree with each other, and where a model stands among them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.metrics.checks import BoolMask
from muscletransfer.metrics.functional import check_option
from muscletransfer.observers.compare import compare, measure
from muscletransfer.observers.consensus import Consensus, consensus_mask
from muscletransfer.observers.inputs import MODEL, EmptyRule, StudyCase, check_cases, patients_of
from muscletransfer.observers.result import ObserverStudy

__all__ = ["observer_study"]

Rows = list[dict[str, Any]]

# Leaving one of two out leaves one: its mask is no consensus, and the pair is in `pairwise`.
_FEWEST_OTHERS = 2


def observer_study(
    masks: Mapping[str, Mapping[str, Any]],
    spacing: Mapping[str, Sequence[float]],
    reference: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    hu: Mapping[str, Any] | None = None,
    consensus: Consensus = "majority",
    empty: EmptyRule = "error",
    patients: Mapping[str, str] | None = None,
) -> ObserverStudy:
    """Compare several observers' masks of the same cases, and a model's with theirs.

    Three comparisons are made, each a table of the result: every two observers (``pairwise``),
    each observer against the consensus of the *others* (``leave_one_out``), and each observer
    against the reference (``against_reference``). Not every observer has to have outlined every
    case. A model is compared with every observer, with every leave-one-out consensus and with the
    reference, so that it is held to what the observers were held to.

    Rules: a case with fewer than three observers has no leave-one-out rows. A consensus without
    any pixel, or that STAPLE did not find, is not compared with. Each is written into ``notes``. A
    model's empty mask is a failure (Dice 0, distance inf), never an error.

    .. versionadded:: 0.1

    Args:
        masks: Case to observer to mask, ``(H, W)`` or ``(Z, H, W)``, bool or 0/1.
        spacing: Case to spacing in mm, in array order.
        reference: Case to reference mask, for all cases or some.
        model: Case to the model's mask, for all cases or some.
        hu: Case to image in Hounsfield units, for all cases or none; with it areas are also
            measured inside the muscle window, and density is.
        consensus: ``"majority"`` or ``"staple"``; see
            :func:`muscletransfer.observers.consensus_mask`.
        empty: An observer's empty mask is an ``"error"`` (default), a ``"failure"`` that scores
            Dice 0 and distance inf, or was ``"missing"``, as if never outlined.
        patients: Case to patient, where a patient has several cases; intervals are over patients.
            Default: each case is another patient.

    Returns:
        An :class:`ObserverStudy` with the tables and the human band.

    Raises:
        DataError: Fewer than two observers, unknown cases, masks with other values than 0 and 1.
        EmptyMaskError: An empty reference, or an observer's empty mask with ``empty="error"``.
        GeometryError: Shapes of a case differ, or its spacing is missing or wrong.
        UnknownNameError: No such consensus or rule.

    Warns:
        UserWarning: Two observers' masks are identical in all the cases they share.

    Example:
        >>> mask = np.zeros((9, 9), bool); mask[2:7, 2:7] = True
        >>> masks = {"case1": {"A": mask, "B": np.roll(mask, 1, 0), "C": np.roll(mask, 1, 1)}}
        >>> study = observer_study(masks, {"case1": (1.0, 1.0)}, reference={"case1": mask})
        >>> study.against_reference[["observer", "dice"]].round(2).values.tolist()
        [['A', 1.0], ['B', 0.8], ['C', 0.8]]
        >>> len(study.pairwise), len(study.leave_one_out)
        (3, 3)
    """
    check_option("consensus", consensus, get_args(Consensus))
    check_option("rule for empty masks", empty, get_args(EmptyRule))
    cases, notes = check_cases(masks, spacing, reference, model, hu, empty)
    observers = sorted({observer for case in cases for observer in case.masks})
    if len(observers) < 2:
        raise DataError(
            f"The study has one observer, {observers[0]!r}; wanted at least two. To score one set "
            "of masks against a reference use muscletransfer.metrics."
        )
    if hu is not None and (lacking := [case.name for case in cases if case.hu is None]):
        raise DataError(f"hu lacks the cases {lacking}; give it for all cases or for none.")
    notes += _copies(cases, observers) + _lacking(cases) + _with_few(cases)
    tables: dict[str, Rows] = {"measures": [], "pairwise": [], "loo": [], "reference": []}
    for case in cases:
        notes += _study_case(case, consensus, tables)
    of_patient = patients_of(patients, [case.name for case in cases])
    keys = {
        "measures": ["case", "observer"],
        "pairwise": ["case", "observer", "other"],
        "loo": ["case", "left_out", "observer", "n_others"],
        "reference": ["case", "observer"],
    }
    columns = list(compare_columns(hu is not None))
    frames = {
        name: pd.DataFrame(rows, columns=None if rows else keys[name] + columns)
        for name, rows in tables.items()
    }
    return ObserverStudy(
        observers=tuple(observers),
        cases=tuple(case.name for case in cases),
        model_cases=tuple(case.name for case in cases if case.model is not None),
        pairwise=frames["pairwise"],
        leave_one_out=frames["loo"],
        against_reference=frames["reference"],
        measures=frames["measures"],
        consensus=consensus,
        patients=of_patient,
        notes=tuple(notes),
    )


def compare_columns(with_hu: bool) -> list[str]:
    """Names of the figures in the comparison tables.

    Args:
        with_hu: Whether the images are known.

    Returns:
        Column names, each with its unit.

    Example:
        >>> compare_columns(False)[:2]
        ['dice', 'dta_rms_mm']
    """
    names = ["dice", "dta_rms_mm", "sma_outline_difference_cm2", "sma_outline_difference_percent"]
    if with_hu:
        names += ["sma_difference_cm2", "sma_difference_percent", "smd_difference_hu"]
    return names


def _study_case(case: StudyCase, method: Consensus, tables: dict[str, Rows]) -> list[str]:
    """Fill the tables with one case; return what was left out."""
    subjects = dict(sorted(case.masks.items()))
    if case.model is not None:
        subjects[MODEL] = case.model
    figures = {name: measure(case, mask) for name, mask in subjects.items()}
    tables["measures"] += [
        {"case": case.name, "observer": name, **found} for name, found in figures.items()
    ]
    for first, second in itertools.combinations(subjects, 2):
        a, b = (second, first) if second == MODEL else (first, second)
        row = compare(case, subjects[a], subjects[b], figures[a], figures[b])
        tables["pairwise"].append({"case": case.name, "observer": a, "other": b, **row})
    if case.reference is not None:
        wanted = measure(case, case.reference)
        tables["measures"].append({"case": case.name, "observer": "reference", **wanted})
        for name, mask in subjects.items():
            row = compare(case, mask, case.reference, figures[name], wanted)
            tables["reference"].append({"case": case.name, "observer": name, **row})
    return _leave_one_out(case, method, subjects, figures, tables["loo"])


def _with_few(cases: Sequence[StudyCase]) -> list[str]:
    """Say once, and not once a case, that there are too few observers to leave one out."""
    few = [case.name for case in cases if len(case.masks) <= _FEWEST_OTHERS]
    if not few:
        return []
    some = ", ".join(map(repr, few[:3])) + (", ..." if few[3:] else "")
    return [
        f"{len(few)} of {len(cases)} case(s) have {_FEWEST_OTHERS} observers or fewer ({some}), so "
        "no leave-one-out comparison"
    ]


def _leave_one_out(
    case: StudyCase,
    method: Consensus,
    subjects: Mapping[str, BoolMask],
    figures: Mapping[str, dict[str, float]],
    rows: Rows,
) -> list[str]:
    if len(case.masks) <= _FEWEST_OTHERS:
        return []  # see _with_few
    notes = []
    for left_out in sorted(case.masks):
        others = [mask for name, mask in case.masks.items() if name != left_out]
        try:
            agreed = consensus_mask(others, method)
        except DataError as error:  # STAPLE went astray: said so, and the other cases go on
            notes.append(f"case {case.name!r} without {left_out!r}: no comparison. {error}")
            continue
        if not agreed.any():
            notes.append(
                f"case {case.name!r}: the observers other than {left_out!r} agree on no pixel, so "
                "no leave-one-out comparison"
            )
            continue
        wanted = measure(case, agreed)
        for name in (left_out, *([MODEL] if case.model is not None else [])):
            row = compare(case, subjects[name], agreed, figures[name], wanted)
            key = {"case": case.name, "left_out": left_out, "observer": name}
            rows.append({**key, "n_others": len(others), **row})
    return notes


def _lacking(cases: Sequence[StudyCase]) -> list[str]:
    """Cases without a mask of the model or a reference: no failure, and no secret either."""
    notes = []
    for what, names in (
        ("the model has no mask of", [case.name for case in cases if case.model is None]),
        ("there is no reference for", [case.name for case in cases if case.reference is None]),
    ):
        if names and len(names) < len(cases):
            shown = ", ".join(names[:5]) + ", ..." * (len(names) > 5)
            notes.append(f"{what} {len(names)} of {len(cases)} cases: {shown}")
    return notes


def _copies(cases: Sequence[StudyCase], observers: Sequence[str]) -> list[str]:
    """Observers who agree to the pixel everywhere: likely one file under two names."""
    found = []
    for a, b in itertools.combinations(observers, 2):
        shared = [case.masks for case in cases if a in case.masks and b in case.masks]
        if shared and all(np.array_equal(masks[a], masks[b]) for masks in shared):
            found.append(
                f"observers {a!r} and {b!r} are identical in all {len(shared)} case(s) they share"
            )
    if found:
        warnings.warn(
            f"{'; '.join(found)}. Are these copies of one file? Agreement is then overstated.",
            stacklevel=3,
        )
    return found
