"""Turn plain YAML values into fields of a dataclass; a message names the place and the way out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from muscletransfer.errors import SettingError, UnknownNameError, close_matches

__all__ = [
    "anything",
    "choice",
    "did_you_mean",
    "each",
    "flag",
    "mapping",
    "number",
    "read_fields",
    "takes",
    "text",
    "whole",
]

Reader = Callable[[Any, str], Any]
T = TypeVar("T")
_KEY = "read"


def takes(reader: Reader) -> dict[str, Reader]:
    """Return the ``metadata`` of a dataclass field that is read by ``reader(value, place)``."""
    return {_KEY: reader}


def read_fields(cls: type[T], given: Any, where: str) -> T:
    """Build a dataclass from a mapping.

    Args:
        cls: A dataclass whose fields carry `takes`.
        given: The mapping of the file; ``None`` (an empty section) stands for ``{}``.
        where: Its place in the file, for messages, such as ``"finetune"``.

    Returns:
        The dataclass, its own checks passed.

    Raises:
        UnknownNameError: A key that is no field; close matches are offered.
        SettingError: A value that cannot work, a missing key, or something that is no mapping.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Sizes:
        ...     steps: int = dataclasses.field(metadata=takes(whole(1)))
        >>> read_fields(Sizes, {"steps": 3}, "sizes")
        Sizes(steps=3)
        >>> read_fields(Sizes, {"step": 3}, "sizes")
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: sizes: unknown key 'step'. Did you mean 'steps'? ...
    """
    given = mapping({} if given is None else given, where)
    known = {f.name: f for f in dataclasses.fields(cls) if _KEY in f.metadata}  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise UnknownNameError(
                f"{where}: unknown key {key!r}.{did_you_mean(key, known)} Keys: {', '.join(known)}."
            )
    values = {k: known[k].metadata[_KEY](v, f"{where}.{k}") for k, v in given.items()}
    for name, field in known.items():
        missing = field.default is dataclasses.MISSING
        if name not in values and missing and field.default_factory is dataclasses.MISSING:
            raise SettingError(
                f"{where}: no {name!r}; found {', '.join(map(str, given)) or 'nothing'}. Add it."
            )
    return cls(**values)


def did_you_mean(name: str, known: Any) -> str:
    """Return a sentence with close matches, or nothing."""
    near = close_matches(str(name), known)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def whole(low: int, high: int | None = None, *, none: bool = False) -> Reader:
    """Return a reader of whole numbers from ``low`` to ``high``; with ``none`` also of null."""

    def read(value: Any, where: str) -> int | None:
        if value is None and none:
            return None
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
        if not fits or (high is not None and value > high):
            span = f"{low} or more" if high is None else f"{low} to {high}"
            extra = ", or null" if none else ""
            raise SettingError(f"{where} is {value!r}; wanted a whole number, {span}{extra}.")
        return int(value)

    return read


def number(low: float, high: float = math.inf, *, above: bool = False) -> Reader:
    """Return a reader of numbers from ``low`` (or above it) to ``high``."""

    def read(value: Any, where: str) -> float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not (value > low if above else value >= low) or not value <= high:
            span = f"above {low}" if above else f"from {low}"
            span += "" if high == math.inf else f", at most {high}"
            raise SettingError(f"{where} is {value!r}; wanted a number {span}.")
        return float(value)

    return read


def text(value: Any, where: str) -> str:
    """Read text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{where} is {value!r}; wanted text.")
    return value


def choice(*known: str) -> Reader:
    """Return a reader of one of these words."""

    def read(value: Any, where: str) -> str:
        if value not in known:
            raise UnknownNameError(
                f"{where} is {value!r}.{did_you_mean(str(value), known)} "
                f"Wanted one of {', '.join(known)}."
            )
        return str(value)

    return read


def flag(value: Any, where: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise SettingError(f"{where} is {value!r}; wanted true or false.")
    return value


def anything(value: Any, where: str) -> Any:
    """Read any plain value; what takes it will check it."""
    return value


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Read a mapping with text as keys."""
    if not isinstance(value, Mapping):
        raise SettingError(f"{where} is {value!r}; wanted a mapping of keys to values.")
    for key in value:
        if not isinstance(key, str):
            raise SettingError(f"{where}: the key {key!r} is not text; wanted names as keys.")
    return dict(value)


def each(reader: Reader, least: int = 1) -> Reader:
    """Return a reader of a list whose items ``reader`` reads; one item may stand without a list."""

    def read(value: Any, where: str) -> tuple[Any, ...]:
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if value is None or len(items) < least:
            raise SettingError(f"{where} is {value!r}; wanted a list of {least} or more.")
        read_items = tuple(reader(item, f"{where}[{i}]") for i, item in enumerate(items))
        for i, item in enumerate(read_items):
            if item in read_items[:i]:
                raise SettingError(f"{where} names {items[i]!r} twice; wanted each once.")
        return read_items

    return read
