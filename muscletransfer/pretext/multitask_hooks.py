"""Which hooks of Lightning reach a task that is trained inside another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from lightning.pytorch.core.hooks import CheckpointHooks, DataHooks, ModelHooks

from muscletransfer.errors import ContractError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.registry import owner_of

__all__ = ["PassesHooksOn", "log_through", "refuse_what_is_not_called"]

_PASSED_ON = (
    *("setup", "teardown", "on_fit_end"),
    *("on_train_start", "on_train_end", "on_train_epoch_start", "on_train_epoch_end"),
    *("on_train_batch_start", "on_train_batch_end"),
    *("on_validation_start", "on_validation_end"),
    *("on_validation_epoch_start", "on_validation_epoch_end"),
    *("on_validation_batch_start", "on_validation_batch_end"),
    *("on_test_start", "on_test_end", "on_test_epoch_start", "on_test_epoch_end"),
    *("on_test_batch_start", "on_test_batch_end"),
    *("on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "on_before_zero_grad"),
)
_OF_THE_WHOLE = (
    *("training_step", "validation_step", "test_step", "backward"),
    *("parameter_groups", "configure_optimizers", "configure_callbacks"),
    *("configure_gradient_clipping", "optimizer_step", "optimizer_zero_grad", "lr_scheduler_step"),
)


class PassesHooksOn(PretextTask):
    """A task that calls the hooks of the tasks inside it after its own."""

    def _each(self) -> list[tuple[str, PretextTask]]:
        """Return the tasks by label."""
        raise NotImplementedError

    def on_fit_start(self) -> None:
        """Check every task, then rehearse the transfer."""
        for _, task in self._each():
            if _overrides(task, "on_fit_start"):
                task.on_fit_start()
            else:
                task._check_head()  # the rehearsal of the whole is enough
        super().on_fit_start()


def _passed_on(name: str) -> Callable[..., Any]:
    own = getattr(PretextTask, name)

    @wraps(own)
    def hook(self: PassesHooksOn, *args: Any, **kwargs: Any) -> Any:
        answers = [own(self, *args, **kwargs)]
        for _, task in self._each():
            if name == "setup":
                task.trainer = self.trainer
            answers.append(getattr(task, name)(*args, **kwargs))
        # -1 of on_train_batch_start ends the epoch, whichever task says so
        return -1 if any(isinstance(one, int) and one == -1 for one in answers) else None

    hook.__doc__ = f"Call ``{name}`` of the task itself, then of each task inside it."
    return hook


for _name in _PASSED_ON:
    setattr(PassesHooksOn, _name, _passed_on(_name))


def log_through(whole: PretextTask, label: str, task: PretextTask) -> None:
    """Let ``self.log`` of a task work, as ``<label>_<name>``: Lightning knows the whole only.

    Args:
        whole: The task that is trained.
        label: Label of the task inside it.
        task: That task.
    """
    task.__dict__["log"] = partial(_log, whole, label)


def _log(whole: PretextTask, label: str, name: str, *args: Any, **kwargs: Any) -> None:
    whole.log(f"{label}_{name}", *args, **kwargs)


def refuse_what_is_not_called(label: str, task: PretextTask) -> None:
    """Refuse a task with a hook of its own that would be left out without a word.

    Args:
        label: Its label.
        task: The task.

    Raises:
        ContractError: If it overrides what only a whole can do, such as the optimiser.
    """
    hooks = [name for kind in (ModelHooks, DataHooks, CheckpointHooks) for name in vars(kind)]
    left_out = [
        name
        for name in (*hooks, *_OF_THE_WHOLE)
        if not name.startswith("_")
        and "predict" not in name  # a pretext task does not predict
        and name not in (*_PASSED_ON, "on_fit_start")
        and _overrides(task, name)
    ]
    if left_out:
        raise ContractError(
            f"The task {label!r} ({type(task).__name__}, of {owner_of(type(task))}) overrides "
            f"{', '.join(left_out)}, which is not called for one task of several. Train it by "
            "itself, or do it in make_targets, compute_loss or a hook that is: "
            f"{', '.join(name for name in _PASSED_ON if name.startswith('on_train_'))}, "
            "on_after_backward and the like."
        )


def _overrides(task: PretextTask, name: str) -> bool:
    return getattr(type(task), name, None) is not getattr(PretextTask, name, None)
