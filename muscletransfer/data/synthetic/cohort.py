"""Write a synthetic cohort to a folder: images, outlines, observers and their manifests."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muscletransfer._version import __version__
from muscletransfer.data.cache.folder import building
from muscletransfer.data.parallel import map_in_processes
from muscletransfer.data.synthetic.cohort_patients import PatientJob, draw_patient
from muscletransfer.data.synthetic.cohort_tables import CohortRows, write_tables
from muscletransfer.data.synthetic.levels import OTHER_LEVELS
from muscletransfer.data.synthetic.observers import OBSERVERS
from muscletransfer.data.synthetic.troubles import check_troubles
from muscletransfer.data.synthetic.writing import check_format
from muscletransfer.errors import DataError
from muscletransfer.processors import count_cpus

__all__ = ["Cohort", "make_cohort"]

_RECORD = "cohort.json"
# Below this many patients a second process costs more to start than it saves.
_WORTH_A_POOL = 16


@dataclass(frozen=True)
class Cohort:
    """Where a cohort lies.

    .. versionadded:: 0.1

    Attributes:
        root: Its folder.
        manifest: One row a patient: the L3 slice and its outline.
        observers_manifest: One row a patient and observer, or ``None``.
        pretext_manifest: One row a slice of another level, or ``None``.
        patients: Table of everything that was drawn for each patient (habitus, scanner, troubles).

    Example:
        >>> import tempfile
        >>> cohort = make_cohort(tempfile.mkdtemp() + "/cohort", patients=1, size=32)
        >>> cohort.manifest.name, cohort.observers_manifest
        ('manifest.csv', None)
    """

    root: Path
    manifest: Path
    observers_manifest: Path | None
    pretext_manifest: Path | None
    patients: Path


def make_cohort(
    out_dir: str | os.PathLike[str],
    patients: int = 40,
    seed: int = 0,
    image_format: str = "nifti",
    size: int = 512,
    observers: int = 0,
    other_levels: int = 0,
    troubles: Sequence[str] = (),
    workers: int | None = None,
    progress: bool = False,
) -> Cohort:
    """Draw a cohort of synthetic patients and write it to a folder, whole or not at all.

    Patient ``i`` of a seed is the same in a cohort of any size, with any number of workers, to the
    bit (on one machine with one set of library versions). A folder that already holds the very same
    cohort is used as it is. All images are synthetic.

    .. versionadded:: 0.1

    Args:
        out_dir: Folder to make. Must not exist, be empty, or hold the same cohort.
        patients: How many, 1 to 9999.
        seed: Everything follows from it.
        image_format: ``"nifti"`` (``.nii.gz``) or ``"dicom"`` (one ``.dcm`` a slice); masks are
            NIfTI in both cases.
        size: Rows and columns of a slice; the field of view in mm stays.
        observers: How many of the ten simulated observers outline every patient, 0 to 10.
        other_levels: How many slices of other levels for pretext tasks a patient, 0 to 5; their
            masks are organs and tissues without muscle, their label is the level.
        troubles: Names of troubles; every third patient has one, the kinds in turn.
        workers: Processes; by default one for a small cohort and one a core for a large one.
        progress: Whether to show a progress bar.

    Returns:
        Paths of the folder and its manifests.

    Raises:
        DataError: A number is out of range, or the folder holds something else.
        UnknownNameError: An image format or trouble is unknown.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "cohort"
        >>> cohort = make_cohort(folder, patients=2, size=64, seed=7)
        >>> cohort.manifest.read_text().splitlines()[1].split(",")[:3]
        ['P0001', 'images/P0001.nii.gz', 'masks/P0001.nii.gz']
    """
    patients = _whole("patients", patients, 1, 9999)
    seed = _whole("seed", seed, 0, 2**63 - 1)
    size = _whole("size", size, 32, 2048)
    observers = _whole("observers", observers, 0, len(OBSERVERS))
    other_levels = _whole("other_levels", other_levels, 0, len(OTHER_LEVELS))
    kinds = check_troubles(troubles)
    known = check_format(image_format)
    parameters: dict[str, Any] = {
        "patients": patients,
        "seed": seed,
        "image_format": known,
        "size": size,
        "observers": observers,
        "other_levels": other_levels,
        "troubles": list(kinds),
    }
    root = Path(out_dir)
    record = {
        "synthetic": True,
        "generator": "muscletransfer",
        "version": __version__,
        **parameters,
    }
    cohort = _cohort(root, observers > 0, other_levels > 0)
    if _already_there(root, record):
        return cohort
    wanted = "a folder for the cohort. Choose another out_dir."
    with building(root, lambda: _already_there(root, record), wanted) as draft:
        for folder in ("images", "masks", "groups", "observers", "pretext"):
            (draft / folder).mkdir(parents=True)
        jobs = [
            PatientJob(
                root=str(draft),
                index=index,
                seed=seed,
                image_format=known,
                size=size,
                observers=observers,
                other_levels=other_levels,
                trouble=kinds[index // 3 % len(kinds)] if kinds and index % 3 == 2 else None,
            )
            for index in range(patients)
        ]
        write_tables(draft, list(_run(jobs, workers, progress)))
        (draft / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for folder in ("observers", "pretext"):
            if not any((draft / folder).iterdir()):
                (draft / folder).rmdir()
    return cohort


def _whole(name: str, value: object, low: int, high: int) -> int:
    """Return a number in range, of numpy's types too, as one that JSON can hold."""
    try:
        number = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise DataError(
            f"make_cohort got {name}={value!r}; wanted a whole number from {low} to {high}"
        )
    return number


def _cohort(root: Path, observed: bool, pretext: bool) -> Cohort:
    return Cohort(
        root=root,
        manifest=root / "manifest.csv",
        observers_manifest=root / "observers.csv" if observed else None,
        pretext_manifest=root / "pretext.csv" if pretext else None,
        patients=root / "patients.csv",
    )


def _already_there(root: Path, record: dict[str, Any]) -> bool:
    """Whether the folder holds this very cohort; raise when it holds anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    way_out = "Choose another folder, or remove this one."
    path = root / _RECORD
    if not path.is_file():
        raise DataError(
            f"{root} exists and is not a phantom cohort (it has no {_RECORD}). {way_out}"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not readable JSON ({error}). {way_out}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} does not hold what a cohort was made with. {way_out}")
    differing = sorted(k for k in {*found, *record} if found.get(k) != record.get(k))
    if differing:
        list_of = ", ".join(f"{k}={found.get(k)!r} (wanted {record.get(k)!r})" for k in differing)
        raise DataError(f"{root} holds a cohort made with {list_of}. {way_out}")
    return True


def _run(jobs: list[PatientJob], workers: int | None, progress: bool) -> Iterator[CohortRows]:
    """Draw the patients, in order."""
    if workers is None:
        workers = 1 if len(jobs) < _WORTH_A_POOL else count_cpus()
    if workers < 1:
        raise DataError(f"make_cohort got workers={workers}; wanted 1 or more, or None")
    rows = map_in_processes(draw_patient, jobs, 0 if workers == 1 else workers)
    yield from _shown(rows, len(jobs), progress)


def _shown(rows: Iterator[CohortRows], total: int, progress: bool) -> Iterator[CohortRows]:
    from tqdm import tqdm

    yield from tqdm(rows, total=total, desc="phantom patients", disable=not progress)
