"""What is deprecated, since when, and when it goes: the entries and their list."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from muscletransfer._version import __version__
from muscletransfer.errors import SettingError

__all__ = ["DeprecatedUseWarning", "Deprecation", "overdue", "register", "registered_deprecations"]

Kind: TypeAlias = Literal["function", "class", "argument", "name"]

_REGISTERED: list[Deprecation] = []
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class DeprecatedUseWarning(FutureWarning):
    """Something that will be removed was used; the message has the version and the way out.

    A ``FutureWarning`` and not a ``DeprecationWarning``: the latter is hidden unless code in
    ``__main__`` caused it, and who calls the library from a module of their own should see it too.
    Python shows it once for each line that calls.

    .. versionadded:: 0.1

    Example:
        >>> issubclass(DeprecatedUseWarning, FutureWarning)
        True
    """


@dataclass(frozen=True)
class Deprecation:
    """What is deprecated, since when, and when it goes.

    .. versionadded:: 0.1

    Args:
        kind: ``"function"``, ``"class"``, ``"argument"`` or ``"name"`` (of a module).
        name: What the message calls it.
        since: The first version that warns.
        removal: The version that no longer has it.
        instead: What to use, as words that fit after "Use"; ``None`` when there is nothing.

    Raises:
        SettingError: If a version is not made of numbers, or ``removal`` does not come after
            ``since``.

    Example:
        >>> Deprecation("argument", "fit(rate)", "0.2", "0.4", "lr").message()
        'The argument fit(rate) is deprecated since 0.2 and will be removed in 0.4. Use lr instead.'
    """

    kind: Kind
    name: str
    since: str
    removal: str
    instead: str | None = None

    def __post_init__(self) -> None:
        if _release(self.removal) <= _release(self.since):
            raise SettingError(
                f"{self.name} is deprecated since {self.since} and removed in {self.removal}; "
                "wanted a removal in a later version, so that users have one in which to change."
            )

    def message(self) -> str:
        """Return what a user reads."""
        way_out = f" Use {self.instead} instead." if self.instead else ""
        return (
            f"The {self.kind} {self.name} is deprecated since {self.since} and will be removed in "
            f"{self.removal}.{way_out}"
        )

    def warn(self) -> None:
        """Warn at the line outside the package that led here."""
        frame = sys._getframe(1)
        while frame.f_back is not None and _is_between(frame.f_code.co_filename):
            frame = frame.f_back
        # The registry of the caller's module is where Python notes what each line has shown.
        warnings.warn_explicit(
            self.message(),
            DeprecatedUseWarning,
            frame.f_code.co_filename,
            frame.f_lineno,
            frame.f_globals.get("__name__", "<unknown>"),
            frame.f_globals.setdefault("__warningregistry__", {}),
        )


def registered_deprecations() -> list[Deprecation]:
    """Return everything that was marked in the modules imported so far.

    .. versionadded:: 0.1

    Example:
        >>> overdue("0.1", registered_deprecations())
        []
    """
    return list(_REGISTERED)


def overdue(
    version: str = __version__, entries: Iterable[Deprecation] | None = None
) -> list[Deprecation]:
    """Return what a version should no longer have.

    .. versionadded:: 0.1

    Args:
        version: The version to compare with.
        entries: What to look through; ``None`` for :func:`registered_deprecations`.

    Returns:
        The entries whose removal is that version or an earlier one.

    Example:
        >>> old = Deprecation("function", "old", "0.2", "0.4")
        >>> len(overdue("0.3.9", [old])), len(overdue("0.4.0.dev1", [old]))
        (0, 1)
    """
    found = _REGISTERED if entries is None else entries
    return [entry for entry in found if _release(entry.removal) <= _release(version)]


def register(entry: Deprecation) -> Deprecation:
    """Keep an entry for `registered_deprecations`, and return it."""
    _REGISTERED.append(entry)
    return entry


def _is_between(filename: str) -> bool:
    """Tell whether code of a file stands between the caller and the warning."""
    return filename.startswith(_PACKAGE) or "importlib._bootstrap" in filename


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without trailing zeros, so that 0.4 is 0.4.0."""
    numbers: list[int] = []
    for part in version.split("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if digits:
            numbers.append(int(digits))
        if digits != part:  # "0rc1", "dev1": a version on its way counts as that version
            break
    if not numbers:
        raise SettingError(f"The version {version!r} is not made of numbers such as '0.4'.")
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
