"""CSV of known columns, read fast, to the last digit, and strictly."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.study.results.columns import COLUMNS, Kind

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["parse_csv", "to_frame"]


def parse_csv(text: bytes, columns: Mapping[str, Kind], name: str) -> pa.Table:
    r"""Read a CSV whose columns are known; others are passed over.

    Args:
        text: The file.
        columns: Column to kind. Numbers may be empty; integers and flags may not.
        name: What messages call the file.

    Returns:
        The columns, in this order.

    Raises:
        DataError: A column or cell is missing, or a cell is of another kind.

    Example:
        >>> table = parse_csv(b"b,a\nx,1.5\ny,\n", {"a": "number", "b": "text"}, "a.csv")
        >>> table.to_pydict()
        {'a': [1.5, None], 'b': ['x', 'y']}
    """
    import pyarrow as pa
    from pyarrow import csv

    types = {"text": pa.string(), "number": pa.float64()}
    types |= {"integer": pa.int64(), "flag": pa.bool_()}
    try:
        table = csv.read_csv(
            io.BytesIO(text),
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={column: types[kind] for column, kind in columns.items()},
                include_columns=list(columns),
                null_values=["", "nan", "NaN"],
            ),
        )
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"{name} is damaged ({str(error).splitlines()[0]})") from error
    for column, kind in columns.items():
        if kind in ("integer", "flag") and table[column].null_count:
            raise DataError(f"{name} is damaged (a row without {column})")
    return table


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Turn the columns of the tidy table into a data frame; a text that is missing is empty.

    Args:
        table: With all of :data:`COLUMNS`.
    """
    frame: pd.DataFrame = table.to_pandas()
    for name, kind in COLUMNS.items():
        if kind == "text":
            frame[name] = frame[name].fillna("")
    return frame
