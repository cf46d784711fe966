"""Plain values: what may stand in a checkpoint without a pickled object."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["to_plain"]


def to_plain(value: Any) -> Any:
    """Turn a value into ``None``, bool, int, float, str, list and dict only.

    Tuples and sets become lists, paths and enum members strings, NumPy scalars and arrays Python
    numbers and lists, dataclasses dicts. Anything else (a module, a function) becomes the name of
    its class in angle brackets, so that a record can say what stood there without pickling it.

    Args:
        value: Any value.

    Returns:
        The same information as far as JSON can carry it.

    Example:
        >>> from pathlib import Path
        >>> to_plain({"size": (256, 256), "file": Path("a.csv"), 3: None})
        {'size': [256, 256], 'file': 'a.csv', '3': None}
        >>> to_plain(object())
        '<object>'
    """
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):  # of a subclass, such as NumPy's, only the text
        return str(value)
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) else int(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((to_plain(item) for item in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    tolist = getattr(value, "tolist", None)  # NumPy arrays and scalars, torch tensors
    if callable(tolist):
        return to_plain(tolist())
    return f"<{value.__qualname__ if isinstance(value, type) else type(value).__qualname__}>"
