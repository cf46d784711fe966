"""Several source tasks on one encoder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.decoders import required_encoder_kwargs
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import ContractError, SettingError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.checks import PretextBatch
from muscletransfer.pretext.multitask_hooks import (
    PassesHooksOn,
    log_through,
    refuse_what_is_not_called,
)
from muscletransfer.pretext.registry import create_pretext, pretext_class, register_pretext
from muscletransfer.pretext.seeding import step_seed

__all__ = ["MultiTaskPretext"]

# What all tasks share and is therefore said once, to the whole.
_SHARED = {"encoder", "in_channels", "depth", "weights", "stem", "lr", "weight_decay"} | {
    "warmup_steps",
    "channels_last",
}


@register_pretext("multitask")
class MultiTaskPretext(PassesHooksOn):
    """Learn several source tasks at once: each makes its own puzzle of the same images.

    Each task sends its own images through the one encoder, so a step costs what the tasks cost
    together; the loss is the weighted sum. Any registered task can take part, those of other
    packages too, as long as it leaves optimiser and checkpoint to the whole; hooks such as
    ``on_train_batch_end`` are called. Batch norm counts the images of all tasks.

    Logs ``<label>_loss`` and the metrics of each task, as ``<label>_<metric>``, and so what a task
    logs by ``self.log``. They are of the images that the task counts; in ``val_loss``, the mean of
    the weighted sums, an image of which jigsaw can make no puzzle adds 0 to that task's part.

    Batches: what the tasks need, together.

    .. versionadded:: 0.1

    Args:
        tasks: The arguments of each task by its label. The label is the registered name, unless
            ``"name"`` stands among the arguments (for one task twice). Arguments that all share
            (``encoder``, ``weights``, ``lr``, ...) are given here and not there.
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`. A name or spec is
            built as the decoders of the tasks need it.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        task_weights: Weight of each task's loss by label, above 0; those not named have 1.
        decoder_of: Label of the task whose decoder is handed on to fine-tuning; ``None`` takes the
            only one that trains a decoder, and none where there are several.
        weights: What the encoder starts from.
        stem: ``"strict"`` or ``"adapt"``, for weights with another channel count.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the draws of all tasks.
        channels_last: Use the memory layout that convolutions are fastest in.

    Raises:
        SettingError: If there is no task, a weight or label is wrong, a task is given an argument
            that all share, or decoders need encoders of different kinds.
        UnknownNameError: If a task is not known.
        ContractError: If a task overrides what is not called for one of several, such as
            ``configure_optimizers``.

    Example:
        >>> import torch
        >>> tasks = {"rotation": {}, "restore": {"name": "reconstruction", "corruption": "swap"}}
        >>> task = MultiTaskPretext(tasks, task_weights={"rotation": 0.3})
        >>> inputs, targets = task.make_targets({"image": torch.rand(2, 1, 128, 128)})
        >>> {label: tuple(output.shape) for label, output in task(inputs).items()}
        {'rotation': (2, 4), 'restore': (2, 1, 128, 128)}
    """

    def __init__(
        self,
        tasks: dict[str, dict[str, Any]],
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        task_weights: dict[str, float] | None = None,
        decoder_of: str | None = None,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        shares = _checked(tasks, task_weights or {})
        super().__init__(
            encoder,
            in_channels,
            depth,
            weights=weights,
            stem=stem,
            lr=lr,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            seed=seed,
            channels_last=channels_last,
            encoder_kwargs=_for_decoders(tasks, encoder),
        )
        self.task_weights = shares
        self.tasks = nn.ModuleDict(
            {label: self._build(label, dict(given or {})) for label, given in tasks.items()}
        )
        self._hand_on_decoder(decoder_of)
        self._losses: dict[str, Tensor] = {}
        self._label_of = {f"{label}_loss": label for label in tasks}

    def make_targets(self, batch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the inputs and the targets of each task, by label."""
        inputs, targets = {}, {}
        here = self.generator.initial_seed()  # the step's own, so each task draws anew in each
        for label, task in self._each():
            task.stage = self.stage
            task.generator.manual_seed(step_seed(here, label))
            own = PretextBatch(batch, f"{self.task_name} ({label})")
            inputs[label], targets[label] = task.make_targets(own)
        return inputs, targets

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs of each task, by label."""
        return {label: task(inputs[label]) for label, task in self._each()}

    def compute_loss(self, outputs: dict[str, Any], targets: dict[str, Any]) -> Tensor:
        """Return the weighted sum of the losses."""
        losses = {}
        for label, task in self._each():
            losses[label] = task.compute_loss(outputs[label], targets[label])
            _check_loss(self, label, task, losses[label])
        self._losses = {label: loss.detach() for label, loss in losses.items()}
        weighted = [self.task_weights[label] * loss for label, loss in losses.items()]
        total: Tensor = sum(weighted[1:], start=weighted[0])
        return total

    def add_metrics(
        self, outputs: dict[str, Any], targets: dict[str, Any]
    ) -> Mapping[str, float | Tensor | Metric]:
        """Return the loss and the metrics of each task."""
        found: dict[str, float | Tensor | Metric] = {
            f"{k}_loss": v for k, v in self._losses.items()
        }
        for label, task in self._each():
            for name, value in task.add_metrics(outputs[label], targets[label]).items():
                found[f"{label}_{name}"] = value
                self._label_of[f"{label}_{name}"] = label
        return found

    def _images_behind(self, name: str, images: int, targets: dict[str, Any]) -> float | Tensor:
        label = self._label_of[name]
        return cast(PretextTask, self.tasks[label])._images_that_count(images, targets[label])

    def _each(self) -> list[tuple[str, PretextTask]]:
        return [(label, cast(PretextTask, task)) for label, task in self.tasks.items()]

    def _build(self, label: str, given: dict[str, Any]) -> PretextTask:
        """Build one task on the encoder of the whole."""
        name = given.pop("name", label)
        shared = {"in_channels": self.encoder.out_channels[0], "seed": self.seed}
        shared |= {
            "depth": len(self.encoder.out_channels) - 1,
            "channels_last": self.channels_last,
        }
        accepted = _parameters(name)
        shared = {key: value for key, value in shared.items() if accepted(key)}
        task = create_pretext(name, encoder=self.encoder, **{**shared, **given})
        refuse_what_is_not_called(label, task)
        log_through(self, label, task)
        task._checks = self._checks
        _lend(task, "encoder")
        return task

    def _hand_on_decoder(self, label: str | None) -> None:
        trained = [k for k, task in self._each() if getattr(task, "decoder", None) is not None]
        if label is not None and label not in trained:
            raise SettingError(
                f"decoder_of is {label!r}; wanted a task that trains a decoder: "
                f"{', '.join(map(repr, trained)) or 'none of these does'}."
            )
        if label is None and len(trained) == 1:
            label = trained[0]
        if label is not None:
            task = cast(PretextTask, self.tasks[label])
            self.decoder = task.decoder
            _lend(task, "decoder")


def _lend(task: nn.Module, name: str) -> None:
    """Let a task use a module without owning it, so that a checkpoint holds it once."""
    task.__dict__[name] = task._modules.pop(name)


def _parameters(name: str) -> Callable[[str], bool]:
    """Return whether the constructor of a task takes an argument."""
    parameters = inspect.signature(pretext_class(name).__init__).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return lambda argument: takes_all or argument in parameters


def _for_decoders(tasks: Mapping[str, Any], encoder: Any) -> dict[str, Any]:
    """Return the arguments of an encoder for the decoders of all tasks, which must agree.

    Args:
        tasks: Arguments of each task.
        encoder: As the user gave it; what it says itself decides, and a module is built already.
    """
    if isinstance(encoder, nn.Module):
        return {}
    said = encoder.get("kwargs") if isinstance(encoder, Mapping) else None
    said = (encoder.kwargs if isinstance(encoder, EncoderSpec) else said) or {}
    wanted: dict[str, dict[str, Any]] = {}
    for label, given in tasks.items():
        decoder = dict(given or {}).get("decoder")
        if decoder is None:
            name = dict(given or {}).get("name", label)
            parameter = inspect.signature(pretext_class(name).__init__).parameters.get("decoder")
            decoder = None if parameter is None else parameter.default
        if isinstance(decoder, str):
            for key, value in required_encoder_kwargs(decoder).items():
                wanted.setdefault(key, {})[decoder] = value
    for key, values in wanted.items():
        if key not in said and len(set(map(repr, values.values()))) > 1:
            listed = " and ".join(f"{value!r} for {name!r}" for name, value in values.items())
            raise SettingError(
                f"The decoders of the tasks need encoders of different {key}: {listed}. All tasks "
                "share one encoder: use decoders that agree, or say it with the encoder, as in "
                f'{{"name": "timm/resnet18", "kwargs": {{{key!r}: ...}}}}.'
            )
    return {key: next(iter(values.values())) for key, values in wanted.items()}


def _checked(tasks: Any, task_weights: Mapping[str, float]) -> dict[str, float]:
    """Check labels, arguments and weights; return the weight of each task."""
    if not isinstance(tasks, Mapping) or not tasks:
        raise SettingError(
            f"tasks is {tasks!r}; wanted the arguments of each task by its label, such as "
            '{"rotation": {}, "jigsaw": {"grid": 2}}.'
        )
    for label, given in tasks.items():
        if not str(label).isidentifier():
            raise SettingError(
                f"The task label {label!r} cannot stand in the names of logged values; use a word, "
                f'and give the registered name beside it: {{"own": {{"name": {label!r}}}}}.'
            )
        if hasattr(nn.ModuleDict(), label):
            raise SettingError(
                f"The task label {label!r} is a name that torch keeps for itself; use another, and "
                f'give the registered name beside it: {{"own": {{"name": {label!r}}}}}.'
            )
        if "encoder_kwargs" in (given or {}):
            raise SettingError(
                f"The task {label!r} is given encoder_kwargs, but all share one encoder. Give "
                'them with it: encoder={"name": "timm/resnet18", "kwargs": {...}}. What decoders '
                "need is given by itself."
            )
        shared = sorted(set(given or {}) & _SHARED)
        if shared:
            raise SettingError(
                f"The task {label!r} is given {', '.join(shared)}, which all tasks share. Give it "
                "to MultiTaskPretext itself."
            )
    unknown = sorted(set(task_weights) - set(tasks))
    if unknown or not all(weight > 0 for weight in task_weights.values()):
        raise SettingError(
            f"task_weights is {dict(task_weights)}; wanted numbers above 0 for the labels "
            f"{', '.join(map(repr, tasks))}."
        )
    return {label: float(task_weights.get(label, 1.0)) for label in tasks}


def _check_loss(whole: PretextTask, label: str, task: PretextTask, loss: Any) -> None:
    """Say which of the tasks has a loss that cannot be summed."""
    who = f"The loss of the task {label!r} ({type(task).__name__})"
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        found = f"of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r}"
        raise ContractError(f"{who} is {found}; compute_loss must return a scalar tensor.")
    checked = loss.detach()
    whole.checks.add(
        ~checked.isfinite(),
        lambda: SettingError(
            f"{who} is {checked.item()}, in {whole.stage}. Look at its compute_loss, or try a "
            f"smaller lr (now {whole.lr:g}) or a smaller weight for it in task_weights."
        ),
    )
