"""What planning has to know of a task's class: its arguments, and whether it trains a decoder."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from muscletransfer.class_paths import find_object
from muscletransfer.errors import ContractError, SettingError
from muscletransfer.pretext.registry import list_pretexts, pretext_class
from muscletransfer.study.config.fields import did_you_mean

if TYPE_CHECKING:
    from muscletransfer.pretext.base import PretextTask

__all__ = [
    "check_arguments",
    "fitting_arguments",
    "handing_on",
    "has_argument",
    "inner_tasks",
    "task_class",
    "trains_decoder",
]


def task_class(task: str) -> type[PretextTask]:
    """Return the class of a task by registered name or class path.

    Args:
        task: Such as ``jigsaw`` or ``mypackage.tasks.Flip``.

    Raises:
        UnknownNameError: Nothing has the name.
        PluginError: The plug-in or module behind it fails to import.
        ContractError: It is no pretext task.
    """
    if task in list_pretexts():
        return pretext_class(task)
    found = find_object(
        task.replace(":", "."),
        "pretext task",
        known=list_pretexts(),
        hint="Wanted a name of `muscletransfer list pretexts`, or the class path of a PretextTask.",
    )
    from muscletransfer.pretext.base import PretextTask

    if not (isinstance(found, type) and issubclass(found, PretextTask)):
        raise ContractError(f"pretext: {task!r} is {found!r}; wanted a class of PretextTask.")
    return found


@lru_cache(maxsize=64)
def _parameters(task: str) -> tuple[frozenset[str], bool]:
    """Names of the constructor's arguments, and whether it takes any."""
    names: set[str] = set()
    for base in task_class(task).__mro__:
        constructor = vars(base).get("__init__")
        if constructor is None:
            continue
        given = inspect.signature(constructor).parameters.values()
        names |= {p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in given):
            return frozenset(names - {"self"}), False
    return frozenset(names - {"self"}), True


def has_argument(task: str, name: str) -> bool:
    """Whether a task's constructor takes an argument, itself or through its base."""
    return name in _parameters(task)[0]


def fitting_arguments(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the study's arguments that a task takes; others may only be what they are anyway.

    Args:
        task: The task.
        given: What every task of the study gets: ``depth``, ``in_channels``, ``seed``, ...

    Raises:
        SettingError: The task does not take an argument whose value is not the base class's own.
    """
    from muscletransfer.pretext.base import PretextTask

    names, open_ended = _parameters(task)
    usual = inspect.signature(PretextTask).parameters
    kept = {}
    for name, value in given.items():
        if name in names or open_ended:
            kept[name] = value
        elif value != (own := usual[name].default):
            raise SettingError(
                f"the task {task!r} takes no {name!r}, which the study sets to {value!r}; wanted "
                f"an argument {name}={own!r} of its constructor, passed on as "
                f"super().__init__(..., {name}={name})."
            )
    return kept


def check_arguments(task: str, init_args: dict[str, Any], where: str) -> None:
    """Raise for an argument that the task does not take.

    Args:
        task: The task.
        init_args: What it is to be given.
        where: Its place, for the message.

    Raises:
        SettingError: With close matches.
    """
    names, open_ended = _parameters(task)
    for name in init_args:
        if name not in names and not open_ended:
            raise SettingError(
                f"{where}: the task {task!r} takes no {name!r}.{did_you_mean(name, names)} It "
                f"takes {', '.join(sorted(names))}."
            )
    for label, (inner, arguments) in inner_tasks(task, init_args, where).items():
        check_arguments(inner, arguments, f"{where}.init_args.tasks.{label}")


def trains_decoder(task: str, init_args: dict[str, Any]) -> bool:
    """Whether a task trains a decoder that fine-tuning can take over.

    Args:
        task: The task.
        init_args: Its arguments; of several tasks at once the inner ones are looked at.
    """
    return has_argument(task, "decoder") or handing_on(task, init_args) is not None


def handing_on(task: str, init_args: dict[str, Any]) -> str | None:
    """Return the label of the task, of several at once, whose decoder is handed on.

    Args:
        task: The task.
        init_args: Its arguments.

    Returns:
        The label; ``None`` where no task inside trains a decoder, or nothing says which of several.
    """
    inner = inner_tasks(task, init_args, "pretext")
    trained = [k for k, (name, _) in inner.items() if has_argument(name, "decoder")]
    if init_args.get("decoder_of") in trained:
        return str(init_args["decoder_of"])
    return trained[0] if len(trained) == 1 else None


def inner_tasks(
    task: str, init_args: dict[str, Any], where: str
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name and arguments of the tasks that are trained at once, by label.

    Args:
        task: The task; only ``multitask`` trains several.
        init_args: Its arguments.
        where: Its place, for the message.

    Raises:
        SettingError: They are not given by label.
    """
    inner = init_args.get("tasks")
    if task != "multitask" or inner is None:
        return {}
    if not isinstance(inner, dict):
        raise SettingError(
            f"{where}.init_args.tasks is {inner!r}; wanted the arguments of each task by its "
            "label, such as {jigsaw: {grid: 3}, rotation: {}}."
        )
    found = {}
    for label, given in inner.items():
        if given is not None and not isinstance(given, dict):
            raise SettingError(
                f"{where}.init_args.tasks.{label} is {given!r}; wanted the arguments of the task, "
                "as {grid: 3}, or {} for its own. The label is its name, unless the arguments "
                "hold another, as {name: jigsaw}."
            )
        arguments = dict(given or {})
        found[str(label)] = (str(arguments.pop("name", label)), arguments)
    return found
