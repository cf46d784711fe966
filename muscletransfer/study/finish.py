"""Tables and statistics of a study, rebuilt from its run folders at any time."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from muscletransfer.data.io import read_mask
from muscletransfer.data.manifest import Manifest
from muscletransfer.errors import DataError, EmptyMaskError, MuscleTransferError
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import observers_manifest, study_manifest
from muscletransfer.study.plan.record import study_config
from muscletransfer.study.results import StudyResults, collect_results, write_results
from muscletransfer.study.running.plans import read_plans
from muscletransfer.study.statistics import HumanTest, StudyAnalysis, analyse

__all__ = [
    "analyse_results",
    "analyse_study",
    "analyse_with_note",
    "write_study_results",
]


def analyse_study(folder: str | Path) -> tuple[StudyResults, StudyAnalysis]:
    """Collect the finished runs that belong to the current plan, and compute their statistics.

    Where the observers' masks cannot be used there is no comparison with them; the analysis says
    why in its ``notes``.

    .. versionadded:: 0.1

    Args:
        folder: The study's folder.

    Returns:
        The tidy table with what was left out, and the analysis.

    Raises:
        DataError: Nothing was started there, or no run is finished.

    Example:
        >>> import tempfile
        >>> analyse_study(tempfile.mkdtemp())
        Traceback (most recent call last):
        muscletransfer.errors.DataError: ...
    """
    folder = Path(folder)
    config = study_config(folder)
    results = collect_results(folder, read_plans(folder)[0].ids("run"))
    analysis, note = analyse_with_note(config, folder, results)
    return results, replace(analysis, notes=(*analysis.notes, note)) if note else analysis


def analyse_with_note(
    config: StudyConfig, folder: Path, results: StudyResults
) -> tuple[StudyAnalysis, str]:
    """Compute the statistics of runs, without observers where their masks cannot be used.

    Args:
        config: The study.
        folder: Its folder.
        results: Its finished runs, at least one.

    Returns:
        The analysis, and why observers are left out; empty where they are not.

    Raises:
        DataError: No run is finished.
    """
    try:
        return analyse_results(config, folder, results), ""
    except MuscleTransferError as error:
        analysis = analyse_results(config, folder, results, with_observers=False)
        return analysis, f"There is no comparison with observers: {_reason(config, folder, error)}"


def analyse_results(
    config: StudyConfig, folder: str | Path, results: StudyResults, *, with_observers: bool = True
) -> StudyAnalysis:
    """Compute the statistics of runs that were collected.

    Args:
        config: The study.
        folder: Its folder.
        results: Its finished runs, at least one.
        with_observers: Compare with observers where the study has some.

    Returns:
        The analysis.

    Raises:
        DataError: No run is finished, or the observers' masks do not fit.
    """
    return analyse(
        results.table,
        _human_test(config, Path(folder)) if with_observers else None,
        reference=_reference(config),
        selection_labels=results.selection_labels,
    )


def write_study_results(folder: str | Path) -> list[Path]:
    """Write the tables and statistics of a study into its folder ``results/``.

    Warns where the observers' masks cannot be used, and writes the rest.

    .. versionadded:: 0.1

    Args:
        folder: The study's folder.

    Returns:
        The files.

    Raises:
        DataError: As `analyse_study`.

    Example:
        >>> import tempfile
        >>> write_study_results(tempfile.mkdtemp())
        Traceback (most recent call last):
        muscletransfer.errors.DataError: ...
    """
    folder = Path(folder)
    config = study_config(folder)
    results = collect_results(folder, read_plans(folder)[0].ids("run"))
    analysis, note = analyse_with_note(config, folder, results)
    if note:
        warnings.warn(note, stacklevel=2)
    target = folder / "results"
    return [*write_results(results, target), *analysis.write(target)]


def _reference(config: StudyConfig) -> str:
    """Name of the source from scratch; one that no source has where there is none."""
    for source in config.sources:
        if source.kind == "random" and source.freeze == "none":
            return source.name
    # "random" may well be the name of a frozen encoder, from which no label saving is measured
    name, taken = "random, not frozen", {source.name for source in config.sources}
    while name in taken:
        name += "*"
    return name


def _human_test(config: StudyConfig, folder: Path) -> HumanTest | None:
    observers = observers_manifest(config, folder)
    if observers is None:
        return None
    return HumanTest(
        observers,
        folder / "runs",
        config.human_level.margin,
        config.human_level.metric,
        cases=study_manifest(config, folder),
        label=config.human_level.label,
        with_hu=config.data.preprocessing.hu_window is not None,
    )


def _reason(config: StudyConfig, folder: Path, error: MuscleTransferError) -> str:
    """Why there is no comparison, with the way out in the study's file, not in Python."""
    label = config.human_level.label
    if isinstance(error, EmptyMaskError) and label is not None and not _is_drawn(config, folder):
        return f"no observer mask holds label {label} (human_level.label)."
    words = str(error).replace("label= to choose", "human_level.label to choose")
    found, cut, _ = words.partition(" If nothing was outlined pass empty=")
    return f"{found} Remove its row from the observers' manifest." if cut else words


def _is_drawn(config: StudyConfig, folder: Path) -> bool:
    """Whether any observer's mask holds the label that is asked about."""
    path, label = observers_manifest(config, folder), config.human_level.label
    assert path is not None
    assert label is not None
    try:
        rows = Manifest.read(path, need_masks=True, allow_repeats=True).rows
        return any(label in read_mask(row.mask).classes for row in rows if row.mask is not None)
    except DataError:
        return True  # not known, so not said
