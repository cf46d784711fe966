"""A plan: the pre-trainings and runs of a study, and its record in the study's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muscletransfer._version import __version__
from muscletransfer.errors import DataError
from muscletransfer.study.config.reading import config_from_dict
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import Cases
from muscletransfer.study.plan.leakage import PretextImages
from muscletransfer.study.plan.specs import PretextSpec, RunSpec
from muscletransfer.study.running.plans import read_plans

__all__ = ["StudyPlan", "study_config"]


@dataclass(frozen=True)
class StudyPlan:
    """Everything a study has to do.

    .. versionadded:: 0.1

    Args:
        config: The study.
        cases: Its cases.
        pretexts: Pre-trainings, in the order they are wanted.
        runs: Runs; repeats outermost, so that a study that is stopped has every arm.
        images: What each pre-training learns from, by its id, with the patients left out.
        notes: What a user should know.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "sources": ["random"],
        ... })
        >>> from muscletransfer.study import plan_study
        >>> plan = plan_study(config)
        >>> len(plan.runs), plan.pretexts
        (6, ())
    """

    config: StudyConfig
    cases: Cases
    pretexts: tuple[PretextSpec, ...]
    runs: tuple[RunSpec, ...]
    images: dict[str, tuple[PretextImages, tuple[str, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def specs(self) -> tuple[PretextSpec | RunSpec, ...]:
        """Pre-trainings, then runs."""
        return (*self.pretexts, *self.runs)

    def record(self) -> dict[str, Any]:
        """Return what the study's folder keeps of the plan; see `study_config`.

        Beside the file as it was given stands the whole configuration, defaults filled in, from
        which a report can tell every setting.
        """
        return {
            "name": self.config.name,
            "version": __version__,
            "root": str(self.config.root),
            "file": self.config.given,
            "config": self.config.to_dict(),
            "pretexts": [spec.to_dict() for spec in self.pretexts],
            "notes": list(self.notes),
        }


def study_config(folder: str | Path) -> StudyConfig:
    """Return the configuration that was started last in a study's folder.

    .. versionadded:: 0.1

    Args:
        folder: The study's folder.

    Raises:
        DataError: Nothing was started there.

    Example:
        >>> import tempfile
        >>> study_config(tempfile.mkdtemp())
        Traceback (most recent call last):
        muscletransfer.errors.DataError: ...
    """
    plans = read_plans(folder)
    if not plans:
        raise DataError(
            f"{folder}: holds no study (no plans/*.json); wanted a folder that `muscletransfer "
            "study run` made."
        )
    record = plans[0].config
    file = {**record["file"], "sources": _as_planned(record)}
    config = config_from_dict(file, Path(record["root"]), record["name"], check=False)
    return replace(config, given=dict(record["file"]))  # or who goes on would have edited it


def _as_planned(record: Mapping[str, Any]) -> Any:
    """Return the sources of the file with what the plan took them for.

    A word that is the task of a plug-in which is not installed here would be taken for weights.
    """
    given = record["file"].get("sources")
    words = given if isinstance(given, list) else [given]
    planned = record.get("config", {}).get("sources", [])
    if len(planned) != len(words):
        return given
    return [
        word if word == "random" else {"name": was["name"], **_in_full(word, was["kind"])}
        for word, was in zip(words, planned, strict=True)
    ]


def _in_full(source: str | dict[str, Any], kind: str) -> dict[str, Any]:
    return {kind: source} if isinstance(source, str) else source
