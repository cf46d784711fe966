"""What limits the results of a study, in sentences."""

from __future__ import annotations

import pandas as pd

from muscletransfer.agreement.bootstrap import FEWEST_PATIENTS
from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.usefulness import NOT_USEFUL, poor_outlines
from muscletransfer.study.statistics.values import PatientValues

__all__ = ["study_notes"]


def study_notes(
    table: pd.DataFrame, values: PatientValues, reference: str, units: list[str]
) -> list[str]:
    """Say what a reader of the results has to know.

    Args:
        table: The tidy table.
        values: Values of its patients.
        reference: Source that the others are compared with.
        units: Units of the distances.

    Returns:
        Sentences; none when there is nothing to say.
    """
    notes = _incomplete(table, values)
    poor = poor_outlines(values, values.arms)
    if poor is not None:
        notes.append(
            f"no source {NOT_USEFUL}: {poor}; label-saving factors compare outlines that "
            "are too poor to use"
        )
    failed = int(table["failed"].sum())
    if failed:
        notes.append(
            f"{failed} of {len(table)} results are missed masks; each counts as Dice 0 and as an "
            "infinite distance"
        )
    if len(units) > 1:
        notes.append(
            f"distances are in {' and in '.join(units)}; they are not compared, since no mean of "
            "both means anything"
        )
    spread = table.groupby("patient")["fold"].nunique()
    if (spread > 1).any():
        notes.append(f"{int((spread > 1).sum())} patient(s) were tested in more than one fold")
    if table["repeat"].nunique() == 1:
        notes.append(
            "one repeat: what another draw of training patients or another seed would give is not "
            "known, and no interval holds it"
        )
    if len(values.patients) < FEWEST_PATIENTS:
        notes.append(
            f"{len(values.patients)} patients are too few for an interval; wanted {FEWEST_PATIENTS}"
        )
    scratch = {arm[1:3] for arm in values.arms if arm.source == reference}
    for encoder, decoder in sorted({arm[1:3] for arm in values.arms} - scratch):
        notes.append(
            f"no runs from scratch (source {reference!r}) with {encoder} and {decoder}, so no "
            "label saving for them"
        )
    return notes


def _incomplete(table: pd.DataFrame, values: PatientValues) -> list[str]:
    """Arms and n with fewer runs than the study has elsewhere."""
    runs = table.drop_duplicates("run_id").groupby([*Arm._fields, "n"]).size()
    most = int(runs.max())
    few = [(arm, n, int(runs.loc[(*arm, n)])) for arm, n in values.cells]
    short = [f"{arm}, n = {n}: {count}" for arm, n, count in few if count < most]
    if not short:
        return []
    shown = "; ".join(short[:5]) + ("; ..." if len(short) > 5 else "")
    return [f"fewer than {most} runs at {len(short)} arm(s) and n: {shown}"]
