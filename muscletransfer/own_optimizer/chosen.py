"""A class or function that was chosen by path, with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from muscletransfer.class_paths import check_call, find_object, path_of
from muscletransfer.errors import ContractError, SettingError
from muscletransfer.plain import freeze_mapping, thaw, unboxed

__all__ = ["Chosen", "Kind"]

Kind = Literal["optimizer", "scheduler"]

_HOMES: dict[Kind, str] = {"optimizer": "torch.optim", "scheduler": "torch.optim.lr_scheduler"}
_FILLED: dict[Kind, tuple[str, ...]] = {
    "optimizer": ("lr", "weight_decay"),
    "scheduler": ("total_steps", "T_max", "max_lr"),
}
_BASES = {"optimizer": Optimizer, "scheduler": LRScheduler}
_HINT = "Wanted the path of a class, such as {home}.{example}, or a class of {home} by its name."
_EXAMPLES = {"optimizer": "SGD", "scheduler": "StepLR"}


@dataclass(frozen=True)
class Chosen:
    """A class or function and the arguments it is called with.

    .. versionadded:: 0.1

    Args:
        kind: ``"optimizer"`` or ``"scheduler"``.
        name: Its name, for messages and comparison.
        path: Its path; ``None`` for an object that no file can name.
        kwargs: Arguments by name.
        options: What the Trainer is told: ``interval``, ``frequency``, ``monitor``.
        made_by: The class or function; ``None`` for one that a file named and nobody asked for yet.

    Example:
        >>> Chosen.of("optimizer", "SGD", {"momentum": 0.9}).path
        'torch.optim.SGD'
    """

    kind: Kind
    name: str
    path: str | None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    made_by: Callable[..., Any] | None = None

    @classmethod
    def of(
        cls,
        kind: Kind,
        given: Any,
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Read what a user gave: a path, a name of torch's, a class or a function.

        Raises:
            UnknownNameError: A path or name that leads nowhere.
            PluginError: The module of the path fails to import.
            ContractError: It is no optimiser (scheduler), or does not take the arguments.
        """
        home = _HOMES[kind]
        path: str | None
        if isinstance(given, str):
            hint = _HINT.format(home=home, example=_EXAMPLES[kind])
            made_by = find_object(given, kind, homes=[home], hint=hint)
            path = given if "." in given else f"{home}.{given}"
        else:
            made_by, path = given, path_of(given)
        name = getattr(made_by, "__name__", type(made_by).__name__)
        wrong = isinstance(made_by, type) and not issubclass(made_by, _BASES[kind])
        if wrong or not callable(made_by):
            base = f"{home}.{_BASES[kind].__name__}"
            raise ContractError(
                f"the {kind} {given!r} is not a class derived from {base}, but {made_by!r}. Give "
                f"one, or a function that returns one."
            )
        # What stands in groups of parameters and in schedules is written into checkpoints.
        kwargs = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
        kwargs, options = unboxed(kwargs), unboxed(dict(options or {}))
        chosen = cls(kind, name, path, kwargs, options, made_by)
        check_call(made_by, f"the {kind} {name}", object(), **chosen.with_presets({}, any_value=1))
        return chosen

    def with_presets(self, presets: Mapping[str, Any], any_value: Any = None) -> dict[str, Any]:
        """Return the arguments, with what the class takes of ``presets`` and was not given.

        Args:
            presets: Values by name of argument.
            any_value: Stands for all presets when only the names are to be checked.
        """
        takes = inspect.signature(self.made_by).parameters if self.made_by else {}
        known = dict.fromkeys(_FILLED[self.kind], any_value) if any_value else {}
        known |= presets
        return {k: v for k, v in known.items() if k in takes and v is not None} | dict(self.kwargs)

    def to_block(self) -> dict[str, Any]:
        """Return plain types for a checkpoint; an object leaves its name only."""
        block: dict[str, Any] = {"name": self.name, "class_path": None, "init_args": {}}
        try:
            plain = thaw(freeze_mapping(self.kwargs, f"the arguments of {self.name}"))
        except ContractError:  # an argument is an object
            plain = None
        if self.path is not None and plain is not None:
            block |= {"class_path": self.path, "init_args": plain}
        return block | dict(self.options)

    @classmethod
    def from_block(cls, kind: Kind, block: Mapping[str, Any]) -> Self:
        """Rebuild from `to_block`; nothing is imported until it is used."""
        options = {k: v for k, v in block.items() if k not in ("name", "class_path", "init_args")}
        return cls(kind, block["name"], block["class_path"], block["init_args"], options)

    def ready(self) -> Self:
        """Return it with the class at hand.

        Raises:
            ContractError: It was an object, which no checkpoint could carry.
        """
        if self.made_by is not None:
            return self
        if self.path is None:
            raise ContractError(
                f"the run in the checkpoint used the {self.kind} {self.name}, an object that no "
                f"file can carry. Choose it again before you train: model.use_{self.kind}(...)."
            )
        return self.of(self.kind, self.path, self.kwargs, self.options)

    def build(self, of: Any, presets: Mapping[str, Any]) -> Any:
        """Call it.

        Args:
            of: What it is built over: parameter groups, or the optimiser.
            presets: Arguments that it gets where it takes them and was not given them.

        Raises:
            ContractError: It was an object, which no checkpoint could carry.
            SettingError: The class refuses its arguments; the message has its own words.
        """
        ready = self.ready()
        kwargs = ready.with_presets(presets)
        assert ready.made_by is not None
        try:
            return ready.made_by(of, **kwargs)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise SettingError(
                f"the {self.kind} {self.name} could not be built with "
                f"{kwargs or 'no arguments'}: {error}"
            ) from error
