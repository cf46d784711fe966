"""``muscletransfer measure``: muscle measures of a manifest, as a CSV file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from muscletransfer.errors import DataError, SettingError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add_measure", "run_measure"]


def add_measure(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser.

    Args:
        commands: The subparsers of the command line.
    """
    measure = commands.add_parser(
        "measure",
        help="muscle area, density and fat of every case of a manifest",
        description="Measure the outlined muscle of every case: areas in cm2, densities in HU, "
        "for the raw outline and inside the HU window. Not a diagnosis.",
    )
    measure.add_argument("manifest", help="patient_id,image,mask[,slice_index,height_m,sex,bmi]")
    measure.add_argument("-o", "--output", default="measures.csv", help="the CSV file to write")
    measure.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=CODE",
        help="a named muscle and its value in the masks; once for each",
    )
    measure.add_argument(
        "--window",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="another HU window, as in muscle=-30:110",
    )
    measure.add_argument("--mask-column", default="mask", help="column that holds the masks")
    measure.add_argument("--body-column", default="body_mask", help="column with body outlines")
    measure.add_argument(
        "--cavity-column", default="cavity_mask", help="column with outlines of the cavity"
    )
    measure.add_argument(
        "--keep", nargs="*", default=[], metavar="COLUMN", help="columns to copy, as in observer"
    )


def run_measure(options: argparse.Namespace) -> None:
    """Measure, write the table, and say what it holds.

    Args:
        options: The parsed arguments of the command.

    Raises:
        SettingError: A group or window that cannot be read.
        DataError: Some cases could not be measured; the table is written all the same, with the
            reason in its column ``problem``.
    """
    from muscletransfer.data.files import write_text_atomic
    from muscletransfer.measures.table import measure_manifest

    groups: dict[str, int] = {}
    for text in options.group:
        name, _, code = text.partition("=")
        if not name or not code.isdecimal():
            raise SettingError(f"--group {text!r}; wanted a name and a whole number, as psoas=1.")
        if name in groups:
            raise SettingError(
                f"--group {name} is given twice ({groups[name]} and {code}); wanted one value a "
                "name. Parts of one muscle need names of their own, or one value in the masks."
            )
        groups[name] = int(code)
    windows = {}
    for text in options.window:
        name, _, ends = text.partition("=")
        low, _, high = ends.partition(":")
        if name in windows:
            raise SettingError(
                f"--window {name} is given twice; wanted one window a name. Another window needs "
                "a name of its own."
            )
        try:
            windows[name] = (float(low), float(high))
        except ValueError as error:
            raise SettingError(
                f"--window {text!r}; wanted a name and two numbers in HU, as muscle=-30:110."
            ) from error
    table = measure_manifest(
        options.manifest,
        groups=groups or None,
        windows=windows,
        mask_column=options.mask_column,
        body_column=options.body_column,
        cavity_column=options.cavity_column,
        keep=options.keep,
        on_error="report",
    )
    path = write_text_atomic(options.output, table.to_csv(index=False, float_format="%.10g"))
    _report(table, str(path))


def _report(table: pd.DataFrame, path: str) -> None:
    from muscletransfer.measures.cutoffs import CUTOFF_TABLES

    failed = table[table["problem"] != ""]
    cases = table["case"].nunique()
    print(f"{path}: {len(table)} rows of {cases} cases")
    for row in table[table["warning"] != ""].drop_duplicates("case").itertuples():
        print(f"{row.case}: {row.warning}")
    for name, published in CUTOFF_TABLES.items():
        if any(str(column).startswith(f"{name}_") for column in table):
            check = "" if published.verified else " Check the values there before use."
            print(f"Cut-offs {name}: {published.citation}. Reported, not a diagnosis.{check}")
    if len(failed):
        reasons = "\n".join(f"  {reason}" for reason in failed["problem"])
        raise DataError(
            f"{len(failed)} of {cases} cases could not be measured; the others are in {path}:\n"
            f"{reasons}"
        )
