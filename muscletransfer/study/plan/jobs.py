"""From a plan to the jobs that the engine runs: what to do, and where things lie here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muscletransfer.study.config.data import PhantomConfig
from muscletransfer.study.config.names import is_weights_file
from muscletransfer.study.plan.cases import draw_phantom, local_folder, phantom_folder
from muscletransfer.study.plan.record import StudyPlan
from muscletransfer.study.plan.specs import PretextSpec, RunSpec
from muscletransfer.study.running.jobs import Job

__all__ = ["make_jobs", "prepare_data"]

_PRETRAIN = "muscletransfer.study.work.pretrain:pretrain"
_FINE_TUNE = "muscletransfer.study.work.finetune:fine_tune"


def make_jobs(
    plan: StudyPlan,
    folder: str | Path,
    *,
    device_share: float = 1.0,
    cache_dir: Path | None = None,
    accelerator: str = "auto",
) -> list[Job]:
    """Return the jobs of a plan: pre-trainings first, then runs.

    .. versionadded:: 0.1

    Args:
        plan: The plan.
        folder: The study's folder, or its URL.
        device_share: Part of a device that a run takes.
        cache_dir: Where preprocessed slices are kept; ``None`` for the user's cache folder.
        accelerator: Lightning's.

    Returns:
        The jobs.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "sources": ["random"],
        ... })
        >>> from muscletransfer.study import plan_study
        >>> jobs = make_jobs(plan_study(config), Path("study"))
        >>> len(jobs), jobs[0].kind
        (6, 'run')
    """
    folder = local_folder(folder)
    shared = {
        "study": str(folder),
        "name": plan.config.name,
        "cache_dir": None if cache_dir is None else str(cache_dir.absolute()),
        "accelerator": accelerator,
        "loggers": plan.config.loggers,
    }
    pretexts = [
        Job(
            id=spec.id,
            kind="pretext",
            body=_PRETRAIN,
            payload={"spec": spec.to_dict(), "where": shared | _of_pretext(plan, spec, folder)},
            device_share=device_share,
            label=spec.label,
        )
        for spec in plan.pretexts
    ]
    data = _of_data(plan, folder)
    files = _weight_files(plan)
    runs = [
        Job(
            id=run.id,
            kind="run",
            needs=() if run.pretext is None else (run.pretext,),
            body=_FINE_TUNE,
            payload={"spec": run.to_dict(), "where": shared | data | _of_run(run, files)},
            device_share=device_share,
            label=run.label,
        )
        for run in plan.runs
    ]
    return pretexts + runs


def prepare_data(plan: StudyPlan, folder: str | Path, progress: bool = False) -> None:
    """Draw the phantoms of a study that are not there yet.

    Args:
        plan: The plan.
        folder: The study's folder.
        progress: Show a bar.
    """
    wanted = [plan.config.data.phantom]
    for images, _ in plan.images.values():
        wanted += [PhantomConfig(**s["phantom"]) for s in images.sources if "phantom" in s]
    for phantom in dict.fromkeys(p for p in wanted if p is not None):
        draw_phantom(phantom, phantom_folder(local_folder(folder), phantom), progress)


def _of_data(plan: StudyPlan, folder: Path) -> dict[str, Any]:
    data = plan.config.data
    if data.phantom is not None:
        path = phantom_folder(folder, data.phantom) / "manifest.csv"
    else:
        path = plan.config.path(str(data.manifest))
    return {
        "manifest": str(path),
        "verify": data.phantom is None,
        "phantoms": [] if data.phantom is None else _phantoms(folder, [vars(data.phantom)]),
        "mask_column": data.mask_column,
        "where": data.where,
        "fold_column": data.fold_column,
        "licence": data.licence,
        "keep_weights": plan.config.keep_weights,
    }


def _of_run(run: RunSpec, files: dict[str, str]) -> dict[str, Any]:
    return {"weights": files.get(run.source, run.weights)}


def _weight_files(plan: StudyPlan) -> dict[str, str]:
    """Absolute path by source, of those that start from a file."""
    return {
        source.name: str(plan.config.path(source.weights))
        for source in plan.config.sources
        if source.weights is not None and is_weights_file(source.weights)
    }


def _of_pretext(plan: StudyPlan, spec: PretextSpec, folder: Path) -> dict[str, Any]:
    images, excluded = plan.images[spec.id]
    sources = []
    for source in images.sources:
        path = source.get("path")
        if "phantom" in source:
            path = str(phantom_folder(folder, PhantomConfig(**source["phantom"])) / source["file"])
        kept = {k: v for k, v in source.items() if k not in ("phantom", "file")}
        sources.append({**kept, "path": path})
    weights = spec.init_args.get("weights")
    if spec.weights_key is not None:
        weights = str(plan.config.path(_given_weights(plan, spec)))
    return {
        "sources": sources,
        "excluded": list(excluded),
        "weights": weights,
        "licence": images.licence,
        "phantoms": _phantoms(folder, [s["phantom"] for s in images.sources if "phantom" in s]),
    }


def _given_weights(plan: StudyPlan, spec: PretextSpec) -> str:
    """The weight file among a task's arguments, as the study's file has it."""
    source = next(run.source for run in plan.runs if run.pretext == spec.id)
    tasks = {one.name: one.pretext for one in plan.config.sources}
    task = tasks[source]
    assert task is not None
    return str(task.init_args["weights"])


def _phantoms(folder: Path, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a worker on another machine draws if it is not there."""
    return [
        {"folder": str(phantom_folder(folder, PhantomConfig(**one))), "settings": one}
        for one in wanted
    ]
