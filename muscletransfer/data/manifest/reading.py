"""Reading a manifest's CSV, and the checks that need more than one row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from muscletransfer.data.manifest.rows import COLUMNS, ManifestRow, slice_key
from muscletransfer.errors import ManifestError, close_matches

__all__ = ["check_between_rows", "check_header", "did_you_mean", "read_csv"]


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and each record with its line number."""
    wanted = "wanted a UTF-8, comma-separated file that starts with patient_id,image"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); {wanted}.") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: is not UTF-8 text ({error}); {wanted}.") from error
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, [v.strip() for v in record]) for record in reader]
    except csv.Error as error:
        raise ManifestError(f"{path} row {reader.line_num}: {error}; {wanted}.") from error
    lines = [(n, record) for n, record in lines if any(record)]
    if not lines:
        raise ManifestError(f"{path}: is empty; {wanted}.")
    (_, header), *records = lines
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise ManifestError(
            f"{path}: the header {header[0]!r} is not separated by commas; {wanted}. Save the "
            "sheet as 'CSV UTF-8 (comma delimited)'."
        )
    if not records:
        raise ManifestError(f"{path}: has a header and no rows; wanted one row a case.")
    for line, record in records:
        if len(record) != len(header):
            raise ManifestError(
                f"{path} row {line}: has {len(record)} values, the header {len(header)}; wanted "
                "as many. Quote values that hold a comma."
            )
    return header, records


def check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    """Raise for a column that occurs twice, is missing, or looks like a misspelt one."""
    for column in header:
        if header.count(column) > 1:
            raise ManifestError(f"{path}: column {column!r} occurs twice; wanted it once.")
    for column in required:
        if column not in header:
            raise ManifestError(
                f"{path}: no column {column!r}{did_you_mean(column, header)}; found "
                f"{', '.join(header)}. Add it, or rename the column that holds it."
            )
    for column in header:
        # A misspelt optional column would be kept as an extra and its values never used.
        if column not in COLUMNS:
            near = [c for c in close_matches(column, COLUMNS, 1) if c not in header]
            if near and _same_letters(near[0], column):
                raise ManifestError(
                    f"{path}: column {column!r} looks like {near[0]!r}; rename it, or give it "
                    "another name if it is something else."
                )


def check_between_rows(rows: Sequence[ManifestRow], allow_repeats: bool) -> None:
    """Raise for an image of two patients, or a slice that occurs twice."""
    seen: dict[tuple[Path, int | None], ManifestRow] = {}
    owner: dict[Path, ManifestRow] = {}
    for row in rows:
        first = owner.setdefault(row.image, row)
        if first.patient_id != row.patient_id:
            raise ManifestError(
                f"{row.where}: image {str(row.image)!r} belongs to patient {row.patient_id!r}, "
                f"and to {first.patient_id!r} in row {first.line}; wanted one patient an image, "
                "or a patient could be in two folds."
            )
        before = seen.setdefault(slice_key(row), row)
        if before is not row and not allow_repeats:
            at = "" if row.slice_index is None else f" slice {row.slice_index}"
            raise ManifestError(
                f"{row.where}: image {str(row.image)!r}{at} is already in row {before.line}; "
                "wanted each slice once. Remove one row (for several observers of one slice "
                "read with allow_repeats=True)."
            )


def _same_letters(a: str, b: str) -> bool:
    def folded(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    return folded(a) == folded(b)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return close names as the end of a message, or nothing."""
    near = close_matches(name, known)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
