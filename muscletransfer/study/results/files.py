"""The tidy table as files: Parquet for programs, CSV for people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from muscletransfer.data.files import atomic_path, write_text_atomic
from muscletransfer.errors import DataError
from muscletransfer.study.results.collect import StudyResults
from muscletransfer.study.results.columns import COLUMNS, check_table
from muscletransfer.study.results.parsing import parse_csv, to_frame

__all__ = ["read_results", "write_results"]


def write_results(results: StudyResults, folder: str | Path) -> list[Path]:
    """Write ``cases.parquet``, ``cases.csv`` and ``runs.csv``, each whole or not at all.

    .. versionadded:: 0.1

    Args:
        results: What was collected.
        folder: Where to; made if need be.

    Returns:
        The files.

    Example:
        >>> import tempfile
        >>> from muscletransfer.study.results import empty_table
        >>> results = StudyResults(empty_table(), pd.DataFrame(columns=["run_id"]))
        >>> [path.name for path in write_results(results, tempfile.mkdtemp())]
        ['cases.parquet', 'cases.csv', 'runs.csv']
    """
    root = Path(folder)
    with atomic_path(root / "cases.parquet") as temporary:
        results.table.to_parquet(temporary, index=False)
    return [
        root / "cases.parquet",
        write_text_atomic(root / "cases.csv", results.table.to_csv(index=False)),
        write_text_atomic(root / "runs.csv", results.runs.to_csv(index=False)),
    ]


def read_results(path: str | Path) -> pd.DataFrame:
    """Read the tidy table back from ``cases.parquet`` or ``cases.csv``; both give the same.

    .. versionadded:: 0.1

    Args:
        path: One of the files, or the folder they are in.

    Returns:
        The table.

    Raises:
        DataError: No such file, or it is no tidy table.

    Example:
        >>> import tempfile
        >>> from muscletransfer.study.results import empty_table
        >>> folder = tempfile.mkdtemp()
        >>> _ = write_results(StudyResults(empty_table(), pd.DataFrame(columns=["run_id"])), folder)
        >>> len(read_results(folder))
        0
    """
    file = Path(path)
    if file.is_dir():
        file = file / "cases.parquet"
    try:
        if file.suffix == ".csv":
            table = to_frame(parse_csv(file.read_bytes(), COLUMNS, str(file)))
        else:
            table = pd.read_parquet(file)
    except FileNotFoundError as error:
        raise DataError(
            f"{file} does not exist; make it with `muscletransfer study results`."
        ) from error
    except (OSError, ValueError) as error:  # pyarrow's errors are of these; so are ours
        raise DataError(f"{file} cannot be read as the table of a study: {error}") from error
    check_table(table)
    return table
