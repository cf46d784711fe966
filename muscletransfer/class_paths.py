"""Classes by the path of their module, such as ``"torch.optim.SGD"``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from muscletransfer.errors import (
    ContractError,
    PluginError,
    SettingError,
    UnknownNameError,
    close_matches,
)

__all__ = ["check_call", "class_and_arguments", "find_object", "path_of"]


def find_object(
    path: str, what: str, *, homes: Sequence[str] = (), known: Sequence[str] = (), hint: str = ""
) -> Any:
    """Import what a dotted path leads to.

    Args:
        path: ``"package.module.Name"``, or a bare ``"Name"`` of one of ``homes``.
        what: What it is for in messages, such as ``"optimizer"``.
        homes: Modules that a bare name is looked up in.
        known: Names for close matches, besides those of the homes.
        hint: What else may stand there, for the message.

    Returns:
        The object, not yet checked to be of any kind.

    Raises:
        UnknownNameError: The path leads nowhere; close matches are named.
        PluginError: The module is there but fails to import.

    Example:
        >>> find_object("Counter", "counter", homes=["collections"]).__name__
        'Counter'
        >>> find_object("collections.Countr", "counter")
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: unknown counter 'collections.Countr'. Did you ...
    """
    module, _, name = path.rpartition(".")
    names = list(known)
    for home in [module] if module else homes:
        content = _import(home, path, what)
        if content is None:
            continue
        found = getattr(content, name, None)
        if found is not None:
            return found
        names += [f"{module}.{n}" if module else n for n in _public(content)]
    near = close_matches(name, dict.fromkeys(n.rpartition(".")[2] for n in names))
    near = [n for one in near for n in dict.fromkeys(names) if n.rpartition(".")[2] == one]
    did_you_mean = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownNameError(f"unknown {what} {path!r}.{did_you_mean}{' ' * bool(hint)}{hint}")


def _import(module: str, path: str, what: str) -> Any:
    """Import a module; ``None`` when there is none of that name."""
    if "" in module.split("."):  # of a path that begins with a dot, or has two in a row
        return None
    try:
        return importlib.import_module(module)
    except Exception as error:
        # A path that leads nowhere is a wrong name; a module that breaks is its own story.
        gone = error.name if isinstance(error, ModuleNotFoundError) else None
        if gone and f"{module}.".startswith(f"{gone}."):
            return None
        raise PluginError(
            f"the {what} {path!r} is in the module {module}, which failed to import: "
            f"{type(error).__name__}: {error}. Repair that module, or install what it needs."
        ) from error


def _public(module: object) -> list[str]:
    """Names of its classes and functions; what it imported from elsewhere too."""
    return [n for n, value in vars(module).items() if not n.startswith("_") and callable(value)]


def class_and_arguments(value: Any, what: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read a class as configurations write it.

    Args:
        value: A path, or a mapping with ``class_path`` and, if wanted, ``init_args``.
        what: What it is for in messages.

    Returns:
        The path, its arguments, and all other keys of the mapping.

    Raises:
        SettingError: It is neither.

    Example:
        >>> class_and_arguments("torch.optim.SGD", "optimizer")
        ('torch.optim.SGD', {}, {})
        >>> class_and_arguments({"class_path": "SGD", "init_args": {"lr": 1.0}}, "optimizer")
        ('SGD', {'lr': 1.0}, {})
    """
    if isinstance(value, str):
        return value, {}, {}
    others = dict(value) if isinstance(value, Mapping) else {}
    path, arguments = others.pop("class_path", None), others.pop("init_args", None) or {}
    if not isinstance(path, str) or not isinstance(arguments, Mapping):
        raise SettingError(
            f"{what} is {value!r}; wanted the path of a class, or class_path with init_args: "
            "{class_path: package.module.Name, init_args: {argument: value}}."
        )
    return path, dict(arguments), others


def check_call(make: Callable[..., Any], what: str, /, *args: Any, **kwargs: Any) -> None:
    """Refuse arguments that a class or function does not take, and say which it takes.

    Raises:
        ContractError: The arguments do not fit.

    Example:
        >>> def smooth(x, *, width=3): ...
        >>> check_call(smooth, "smoothing", 1, widht=5)
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: smoothing cannot be made with {'widht': 5}: ...
    """
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # of a builtin without one: it has to tell by itself
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        takes = list(signature.parameters)[len(args) :]
        raise ContractError(
            f"{what} cannot be made with {kwargs or 'no arguments'}: {error}. It takes: "
            f"{', '.join(takes) or 'none'}."
        ) from error


def path_of(value: Any) -> str | None:
    """Return the path that `find_object` finds a class or function by; ``None`` if it cannot.

    Example:
        >>> from collections import Counter
        >>> path_of(Counter), path_of(lambda: None)
        ('collections.Counter', None)
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not module or module == "__main__" or "." in name or not name.isidentifier():
        return None
    try:
        return f"{module}.{name}" if find_object(f"{module}.{name}", "class") is value else None
    except (UnknownNameError, PluginError):
        return None
