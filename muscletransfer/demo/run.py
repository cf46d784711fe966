"""Cohorts, source tasks, fine-tuning, report: the demo from start to end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything
from tqdm.auto import tqdm

from muscletransfer.data import LowDataModule, PreprocessingSpec, PretextDataModule
from muscletransfer.data.synthetic import Cohort, make_cohort
from muscletransfer.demo.quiet import quiet
from muscletransfer.demo.settings import FULL, QUICK, DemoSettings
from muscletransfer.demo.story import write_report
from muscletransfer.demo.training import FineTuned, fine_tune, pre_train
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.pretext import JigsawPretext, SegmentationPretext

__all__ = ["run_demo"]

# A name of its own: the output may be a folder of somebody else's, whose runs stay.
_RUNS = "demo_runs"


def run_demo(
    output: str | os.PathLike[str] = "muscletransfer_demo",
    *,
    seed: int = 0,
    quick: bool = False,
    settings: DemoSettings | None = None,
) -> Path:
    """Run the demo: synthetic cohort, two source tasks, fine-tuning on few patients, a report.

    Every image is synthetic. The cohort that pre-training sees and the one that fine-tuning and
    testing see share no patient.

    .. versionadded:: 0.1

    Args:
        output: Folder for cohorts, checkpoints (in ``demo_runs``, emptied by each run), figures
            and ``report.html``.
        seed: Seed of every random choice.
        quick: A smaller run that shows that everything works and teaches the networks little.
        settings: Other sizes, in place of those two.

    Returns:
        Path of ``report.html``.

    Raises:
        DataError: If the folder holds cohorts of other settings; nothing in it is changed.

    Example:
        >>> import tempfile
        >>> run_demo(tempfile.mkdtemp(), quick=True).name  # doctest: +SKIP
        'report.html'
    """
    started = time.monotonic()
    settings = settings or (QUICK if quick else FULL)
    folder = Path(output)
    print("All images of this demo are synthetic; no patient is involved.")
    source, target = _cohorts(folder, settings, seed)  # refuses a folder that is not the demo's
    if (folder / _RUNS).is_dir():
        shutil.rmtree(folder / _RUNS)  # checkpoints of an earlier run
    runs = 2 * settings.pretext_steps + 3 * len(settings.train_patients) * settings.finetune_steps
    with quiet(), tqdm(total=runs, unit="step", desc="training") as bar:
        weights = _pre_train_all(source, settings, folder, seed, bar)
        results = list(_fine_tune_all(target, weights, settings, folder, seed, bar))
    report = write_report(
        folder, settings, target, results, weights, seconds=time.monotonic() - started
    )
    if quick:
        print("A quick demo trains for a few steps: Dice near 0 and missed muscles are expected.")
    print(f"report: {report}")
    return report


def _cohorts(folder: Path, settings: DemoSettings, seed: int) -> tuple[Cohort, Cohort]:
    shared: dict[str, Any] = {"size": settings.native_size, "workers": 2, "progress": True}
    source = make_cohort(
        folder / "source_cohort",
        patients=settings.source_patients,
        seed=seed + 1,
        other_levels=3,
        **shared,
    )
    target = make_cohort(
        folder / "target_cohort",
        patients=settings.target_patients,
        seed=seed,
        observers=settings.observers,
        **shared,
    )
    return source, target


def _preprocessing(settings: DemoSettings) -> PreprocessingSpec:
    return PreprocessingSpec(size=settings.network_size)


def _pre_train_all(
    source: Cohort, settings: DemoSettings, folder: Path, seed: int, bar: tqdm[Any]
) -> dict[str, Path]:
    if source.pretext_manifest is None:
        raise RuntimeError("the source cohort was made without slices of other levels")
    from muscletransfer.data.synthetic import TISSUES

    # The task's own seed is for its puzzles; first weights come from the global generator.
    seed_everything(seed, verbose=False)
    tasks = {
        "jigsaw": JigsawPretext(encoder=settings.encoder, grid=3, lr=5e-4, seed=seed),
        "segmentation": SegmentationPretext(
            encoder=settings.encoder, num_classes=1 + max(TISSUES.values()), seed=seed
        ),
    }
    weights = {}
    for name, task in tasks.items():
        bar.set_description(f"pre-training on {name}")
        data = PretextDataModule(
            source.pretext_manifest,
            kind="manifest",
            preprocessing=_preprocessing(settings),
            batch_size=settings.batch_size,
            seed=seed,
            cache_dir=folder / "cache",
        )
        weights[name] = pre_train(
            task, data, settings.pretext_steps, folder / _RUNS / f"pretext_{name}", bar
        )
    return weights


def _fine_tune_all(
    target: Cohort,
    weights: dict[str, Path],
    settings: DemoSettings,
    folder: Path,
    seed: int,
    bar: tqdm[Any],
) -> Iterator[FineTuned]:
    # A source task that trained the decoder passes it on; the jigsaw has none.
    arms: dict[str, dict[str, Any]] = {
        "random": {},
        "jigsaw": {"weights": str(weights["jigsaw"])},
        "segmentation": {"weights": str(weights["segmentation"]), "transfer": "encoder+decoder"},
    }
    for count in settings.train_patients:
        for source, transfer in arms.items():
            bar.set_description(f"fine-tuning from {source} on {count} patients")
            data = LowDataModule(
                target.manifest,
                train_patients=count,
                fold=0,
                num_folds=settings.num_folds,
                val_patients=settings.val_patients,
                seed=seed,
                preprocessing=_preprocessing(settings),
                batch_size=settings.batch_size,
                steps_per_epoch=settings.val_every,
                cache_dir=folder / "cache",
            )
            model = SegmentationFineTuner(encoder=settings.encoder, seed=seed, **transfer)
            run = folder / _RUNS / f"finetune_{source}_{count}"
            yield fine_tune(source, count, model, data, settings, run, bar)
