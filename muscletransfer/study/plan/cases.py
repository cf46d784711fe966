"""The labelled cases of a study: who they are, and what their files hold."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from muscletransfer._version import __version__
from muscletransfer.data.dicom.series_list import image_digest
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.people import check_people
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.manifest.table import row_key
from muscletransfer.data.splits import make_folds, predefined_folds
from muscletransfer.errors import DataError, ManifestError
from muscletransfer.folders import default_cache_dir
from muscletransfer.study.config.data import PhantomConfig
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.ids import content_key

__all__ = [
    "Cases",
    "check_observers",
    "digests_of",
    "draw_phantom",
    "local_folder",
    "observers_manifest",
    "phantom_folder",
    "phantom_key",
    "phantom_patients",
    "rows_key",
    "study_cases",
    "study_manifest",
]

_THREADS = 4


@dataclass(frozen=True)
class Cases:
    """The labelled cases, as planning needs them.

    Args:
        patients: Sorted ids.
        folds: Ids by fold.
        key: Digest of the cases: contents, order and who they belong to.
        count: Number of cases.
        manifest: The rows in use; ``None`` for a phantom, which is not drawn for planning.
        path: Their CSV; ``None`` for a phantom.
        digests: Digest of each image and mask file; empty for a phantom.
    """

    patients: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    key: str
    count: int
    manifest: Manifest | None = None
    path: Path | None = None
    digests: dict[Path, str] = field(default_factory=dict)


def study_cases(config: StudyConfig) -> Cases:
    """Read the cases and deal the folds.

    Args:
        config: The study.

    Returns:
        The cases. Those of a phantom are known without drawing them.

    Raises:
        ManifestError, SplitError: The manifest is wrong, has a patient under two names, or too few
            patients.
        DataError: A file cannot be read.
    """
    data = config.data
    if data.phantom is not None:
        patients = phantom_patients(data.phantom)
        dealt = make_folds(patients, data.num_folds, data.seed)
        key = phantom_key(data.phantom)
        return Cases(tuple(patients), _frozen(dealt), key, len(patients))
    manifest = _rows(config, config.path(str(data.manifest)))
    check_people(manifest.rows)
    digests = digests_of(manifest.rows, masks=True)
    if data.fold_column is not None:
        dealt = predefined_folds(manifest, data.fold_column)
    else:
        dealt = make_folds(manifest.patients, data.num_folds, data.seed)
    return Cases(
        patients=tuple(manifest.patients),
        folds=_frozen(dealt),
        key=rows_key(manifest.rows, digests),
        count=len(manifest),
        manifest=manifest,
        path=manifest.path,
        digests=digests,
    )


def study_manifest(config: StudyConfig, folder: str | Path) -> Manifest:
    """Return the rows that the study is about; ``rows[i]`` is case ``i`` of its tables.

    .. versionadded:: 0.1

    Args:
        config: The study.
        folder: The study's folder; a phantom is drawn into it unless it is there.

    Returns:
        The manifest.

    Example:
        >>> import tempfile
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 6, "size": 32, "other_levels": 0}, "num_folds": 3},
        ...     "train_patients": [2], "sources": ["random"],
        ... })
        >>> len(study_manifest(config, Path(tempfile.mkdtemp())).rows)
        6
    """
    phantom = config.data.phantom
    if phantom is None:
        return _rows(config, config.path(str(config.data.manifest)))
    return _rows(
        config,
        draw_phantom(phantom, phantom_folder(local_folder(folder), phantom)) / "manifest.csv",
    )


def draw_phantom(phantom: PhantomConfig, folder: Path, progress: bool = False) -> Path:
    """Draw a cohort unless it is there already.

    Args:
        phantom: Its settings.
        folder: Where it goes.
        progress: Show a bar.

    Returns:
        The folder.
    """
    from muscletransfer.data.synthetic import make_cohort

    return make_cohort(
        folder,
        patients=phantom.patients,
        seed=phantom.seed,
        size=phantom.size,
        observers=phantom.observers,
        other_levels=phantom.other_levels,
        troubles=phantom.troubles,
        progress=progress,
    ).root


def local_folder(folder: str | Path) -> Path:
    """Return where the local files of a study go: its folder, or a cache folder for a URL.

    Args:
        folder: The study's folder or URL.

    Example:
        >>> local_folder("s3://bucket/study").name == local_folder("s3://bucket/study").name
        True
    """
    if "://" in str(folder):
        return default_cache_dir() / "studies" / content_key(str(folder))[:16]
    return Path(folder).absolute()


def phantom_folder(folder: Path, phantom: PhantomConfig) -> Path:
    """Return where a cohort of a study lies: by its settings, so that an edited one is another."""
    return folder / "data" / f"phantom_{content_key([vars(phantom), __version__])[:12]}"


def phantom_patients(phantom: PhantomConfig) -> list[str]:
    """Return the ids that `make_cohort` gives."""
    return [f"P{i + 1:04d}" for i in range(phantom.patients)]


def phantom_key(phantom: PhantomConfig) -> str:
    """Return the digest of a cohort's cases: what they are drawn from stands for what is drawn.

    Observers and slices of other levels change no case.
    """
    cases = {k: v for k, v in vars(phantom).items() if k not in ("observers", "other_levels")}
    return content_key({"phantom": cases, "version": __version__})


def observers_manifest(config: StudyConfig, folder: str | Path) -> Path | None:
    """Return the manifest of the observers' masks, or ``None`` where the study has none.

    .. versionadded:: 0.1

    Args:
        config: The study.
        folder: The study's folder; a phantom is drawn into it unless it is there.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "sources": ["random"],
        ... })
        >>> observers_manifest(config, Path("study")) is None  # this phantom has no observers
        True
    """
    phantom = config.data.phantom
    if phantom is None:
        return None if config.data.observers is None else config.path(config.data.observers)
    if not phantom.observers:
        return None
    return draw_phantom(phantom, phantom_folder(local_folder(folder), phantom)) / "observers.csv"


def check_observers(config: StudyConfig, cases: Cases) -> None:
    """Read the observers' manifest of a study, so that it does not fail after the last run.

    Args:
        config: The study.
        cases: Its cases.

    Raises:
        ManifestError: It is not there, has no observers, or shares no image with the cases.
    """
    if config.data.observers is None:
        return
    from muscletransfer.observers.case_files import case_files

    try:
        case_files(config.path(config.data.observers), cases.manifest)
    except ManifestError as error:
        raise ManifestError(f"data.observers: {error}") from error


def rows_key(rows: Sequence[ManifestRow], digests: dict[Path, str]) -> str:
    """Return the digest of rows: contents, order, and which belong to one patient.

    Args:
        rows: The rows.
        digests: Of their files.
    """
    return content_key([[row.patient_id, row_key(row, None, digests)] for row in rows])


def digests_of(rows: Sequence[ManifestRow], *, masks: bool) -> dict[Path, str]:
    """Hash the files of rows; digests are remembered in the cache folder.

    Args:
        rows: The rows.
        masks: Whether masks too.

    Raises:
        DataError: A file cannot be read.
    """
    memo = default_cache_dir() / "digests"
    paths = {row.image: row.where for row in rows}
    paths |= {row.mask: row.where for row in rows if masks and row.mask is not None}

    def one(path: Path) -> str:
        try:
            return image_digest(path, memo)
        except OSError as error:
            raise DataError(
                f"{paths[path]}: {error.filename} cannot be read ({error.strerror})."
            ) from error

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(paths, pool.map(one, paths), strict=True))


def _rows(config: StudyConfig, path: Path) -> Manifest:
    manifest = Manifest.read(path, need_masks=True, mask_column=config.data.mask_column)
    if config.data.where:
        manifest = manifest.where(**config.data.where)
        if not len(manifest):
            raise ManifestError(
                f"{path}: no row has {config.data.where}; wanted at least one. Check data.where."
            )
    return manifest


def _frozen(folds: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(fold) for fold in folds)
