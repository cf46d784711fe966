"""`index_images`: walk, scan in parallel, sort out, write."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from tqdm import tqdm

from muscletransfer.data.dicom.series_list import SUFFIX, write_list
from muscletransfer.data.files import write_text_atomic
from muscletransfer.data.indexing.pixels import check_pixels_of
from muscletransfer.data.indexing.pseudonyms import (
    hashed,
    link_table,
    numbered,
    read_or_make_key,
    write_private,
)
from muscletransfer.data.indexing.records import Problem, Rejected, SliceFile, VolumeFile
from muscletransfer.data.indexing.rows import Found, make_rows
from muscletransfer.data.indexing.scan import Scanned, scan_files
from muscletransfer.data.indexing.sorting import Sorted, sort_out
from muscletransfer.data.indexing.volume_patients import Owner, patients_of_volumes
from muscletransfer.data.indexing.volumes import fingerprint
from muscletransfer.data.indexing.walk import common_folder, find_files
from muscletransfer.data.io.volume import itk_name
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.parallel import map_in_processes
from muscletransfer.errors import DataError, SettingError
from muscletransfer.processors import count_cpus

__all__ = ["ImageIndex", "Pixels", "index_images"]

Pixels: TypeAlias = Literal["none", "middle", "all"]

_CHUNK = 64
_FEW_FILES = 400  # below, starting processes takes longer than the work
_SHOWN = 8


@dataclass(frozen=True)
class ImageIndex:
    """What an index found.

    .. versionadded:: 0.1

    Args:
        manifest: The CSV written.
        problems_csv: The other CSV written.
        files: How many files were looked at.
        rows: How many series the manifest has.
        patients: Of how many patients.
        problems: What the other CSV holds.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.synthetic import make_cohort
        >>> root = Path(tempfile.mkdtemp())
        >>> cohort = make_cohort(root / "export", patients=1, size=64, image_format="dicom")
        >>> index = index_images(root / "export", root / "manifest.csv")
        >>> index.rows, index.patients, index.problems_csv.name
        (1, 1, 'problems.csv')
    """

    manifest: Path
    problems_csv: Path
    files: int
    rows: int
    patients: int
    problems: tuple[Problem, ...]

    def summary(self) -> str:
        """Return a few lines for a terminal; they name no patient."""
        lines = [
            f"{self.manifest}: {self.rows} axial CT series of {self.patients} patients, from "
            f"{self.files} files"
        ]
        return "\n".join([*lines, *_told(self.problems, self.problems_csv)])


def index_images(
    source: str | Path | Iterable[str | Path],
    output: str | Path = "manifest.csv",
    *,
    problems: str | Path | None = None,
    pixels: Pixels = "middle",
    links: str | Path | None = None,
    key: str | Path | None = None,
    patient: str = "auto",
    workers: int | None = None,
    progress: bool = False,
) -> ImageIndex:
    """Find the axial CT series of a tree of files and list them in a manifest.

    DICOM of any layout (files without an ending, series mixed in a folder or spread over several,
    copies, enhanced multi-frame), NIfTI, NRRD and MHA. Needs no extra: headers are read by the
    package itself and compressed pixels by SimpleITK.

    Each row is a series under a pseudonym. A series of several files is named by a series list
    (``.series.json``) in a folder beside the manifest, which `read_ct` reads like any image.

    .. versionadded:: 0.1

    Args:
        source: Folders or files.
        output: The manifest to write.
        problems: The CSV of what was left out or should be looked at; ``problems.csv`` beside the
            manifest by default. Columns: file, files, outcome, reason, way_out.
        pixels: Which slices of each chosen DICOM series are decoded, to see that they can be and
            are HU: ``"middle"``, ``"all"`` or ``"none"`` (headers only, for NIfTI too).
        links: Also write which pseudonym is which patient, to this file of mode 0600.
        key: File with a secret from which pseudonyms are made, the same in every run; it is made
            when it is not there. Where a patient has several ids, the column ``aliases`` has the
            pseudonyms of the others, and ``exclude=`` knows the patient by each where the
            manifest that is learnt from, or the one that was split, lists them. By default
            patients are numbered, after four digits that stand for all of them, so that names of
            one index are nobody's in another.
        patient: Whose NIfTI, NRRD and MHA files are: ``"auto"``, ``"file"``, ``"folder"`` or a
            regular expression with one group that is searched in the path.
        workers: Processes; 0 for this one alone. By default as many as there are cores, for more
            than a few hundred files.
        progress: Show progress bars.

    Returns:
        What was found and written.

    Raises:
        DataError: No axial CT series was found (``problems.csv`` is written and says why), or a
            file cannot be written.
        ImageReadError: A source does not exist, or its name is no UTF-8.
        SettingError: An argument that cannot work.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.synthetic import make_cohort
        >>> root = Path(tempfile.mkdtemp())
        >>> cohort = make_cohort(root / "export", patients=2, size=64, image_format="dicom")
        >>> index = index_images(root / "export", root / "manifest.csv")
        >>> index.patients, [row.patient_id for row in Manifest.read(index.manifest)][0]
        (2, 'P08F2-0001')
    """
    if pixels not in get_args(Pixels):
        raise SettingError(f"pixels is {pixels!r}; wanted one of {', '.join(get_args(Pixels))}.")
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not sources:
        raise SettingError(
            "source is empty; wanted a folder or file at least. If a pattern gave it, nothing fits."
        )
    for one in sources:  # names below it are told one by one
        itk_name(os.path.abspath(one))
    manifest = Path(output)
    problems_csv = manifest.parent / "problems.csv" if problems is None else Path(problems)
    lists_folder = manifest.parent / f"{manifest.stem}_series"
    named = [manifest, problems_csv, *(Path(p) for p in (links, key) if p is not None)]
    if len({os.path.abspath(p) for p in named}) < len(named):
        raise SettingError(f"two of {', '.join(map(str, named))} are one file; wanted different.")
    secret = None if key is None else read_or_make_key(Path(key))
    files, trouble = find_files([Path(s) for s in sources], [*named, lists_folder])
    if workers is None:
        workers = count_cpus() if len(files) > _FEW_FILES else 0
    scanned = _scan(files, pixels != "none", workers, progress, trouble)
    found = sort_out(scanned.slices, trouble)
    root = common_folder(Path(s) for s in sources)
    owners = _add_volumes(found, scanned.volumes, patient, root, trouble)
    if pixels != "none":
        _check_pixels(found, pixels == "all", workers, progress, trouble)
    keys = [item.patient for item in sorted(found.volumes, key=lambda f: f.first)]
    if secret is None:
        pseudonyms = numbered(keys, [fingerprint(volume.path) for volume in scanned.volumes])
    else:
        pseudonyms = hashed(keys, secret)
        trouble.extend(_doubts_of_keyed(owners, patient, root))
    aliases = {} if secret is None else _aliases(found, pseudonyms, secret)
    rows, lists = make_rows(found.volumes, pseudonyms, lists_folder, aliases)
    trouble.extend(found.telling_paths())
    with _writing(manifest.parent):
        for path, series in lists.items():
            write_list(path, series)
        write_text_atomic(problems_csv, _problems_text(trouble))
    if not rows:
        told = "\n".join(_told(trouble, problems_csv))
        raise DataError(
            f"{', '.join(map(str, sources))}: no axial CT series in {len(files)} files; wanted at "
            f"least one.\n{told}"
        )
    with _writing(manifest.parent):
        if links is not None:
            write_private(Path(links), link_table(found.links(pseudonyms)))
        Manifest(tuple(rows), manifest).write(manifest)
        for old in lists_folder.glob(f"*{SUFFIX}"):
            if old not in lists:
                old.unlink(missing_ok=True)
    return ImageIndex(manifest, problems_csv, len(files), len(rows), len(set(keys)), tuple(trouble))


def _aliases(found: Sorted, pseudonyms: Mapping[str, str], secret: bytes) -> dict[str, str]:
    others = {key: hashed(found.aliases(key), secret).values() for key in pseudonyms}
    return {key: " ".join(names) for key, names in others.items() if names}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be written ({error.strerror}); wanted a folder "
            "that can be. Choose another with -o, or make room."
        ) from error


@dataclass
class _ByKind:
    slices: list[SliceFile]
    volumes: list[VolumeFile]


def _scan(
    files: Sequence[str], values: bool, workers: int, progress: bool, trouble: list[Problem]
) -> _ByKind:
    jobs = [(files[k : k + _CHUNK], values) for k in range(0, len(files), _CHUNK)]
    found = _ByKind([], [])
    same: dict[object, object] = {}
    with tqdm(total=len(files), desc="reading headers", unit="file", disable=not progress) as bar:
        for (chunk, _), records in zip(
            jobs, map_in_processes(scan_files, jobs, workers), strict=True
        ):
            for record in records:
                _sort_in(record, found, trouble, same)
            bar.update(len(chunk))
    return found


def _sort_in(
    record: Scanned, found: _ByKind, trouble: list[Problem], same: dict[object, object]
) -> None:
    if isinstance(record, Rejected):
        trouble.append(Problem(record.path, record.reason, record.way_out))
    elif isinstance(record, VolumeFile):
        found.volumes.append(record)
    else:
        found.slices.append(record.shared(same))


def _add_volumes(
    found: Sorted, volumes: Sequence[VolumeFile], rule: str, root: str, trouble: list[Problem]
) -> dict[str, Owner]:
    """Add volumes to what was found; return whose each path is."""
    owners = patients_of_volumes(volumes, rule, trouble, root)
    for volume, owner in zip(volumes, owners, strict=True):
        if volume.check:
            trouble.append(Problem(volume.path, volume.check, "Look at it.", "check"))
        notes = [volume.check] if volume.check else []
        found.volumes.append(Found(f"file {owner.key}", volume.path, volume=volume, notes=notes))
    return {volume.path: owner for volume, owner in zip(volumes, owners, strict=True)}


def _doubts_of_keyed(owners: Mapping[str, Owner], rule: str, root: str) -> list[Problem]:
    """Tell which names under a key hang on more, or on less, than on the patient."""
    found: list[Problem] = []
    placed = [path for path, owner in owners.items() if owner.is_place]
    if placed:
        reason = (
            f"{len(placed)} volumes are named after where they lie in {root}, not after a patient"
        )
        way_out = (
            "With a key, files of other people at the same places get the same names, and files "
            "that are moved, or indexed together with other folders, get others: index with an "
            "expression that finds the patient in the path."
        )
        found.append(Problem(placed[0], reason, way_out, "check", len(placed)))
    subjects = [path for path, owner in owners.items() if rule == "auto" and not owner.is_place]
    if subjects:
        reason = f"{len(subjects)} volumes are named after a subject (sub-...)"
        way_out = (
            "With a key, subjects of another data set that are called alike get the same names: "
            "take another key for it, or index with an expression that tells the data sets apart."
        )
        found.append(Problem(subjects[0], reason, way_out, "check", len(subjects)))
    return found


def _check_pixels(
    found: Sorted, every: bool, workers: int, progress: bool, trouble: list[Problem]
) -> None:
    stacks = [item for item in found.volumes if item.stack is not None]
    jobs = [([f.path for f in item.files], every) for item in stacks]
    reports = map_in_processes(check_pixels_of, jobs, workers)
    bar = tqdm(total=len(jobs), desc="reading pixels", unit="series", disable=not progress)
    with bar:
        for item, report in zip(stacks, reports, strict=True):
            found.apply(item, report, trouble)
            bar.update()


def _problems_text(problems: Sequence[Problem]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "files", "outcome", "reason", "way_out"])
    for p in sorted(problems, key=lambda p: (p.outcome != "check", p.file, p.reason)):
        writer.writerow([p.file, p.files, p.outcome, " ".join(p.reason.split()), p.way_out])
    return text.getvalue()


def _told(problems: Sequence[Problem], path: Path) -> list[str]:
    if not problems:
        return [f"{path}: nothing was left out"]
    lines = [f"{path}: {len(problems)} lines"]
    counted: Counter[tuple[str, str]] = Counter()
    for problem in problems:
        counted[problem.outcome, problem.reason.split(": ")[0].split(" (")[0]] += problem.files
    for (outcome, reason), count in counted.most_common(_SHOWN):
        shown = reason if len(reason) <= 90 else reason[:87] + "..."
        lines.append(f"  {count} files, {outcome}: {shown}")
    if len(counted) > _SHOWN:
        lines.append(f"  and {len(counted) - _SHOWN} other reasons")
    return lines
