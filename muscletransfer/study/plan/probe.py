"""A miniature of a study: every kind of network and source task in it, a few steps, few images."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from muscletransfer.data.manifest import Manifest
from muscletransfer.folders import default_cache_dir
from muscletransfer.study.config.sources import SourceConfig
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.config.training import SelectionConfig
from muscletransfer.study.plan.cases import study_manifest
from muscletransfer.study.plan.ids import content_key
from muscletransfer.study.plan.jobs import make_jobs, prepare_data
from muscletransfer.study.plan.planning import plan_study
from muscletransfer.study.plan.record import StudyPlan
from muscletransfer.study.plan.specs import PretextSpec, RunSpec

__all__ = ["Measured", "probe_plan", "shape_of"]

_PATIENTS = 6
_STEPS = 6
_IMAGES = 24


@dataclass(frozen=True)
class Measured:
    """What one pre-training or run costs, apart from its number of steps and cases.

    Args:
        start: Seconds that come once.
        step: Seconds a training step.
        case: Seconds a test case; 0 for a pre-training.
        fixed_bytes: Disk that comes once.
        case_bytes: Disk a test case.
    """

    start: float
    step: float
    case: float
    fixed_bytes: int
    case_bytes: int


def shape_of(spec: PretextSpec | RunSpec) -> str:
    """Return a key that is the same for specs whose steps and cases cost the same.

    Args:
        spec: A specification.
    """
    if isinstance(spec, PretextSpec):
        given = {k: v for k, v in spec.init_args.items() if k not in ("lr", "weights")}
        images = {k: spec.images[k] for k in ("preprocessing", "augmentation")}
        parts: list[Any] = [spec.task, given, spec.encoder, spec.encoder_kwargs, spec.depth]
        parts += [spec.decoder, spec.decoder_kwargs, spec.batch_size, images, spec.compute]
        return content_key(parts)
    settings = spec.settings
    used = {k: settings[k] for k in ("preprocessing", "augmentation", "class_names", "compute")}
    tuning = {k: settings["finetune"][k] for k in ("batch_size", "loss")}
    parts = [spec.encoder, spec.decoder, spec.encoder_args, spec.freeze, used, tuning]
    return content_key(parts)


def probe_plan(
    plan: StudyPlan,
    *,
    cache_dir: Path | None = None,
    accelerator: str = "auto",
    fresh: bool = False,
) -> dict[str, Measured]:
    """Measure what is not known yet of the kinds of work in a plan, on this machine.

    Args:
        plan: The plan.
        cache_dir: Where what was measured is kept; ``None`` for the user's cache folder.
        accelerator: Lightning's.
        fresh: Measure again what is known.

    Returns:
        Costs by `shape_of`.

    Raises:
        MuscleTransferError: What would stop the study as well: a task that cannot be built, weights
            that cannot be had, images that cannot be read.
    """
    memory = (cache_dir or default_cache_dir()) / "study_probes"
    # the weights that a run keeps are no part of its settings, and most of its disk
    machine = [*_machine(accelerator), plan.config.keep_weights]
    wanted = list(dict.fromkeys(shape_of(spec) for spec in plan.specs))
    known: dict[str, Measured] = {}
    if not fresh:
        known = {s: found for s in wanted if (found := _remembered(memory, machine, s))}
    if len(known) < len(wanted):
        with _miniature(plan) as (small, folder):
            for shape, measured in _measure(small, folder, set(known), accelerator):
                known[shape] = measured
                _remember(memory, machine, shape, measured)
    return known


@contextlib.contextmanager
def _miniature(plan: StudyPlan) -> Iterator[tuple[StudyPlan, Path]]:
    """Yield a plan of few steps on few patients, and a folder for it."""
    config = plan.config
    with tempfile.TemporaryDirectory(prefix="muscletransfer_probe_") as name:
        folder = Path(name)
        data = replace(config.data, num_folds=2, fold_column=None, observers=None)
        if data.phantom is not None:
            data = replace(data, phantom=replace(data.phantom, patients=_PATIENTS, observers=0))
        else:
            manifest = _few_patients(config, folder)
            data = replace(data, manifest=str(manifest), mask_column="mask")
        small = replace(
            config,
            data=data,
            train_patients=(1,),
            repeats=1,
            sources=tuple(_short(source) for source in config.sources),
            finetune=replace(config.finetune, steps=_STEPS),
            selection=SelectionConfig(),  # a validation is no part of a step: `estimate` adds it
            loggers={},
        )
        yield plan_study(small), folder


def _measure(
    plan: StudyPlan, folder: Path, known: set[str], accelerator: str
) -> Iterator[tuple[str, Measured]]:
    """Do one job of each kind that is not known."""
    from muscletransfer.study.work.finetune import fine_tune
    from muscletransfer.study.work.pretrain import pretrain

    prepare_data(plan, folder)
    made = make_jobs(plan, folder, cache_dir=folder / "cache", accelerator=accelerator)
    jobs = {job.id: job for job in made}
    done: dict[str, str] = {}

    def do(spec: PretextSpec | RunSpec) -> Measured:
        job, body = jobs[spec.id], pretrain if isinstance(spec, PretextSpec) else fine_tune
        place = folder / job.folder
        place.mkdir(parents=True)
        where = {**job.payload["where"], "most_images": _IMAGES}
        body({**job.payload, "where": where, "needs": done}, place)
        done[spec.id] = str(place)
        return _read(place)

    by_id = {spec.id: spec for spec in plan.pretexts}
    seen = set(known)
    for spec in plan.specs:
        shape = shape_of(spec)
        if shape in seen:
            continue
        seen.add(shape)
        need = spec.pretext if isinstance(spec, RunSpec) else None
        if need is not None and need not in done:
            do(by_id[need])
        yield shape, do(spec)


def _read(place: Path) -> Measured:
    result = json.loads((place / "result.json").read_text())
    step = float(result["seconds_per_step"])
    once = result["seconds"] - step * result["steps"]
    size = {path.name: path.stat().st_size for path in place.rglob("*") if path.is_file()}
    cases = 0
    if (place / "cases.csv").is_file():
        cases = len((place / "cases.csv").read_text().splitlines()) - 1
    if not cases:
        return Measured(max(0.0, once), step, 0.0, sum(size.values()), 0)
    testing = float(result["seconds_testing"])
    of_cases = size["cases.csv"] + size["masks.npz"]
    fixed = sum(size.values()) - of_cases
    return Measured(max(0.0, once - testing), step, testing / cases, fixed, -(-of_cases // cases))


def _few_patients(config: StudyConfig, folder: Path) -> Path:
    """Write a manifest of all rows of the first patients of the study."""
    data = config.data
    patients = set(study_manifest(config, folder).patients[:_PATIENTS])
    whole = Manifest.read(config.path(str(data.manifest)), mask_column=data.mask_column)
    path = folder / "few_patients.csv"
    Manifest(tuple(r for r in whole.rows if r.patient_id in patients), path).write(path)
    return path


def _short(source: SourceConfig) -> SourceConfig:
    pretext = source.pretext
    if pretext is None:
        return source
    images = tuple(
        one
        if one.phantom is None
        else replace(one, phantom=replace(one.phantom, patients=_PATIENTS, observers=0))
        for one in pretext.images.images
    )
    short = replace(pretext, steps=_STEPS, images=replace(pretext.images, images=images))
    return replace(source, pretext=short)


def _machine(accelerator: str) -> list[Any]:
    """What the time of a step depends on besides the work."""
    import platform

    import torch

    from muscletransfer.study.plan.ids import RESULT_VERSION

    gpu = accelerator not in ("cpu",) and torch.cuda.is_available()
    device = torch.cuda.get_device_name(0) if gpu else accelerator
    return [platform.node(), platform.machine(), torch.__version__, device, RESULT_VERSION]


def _remembered(memory: Path, machine: list[Any], shape: str) -> Measured | None:
    path = memory / f"{content_key([machine, shape])[:32]}.json"
    try:
        plain: Mapping[str, Any] = json.loads(path.read_text())
        return Measured(**plain)
    except (OSError, ValueError, TypeError):  # not there, or of another version: measure again
        return None


def _remember(memory: Path, machine: list[Any], shape: str, measured: Measured) -> None:
    from muscletransfer.data.files import write_text_atomic

    path = memory / f"{content_key([machine, shape])[:32]}.json"
    write_text_atomic(path, json.dumps(vars(measured)))
