"""Predict many cases: read beside computing, write as they come, report what failed."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from muscletransfer.data.files import write_text_atomic
from muscletransfer.errors import DataError, SettingError
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.prediction.cases import PredictionCase, Problem, find_cases
from muscletransfer.prediction.earlier import (
    PROBLEM_COLUMNS,
    UNFINISHED,
    check_output,
    earlier_files,
    files_of,
)
from muscletransfer.prediction.masks import check_mask_format
from muscletransfer.prediction.networks import Ensemble
from muscletransfer.prediction.outcome import Finisher, Outcome, classes_of
from muscletransfer.prediction.page import write_page
from muscletransfer.prediction.quality import Thresholds, flags_off
from muscletransfer.prediction.reading import ReadCase, read_case

__all__ = ["PredictionRun", "predict_cases"]

T = TypeVar("T")


@dataclass(frozen=True)
class PredictionRun:
    """What a run did.

    .. versionadded:: 0.1

    Args:
        root: Its folder.
        outcomes: The predicted cases, worst first.
        problems: Inputs that could not be predicted.
        passed_over: Files of folders that are no images.
        flags_off: Flags that could not go up, and why.

    Example:
        >>> run = PredictionRun(Path("predicted"), outcomes=[], problems=[])
        >>> run.page.name, run.measures.name
        ('index.html', 'measures.csv')
    """

    root: Path
    outcomes: list[Outcome]
    problems: list[Problem]
    passed_over: list[Path] = field(default_factory=list)
    flags_off: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> Path:
        """The page to look through."""
        return self.root / "index.html"

    @property
    def measures(self) -> Path:
        """One row a case, worst first."""
        return self.root / "measures.csv"


def predict_cases(
    inputs: str | Path | Sequence[str | Path],
    checkpoints: str
    | Path
    | SegmentationFineTuner
    | Ensemble
    | Sequence[str | Path | SegmentationFineTuner],
    output: str | Path,
    *,
    slice_index: int | None = None,
    mask_format: str = "nifti",
    tta: bool = False,
    batch_size: int = 8,
    precision: str = "auto",
    device: str | torch.device | None = None,
    workers: int = 2,
    overlays: bool = True,
    overwrite: bool = False,
    thresholds: Thresholds | None = None,
    on_case: Callable[[str], object] | None = None,
) -> PredictionRun:
    """Outline, measure and judge every case; one that fails is reported and the rest go on.

    In the output folder: ``masks/``, ``overlays/``, ``measures.csv`` (units in the column names),
    ``problems.csv`` and ``index.html``, all in order of the review score. Of a run that was ended
    they hold what was done; ``problems.csv`` names the rest.

    .. versionadded:: 0.1

    Args:
        inputs: Files, folders, or a manifest CSV.
        checkpoints: One file or fine-tuner, or several whose probabilities are averaged; or an
            `Ensemble` that is loaded already, whose own ``tta``, precision and device then hold.
        output: Folder to write to.
        slice_index: Slice of volumes that no manifest row chooses one of.
        mask_format: ``"nifti"``, or for DICOM images ``"rtstruct"`` or ``"dicom-seg"``.
        tta: Also predict mirror images, and average.
        batch_size: Slices a step.
        precision: ``"auto"``, ``"bf16-mixed"`` or ``"32-true"``.
        device: Where to compute; a GPU when there is one.
        workers: Threads that read and write beside the network; 0 does all in turn.
        overlays: Whether to draw pictures.
        overwrite: Whether to replace an earlier run in the same folder: its tables, page, masks
            and overlays are removed before the first case. Other files are never replaced.
        thresholds: Where quality flags go up.
        on_case: Called with the name of each case when it is done.

    Returns:
        Outcomes, worst first, and problems.

    Raises:
        SettingError: No input, no image, members that do not fit, an earlier run in the folder, or
            masks of such names that no earlier run wrote.
        ManifestError: A manifest that cannot be read at all.
        TransferError, ContractError: A checkpoint that cannot be loaded.
        UnknownNameError, MissingDependencyError: The mask format.

    Example:
        >>> predict_cases([], "model.ckpt", "out")
        Traceback (most recent call last):
        muscletransfer.errors.SettingError: no input; wanted files, folders or a manifest CSV ...
    """
    root = Path(output)
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not given:
        raise SettingError("no input; wanted files, folders or a manifest CSV with images.")
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if not isinstance(value, int) or value < least:
            raise SettingError(f"{name} is {value!r}; wanted a whole number from {least}.")
    chosen = check_mask_format(mask_format)
    check_output(root, overwrite)
    if isinstance(checkpoints, Ensemble):
        ensemble = checkpoints
    else:
        if isinstance(checkpoints, str | Path | SegmentationFineTuner):
            checkpoints = [checkpoints]
        ensemble = Ensemble(checkpoints, tta=tta, precision=precision, device=device)
    is_ct = ensemble.preprocessing.hu_window is not None
    found = find_cases(given, slice_index, plain=not is_ct, leave_out=root)
    finisher = Finisher(
        root,
        ensemble.preprocessing,
        classes_of(ensemble.num_classes, ensemble.class_names),
        tuple(ensemble.profiles),
        chosen,
        overlays,
        thresholds,
    )
    off = flags_off(ensemble.profiles, ensemble.voices, is_ct)
    run = PredictionRun(root, [], list(found.problems), found.passed_over, off)
    open_cases = {case.name: case for case in found.cases}
    for path in earlier_files(root, open_cases, chosen):
        path.unlink(missing_ok=True)
    # Whoever ends the run, and however: the folder says from now on what is in it and what is not.
    _write_tables(run, open_cases.values())
    try:
        with closing(_work(found.cases, ensemble, finisher, batch_size, workers)) as results:
            for done in results:
                if isinstance(done, Outcome):
                    run.outcomes.append(done)
                else:
                    run.problems.append(done)
                name = done.name if isinstance(done, Outcome) else done.case
                del open_cases[name]
                if on_case is not None:
                    on_case(name)
    finally:
        for name in open_cases:  # written, but not measured in any table
            for path in files_of(root, name, (chosen,)):
                path.unlink(missing_ok=True)
        run.outcomes.sort(key=lambda one: (-one.quality.score, one.name))
        listed = _write_tables(run, open_cases.values())
        write_page(run.page, run.outcomes, listed, off, len(ensemble), ensemble.tta)
    return run


def _work(
    cases: Sequence[PredictionCase],
    ensemble: Ensemble,
    finisher: Finisher,
    batch_size: int,
    workers: int,
) -> Generator[Outcome | Problem, None, None]:
    """Read ahead, predict in batches, finish behind; at most a few batches are in memory.

    Threads are enough: decoding, interpolation, compression and the network all let go of the
    interpreter.
    """
    with _Pool(workers) as pool:
        reading: deque[Future[ReadCase | Problem]] = deque()
        finishing: deque[Future[Outcome | Problem]] = deque()
        waiting = iter(cases)
        batch: list[ReadCase] = []
        while True:
            while len(reading) < 2 * batch_size and (case := next(waiting, None)) is not None:
                reading.append(pool.submit(_read, case, ensemble))
            if reading:
                read = reading.popleft().result()
                if isinstance(read, Problem):
                    yield read
                else:
                    batch.append(read)
            if len(batch) == batch_size or (batch and not reading):
                found = ensemble.predict([read.stored for read in batch])
                judged = zip(
                    batch, found.probabilities, found.agreement, found.distance, strict=True
                )
                finishing.extend(pool.submit(_finish, finisher, *one) for one in judged)
                batch = []
            while finishing and (len(finishing) > batch_size or not reading):
                yield finishing.popleft().result()
            if not reading and not batch and not finishing:
                return


def _read(case: PredictionCase, ensemble: Ensemble) -> ReadCase | Problem:
    try:
        return read_case(case, ensemble.preprocessing)
    except (DataError, OSError) as error:
        return Problem(case.name, str(case.image), str(error))


def _finish(
    finisher: Finisher,
    read: ReadCase,
    probabilities: torch.Tensor,
    agreement: float | None,
    distance: float | None,
) -> Outcome | Problem:
    try:
        return finisher.finish(read, probabilities, agreement, distance)
    except (DataError, OSError) as error:
        for path in files_of(finisher.root, read.case.name, (finisher.mask_format,)):
            path.unlink(missing_ok=True)  # such as a mask whose overlay found no space
        return Problem(read.case.name, str(read.case.image), str(error))


class _Pool:
    """A thread pool, or with 0 workers the same calls in this thread."""

    def __init__(self, workers: int) -> None:
        self.pool = ThreadPoolExecutor(workers, "predict") if workers else None

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        if self.pool is not None:
            return self.pool.submit(function, *args)
        done: Future[T] = Future()
        done.set_result(function(*args))
        return done


def _write_tables(run: PredictionRun, unfinished: Iterable[PredictionCase]) -> list[Problem]:
    """Write both tables; return what the second one lists: problems, and what was not come to."""
    listed = run.problems + [Problem(one.name, str(one.image), UNFINISHED) for one in unfinished]
    rows = [outcome.to_row(run.root) for outcome in run.outcomes]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["case"]
    _write_csv(run.measures, columns, rows)
    problems = [(one.case, _absolute(one.image), one.message) for one in listed]
    named = [dict(zip(PROBLEM_COLUMNS, values, strict=True)) for values in problems]
    _write_csv(run.root / "problems.csv", PROBLEM_COLUMNS, named)
    return listed


def _absolute(image: str) -> str:
    return str(Path(image).absolute()) if image else ""  # a row of a manifest may lack it


def _write_csv(
    path: Path, columns: Sequence[str], rows: Sequence[dict[str, object] | dict[str, str]]
) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())
