"""Body of a pre-training: a source task by name, its images without test patients, its weights."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import CSVLogger

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.datamodules import PretextDataModule
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.splits import Split
from muscletransfer.pretext.base import PretextTask
from muscletransfer.study.plan.specs import PretextSpec
from muscletransfer.study.plan.tasks import fitting_arguments, has_argument, task_class
from muscletransfer.study.work.clock import StepClock
from muscletransfer.study.work.few import few_images
from muscletransfer.study.work.loggers import closing, make_loggers
from muscletransfer.study.work.planned import check_weights, planned_images
from muscletransfer.study.work.worker import (
    describe_machine,
    draw_phantoms,
    make_trainer,
    settled,
    write_json,
)
from muscletransfer.transfer import save_encoder

__all__ = ["build_task", "pretrain", "shared_arguments"]

_TRIED_CLASSES = 2


def pretrain(payload: Mapping[str, Any], folder: Path) -> None:
    """Do one pre-training.

    Writes ``weights.safetensors`` (encoder, and decoder where the task trains one),
    ``metrics.csv``, ``result.json``, ``provenance.json``, ``spec.json``.

    Args:
        payload: ``spec`` (a `PretextSpec`) and ``where`` (``sources``, ``excluded``, ``weights``,
            ``loggers``, ...).
        folder: An empty folder.

    Raises:
        DataError: Images or weights are no longer the planned ones.
        MuscleTransferError: What images, task or training find wrong.
    """
    started = time.monotonic()
    spec = PretextSpec.from_dict(payload["spec"])
    where = payload["where"]
    folder = Path(folder)
    write_json(folder / "spec.json", spec.to_dict())
    draw_phantoms(where)
    check_weights(where.get("weights"), spec.weights_key)
    with (
        settled(spec.compute, spec.seed),
        tempfile.TemporaryDirectory(dir=folder, prefix="lists_") as lists,
    ):
        data = build_data(spec, where, Path(lists))
        _run(spec, where, data, folder, started)


def build_data(spec: PretextSpec, where: Mapping[str, Any], lists: Path) -> PretextDataModule:
    """Build the images of a source task.

    Args:
        spec: The pre-training.
        where: ``sources`` and ``excluded`` on this machine.
        lists: A folder for the small manifests of a probe.

    Raises:
        DataError: The images are no longer the planned ones.
    """
    options = dict(spec.images)
    preprocessing = PreprocessingSpec.from_dict(options.pop("preprocessing"))
    given = options.pop("augmentation")
    options.pop("kind")
    sources = where["sources"]
    opened = []
    if not where.get("most_images"):
        opened = planned_images(where, options)
    else:  # a probe of the time a step takes
        sources, options = few_images(sources, options, lists, where["most_images"])
    excluded = tuple(where["excluded"])
    data = PretextDataModule(
        [source["path"] for source in sources],
        [source["kind"] for source in sources],
        exclude=Split(train=(), val=(), test=excluded) if excluded else None,
        preprocessing=preprocessing,
        batch_size=spec.batch_size,
        steps_per_epoch=spec.steps,
        cache_dir=where.get("cache_dir"),
        augmentation=Augmentation(**given) if isinstance(given, dict) else given,
        seed=spec.seed,
        licence=where.get("licence"),
        **options,
    )
    data.sources = opened
    return data


def shared_arguments(spec: PretextSpec) -> dict[str, Any]:
    """Return what every task of the study gets, as far as this one takes it.

    Raises:
        SettingError: The task does not take what the study sets.
    """
    shared = {"in_channels": spec.in_channels, "depth": spec.depth, "seed": spec.seed}
    return fitting_arguments(spec.task, shared)


def build_task(
    spec: PretextSpec, data: PretextDataModule | None, weights: str | None
) -> PretextTask:
    """Build the source task, in whatever process this is; just its own plug-in is imported.

    Args:
        spec: The pre-training.
        data: Its images, which know the number of classes; ``None`` where the task is only tried.
        weights: What the encoder starts from, a file as an absolute path.

    Raises:
        SettingError: The task does not take what the study sets.
    """
    arguments: dict[str, Any] = {
        **{k: v for k, v in spec.init_args.items() if k != "weights"},
        **shared_arguments(spec),
        "encoder": spec.encoder,
    }
    if weights is not None:
        arguments["weights"] = weights
    if spec.encoder_kwargs:
        arguments["encoder"] = {"name": spec.encoder, "kwargs": spec.encoder_kwargs}
    if spec.decoder is not None and has_argument(spec.task, "decoder"):
        arguments["decoder"] = spec.decoder
        if spec.decoder_kwargs:
            arguments["decoder_kwargs"] = spec.decoder_kwargs
    if has_argument(spec.task, "num_classes") and "num_classes" not in arguments:
        arguments["num_classes"] = _TRIED_CLASSES if data is None else _classes_of(spec, data)
    return task_class(spec.task)(**arguments)


def _classes_of(spec: PretextSpec, data: PretextDataModule) -> int:
    # a task that draws masks counts their classes, another one those of whole images
    draws = spec.decoder is not None or not data.classes
    return data.num_mask_classes if draws else data.num_classes


def _run(
    spec: PretextSpec,
    where: Mapping[str, Any],
    data: PretextDataModule,
    folder: Path,
    started: float,
) -> None:
    data.setup("fit")
    seed_everything(spec.seed, verbose=False)  # first weights come from the global generator
    task = build_task(spec, data, where.get("weights"))
    # metrics.csv is always there; the other loggers when asked for
    others = {k: v for k, v in where.get("loggers", {}).items() if k != "csv"}
    study = Path(where["study"])
    clock = StepClock()
    loggers = [
        CSVLogger(folder, name="", version=""),
        *make_loggers(others, folder, study, where["name"], spec.label),
    ]
    with closing(loggers):
        trainer = make_trainer(
            spec.steps,
            folder,
            spec.compute,
            accelerator=where.get("accelerator", "auto"),
            loggers=loggers,
            callbacks=[clock],
            validate=False,
        )
        ready = time.monotonic()
        trainer.fit(task, datamodule=data)
        scores = {
            k: float(v) for k, v in trainer.callback_metrics.items() if not k.endswith("_step")
        }
        trained = time.monotonic()  # after the scores, which wait for the device
        decoder = getattr(task, "decoder", None) is not None
        save_encoder(task, folder / "weights.safetensors", include_decoder=decoder)
        write_json(folder / "provenance.json", task.provenance().to_dict())
        if data.val_set is not None:
            trainer.limit_val_batches = 1.0
            validated = trainer.validate(task, datamodule=data, verbose=False)
            scores |= {k: float(v) for one in validated for k, v in one.items()}
    # Lightning's record of the arguments names paths of this machine; provenance has the rest
    (folder / "hparams.yaml").unlink(missing_ok=True)
    described = data.describe()
    write_json(
        folder / "result.json",
        {
            "seconds": round(time.monotonic() - started, 3),
            "seconds_ready": round(ready - started, 3),
            "seconds_training": round(trained - ready, 3),
            "seconds_per_step": clock.seconds_per_step(trained, trainer.global_step),
            "steps": trainer.global_step,
            "train_images": described["images"],
            "train_patients": described["patients"],
            "excluded_patients": described["excluded_patients"],
            "scores": scores,
            **describe_machine(trainer),
        },
    )
