"""The manifest: one CSV row a case, read once and checked before anything long starts.

Columns ``patient_id,image[,mask,slice_index,label,height_m,sex,bmi]``, and ``spacing_x_mm`` with
``spacing_y_mm`` for plain images that have a known pixel size. Paths are relative to the CSV or
absolute. Any other column is kept as text in ``ManifestRow.extra``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from muscletransfer.data.dicom.series_list import image_digest
from muscletransfer.data.files import write_text_atomic
from muscletransfer.data.manifest.reading import (
    check_between_rows,
    check_header,
    did_you_mean,
    read_csv,
)
from muscletransfer.data.manifest.rows import COLUMNS, ManifestRow, parse_row
from muscletransfer.errors import ManifestError

__all__ = ["Manifest", "ManifestRow", "hash_of_rows", "row_key"]

_HINTS = 10  # a file name is compared with all of its folder, which takes long for many


@dataclass(frozen=True, eq=False)
class Manifest:
    r"""Cases in file order; ``rows[i]`` is case ``i``.

    .. versionadded:: 0.1

    Args:
        rows: The cases.
        path: The CSV they came from, for messages; also where relative paths start.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "a.png").touch()
        >>> _ = (folder / "m.csv").write_text("patient_id,image,role\nP1,a.png,primary\n")
        >>> manifest = Manifest.read(folder / "m.csv")
        >>> len(manifest), manifest.patients, manifest.rows[0].extra
        (1, ['P1'], {'role': 'primary'})
        >>> len(manifest.where(role="further"))
        0
    """

    rows: tuple[ManifestRow, ...]
    path: Path = Path("manifest")
    _memo: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        # Rows made in memory get the line that `write` would give them, for messages.
        rows = (replace(r, line=k) if r.line == 0 else r for k, r in enumerate(self.rows, 2))
        object.__setattr__(self, "rows", tuple(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ManifestRow]:
        return iter(self.rows)

    @property
    def patients(self) -> list[str]:
        """Patient ids, sorted, each once."""
        return sorted({row.patient_id for row in self.rows})

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        need_masks: bool = False,
        mask_column: str = "mask",
        allow_repeats: bool = False,
    ) -> Manifest:
        """Read and check a manifest.

        Args:
            path: The CSV (UTF-8, comma-separated, one header line).
            need_masks: Whether every row must have a mask.
            mask_column: Column that holds the masks, where there are several kinds.
            allow_repeats: Accept one slice in several rows, as in a file of several observers.

        Returns:
            The manifest; images and masks exist, but have not been opened.

        Raises:
            ManifestError: Anything wrong, with file, row, column, value, and what was wanted.
        """
        path = Path(path)
        header, records = read_csv(path)
        required = ["patient_id", "image"] + ([mask_column] if need_masks else [])
        if mask_column != "mask" and mask_column not in required:
            required.append(mask_column)
        check_header(path, header, required)
        rows = [
            parse_row(path, line, dict(zip(header, record, strict=True)), mask_column, need_masks)
            for line, record in records
        ]
        check_between_rows(rows, allow_repeats)
        return cls(tuple(rows), path)

    @classmethod
    def read_each(
        cls, path: str | Path, *, mask_column: str | None = None
    ) -> tuple[Self, list[tuple[int, str, ManifestError]]]:
        """Read a manifest so that rows that cannot be used do not stop the others.

        Args:
            path: The CSV.
            mask_column: Column with masks; by default masks are neither needed nor looked for.

        Returns:
            The usable rows, and (line, image as written, error) of each of the others.

        Raises:
            ManifestError: The file cannot be read, or lacks a column.
        """
        path = Path(path)
        header, records = read_csv(path)
        required = ["patient_id", "image"]
        if mask_column is not None and mask_column != "mask":
            required.append(mask_column)
        check_header(path, header, required)
        hidden = {} if mask_column is not None else {"mask": ""}
        rows: list[ManifestRow] = []
        errors: list[tuple[int, str, ManifestError]] = []
        for line, record in records:
            texts = dict(zip(header, record, strict=True))
            try:
                hints = len(errors) < _HINTS
                rows.append(
                    parse_row(path, line, texts | hidden, mask_column or "mask", hints=hints)
                )
            except ManifestError as error:
                errors.append((line, texts["image"], error))
        return cls(tuple(rows), path), errors

    def write(self, path: str | Path) -> Path:
        """Write the CSV, whole or not at all; paths inside its folder become relative to it.

        Args:
            path: The file to write; its folder is made.

        Returns:
            The path written.
        """
        path = Path(path)
        records = [row.to_record(path.parent) for row in self.rows]
        used = {k for record in records for k, v in record.items() if v != ""}
        extra = dict.fromkeys(k for record in records for k in record if k not in COLUMNS)
        kept = [c for c in COLUMNS if c in used or c in ("patient_id", "image")]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*kept, *extra], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return write_text_atomic(path, text.getvalue())

    def select(self, patients: Iterable[str]) -> Manifest:
        """Return the rows of these patients, in file order.

        Raises:
            ManifestError: A patient has no row.
        """
        wanted = set(patients)
        known = set(self.patients)
        for patient in sorted(wanted - known):
            raise ManifestError(
                f"{self.path}: no row for patient {patient!r}"
                f"{did_you_mean(patient, sorted(known))}; wanted one of its {len(known)} patients."
            )
        return Manifest(tuple(r for r in self.rows if r.patient_id in wanted), self.path)

    def where(self, **values: str) -> Manifest:
        """Return the rows whose columns hold these texts, such as ``where(role="primary")``.

        Raises:
            ManifestError: No row has such a column.
        """
        columns = {c for row in self.rows for c in row.extra} | set(COLUMNS)
        for column in values:
            if column not in columns:
                raise ManifestError(
                    f"{self.path}: no column {column!r}{did_you_mean(column, sorted(columns))}; "
                    f"wanted one of {', '.join(sorted(columns))}."
                )
        records = [(row, row.to_record()) for row in self.rows]
        kept = tuple(
            row for row, rec in records if all(rec.get(c, "") == str(v) for c, v in values.items())
        )
        return Manifest(kept, self.path)

    def content_hash(self, memo_dir: Path | None = None) -> str:
        """Return a SHA-256 of what the files hold, whatever their names, order and patient ids.

        Two manifests with the same images, masks, slices, labels and spacings, grouped into
        patients alike, have one hash, on every machine. It holds no id, so it may be published.

        Args:
            memo_dir: Where file digests are remembered; see `digest`.

        Returns:
            64 hexadecimal digits, worked out once an object.
        """
        if "hash" not in self._memo:
            self._memo["hash"] = hash_of_rows(self.rows, memo_dir)
        return self._memo["hash"]


def row_key(
    row: ManifestRow, memo_dir: Path | None = None, known: dict[Path, str] | None = None
) -> dict[str, Any]:
    """Return what a row holds by content: digests instead of paths, and no patient id.

    .. versionadded:: 0.1

    Args:
        row: The row.
        memo_dir: Where file digests are remembered; see `digest`.
        known: Digests that other rows of one call needed; many rows share a volume.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "image.png"
        >>> _ = file.write_bytes(b"pixels")
        >>> first, second = (row_key(ManifestRow(name, file)) for name in ("P1", "P2"))
        >>> first == second  # whose it is does not count
        True
    """
    known = {} if known is None else known
    for path in (row.image, row.mask):
        if path is not None and path not in known:
            known[path] = image_digest(path, memo_dir)
    return {
        "image": known[row.image],
        "mask": None if row.mask is None else known[row.mask],
        "slice_index": row.slice_index,
        "label": row.label,
        "spacing": None if row.spacing is None else list(row.spacing),
    }


def hash_of_rows(
    rows: Iterable[ManifestRow],
    memo_dir: Path | None = None,
    known: dict[Path, str] | None = None,
) -> str:
    """Return `Manifest.content_hash` of rows, with file digests that are known already."""
    known = {} if known is None else known
    patients: dict[str, list[str]] = {}
    for row in rows:
        text = json.dumps(row_key(row, memo_dir, known), sort_keys=True)
        patients.setdefault(row.patient_id, []).append(text)
    groups = sorted(_sha256("\n".join(sorted(texts))) for texts in patients.values())
    return _sha256("\n".join(groups))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
