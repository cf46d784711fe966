"""How large the demo is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "DemoSettings"]


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of the demo.

    Attributes:
        source_patients: Patients of the cohort that pre-training sees.
        target_patients: Patients of the cohort that fine-tuning and testing see.
        num_folds: Folds of the target cohort; one of them is the test fold.
        val_patients: Labelled patients spent on choosing the checkpoint.
        train_patients: Sizes of the nested training subsets.
        observers: Simulated observers who outline the target cohort.
        native_size: Rows and columns of the synthetic slices.
        network_size: Rows and columns the network sees.
        pretext_steps: Optimisation steps of each source task.
        finetune_steps: Optimisation steps of each fine-tuning run, the same for every subset.
        val_every: Steps between validations.
        batch_size: Slices a step.
        encoder: Name of the encoder.
    """

    source_patients: int
    target_patients: int
    num_folds: int
    val_patients: int
    train_patients: tuple[int, ...]
    observers: int
    native_size: int
    network_size: int
    pretext_steps: int
    finetune_steps: int
    val_every: int
    batch_size: int
    encoder: str = "timm/resnet18"


FULL = DemoSettings(
    source_patients=48,
    target_patients=48,
    num_folds=2,
    val_patients=4,
    train_patients=(5, 10),
    observers=10,
    native_size=256,
    network_size=128,
    pretext_steps=150,
    finetune_steps=80,
    val_every=40,
    batch_size=8,
)

QUICK = DemoSettings(
    source_patients=8,
    target_patients=30,
    num_folds=2,
    val_patients=2,
    train_patients=(5, 10),
    observers=3,
    native_size=128,
    network_size=64,
    pretext_steps=12,
    finetune_steps=12,
    val_every=6,
    batch_size=4,
)
