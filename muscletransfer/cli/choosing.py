"""``--optimizer`` and ``--lr_scheduler``: what a task trains with, by class path."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule

from muscletransfer.class_paths import class_and_arguments
from muscletransfer.errors import SettingError
from muscletransfer.own_optimizer import ChoosesOptimizer

__all__ = ["add_optimizer_arguments", "choose"]

_TOLD = ("interval", "frequency", "monitor")


def add_optimizer_arguments(parser: ArgumentParser) -> None:
    """Add the two arguments to a command.

    They are plain text and mappings, not typed by class: so rates that nobody gave stay those of
    the task, and a wrong path gets the same message as from Python.

    Args:
        parser: The parser of one command.
    """
    parser.add_argument(
        "--optimizer",
        type=str | dict[str, Any] | None,
        default=None,
        help="class path or name of torch.optim, or {class_path: ..., init_args: {...}}; it gets "
        "the task's parameter groups, lr and weight_decay",
    )
    parser.add_argument(
        "--lr_scheduler",
        type=str | dict[str, Any] | None,
        default=None,
        help="the same of torch.optim.lr_scheduler, and interval (epoch or step), frequency and "
        "monitor beside class_path; 'constant' for none",
    )


def choose(model: LightningModule, optimizer: Any, scheduler: Any) -> None:
    """Hand what was asked for to the task.

    Args:
        model: The model that will be trained.
        optimizer: Value of ``--optimizer``; ``None`` when it was not given.
        scheduler: Value of ``--lr_scheduler``; ``None`` when it was not given.

    Raises:
        SettingError: A value that cannot be read, or a model that is no task of the library.
        UnknownNameError, PluginError, ContractError: As ``use_optimizer`` and ``use_scheduler``.
    """
    if optimizer is None and scheduler is None:
        return
    if not isinstance(model, ChoosesOptimizer):
        raise SettingError(
            "--optimizer and --lr_scheduler are for tasks of muscletransfer, and "
            f"{type(model).__name__} is none: its own configure_optimizers decides. Leave them "
            "out, or give it arguments of its own."
        )
    if optimizer is not None:
        path, arguments, others = class_and_arguments(optimizer, "optimizer")
        _refuse("optimizer", others, ())
        model.use_optimizer(path, **arguments)
    if scheduler is not None:
        path, arguments, others = class_and_arguments(scheduler, "lr_scheduler")
        _refuse("lr_scheduler", others, _TOLD)
        model.use_scheduler(None if path == "constant" else path, **others, **arguments)


def _refuse(what: str, others: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = [name for name in others if name not in known]
    if unknown:
        wanted = ", ".join(("class_path", "init_args", *known))
        raise SettingError(
            f"{what} has {', '.join(unknown)}; wanted {wanted}. Arguments of the class go under "
            f"init_args, as in --{what}.init_args.name=value."
        )
