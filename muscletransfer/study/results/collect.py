"""The tidy table, made from the folders of finished runs whenever it is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.study.results.columns import (
    COLUMNS,
    ORDER,
    RUN_COLUMNS,
    empty_table,
    find_problems,
)
from muscletransfer.study.results.parsing import to_frame
from muscletransfer.study.results.run_folders import RESULT_FIELDS, RunFolder, read_run
from muscletransfer.study.running.opening import open_store

__all__ = ["StudyResults", "collect_results"]


@dataclass(frozen=True, eq=False)
class StudyResults:
    """What the run folders of a study hold.

    .. versionadded:: 0.1

    Args:
        table: The tidy table, one row a run, test case and class; the same runs give the same
            table, row for row.
        runs: One row a run: the run columns, ``seed, num_folds``, and how it went (``seconds,
            steps, best_step, val_dice, labels_train, labels_validation, label_slices, device``).
        left_out: Run to what is wrong with its folder.
        unfinished: Runs that were asked for and have no folder.
        notes: Both of these in sentences.

    Example:
        >>> from muscletransfer.study.results import empty_table
        >>> StudyResults(empty_table(), pd.DataFrame(columns=["run_id"])).left_out
        {}
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    left_out: dict[str, str] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def selection_labels(self) -> int | None:
        """Labelled patients that every run spent on model selection; ``None`` where they differ."""
        if "labels_validation" not in self.runs:
            return None
        found = self.runs["labels_validation"].unique()
        return int(found[0]) if len(found) == 1 and not pd.isna(found[0]) else None


def collect_results(study_folder: str | Path, run_ids: Iterable[str] | None = None) -> StudyResults:
    """Read every finished run of a study into one table.

    A folder that is damaged (a file missing, cut short, of another run, or with impossible numbers)
    is left out and named; the others are read.

    .. versionadded:: 0.1

    Args:
        study_folder: The study folder, a path or a URL.
        run_ids: The runs that belong together, such as those of the current plan; default all.

    Returns:
        The results.

    Raises:
        DataError: There is no such study folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "runs").mkdir()
        >>> len(collect_results(folder).table)
        0
    """
    store = open_store(study_folder)
    # What begins with a dot is no run: a file system's own, or a file being written.
    there = {name for name in store.finished("runs") if not name.startswith(".")}
    if not there and "://" not in str(study_folder) and not Path(study_folder).is_dir():
        raise DataError(f"{study_folder} does not exist; wanted the folder of a study.")
    wanted = sorted(there) if run_ids is None else list(dict.fromkeys(run_ids))
    found: list[RunFolder] = []
    left_out: dict[str, str] = {}
    for run_id in wanted:
        if run_id in there:
            try:
                found.append(read_run(store, run_id))
            except DataError as error:
                left_out[run_id] = str(error)
    unfinished = tuple(run_id for run_id in wanted if run_id not in there)
    table = _table(found)
    if problems := find_problems(table):
        left_out |= {run: f"cases.csv is damaged: {text}" for run, text in problems.items()}
        table = table[~table["run_id"].isin(list(problems))].reset_index(drop=True)
    runs = _runs([run for run in found if run.facts["run_id"] not in left_out])
    return StudyResults(
        table, runs, left_out, unfinished, _notes(left_out, unfinished, len(wanted))
    )


def _table(found: Sequence[RunFolder]) -> pd.DataFrame:
    if not found:
        return empty_table()
    import pyarrow as pa

    cases = pa.concat_tables([run.cases for run in found])
    sizes = [run.cases.num_rows for run in found]
    index = pa.array(np.repeat(np.arange(len(found)), sizes))
    types = {"text": pa.string(), "integer": pa.int64()}
    columns = {
        name: pa.array([run.facts[name] for run in found], types[kind]).take(index)
        for name, kind in RUN_COLUMNS.items()
    }
    columns |= {name: cases[name] for name in cases.column_names}
    whole = pa.table({name: columns[name] for name in COLUMNS})
    whole = whole.sort_by([(name, "ascending") for name in ORDER])
    return to_frame(whole)


def _runs(found: Sequence[RunFolder]) -> pd.DataFrame:
    names = [*RUN_COLUMNS, "seed", "num_folds", *RESULT_FIELDS]
    table = pd.DataFrame([run.facts for run in found], columns=names)
    order = [name for name in ORDER if name in table]
    return table.sort_values(order, ignore_index=True)


def _notes(left_out: dict[str, str], unfinished: tuple[str, ...], wanted: int) -> tuple[str, ...]:
    notes = [
        f"run {run} is left out: {text}; remove its folder runs/{run} and start the study again "
        "to do it anew"
        for run, text in left_out.items()
    ]
    if unfinished:
        notes.append(f"{len(unfinished)} of {wanted} runs are not finished")
    return tuple(notes)
