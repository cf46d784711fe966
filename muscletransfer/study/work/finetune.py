"""Body of a run: fine-tune on n labelled patients, test once, write the cases."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.datamodules import LowDataModule
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.study.plan.specs import RunSpec
from muscletransfer.study.results.masks import write_masks
from muscletransfer.study.work.best import KeepBest
from muscletransfer.study.work.cases import case_rows, write_cases
from muscletransfer.study.work.clock import StepClock
from muscletransfer.study.work.labelled import labelled_cases
from muscletransfer.study.work.loggers import closing, make_loggers
from muscletransfer.study.work.planned import check_weights
from muscletransfer.study.work.worker import (
    describe_machine,
    draw_phantoms,
    make_trainer,
    settled,
    write_json,
)

__all__ = ["fine_tune"]


def fine_tune(payload: Mapping[str, Any], folder: Path) -> None:
    """Do one run.

    Writes ``cases.csv`` (one row a test case and class), ``masks.npz``, ``result.json``,
    ``provenance.json``, ``spec.json``, and what loggers write.

    Args:
        payload: ``spec`` (a `RunSpec`), ``where`` (paths and loggers on this machine), ``needs``
            (folder of the pre-training by id).
        folder: An empty folder.

    Raises:
        DataError: The manifest or a weight file is no longer the planned one.
        MuscleTransferError: What data, weights or training find wrong.
    """
    started = time.monotonic()
    spec = RunSpec.from_dict(payload["spec"])
    where = payload["where"]
    folder = Path(folder)
    write_json(folder / "spec.json", spec.to_dict())
    draw_phantoms(where)
    with settled(spec.settings["compute"], spec.seed):
        _run(spec, where, _weights(spec, where, payload.get("needs", {})), folder, started)


def build_model(spec: RunSpec, weights: str | None) -> SegmentationFineTuner:
    """Build the model of a run with the weights it starts from.

    Args:
        spec: The run.
        weights: A file or the name of a weight source; ``None`` for random weights.
    """
    settings, tuning = spec.settings, spec.settings["finetune"]
    names = settings["class_names"]
    return SegmentationFineTuner(
        encoder=spec.encoder,
        decoder=spec.decoder,
        num_classes=1 if len(names) == 1 else 1 + len(names),
        in_channels=settings["preprocessing"]["channels"],
        depth=spec.encoder_args["depth"],
        weights=weights,
        transfer="encoder+decoder" if spec.transfer == "encoder+decoder" else "encoder",
        stem="adapt" if spec.stem == "adapt" else "strict",
        loss=tuning["loss"],
        loss_kwargs=tuning["loss_kwargs"] or None,
        lr=tuning["lr"],
        encoder_lr_decay=tuning["encoder_lr_decay"],
        weight_decay=tuning["weight_decay"],
        warmup_steps=tuning["warmup_steps"],
        freeze="encoder" if spec.freeze == "encoder" else "none",
        class_names=names,
        encoder_kwargs=spec.encoder_args["kwargs"] or None,
        decoder_kwargs=spec.encoder_args["decoder_kwargs"] or None,
        seed=spec.seed,
    )


def build_data(spec: RunSpec, where: Mapping[str, Any]) -> LowDataModule:
    """Build the data of a run.

    Args:
        spec: The run.
        where: Paths on this machine.
    """
    settings = spec.settings
    names = settings["class_names"]
    manifest, split = labelled_cases(spec, where)
    selection, tuning = settings["selection"], settings["finetune"]
    every = selection["every"] if selection["rule"] == "best" else tuning["steps"]
    given = settings["augmentation"]
    return LowDataModule(
        manifest,
        split=split,
        # order and augmentation; the same for all sources of a fold and repeat
        seed=spec.seed,
        preprocessing=PreprocessingSpec.from_dict(settings["preprocessing"]),
        batch_size=tuning["batch_size"],
        steps_per_epoch=min(every, tuning["steps"]),
        cache_dir=where.get("cache_dir"),
        augmentation=Augmentation(**given) if isinstance(given, dict) else given,
        num_classes=1 if len(names) == 1 else 1 + len(names),
        slices_per_patient=settings["slices_per_patient"],
        licence=where.get("licence"),
    )


def _weights(spec: RunSpec, where: Mapping[str, Any], needs: Mapping[str, str]) -> str | None:
    if spec.pretext is not None:
        return str(Path(needs[spec.pretext]) / "weights.safetensors")
    found: str | None = where.get("weights")
    check_weights(found, spec.weights_sha256)
    return found


def _run(
    spec: RunSpec, where: Mapping[str, Any], weights: str | None, folder: Path, started: float
) -> None:
    settings = spec.settings
    model = build_model(spec, weights)
    data = build_data(spec, where)
    best = KeepBest() if settings["selection"]["rule"] == "best" else None
    clock = StepClock()
    callbacks: list[Callback] = [clock, best] if best else [clock]
    loggers = make_loggers(
        where.get("loggers", {}), folder, Path(where["study"]), where["name"], spec.label
    )
    with closing(loggers):
        trainer = make_trainer(
            settings["finetune"]["steps"],
            folder,
            settings["compute"],
            accelerator=where.get("accelerator", "auto"),
            loggers=loggers,
            callbacks=callbacks,
            validate=best is not None,
        )
        ready = time.monotonic()
        trainer.fit(model, datamodule=data)
        loss = float(trainer.callback_metrics["train_loss"])  # waits for the device
        trained = time.monotonic()
        if best is not None:
            best.restore(model)
        provenance = model.provenance().to_dict()
        if where.get("keep_weights"):
            trainer.save_checkpoint(folder / "model.ckpt", weights_only=True)
        masks = _test(trainer, model, data, folder, settings["class_names"])
        write_masks(folder / "masks.npz", masks)
        write_json(folder / "provenance.json", provenance)
    # Lightning's record of the arguments names paths of this machine; provenance has the rest
    (folder / "hparams.yaml").unlink(missing_ok=True)
    ended = time.monotonic()
    write_json(
        folder / "result.json",
        {
            "seconds": round(ended - started, 3),
            "seconds_ready": round(ready - started, 3),
            "seconds_training": round(trained - ready, 3),
            "seconds_testing": round(ended - trained, 3),
            "seconds_per_step": clock.seconds_per_step(trained, trainer.global_step),
            "steps": trainer.global_step,
            "best_step": trainer.global_step if best is None else best.step,
            "train_loss": loss,
            "val_dice": None if best is None else best.value,
            **_labels(data),
            **describe_machine(trainer),
        },
    )


def _test(
    trainer: Trainer,
    model: SegmentationFineTuner,
    data: LowDataModule,
    folder: Path,
    class_names: list[str],
) -> dict[str, Any]:
    """Score the test cases, and return their masks on the native grid."""
    trainer.test(model, datamodule=data, verbose=False)
    patients = [row.patient_id for row in data.manifest.rows]
    write_cases(folder / "cases.csv", case_rows(model.case_table(), patients, class_names))
    predicted = trainer.predict(model, datamodule=data) or []
    return {str(one["case"]): one["mask"].numpy() for batch in predicted for one in batch}


def _labels(data: LowDataModule) -> dict[str, int]:
    """Labels spent, in patients and in slices."""
    split = data.split
    assert split is not None
    budget = data.label_budget
    return {
        "labels_train": len(split.train),
        "labels_validation": len(split.val),
        "label_slices": budget["slices"],
        "test_patients": len(split.test),
    }
