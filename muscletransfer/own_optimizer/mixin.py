"""What every task of the library lets a user say about its optimiser and schedule."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Self, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from muscletransfer.errors import SettingError
from muscletransfer.optimizer import ChannelsLastAdamW
from muscletransfer.own_optimizer.chosen import Chosen, Kind
from muscletransfer.plain import unboxed
from muscletransfer.schedule import planned_calls, planned_steps, warmup_cosine

__all__ = ["ChoosesOptimizer"]

_KINDS: tuple[Kind, ...] = ("optimizer", "scheduler")
_RATES = ("lr", "weight_decay")


class ChoosesOptimizer(LightningModule):
    """AdamW with a warm-up and a cosine, or what `use_optimizer` and `use_scheduler` said.

    .. versionadded:: 0.1

    Example:
        >>> from muscletransfer import create_pretext
        >>> task = create_pretext("rotation").use_optimizer("SGD", momentum=0.9)
        >>> isinstance(task, ChoosesOptimizer), task.optimizer_record()["optimizer"]["name"]
        (True, 'SGD')
    """

    lr: float
    weight_decay: float
    warmup_steps: int

    def __init__(self) -> None:
        super().__init__()
        self._optimizer: Chosen | None = None
        self._scheduler: Chosen | Literal["constant"] | None = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups that optimisers get: rates by layer, no decay of norms and biases."""
        raise NotImplementedError

    def use_optimizer(
        self,
        optimizer: str | type[Optimizer] | Callable[..., Optimizer],
        **kwargs: Any,
    ) -> Self:
        """Train with another optimiser than AdamW.

        It gets :meth:`parameter_groups`, and ``lr`` and ``weight_decay`` of the task where it takes
        them. The choice is written into checkpoints, and into provenance.

        Args:
            optimizer: The path of a class, a class of ``torch.optim`` by its name, a class, or a
                function of the parameter groups. A function without a path, such as a lambda, has
                to be given again after a reload.
            **kwargs: Its arguments. ``lr`` and ``weight_decay`` take the place of the task's own.

        Returns:
            The task itself.

        Raises:
            UnknownNameError: A path or name that leads nowhere; close matches are named.
            ContractError: It is no optimiser, or does not take these arguments.
            SettingError: ``lr`` or ``weight_decay`` is no number that can work.
        """
        chosen = Chosen.of("optimizer", optimizer, kwargs)
        for name in _RATES:
            if name in kwargs:
                self._set_rate(name, chosen.kwargs[name])
        others = {name: value for name, value in chosen.kwargs.items() if name not in _RATES}
        self._optimizer = replace(chosen, kwargs=others)
        return self

    def use_scheduler(
        self,
        scheduler: str | type[LRScheduler] | Callable[..., LRScheduler] | None,
        *,
        interval: Literal["epoch", "step"] = "epoch",
        frequency: int = 1,
        monitor: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Train with another schedule than a warm-up and a cosine.

        Args:
            scheduler: As for :meth:`use_optimizer`, of ``torch.optim.lr_scheduler``; ``None`` keeps
                the rate as it is.
            interval: Whether it goes by epochs, as torch's examples do, or by optimiser steps.
            frequency: Epochs or steps between two calls.
            monitor: The logged value that ``ReduceLROnPlateau`` looks at, such as ``"val_loss"``.
            **kwargs: Its arguments. The length of the run, in calls of the scheduler, is filled in
                where the class takes ``total_steps`` or ``T_max`` and none was given, and the rates
                where it takes ``max_lr``.

        Returns:
            The task itself.

        Raises:
            UnknownNameError: A path or name that leads nowhere; close matches are named.
            ContractError: It is no scheduler, or does not take these arguments.
            SettingError: An interval or frequency that cannot be, or a value to monitor is missing.
        """
        if scheduler is None:
            self._scheduler = "constant"
            return self
        if interval not in ("epoch", "step"):
            raise SettingError(f"interval is {interval!r}; wanted 'epoch' or 'step'.")
        calls: Any = frequency
        if not isinstance(calls, numbers.Integral) or calls < 1:
            raise SettingError(f"frequency is {frequency!r}; wanted a whole number of 1 or more.")
        options = {"interval": interval, "frequency": frequency, "monitor": monitor}
        chosen = Chosen.of("scheduler", scheduler, kwargs, options)
        by_value = isinstance(chosen.made_by, type) and issubclass(
            chosen.made_by, ReduceLROnPlateau
        )
        if by_value and monitor is None:
            raise SettingError(
                f"{chosen.name} needs to know what to look at; give monitor the name of a logged "
                "value, such as monitor='val_loss'."
            )
        self._scheduler = chosen
        return self

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser and its schedule; override it for anything else.

        By default AdamW under a warm-up and a cosine over the length of the run. With no known
        length (``max_time`` alone, or ``max_epochs=-1``) the rate stays constant after the warm-up.
        """
        optimizer = self._make_optimizer(self.parameter_groups())
        schedule = self._make_schedule(optimizer)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": cast(LRSchedulerConfigType, schedule)}

    def on_train_epoch_start(self) -> None:
        """Drop the gradients of the step before.

        No epoch needs them, and the last one of ``StochasticWeightAveraging``, which only renews
        batch statistics, ends with an optimiser step on what is left (Lightning 2.5 and 2.6).
        """
        super().on_train_epoch_start()
        if self.automatic_optimization:
            self.zero_grad(set_to_none=True)

    def _make_optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        made: Optimizer
        if self._optimizer is None:
            made = _adamw(groups, self.lr, self.weight_decay, self._trainer)
        else:
            rates = {"lr": self.lr, "weight_decay": self.weight_decay}
            made = self._optimizer.build(groups, rates)
        if self._trainer is not None and self._trainer.precision == "bf16-mixed":
            # Lightning clips no gradients for fused kernels under autocast, as a gradient scaler
            # would not let it; bf16 has none.
            made._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        return made

    def _make_schedule(self, optimizer: Optimizer) -> dict[str, Any] | None:
        if self._scheduler == "constant":
            return None
        if self._scheduler is None:
            steps = planned_steps(self.trainer)
            schedule: Any = warmup_cosine(optimizer, steps, self.warmup_steps)
            return {"scheduler": schedule, "interval": "step", "name": "lr"}
        options = self._scheduler.options
        length = planned_calls(self.trainer, options["interval"], options["frequency"])
        rates = [group["lr"] for group in optimizer.param_groups]
        presets = {"total_steps": length, "T_max": length, "max_lr": rates}
        return {"scheduler": self._scheduler.build(optimizer, presets), "name": "lr", **options}

    # Checkpoints ---------------------------------------------------------------------------------

    def optimizer_block(self) -> dict[str, Any]:
        """Return what a checkpoint says: the rates, and the choice; ``None`` is the default."""
        choices = {kind: getattr(self, f"_{kind}") for kind in _KINDS}
        block = {k: c.to_block() if isinstance(c, Chosen) else c for k, c in choices.items()}
        return {name: float(getattr(self, name)) for name in _RATES} | block

    @staticmethod
    def keep_readable(checkpoint: dict[str, Any]) -> None:
        """Take out of a checkpoint what no reader that runs no code could open.

        SWALR of older torch puts one of its own methods into the state of schedules; a scheduler
        has its methods anyway. NumPy numbers come from rates in a ``configure_optimizers`` of the
        user's own.
        """
        states = list(checkpoint.get("lr_schedulers", ()))
        for callback in checkpoint.get("callbacks", {}).values():
            if isinstance(callback, dict):  # averaging of weights keeps its schedule there too
                states.append(callback.get("scheduler_state") or {})
        for state in states:
            for name in [name for name, value in state.items() if inspect.isroutine(value)]:
                del state[name]
        for optimizer in checkpoint.get("optimizer_states", ()):
            states += optimizer.get("param_groups", ())
        for state in states:
            state.update({name: unboxed(value) for name, value in state.items()})

    def optimizer_record(self) -> dict[str, Any]:
        """Return what provenance says of the choice: the rates as they are, and what was chosen."""
        return {name: value for name, value in self.optimizer_block().items() if value is not None}

    def take_over_optimizer(self, block: Mapping[str, Any] | None) -> None:
        """Take the choice of a checkpoint, unless one was made here.

        A run that is resumed goes on with the rates in its optimiser's state, whatever the task was
        built with; so the task takes these over too.

        Args:
            block: What `optimizer_block` wrote; ``None`` in files without.

        Raises:
            SettingError: A run is resumed with another optimiser or scheduler than it began with.
        """
        if block is None:
            return
        fitting = self.is_fitted_now()
        for name in _RATES:
            # A reload has them among its arguments, unless a class fixed them for its base.
            if name in block and (fitting or name not in self.hparams):
                self._set_rate(name, block[name])
        for kind in _KINDS:
            own, stored = getattr(self, f"_{kind}"), block.get(kind)
            if own is None:
                chosen = Chosen.from_block(kind, stored) if isinstance(stored, Mapping) else stored
                setattr(self, f"_{kind}", chosen)
            elif fitting and _name(own) != _name(stored):
                raise SettingError(
                    f"the checkpoint was written with the {kind} {_name(stored)}, and this run has "
                    f"{_name(own)}, so it cannot go on from there. Resume with the same, or start "
                    "anew from its weights: weights=PATH in place of ckpt_path=PATH."
                )

    def is_fitted_now(self) -> bool:
        """Return whether a Trainer is fitting the task at the moment."""
        return self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING

    def _set_rate(self, name: str, value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0 or (name == "lr" and value == 0):
            wanted = "a number above 0" if name == "lr" else "0 or a number above"
            raise SettingError(f"{name} is {value!r}; wanted {wanted}.")
        setattr(self, name, value)
        if name in self.hparams:
            self.hparams[name] = value


def _name(chosen: Any) -> str:
    if chosen is None:
        return "of the library (the default)"
    if isinstance(chosen, Chosen):
        return chosen.name
    return str(chosen["name"]) if isinstance(chosen, Mapping) else str(chosen)


def _adamw(
    groups: list[dict[str, Any]], lr: float, weight_decay: float, trainer: Trainer | None
) -> Optimizer:
    """Build the default; its fused kernel takes half the time where it can be used."""
    trained = [p for group in groups for p in group["params"]]
    fused = bool(trained) and all(
        p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in trained
    )
    # Under a gradient scaler the fused kernel does not allow gradients to be clipped.
    scaled = trainer is not None and trainer.precision == "16-mixed"
    return ChannelsLastAdamW(groups, lr=lr, weight_decay=weight_decay, fused=fused and not scaled)
