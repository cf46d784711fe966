"""Vertebral levels other than L3, for pretext tasks."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from muscletransfer.errors import UnknownNameError, close_matches

__all__ = ["LEVEL_HEIGHTS", "OTHER_LEVELS", "Level", "check_level"]

Level: TypeAlias = Literal["T12", "L1", "L2", "L3", "L4", "S1"]

#: Levels for pretext tasks from the head to the feet; the label of a slice is its place here.
#:
#: .. versionadded:: 0.1
OTHER_LEVELS: tuple[Level, ...] = ("T12", "L1", "L2", "L4", "S1")


#: Height of each level above L3 in mm, in a man of 1.75 m.
LEVEL_HEIGHTS: dict[Level, float] = {
    "T12": 102.0,
    "L1": 71.0,
    "L2": 36.0,
    "L3": 0.0,
    "L4": -37.0,
    "S1": -108.0,
}


def check_level(level: str) -> Level:
    """Return a known level, or raise.

    Raises:
        UnknownNameError: The name is not a level.
    """
    known = get_args(Level)
    if level in known:
        return level  # type: ignore[return-value]
    near = close_matches(level, known)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    raise UnknownNameError(f"level {level!r} is unknown{hint} wanted one of {', '.join(known)}")
