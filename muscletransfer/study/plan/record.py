"""A plan: the pre-trainings and runs of a study, and its record in the study's folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muscletransfer._version import __version__
from muscletransfer.data.files import write_text_atomic
from muscletransfer.errors import DataError
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import Cases
from muscletransfer.study.plan.ids import content_key
from muscletransfer.study.plan.leakage import PretextImages
from muscletransfer.study.plan.specs import PretextSpec, RunSpec

__all__ = ["StudyPlan", "read_plan", "write_plan"]


@dataclass(frozen=True)
class StudyPlan:
    """Everything a study has to do.

    Args:
        config: The study.
        cases: Its cases.
        pretexts: Pre-trainings, in the order they are wanted.
        runs: Runs; repeats outermost, so that a study that is stopped has every arm.
        images: What each pre-training learns from, by its id, with the patients left out.
        notes: What a user should know.
    """

    config: StudyConfig
    cases: Cases
    pretexts: tuple[PretextSpec, ...]
    runs: tuple[RunSpec, ...]
    images: dict[str, tuple[PretextImages, tuple[str, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Digest of which runs it holds and how they are to be judged."""
        wanted = [sorted(r.id for r in self.runs), sorted(p.id for p in self.pretexts)]
        return content_key([wanted, vars(self.config.human_level), self.config.name])[:16]


def write_plan(plan: StudyPlan, folder: Path) -> Path:
    """Record a plan in the study's folder; the newest record says which runs belong together.

    Args:
        plan: The plan.
        folder: The study's folder.

    Returns:
        The file, ``plans/<plan id>.json``.
    """
    record = {
        "plan_id": plan.id,
        "name": plan.config.name,
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "version": __version__,
        "config": plan.config.to_dict(),
        "root": str(plan.config.root),
        "pretexts": [spec.to_dict() for spec in plan.pretexts],
        "runs": [run.id for run in plan.runs],
        "notes": list(plan.notes),
    }
    path = folder / "plans" / f"{plan.id}.json"
    return write_text_atomic(path, json.dumps(record, indent=1) + "\n")


def read_plan(folder: Path) -> dict[str, Any]:
    """Read the newest record of a study's folder.

    Args:
        folder: The study's folder.

    Returns:
        What `write_plan` wrote.

    Raises:
        DataError: There is none, or it is damaged.
    """
    found = []
    for path in sorted((folder / "plans").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found.append((record["created"], record))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is no record of a plan ({error}); remove it, or start the study again."
            ) from error
    if not found:
        raise DataError(
            f"{folder}: holds no study (no plans/*.json); wanted a folder that `muscletransfer "
            "study run` made."
        )
    newest: dict[str, Any] = max(found, key=lambda pair: pair[0])[1]
    return newest
