"""``--optimizer`` and ``--lr_scheduler``: what a task trains with, by class path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, get_loader
from lightning.pytorch import LightningModule

from muscletransfer.class_paths import class_and_arguments
from muscletransfer.errors import SettingError
from muscletransfer.own_optimizer import ChoosesOptimizer

__all__ = ["add_optimizer_arguments", "choose", "merge", "split_off"]

_NAMES = ("optimizer", "lr_scheduler")
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


def split_off(arguments: Sequence[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Take arguments such as ``--optimizer.init_args.momentum=0.9`` out of a command.

    They change what a configuration file says, which a parser cannot do for plain mappings.

    Args:
        arguments: Those of the command.

    Returns:
        The other arguments, and for each of the two names the values by dotted key, read as the
        parser reads other values: ``1e-3`` is a number.

    Raises:
        SettingError: A value that is no YAML.

    Example:
        >>> split_off(["fit", "--optimizer=SGD", "--optimizer.init_args.lr", "0.1", "--data=x"])
        (['fit', '--optimizer=SGD', '--data=x'], {'optimizer': {'init_args.lr': 0.1}})
    """
    others: list[str] = []
    found: dict[str, dict[str, Any]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        option, equals, value = argument.partition("=")
        name, dot, key = option.removeprefix("--").partition(".")
        if not option.startswith("--") or name not in _NAMES or not dot:
            others.append(argument)
            continue
        if not equals:
            value = rest.pop(0) if rest else ""
        try:
            found.setdefault(name, {})[key] = get_loader("yaml")(value)
        except yaml.YAMLError as error:
            raise SettingError(
                f"{option} is {value!r}, which cannot be read as YAML: "
                f"{' '.join(str(error).split())}. Put text in quotes of its own."
            ) from error
    return others, found


def merge(config: Namespace, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Put what `split_off` found into a configuration; another class starts without arguments.

    Args:
        config: Of one command; changed in place.
        changes: Values by name and dotted key.
    """
    for name, values in changes.items():
        given = config.get(name)
        merged = dict(given) if isinstance(given, Mapping) else {"class_path": given}
        if "class_path" in values and values["class_path"] != merged.get("class_path"):
            merged = {}
        for key, value in values.items():
            target = merged
            *outer, last = key.split(".")
            for part in outer:
                inner = target.get(part)
                target[part] = dict(inner) if isinstance(inner, Mapping) else {}
                target = target[part]
            target[last] = value
        config[name] = merged


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
