"""Tables and statistics of a study, rebuilt from its run folders at any time."""

from __future__ import annotations

from pathlib import Path

from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import observers_manifest, study_manifest
from muscletransfer.study.plan.record import study_config
from muscletransfer.study.results import StudyResults, collect_results, write_results
from muscletransfer.study.running.plans import read_plans
from muscletransfer.study.statistics import HumanTest, StudyAnalysis, analyse

__all__ = ["analyse_results", "analyse_study", "write_study_results"]


def analyse_study(folder: str | Path) -> tuple[StudyResults, StudyAnalysis]:
    """Collect the finished runs that belong to the current plan, and compute their statistics.

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
    return results, analyse_results(config, folder, results)


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
    scratch = [s.name for s in config.sources if s.kind == "random" and s.freeze == "none"]
    return analyse(
        results.table,
        _human_test(config, Path(folder)) if with_observers else None,
        reference=scratch[0] if scratch else "random",
        selection_labels=results.selection_labels,
    )


def write_study_results(folder: str | Path) -> list[Path]:
    """Write the tables and statistics of a study into its folder ``results/``.

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
    results, analysis = analyse_study(folder)
    target = Path(folder) / "results"
    return [*write_results(results, target), *analysis.write(target)]


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
