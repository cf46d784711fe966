"""Building a `SliceCache`: read every row, collect every error, write all or nothing."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from muscletransfer.data.cache.cases import Failure
from muscletransfer.data.cache.folder import building
from muscletransfer.data.cache.store import FORMAT, StoreWriter
from muscletransfer.data.cache.work import Task, write_group
from muscletransfer.data.dicom.series_list import image_digest, is_series_list
from muscletransfer.data.files import Flusher
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.manifest.table import row_key
from muscletransfer.data.parallel import can_start_processes, map_in_threads, map_shared
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.errors import DataError

__all__ = ["build", "cache_key", "warn_about_twins"]

_SHOWN = 10
_THREADS = 4
_FLUSHED = 128  # slices between two times that files are brought to the disk
_PART = 16  # slices of one series that a builder reads at a time
# Threads wait for each other between numpy's many short calls, processes do not; but they start in
# a third of a second, and so pay from about this many slices on.
_MANY = 512


def cache_key(
    manifest: Manifest,
    preprocessing: PreprocessingSpec,
    need_masks: bool,
    allow_empty: bool,
    pad_label: int,
    memo_dir: Path | None,
    known: dict[Path, str],
) -> str:
    """Return the cache folder's name: a hash of contents, preprocessing and format.

    Digests of the files are put into ``known``.
    """
    _check_rows(manifest, need_masks)
    rows = []
    known |= _digests(manifest, need_masks, memo_dir)
    for row in manifest.rows:
        try:
            key = row_key(row, memo_dir, known)
        except OSError as error:
            raise DataError(
                f"{row.where}: {error.filename} cannot be read ({error.strerror})."
            ) from error
        if not need_masks:
            del key["mask"]
        del key["label"]  # does not change an array
        rows.append(key)
    plain = {
        "format": FORMAT,
        "rows": rows,
        "preprocessing": preprocessing.storage_dict(),
        "masks": [need_masks, allow_empty, pad_label] if need_masks else None,
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:32]


def _digests(manifest: Manifest, need_masks: bool, memo_dir: Path | None) -> dict[Path, str]:
    """Hash the files by threads; what cannot be read is left for the row to tell."""

    def one(path: Path) -> str | None:
        try:
            return image_digest(path, memo_dir)
        except (OSError, DataError):
            return None

    masks = (row.mask for row in manifest.rows if row.mask is not None)
    paths = dict.fromkeys(row.image for row in manifest.rows)
    paths |= dict.fromkeys(masks if need_masks else ())
    with ThreadPoolExecutor(_THREADS) as pool:
        found = zip(paths, pool.map(one, paths), strict=True)
        return {path: digest for path, digest in found if digest is not None}


def build(
    manifest: Manifest,
    preprocessing: PreprocessingSpec,
    directory: Path,
    need_masks: bool,
    allow_empty: bool,
    pad_label: int,
    *,
    is_whole: Callable[[], bool],
    manifest_hash: str,
    workers: int,
    progress: bool,
) -> None:
    """Write the cache folder, whole or not at all.

    Raises:
        DataError: Rows failed (see `SliceCache.open_or_build`), or the folder cannot be written.
    """
    channels = (3,) if preprocessing.stored_channels == 3 else ()
    shape = (*preprocessing.shape, *channels)
    with building(directory, is_whole) as temporary, _writing(directory):
        writer = StoreWriter(temporary, len(manifest), shape, need_masks)
        task = Task(temporary, preprocessing, need_masks, allow_empty, pad_label)
        jobs = [(group, task) for group in _groups(manifest)]
        failures: list[Failure] = []
        bar = tqdm(total=len(manifest), desc="preprocessing", unit="slice", disable=not progress)
        with bar, Flusher(temporary, _FLUSHED) as flusher:
            apart = len(manifest) >= _MANY and can_start_processes()
            share = map_shared if apart else map_in_threads
            for outcomes in share(write_group, jobs, workers):
                for outcome in outcomes:
                    if isinstance(outcome, Failure):
                        failures.append(outcome)
                    else:
                        writer.add(outcome)
                        flusher.note()
                    bar.update()
        if failures:
            raise _combined(manifest, failures)
        writer.finish(manifest_hash)
    _warn_about_crops(manifest, preprocessing, writer.cropped)


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{directory.parent}: the cache cannot be written ({error.strerror}); wanted room for "
            "it. Free some, pass cache_dir, or set MUSCLETRANSFER_CACHE."
        ) from error


def _groups(manifest: Manifest) -> list[list[tuple[int, ManifestRow]]]:
    """Return rows by image, so that a volume is read once for all of its slices.

    Files of a series list open one by one: there, groups stay small and so does what is in memory.
    """
    groups: dict[tuple[Path, int], list[tuple[int, ManifestRow]]] = {}
    seen: Counter[Path] = Counter()
    for index, row in enumerate(manifest.rows):
        part = seen[row.image] // _PART if is_series_list(row.image) else 0
        seen[row.image] += 1
        groups.setdefault((row.image, part), []).append((index, row))
    return list(groups.values())


def _check_rows(manifest: Manifest, need_masks: bool) -> None:
    if not len(manifest):
        raise DataError(f"{manifest.path}: no rows to cache; wanted at least one.")
    without = [row for row in manifest.rows if row.mask is None]
    if need_masks and without:
        lines = ", ".join(str(row.line) for row in without[:_SHOWN])
        more = f" and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
        raise DataError(
            f"{manifest.path}: {len(without)} of {len(manifest)} rows have no mask (rows "
            f"{lines}{more}); wanted one in each. Fill in the mask column or remove the rows."
        )


def _combined(manifest: Manifest, failures: list[Failure]) -> DataError:
    failures = sorted(failures, key=lambda f: f.index)
    kinds = {f.kind for f in failures}
    kind = kinds.pop() if len(kinds) == 1 else DataError
    if len(failures) == 1:
        return kind(failures[0].message)
    lines = "\n".join(f"  {f.message}" for f in failures[:_SHOWN])
    more = f"\n  and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
    return kind(
        f"{manifest.path}: {len(failures)} of {len(manifest)} rows cannot be used, so nothing was "
        f"cached. Mend or remove them:\n{lines}{more}"
    )


def _warn_about_crops(
    manifest: Manifest, preprocessing: PreprocessingSpec, cropped: dict[int, float]
) -> None:
    if cropped:
        worst = max(cropped, key=lambda i: cropped[i])
        h, w = preprocessing.shape
        warnings.warn(
            f"{manifest.path}: {len(cropped)} of {len(manifest)} masks reach outside the {h} x {w} "
            f"network grid (most in row {manifest.rows[worst].line}: {cropped[worst]:.1%} of its "
            "foreground), and no model can find what it is not shown. Raise preprocessing size or "
            "spacing.",
            stacklevel=4,
        )


def warn_about_twins(manifest: Manifest, known: Mapping[Path, str]) -> None:
    """Warn when one image's very bytes stand under two patients: a copy leaks across folds.

    Args:
        manifest: The cases. Rows of no CSV are photographs, of which nobody says whose they are.
        known: Digests of their files.
    """
    first: dict[str, ManifestRow] = {}
    for row in manifest.rows:
        if row.line < 0:
            continue
        before = first.setdefault(known[row.image], row)
        if before.patient_id != row.patient_id:
            warnings.warn(
                f"{row.where}: its image is the same, byte for byte, as that of {before.where}, "
                "which belongs to another patient, and test images can be trained on. If both are "
                "one patient, give them one id; else remove one.",
                stacklevel=3,
            )
            return
