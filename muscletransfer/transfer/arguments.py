"""Keep the arguments that a task was built with, so that a checkpoint can build it again."""

from __future__ import annotations

import dataclasses
import inspect
import uuid
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from muscletransfer.deprecation import current_arguments
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import SettingError
from muscletransfer.transfer.to_plain import to_plain

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

__all__ = ["RecordsArguments", "is_plain", "keep_arguments", "recorded"]

_NONE = object()


class RecordsArguments:
    """Mixin that notes the constructor call of the outermost class before ``__init__`` runs.

    Lightning's ``save_hyperparameters()`` reads local variables off the stack instead, which
    stores modules that cannot be loaded safely, misses what a subclass fixed for its parent, and
    sees arguments only after a constructor has changed them.

    Example:
        >>> class Task(RecordsArguments):
        ...     def __init__(self, grid, lr=0.1, **kwargs): ...
        >>> Task(3, seed=1).given_arguments
        {'grid': 3, 'lr': 0.1, 'seed': 1}
    """

    given_arguments: dict[str, Any]
    """Argument values by name, defaults filled in; what ``**kwargs`` took stands beside them."""

    object_token: str
    """Tells this object from every other; a checkpoint that has it was written by this object."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the object and note the call; a call that does not fit fails in ``__init__``."""
        self = super().__new__(cls)
        # copy and pickle come here without arguments and restore the attribute themselves
        object.__setattr__(self, "given_arguments", _bound(cls, self, args, kwargs))
        object.__setattr__(self, "object_token", uuid.uuid4().hex)
        return self

    def storable_arguments(self, encoder: nn.Module) -> tuple[dict[str, Any], list[str]]:
        """Return what a checkpoint may hold of `given_arguments`, and what has to be passed again.

        An object that is the default of its argument is neither: the class brings it along.

        Args:
            encoder: See `recorded`.
        """
        stored, left_out = recorded(self.given_arguments, encoder)
        parameters = inspect.signature(type(self).__init__).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        given = self.given_arguments
        return stored, [name for name in left_out if given[name] is not defaults.get(name, _NONE)]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the token: a copy is another object, with a training of its own."""
        state: Any = super().__getstate__()
        return {name: value for name, value in (state or {}).items() if name != "object_token"}


def _bound(
    cls: type, self: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    constructor = cls.__init__  # type: ignore[misc]
    signature = inspect.signature(constructor)
    try:
        current = current_arguments(constructor, (self, *args), dict(kwargs))
        bound = signature.bind(self, *args, **current)
    except (TypeError, SettingError):
        return {}
    bound.apply_defaults()
    arguments = dict(list(bound.arguments.items())[1:])
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(name)
    return arguments


def recorded(arguments: Mapping[str, Any], encoder: nn.Module) -> tuple[dict[str, Any], list[str]]:
    """Turn constructor arguments into what a checkpoint may hold.

    Args:
        arguments: Values by name. An ``encoder`` given as a module or spec is stored as its spec.
        encoder: The encoder that the task built or was given.

    Returns:
        ``(stored, left_out)``: plain values by name, and the names of arguments that are objects
        (a loss module, a function) and must be passed again when the checkpoint is loaded.

    Example:
        >>> recorded({"grid": 3, "lr": 0.1, "loss": nn.L1Loss()}, nn.Identity())
        ({'grid': 3, 'lr': 0.1}, ['loss'])
    """
    stored, left_out = {}, []
    for name, value in arguments.items():
        if name == "encoder" and not isinstance(value, str):
            spec = getattr(encoder, "spec", None)
            if isinstance(spec, EncoderSpec):
                stored[name] = to_plain(spec.to_dict())
                continue
        if is_plain(value):
            stored[name] = to_plain(value)
        else:
            left_out.append(name)
    return stored, left_out


def keep_arguments(task: LightningModule, stored: Mapping[str, Any]) -> None:
    """Make plain arguments the hyperparameters of a task.

    Lightning would look on the stack for a local variable that equals them, to call them by its
    name: an array cannot be compared so, and a dict that happens to be equal gives a wrong name.

    Args:
        task: What they built.
        stored: What `recorded` returned.

    Example:
        >>> from lightning.pytorch import LightningModule
        >>> task = LightningModule()
        >>> keep_arguments(task, {"lr": 0.1})
        >>> dict(task.hparams)
        {'lr': 0.1}
    """
    apart: Any = _apart()
    next(apart)
    task.save_hyperparameters(dict(stored), frame=apart.gi_frame)


def _apart() -> Generator[None, None, None]:
    """Wait; the frame of a generator that waits has no other above it."""
    yield


def is_plain(value: Any) -> bool:
    """Return whether a value survives a checkpoint as plain types.

    Example:
        >>> is_plain({"size": (256, 256), "file": None}), is_plain(nn.L1Loss()), is_plain([len])
        (True, False, False)
    """
    if value is None or isinstance(value, str | int | float):
        return True
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(is_plain(item) for item in value)
    if isinstance(value, nn.Module | type) or (callable(value) and not hasattr(value, "tolist")):
        return False
    if dataclasses.is_dataclass(value):
        return all(is_plain(getattr(value, f.name)) for f in dataclasses.fields(value))
    return not str(to_plain(value)).startswith("<")
