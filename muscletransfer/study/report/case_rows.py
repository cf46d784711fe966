"""Rows of the study's manifest by case number, each read by itself: some files may be gone."""

from __future__ import annotations

from pathlib import Path

from muscletransfer.data.manifest.reading import read_csv
from muscletransfer.data.manifest.rows import ManifestRow, parse_row
from muscletransfer.errors import DataError
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import local_folder, phantom_folder

__all__ = ["CaseRows"]


class CaseRows:
    """The cases of a study.

    A manifest whose files are partly gone cannot be read as a whole; what is there can still be
    shown. A phantom is not drawn anew for the sake of some pictures.

    Args:
        config: The study.
        folder: Its folder.

    Raises:
        DataError: There is no manifest.
    """

    def __init__(self, config: StudyConfig, folder: Path) -> None:
        data = config.data
        if data.phantom is None:
            self.path = config.path(str(data.manifest))
        else:
            self.path = phantom_folder(local_folder(folder), data.phantom) / "manifest.csv"
            if not self.path.is_file():
                raise DataError("the phantom's files are not in the study's folder")
        self.mask_column = data.mask_column
        header, records = read_csv(self.path)
        rows = [(line, dict(zip(header, record, strict=True))) for line, record in records]
        self.rows = [
            (line, row)
            for line, row in rows
            if all(row.get(name, "") == str(value) for name, value in data.where.items())
        ]

    def of(self, case: str) -> ManifestRow:
        """Return the row of a case.

        Args:
            case: Its number in the tables of the study.

        Raises:
            DataError: There is no such row, or its files are gone.
        """
        if not case.isdigit() or int(case) >= len(self.rows):
            raise DataError(f"{self.path} has no row for case {case}")
        line, record = self.rows[int(case)]
        return parse_row(self.path, line, record, self.mask_column, True)
