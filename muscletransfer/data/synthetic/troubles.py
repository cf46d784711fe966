"""Troubles of everyday scans."""

from __future__ import annotations

from collections.abc import Sequence

from muscletransfer.errors import UnknownNameError, close_matches

__all__ = ["TROUBLES", "check_troubles"]

#: Names of the troubles.
TROUBLES: tuple[str, ...] = ("arms", "metal", "motion", "truncated")


def check_troubles(names: Sequence[str]) -> tuple[str, ...]:
    """Return known troubles, sorted and without repeats, or raise.

    Raises:
        UnknownNameError: A name is not a trouble.
    """
    wanted = (names,) if isinstance(names, str) else names
    for name in wanted:
        if name not in TROUBLES:
            near = close_matches(name, TROUBLES)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise UnknownNameError(
                f"trouble {name!r} is unknown{hint} wanted some of {', '.join(TROUBLES)}"
            )
    return tuple(sorted(set(wanted)))
