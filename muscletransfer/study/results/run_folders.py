"""One finished run as it lies in its folder: what it was, how it went, how each case came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from muscletransfer.errors import DataError
from muscletransfer.study.results.columns import CASE_COLUMNS, RUN_COLUMNS
from muscletransfer.study.results.parsing import parse_csv
from muscletransfer.study.running.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RunFolder", "read_run"]

#: What ``result.json`` may say of a run, in the order of the table of runs.
RESULT_FIELDS = (
    *("seconds", "steps", "best_step", "val_dice", "labels_train", "labels_validation"),
    *("label_slices", "device"),
)


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run that was read.

    Args:
        facts: The columns of :data:`RUN_COLUMNS`, then ``seed`` and ``num_folds``, then those of
            :data:`RESULT_FIELDS` that the run wrote.
        cases: Its ``cases.csv`` with the columns of :data:`CASE_COLUMNS`.
    """

    facts: dict[str, Any]
    cases: pa.Table


def read_run(store: Store, run_id: str) -> RunFolder:
    """Read a run's folder.

    Args:
        store: The study folder.
        run_id: Name of its folder under ``runs``.

    Returns:
        The run.

    Raises:
        DataError: A file is missing, damaged, or of another run; the message says which.
    """
    spec, result = (_json(store, run_id, name) for name in ("spec.json", "result.json"))
    if spec.get("id") != run_id:
        raise DataError(f"spec.json is that of run {spec.get('id')!r}")
    facts: dict[str, Any] = {"run_id": run_id}
    for name, kind in RUN_COLUMNS.items():
        if name == "run_id":
            continue
        value = spec.get(name)
        wanted = int if kind == "integer" else str
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise DataError(f"spec.json has {name} = {value!r}; wanted {wanted.__name__}")
        facts[name] = value
    facts |= {name: spec[name] for name in ("seed", "num_folds") if name in spec}
    facts |= {name: result[name] for name in RESULT_FIELDS if name in result}
    cases = parse_csv(_bytes(store, run_id, "cases.csv"), CASE_COLUMNS, "cases.csv")
    if not cases.num_rows:
        raise DataError("cases.csv has no rows")
    tested, stated = len(cases["patient"].unique()), result.get("test_patients")
    if stated is not None and tested != stated:
        raise DataError(f"cases.csv has {tested} patients; result.json says {stated} were tested")
    return RunFolder(facts, cases)


def _bytes(store: Store, run_id: str, name: str) -> bytes:
    try:
        return store.read(f"runs/{run_id}/{name}")
    except FileNotFoundError as error:
        raise DataError(f"{name} is missing") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error})") from error


def _json(store: Store, run_id: str, name: str) -> dict[str, Any]:
    content = _bytes(store, run_id, name)  # what is missing is told as that
    try:
        found = json.loads(content)
    except ValueError as error:  # bad JSON and bad UTF-8 alike
        raise DataError(f"{name} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{name} holds a {type(found).__name__}; wanted a mapping")
    return found
