"""Sections ``finetune``, ``selection``, ``pretraining``, ``compute``, ``human_level``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from muscletransfer.errors import SettingError
from muscletransfer.study.config.fields import (
    choice,
    flag,
    mapping,
    number,
    takes,
    text,
    whole,
)

__all__ = [
    "ComputeConfig",
    "FineTuneConfig",
    "HumanLevelConfig",
    "PretrainingConfig",
    "SelectionConfig",
    "check_validations",
]


@dataclass(frozen=True)
class FineTuneConfig:
    """How every model is fine-tuned: equal optimisation steps, whatever the number of labels.

    .. versionadded:: 0.1

    Args:
        steps: Optimisation steps.
        batch_size: Slices a step.
        lr: Peak learning rate of decoder and head.
        encoder_lr_decay: Factor from the decoder to the encoder and from stage to stage.
        weight_decay: Of AdamW.
        warmup_steps: Steps of linear warm-up.
        loss: Name of the loss.
        loss_kwargs: Its arguments.

    Example:
        >>> FineTuneConfig(steps=100).loss
        'bce_dice'
    """

    steps: int = field(default=500, metadata=takes(whole(1)))
    batch_size: int = field(default=8, metadata=takes(whole(1)))
    lr: float = field(default=1e-3, metadata=takes(number(0, above=True)))
    encoder_lr_decay: float = field(default=1.0, metadata=takes(number(0, 1, above=True)))
    weight_decay: float = field(default=0.01, metadata=takes(number(0)))
    warmup_steps: int = field(default=50, metadata=takes(whole(0)))
    loss: str = field(default="bce_dice", metadata=takes(text))
    loss_kwargs: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))


@dataclass(frozen=True)
class SelectionConfig:
    """Which weights of a run are tested, and what that costs in labels.

    .. versionadded:: 0.1

    Args:
        rule: ``last`` tests the weights after the last step and spends no label; ``best`` tests
            those with the best Dice on the validation patients.
        validation_patients: How many validate; their labels count as spent, and are reported with
            every run. Fixed for a fold, whatever n and repeat.
        every: Steps between two validations of rule ``best``; a divisor of the steps, so that the
            last weights are looked at too.

    Example:
        >>> SelectionConfig(rule="best", validation_patients=3).every
        50
    """

    rule: str = field(default="last", metadata=takes(choice("last", "best")))
    validation_patients: int | None = field(default=None, metadata=takes(whole(0, none=True)))
    every: int = field(default=50, metadata=takes(whole(1)))

    def __post_init__(self) -> None:
        if self.validation_patients is None:
            object.__setattr__(self, "validation_patients", 5 if self.rule == "best" else 0)
        if self.rule == "best" and not self.validation_patients:
            raise SettingError(
                "selection.rule is 'best' with no validation patients; wanted 1 or more of them "
                "(their labels count), or rule: last, which needs none."
            )
        if self.rule == "last" and self.validation_patients:
            raise SettingError(
                f"selection.rule is 'last' with validation_patients: {self.validation_patients}, "
                "whose labels would be spent for nothing; wanted 0, or rule: best."
            )


def check_validations(tuning: FineTuneConfig, selection: SelectionConfig) -> None:
    """Raise where rule ``best`` would never look at the weights of the last steps.

    Args:
        tuning: Section ``finetune``.
        selection: Section ``selection``.

    Raises:
        SettingError: With the nearest numbers that do.
    """
    steps, every = tuning.steps, min(selection.every, tuning.steps)
    left = steps % every
    if selection.rule != "best" or not left:
        return
    fitting = [n for n in range(1, steps + 1) if steps % n == 0]
    near = [max(n for n in fitting if n < every), min(n for n in fitting if n > every)]
    raise SettingError(
        f"selection.every is {every} and finetune.steps {steps}: the weights of the last {left} "
        "steps would never be validated, so these steps would be for nothing; wanted a number "
        f"that divides {steps}, such as {near[0]} or {near[1]}, or finetune.steps: {steps - left} "
        f"or {steps - left + every}."
    )


@dataclass(frozen=True)
class PretrainingConfig:
    """What all source tasks share unless a source says otherwise.

    Args:
        steps: Optimisation steps.
        batch_size: Images a step.
        data: Images, as in a source.
    """

    steps: int = field(default=1000, metadata=takes(whole(1)))
    batch_size: int = field(default=16, metadata=takes(whole(1)))
    data: dict[str, Any] = field(default_factory=dict, metadata=takes(mapping))


@dataclass(frozen=True)
class ComputeConfig:
    """What a run may use; the same for all, since the order of sums changes last digits.

    Args:
        threads: Processor threads of a run.
        precision: ``auto`` (bf16 where the hardware multiplies it), or one of Lightning's.
        deterministic: Take deterministic kernels where there are some.
    """

    threads: int = field(default=1, metadata=takes(whole(1, 1024)))
    precision: str = field(
        default="auto", metadata=takes(choice("auto", "32-true", "bf16-mixed", "16-mixed"))
    )
    deterministic: bool = field(default=True, metadata=takes(flag))


@dataclass(frozen=True)
class HumanLevelConfig:
    """The human-level test; see `muscletransfer.observers.human_level`.

    Args:
        metric: The figure that is tested.
        margin: How much worse than another observer is still good enough.
        label: The class that is tested, for label maps of several.
    """

    metric: str = field(default="dice", metadata=takes(text))
    margin: float = field(default=0.02, metadata=takes(number(0, above=True)))
    label: int | None = field(default=None, metadata=takes(whole(1, none=True)))
