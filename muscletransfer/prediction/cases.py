"""What is to be predicted: files, folders and manifests become cases, and problems by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from muscletransfer.data.dicom.header import Header, is_dicom, is_imageless, read_header
from muscletransfer.data.io.volume import PLAIN_SUFFIXES, VOLUME_SUFFIXES, itk_name, printable
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.case_files import case_names
from muscletransfer.errors import ImageReadError, SettingError, close_matches

__all__ = ["Found", "PredictionCase", "Problem", "find_cases"]

_SUFFIXES = (*VOLUME_SUFFIXES, *PLAIN_SUFFIXES, ".dcm", ".ima", ".dicom")


@dataclass(frozen=True)
class PredictionCase:
    """One slice to predict.

    .. versionadded:: 0.1

    Args:
        name: A file name for its outputs, each once.
        image: A file, or the folder of a DICOM series.
        slice_index: Which slice, from 0; ``None`` for an image of one slice.
        series: Series UID, where a folder holds several.
        patient_id: As the manifest has it.
        height_m: Height in metres, for the skeletal muscle index.
        sex: ``"M"``, ``"F"`` or ``None``.
        bmi: Body mass index in kg/m2.
        spacing: (sy, sx) in mm that the manifest gives; ``None`` for the file's own.

    Example:
        >>> PredictionCase("P1", Path("P1.nii.gz"), slice_index=42).slice_index
        42
    """

    name: str
    image: Path
    slice_index: int | None = None
    series: str | None = None
    patient_id: str | None = None
    height_m: float | None = None
    sex: str | None = None
    bmi: float | None = None
    spacing: tuple[float, float] | None = None


@dataclass(frozen=True)
class Problem:
    """One input that could not be predicted, and why.

    .. versionadded:: 0.1

    Args:
        case: Its name.
        image: Its path.
        message: What was found, what was wanted and the way out.

    Example:
        >>> Problem("P1", "P1.nii.gz", "The volume has 40 slices; say which.").case
        'P1'
    """

    case: str
    image: str
    message: str


@dataclass
class Found:
    """What the inputs hold.

    Args:
        cases: To predict, in the order given; names are different.
        problems: Inputs that cannot even be opened.
        passed_over: Files of folders that are no images.
    """

    cases: list[PredictionCase] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


def find_cases(
    inputs: Iterable[str | Path],
    slice_index: int | None = None,
    *,
    plain: bool = False,
    leave_out: Path | None = None,
) -> Found:
    """Turn files, folders and manifests into cases.

    A ``.csv`` is a manifest. A folder is searched with its subfolders, each of them once: each
    NIfTI, NRRD or MHA file is a case, and so is each DICOM series of a folder; files that are no
    images are passed over. A file is a case whatever its name.

    .. versionadded:: 0.1

    Args:
        inputs: Paths.
        slice_index: Slice of every volume whose row names none.
        plain: Whether plain images (PNG, ...) of folders count.
        leave_out: The folder of the outputs, which is not searched; where it is an input itself,
            its ``masks`` and ``overlays`` are not.

    Returns:
        Cases, problems and what was passed over.

    Raises:
        SettingError: No input, or a negative slice.
        ManifestError: A manifest without the columns it needs.

    Example:
        >>> found = find_cases(["no/such/scan.nii.gz"])
        >>> found.problems[0].message
        'no/such/scan.nii.gz: does not exist.'
    """
    paths = [Path(given) for given in inputs]
    if not paths:
        raise SettingError("no input; wanted files, folders or a manifest CSV with images.")
    if slice_index is not None and (not isinstance(slice_index, int) or slice_index < 0):
        raise SettingError(f"slice_index is {slice_index!r}; wanted a whole number from 0.")
    found = Found()
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if not path.exists():
            found.problems.append(Problem(_stem(path), str(path), _missing(path)))
        elif path.is_dir():
            _from_folder(path, found, plain, leave_out, seen)
        elif path.suffix.lower() == ".csv":
            _from_manifest(path, found)
        else:
            found.cases.append(PredictionCase(_stem(path), path))
    _leave_out_odd_names(found)
    found.cases = _named_apart(
        [
            case if case.slice_index is not None else replace(case, slice_index=slice_index)
            for case in found.cases
        ]
    )
    if not found.cases and not found.problems:
        names = ", ".join(p.name for p in found.passed_over[:5]) or "no files"
        raise SettingError(
            f"{', '.join(map(str, paths))}: no image found (found {names}); wanted DICOM, NIfTI, "
            "NRRD or MHA."
        )
    return found


def _leave_out_odd_names(found: Found) -> None:
    """Turn cases whose path is no UTF-8 into problems; tables and messages take neither."""
    kept = []
    for case in found.cases:
        try:
            itk_name(case.image)
            kept.append(case)
        except ImageReadError as error:
            found.problems.append(Problem(case.name, str(case.image), str(error)))
    found.cases = kept
    found.problems = [
        replace(one, image=printable(one.image), message=printable(one.message))
        for one in found.problems
    ]
    found.passed_over = [Path(printable(path)) for path in found.passed_over]


def _from_manifest(path: Path, found: Found) -> None:
    manifest, errors = Manifest.read_each(path)
    for name, row in zip(case_names(manifest), manifest.rows, strict=True):
        found.cases.append(
            PredictionCase(
                name,
                row.image,
                row.slice_index,
                patient_id=row.patient_id,
                height_m=row.height_m,
                sex=row.sex,
                bmi=row.bmi,
                spacing=row.spacing,
            )
        )
    for line, image, error in errors:
        found.problems.append(Problem(f"{path.stem}_row{line}", image, str(error)))


def _from_folder(
    folder: Path, found: Found, plain: bool, leave_out: Path | None, seen: set[tuple[int, int]]
) -> None:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above would never end
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        text = (
            f"{folder}: cannot be searched ({error.strerror}). Allow reading it, or leave it out."
        )
        found.problems.append(Problem(_stem(folder), str(folder), text))
        return
    series: dict[str, list[Header]] = {}
    folders: list[Path] = []
    for path in entries:
        text = ""
        try:
            if path.is_dir():
                folders.append(path)
            elif path.is_file():
                _from_file(path, found, plain, series)
            elif path.is_symlink() and not path.exists():
                text = f"is a link to {path.readlink()}, which is not there; mend or remove it."
        except OSError as error:
            text = f"cannot be opened ({error.strerror}). Allow reading it, or leave it out."
        if text:
            found.problems.append(Problem(_stem(path), str(path), f"{path}: {text}"))
    for uid, headers in series.items():
        if len(headers) == 1:
            found.cases.append(PredictionCase(_stem(headers[0].path), headers[0].path))
        else:
            name = folder.resolve().name if len(series) == 1 else headers[0].description
            label = _clean(name or folder.resolve().name)
            found.cases.append(PredictionCase(label, folder, series=uid))
    out = None if leave_out is None else leave_out.resolve()
    for below in folders:
        if out is None or below.resolve() not in (out, out / "masks", out / "overlays"):
            _from_folder(below, found, plain, leave_out, seen)


def _from_file(path: Path, found: Found, plain: bool, series: dict[str, list[Header]]) -> None:
    name = path.name.lower()
    if name.endswith(VOLUME_SUFFIXES) or (plain and name.endswith(PLAIN_SUFFIXES)):
        found.cases.append(PredictionCase(_stem(path), path))
    elif name != "dicomdir" and is_dicom(path):
        if not is_imageless(path):
            _header(path, series, found)
    else:
        found.passed_over.append(path)


def _header(path: Path, series: dict[str, list[Header]], found: Found) -> None:
    try:
        header = read_header(path)
    except ImageReadError as error:
        found.problems.append(Problem(_stem(path), str(path), str(error)))
        return
    series.setdefault(header.series, []).append(header)


def _named_apart(cases: Sequence[PredictionCase]) -> list[PredictionCase]:
    """Give every case a name of its own: first with its folder, then with a number."""
    return list(_numbered(list(_with_folder(cases))))


def _with_folder(cases: Sequence[PredictionCase]) -> Iterator[PredictionCase]:
    count = Counter(case.name.lower() for case in cases)  # some file systems ignore case
    for case in cases:
        parent = _clean(case.image.resolve().parent.name)
        apart = count[case.name.lower()] == 1 or not parent
        yield case if apart else replace(case, name=f"{parent}_{case.name}")


def _numbered(cases: Sequence[PredictionCase]) -> Iterator[PredictionCase]:
    taken = Counter(case.name.lower() for case in cases)
    used: set[str] = set()
    for case in cases:
        name, number = case.name, 1
        while name.lower() in used or (number > 1 and name.lower() in taken):
            number += 1
            name = f"{case.name}_{number}"
        used.add(name.lower())
        yield replace(case, name=name)


def _stem(path: Path) -> str:
    name = path.name
    known = [s for s in _SUFFIXES if name.lower().endswith(s)]
    return _clean(name.removesuffix(name[-len(max(known, key=len)) :]) if known else name)


def _clean(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "case"


def _missing(path: Path) -> str:
    near: list[str] = []
    if path.parent.is_dir():
        near = close_matches(path.name, [p.name for p in path.parent.iterdir()])
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"{path}: does not exist.{hint}"
