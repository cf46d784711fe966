"""What lies in the output folder already: what an earlier run may lose, and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from muscletransfer.errors import SettingError
from muscletransfer.prediction.masks import MASK_FORMATS, MaskFormat, mask_files
from muscletransfer.prediction.page import TITLE

__all__ = ["PROBLEM_COLUMNS", "TABLES", "UNFINISHED", "check_output", "earlier_files", "files_of"]

PROBLEM_COLUMNS = ("case", "image", "problem")
TABLES = ("index.html", "measures.csv", "problems.csv")
UNFINISHED = (
    "the run has not come to it, or was ended before; wanted a run to its end. Run again with "
    "--overwrite (overwrite=True)."
)


def files_of(root: Path, case: str, formats: Sequence[MaskFormat] = MASK_FORMATS) -> list[Path]:
    """Return every file that a run may write of a case, tables apart."""
    return [*mask_files(root / "masks", case, formats), root / "overlays" / f"{case}.png"]


def check_output(root: Path, overwrite: bool) -> None:
    """Raise unless a folder is free, or holds a run that is to be replaced.

    Raises:
        SettingError: It is a file, has tables of a run, or of something else, which are never
            replaced: ``data index``, ``data prepare`` and ``measure`` write such names too.
    """
    if root.exists() and not root.is_dir():
        raise SettingError(f"{root} is a file; wanted a folder to write to.")
    found = [name for name in TABLES if (root / name).exists()]
    if found and not overwrite:
        what = "an earlier prediction" if "measures.csv" in found else f"a file {found[0]}"
        raise SettingError(
            f"{root} holds {what}; wanted a new folder. Choose another, or replace it with "
            "--overwrite (overwrite=True)."
        )
    others = [name for name in found if not _is_of_a_run(root / name)]
    if others:
        raise SettingError(
            f"{root / others[0]} is not of an earlier prediction, so it is not replaced; wanted a "
            "folder without a file of that name. Choose a new folder, or move the file away."
        )


def earlier_files(root: Path, cases: Iterable[str], mask_format: MaskFormat) -> list[Path]:
    """Return the files of an earlier run, its tables last: until then they tell what it wrote.

    Those of a case are what its row names. What failed has none, so a mask of that name was drawn
    by a person; what was not come to may have some, where the run was killed.

    Args:
        root: Its folder.
        cases: Names of the cases of the run that is to replace it.
        mask_format: How that writes masks.

    Raises:
        SettingError: The new run would write over a file that is not of the earlier one.
    """
    files: set[Path] = set()
    for row in _rows(root / "measures.csv"):
        named = {row.get("mask"), row.get("overlay")}
        of_case = files_of(root, Path(row.get("case") or "").name)
        files |= {path for path in of_case if path.relative_to(root).as_posix() in named}
    for row in _rows(root / "problems.csv"):
        if row.get("problem") == UNFINISHED:
            files |= set(files_of(root, Path(row.get("case") or "").name))
    others = [
        path
        for case in cases
        for path in files_of(root, case, (mask_format,))
        if path not in files and path.exists()
    ]
    if others:
        raise SettingError(
            f"{others[0]} is there already and would be replaced, but no table of an earlier run "
            f"names it ({len(others)} such file(s)); wanted a folder without other masks and "
            "overlays of these cases. Choose a new folder, or move the files away."
        )
    return [*files, *(root / name for name in TABLES)]


def _is_of_a_run(table: Path) -> bool:
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        head = file.read(1000)
    first = head.partition("\n")[0]
    if table.name == "index.html":
        return f"<title>{TITLE}</title>" in head
    if table.name == "problems.csv":
        return first == ",".join(PROBLEM_COLUMNS)
    return first == "case" or first.startswith("case,patient_id,review_score,")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            yield from csv.DictReader(file)
