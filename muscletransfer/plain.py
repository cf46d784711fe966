"""Plain values only: what may stand in a specification, a checkpoint or a JSON file."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from muscletransfer.errors import ContractError

__all__ = ["PlainValue", "freeze_mapping", "hashable", "thaw", "unboxed"]

PlainValue: TypeAlias = (
    bool | int | float | str | tuple["PlainValue", ...] | Mapping[str, "PlainValue"] | None
)


def freeze_mapping(values: object, where: str) -> Mapping[str, PlainValue]:
    """Copy a mapping of plain values into one that cannot be changed.

    Plain values are ``None``, ``bool``, ``int``, finite ``float``, ``str``, and lists, tuples and
    text-keyed dicts of them. A list becomes a tuple, so a value read back from JSON (which knows
    no tuples) equals the one that was written.

    Args:
        values: The mapping.
        where: What the mapping is, for the message ("the kwargs of EncoderSpec 'timm/resnet18'").

    Returns:
        A read-only copy with the keys in their order.

    Raises:
        ContractError: When a key or value is not plain; the message names it and its type.

    Example:
        >>> frozen = freeze_mapping({"img_size": [64, 64]}, "the kwargs")
        >>> frozen["img_size"]
        (64, 64)
        >>> freeze_mapping({"norm": len}, "the kwargs")
        Traceback (most recent call last):
        muscletransfer.errors.ContractError: the kwargs: 'norm' is <built-in function len> ...
    """
    if not isinstance(values, Mapping):
        raise ContractError(
            f"{where} must be a mapping of names to plain values, found {values!r} "
            f"({type(values).__name__})."
        )
    frozen: dict[str, PlainValue] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise ContractError(f"{where}: the key {key!r} is not text; wanted names as keys.")
        frozen[str.__str__(key)] = _freeze(value, f"{where}: {key!r}")
    return MappingProxyType(frozen)


def _freeze(value: object, where: str) -> PlainValue:
    value = unboxed(value)
    if value is None or isinstance(value, bool):
        return value
    # A subclass would not survive a checkpoint: store the base.
    if isinstance(value, str):
        return str.__str__(value)  # a member of an Enum has a str of its own, its name
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list | tuple):
        return tuple(_freeze(item, where) for item in value)
    if isinstance(value, Mapping):
        return freeze_mapping(value, where)
    raise ContractError(
        f"{where} is {value!r} ({type(value).__name__}), which cannot be written into a checkpoint "
        f"and read back. Wanted None, bool, int, finite float, text, or lists and dicts of these; "
        f"name a thing by text and look it up where it is used."
    )


def thaw(value: PlainValue) -> object:
    """Copy a frozen value into ordinary dicts and lists, ready for JSON or a checkpoint.

    Args:
        value: What :func:`freeze_mapping` returned, or an item of it.

    Returns:
        The same value with every mapping a ``dict`` and every tuple a ``list``.

    Example:
        >>> thaw(freeze_mapping({"a": (1, 2)}, "the kwargs"))
        {'a': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    return value


def unboxed(value: Any) -> Any:
    """Return NumPy scalars as Python's own; every other object stays what it is.

    A checkpoint that holds one (``numpy.float64`` is a ``float``) is opened by no reader that runs
    no code.

    Args:
        value: Any value; lists, tuples and dicts with NumPy scalars in them are copied.

    Example:
        >>> import numpy as np
        >>> unboxed({"lr": np.float32(0.5), "betas": (np.float64(0.9), 0.99), "name": "SGD"})
        {'lr': 0.5, 'betas': (0.9, 0.99), 'name': 'SGD'}
    """
    kind = type(value)
    # By name: what starts light imports this, and NumPy's scalars are all of this module.
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    if kind in (list, tuple):
        return kind(unboxed(item) for item in value)
    if kind is dict:
        return {key: unboxed(item) for key, item in value.items()}
    return value


def hashable(value: PlainValue) -> Hashable:
    """Return a hashable stand-in that is equal exactly when the frozen values are equal.

    Args:
        value: What :func:`freeze_mapping` returned, or an item of it.

    Returns:
        The value with every mapping turned into a frozen set of its items.

    Example:
        >>> hashable({"b": 1, "a": 2}) == hashable({"a": 2, "b": 1})
        True
    """
    if isinstance(value, Mapping):
        return frozenset((key, hashable(item)) for key, item in value.items())
    if isinstance(value, tuple):
        return tuple(hashable(item) for item in value)
    return value
