"""Pre-train the four source tasks on real images and score each beside guessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import muscletransfer as mt
from muscletransfer.data import Manifest, ManifestRow, PreprocessingSpec
from real_ct_parts.settings import Settings
from real_ct_parts.stages import Result
from real_ct_parts.training import trainer, validator

CT_SERIES = (
    "ct_dicom/C3L-00189",
    "ct_dicom/dcmqi_3slice",
    "ct_unlabelled/cmb_crc_MSB-01068.nii.gz",
    "ct_unlabelled/lidc_idri_0314.nii.gz",
)
CAMVID_IGNORE = 11


class ReconstructionBesideGuesses(mt.ReconstructionPretext):
    """Masked reconstruction that scores, on the hidden pixels, two guesses that learn nothing."""

    def add_metrics(self, outputs: Tensor, targets: Any) -> dict[str, Any]:
        """Add the mean absolute error on hidden pixels: network, constant, local mean.

        The constant is the median of the image's visible pixels, which no other beats in L1.
        """
        scores = dict(super().add_metrics(outputs, targets))
        images, hidden = targets
        if self.stage == "train":
            return scores
        shown = (~hidden).float()
        median = images.masked_fill(hidden, torch.nan).flatten(1).nanmedian(1).values
        constant = median[:, None, None, None].expand_as(images)
        side = 2 * self.patch_size + 1
        window = {"kernel_size": side, "stride": 1, "padding": side // 2}
        near = F.avg_pool2d(shown, **window)
        local = F.avg_pool2d(images * shown, **window) / near.clamp(min=1e-6)
        guesses = {
            "hidden_error": outputs.float(),
            "hidden_error_constant": constant,
            "hidden_error_local": torch.where(near > 0, local, constant),
        }
        for name, guess in guesses.items():
            scores[name] = (guess - images).abs()[hidden.expand_as(images)].mean()
        return scores


def pre_train(name: str, source: Path, settings: Settings, folder: Path) -> Result:
    """Train a source task, score it on its held-out images, write its weights.

    Args:
        name: ``jigsaw``, ``reconstruction``, ``segmentation`` or ``classification``.
        source: The folder of real images.
        settings: Sizes of the run.
        folder: The run's folder.

    Returns:
        What the page says about it.
    """
    task, data = _MAKERS[name](source, settings, folder)
    run = trainer(settings.pretext_steps, folder)
    run.fit(task, datamodule=data)
    trained = {k: float(v) for k, v in run.callback_metrics.items()}
    scores = _score(name, task, data, settings, folder)
    file = folder / "weights" / f"{name}.safetensors"
    with_decoder = name in ("reconstruction", "segmentation")
    mt.save_encoder(task, file, overwrite=True, include_decoder=with_decoder)
    described = data.describe()
    return {
        "task": name,
        "steps": settings.pretext_steps,
        "batch": data.batch_size,
        "train_images": described["images"],
        "train_groups": described["patients"],
        "val_images": described["val_images"],
        "train_loss": trained["train_loss"],
        "train_accuracy": trained.get("train_accuracy"),
        "scores": scores,
    }


def ct_manifest(source: Path, folder: Path) -> Path:
    """Write a manifest that points at the unlabelled CT, a pseudonym a patient.

    Args:
        source: The folder of real images.
        folder: Where the manifest goes; no image is copied.
    """
    rows = [
        ManifestRow(f"ct-{i}", source.resolve() / name) for i, name in enumerate(CT_SERIES, start=1)
    ]
    path = folder / "pretext_manifest.csv"
    Manifest(tuple(rows), path).write(path)
    return path


def _options(settings: Settings, folder: Path, batch: int) -> dict[str, Any]:
    return {
        "preprocessing": PreprocessingSpec(size=settings.size),
        "batch_size": batch,
        # short epochs, so that the last one tells what the trained task can do
        "steps_per_epoch": max(1, settings.pretext_steps // 10),
        "cache_dir": folder / "cache",
        "seed": 0,
    }


def _shared(settings: Settings) -> dict[str, Any]:
    warmup = max(1, settings.pretext_steps // 10)
    return {"encoder": settings.encoder, "depth": settings.depth, "warmup_steps": warmup, "seed": 0}


def _ct_data(source: Path, settings: Settings, folder: Path, batch: int) -> mt.PretextDataModule:
    # a quarter of the slices, of whole patients: a smaller share would leave three slices
    return mt.PretextDataModule(
        ct_manifest(source, folder),
        slices="all",
        val_fraction=0.25,
        **_options(settings, folder, batch),
    )


def _jigsaw(source: Path, settings: Settings, folder: Path) -> tuple[Any, mt.PretextDataModule]:
    data = _ct_data(source, settings, folder, settings.pretext_batch)
    return mt.JigsawPretext(grid=3, lr=settings.lr / 2, **_shared(settings)), data


def _reconstruction(
    source: Path, settings: Settings, folder: Path
) -> tuple[Any, mt.PretextDataModule]:
    data = _ct_data(source, settings, folder, settings.pretext_batch // 2)
    return ReconstructionBesideGuesses(corruption="mask", lr=settings.lr, **_shared(settings)), data


def _segmentation(
    source: Path, settings: Settings, folder: Path
) -> tuple[Any, mt.PretextDataModule]:
    data = mt.PretextDataModule(
        source / "natural_camvid",
        ignore_value=CAMVID_IGNORE,
        **_options(settings, folder, settings.pretext_batch // 2),
    )
    task = mt.SegmentationPretext(
        num_classes=data.num_mask_classes,
        background=False,
        lr=settings.lr,
        **_shared(settings),
    )
    return task, data


def _classification(
    source: Path, settings: Settings, folder: Path
) -> tuple[Any, mt.PretextDataModule]:
    data = mt.PretextDataModule(
        source / "natural_imagenet_sample" / "classes.csv",
        label_column="coarse",
        **_options(settings, folder, settings.pretext_batch),
    )
    task = mt.ClassificationPretext(
        num_classes=data.num_classes, lr=settings.lr, **_shared(settings)
    )
    return task, data


_MAKERS = {
    "jigsaw": _jigsaw,
    "reconstruction": _reconstruction,
    "segmentation": _segmentation,
    "classification": _classification,
}


def _score(
    name: str, task: Any, data: mt.PretextDataModule, settings: Settings, folder: Path
) -> dict[str, float]:
    draws = settings.puzzle_draws if name in ("jigsaw", "reconstruction") else 1
    found: list[dict[str, float]] = []
    for draw in range(draws):
        task.seed = draw  # other puzzles from the same few held-out images
        logged = validator(folder).validate(task, datamodule=data, verbose=False)[0]
        found.append({k.removeprefix("val_"): float(v) for k, v in logged.items()})
    task.seed = 0
    scores = {k: sum(row[k] for row in found) / draws for k in found[0]}
    return scores | _guesses(name, data)


def _guesses(name: str, data: mt.PretextDataModule) -> dict[str, float]:
    """Return what a constant answer scores: always the class that is most frequent there."""
    key = {"segmentation": "mask", "classification": "label"}.get(name)
    if key is None:
        return {}
    values = [
        data.on_after_batch_transfer(batch, 0)[key].flatten() for batch in data.val_dataloader()
    ]
    labels = torch.cat(values)
    counts = torch.bincount(labels[labels != 255])
    share, present = float(counts.max() / counts.sum()), int((counts > 0).sum())
    if name == "segmentation":  # one class is hit as often as it occurs, the others never
        return {"constant_iou": share / present}
    return {"constant_accuracy": share, "constant_macro_accuracy": 1 / present}
