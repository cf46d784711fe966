"""Decorators for functions, classes and arguments that are deprecated."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from muscletransfer.deprecation.record import Deprecation, Kind, register
from muscletransfer.errors import SettingError

__all__ = ["current_arguments", "deprecated", "deprecated_argument"]

Code = TypeVar("Code", bound=Callable[..., Any])


def deprecated(*, since: str, removal: str, instead: str | None = None) -> Callable[[Code], Code]:
    """Mark a function or class as deprecated (decorator).

    A function warns when it is called, a class when it is made, also through a subclass. The
    docstring gets a note. Above ``@classmethod`` and ``@property`` it does not work; put it below.

    .. versionadded:: 0.1

    Args:
        since: The first version that warns, such as ``"0.2"``.
        removal: The version that no longer has it; a test fails from then on.
        instead: What to use instead, as words.

    Returns:
        The decorator; it returns a function in a wrapper, and a class as it is.

    Raises:
        SettingError: If a version cannot be read or ``removal`` does not come after ``since``.

    Example:
        >>> @deprecated(since="0.2", removal="0.4", instead="NewLoss")
        ... class OldLoss:
        ...     '''A loss.'''
        >>> OldLoss.__deprecation__.removal
        '0.4'
        >>> print(OldLoss.__doc__)
        A loss.
        <BLANKLINE>
        .. deprecated:: 0.2
           Will be removed in 0.4. Use NewLoss instead.
    """

    def mark(code: Code) -> Code:
        kind: Kind = "class" if inspect.isclass(code) else "function"
        entry = register(Deprecation(kind, code.__qualname__, since, removal, instead))
        doc = _with_note(code.__doc__, entry)
        if inspect.isclass(code):
            own = vars(code).get("__init__")

            @functools.wraps(code.__init__)
            def init(self: Any, *args: Any, **kwargs: Any) -> None:
                entry.warn()
                # without one of its own the next class is made, which need not be a base of it
                inner: Any = own or super(code, type(self)).__init__  # type: ignore[arg-type]
                new: Any = type(self).__new__
                if inner is object.__init__ and new is not object.__new__:
                    return  # __new__ took the arguments, which object.__init__ would refuse
                inner(self, *args, **kwargs)

            code.__init__ = init  # type: ignore[method-assign]
            marked: Any = code
        else:

            @functools.wraps(code)
            def call(*args: Any, **kwargs: Any) -> Any:
                entry.warn()
                return code(*args, **kwargs)

            marked = call
        marked.__doc__ = doc
        marked.__deprecation__ = entry
        return marked  # type: ignore[no-any-return]

    return mark


def deprecated_argument(
    old: str,
    *,
    since: str,
    removal: str,
    new: str | None = None,
    convert: Callable[[Any], Any] | None = None,
) -> Callable[[Code], Code]:
    """Go on accepting an argument under its old name, with a warning (decorator).

    The function no longer has the argument; who still passes it by name gets the warning, and the
    value goes to ``new``, or nowhere when there is no successor. Put it on ``__init__`` for the
    argument of a class. Signatures, and so the command line and YAML files, show the new name only.

    .. versionadded:: 0.1

    Args:
        old: The name that goes.
        since: The first version that warns.
        removal: The version that no longer accepts it; a test fails from then on.
        new: The argument that takes the value; ``None``: the value no longer matters.
        convert: Makes the new value of the old one, for a changed unit or meaning.

    Returns:
        The decorator.

    Raises:
        SettingError: If a version cannot be read, ``old`` is still an argument, or ``new`` is none.
            When called: if old and new are both given.

    Example:
        >>> @deprecated_argument("rate_percent", new="rate", convert=lambda v: v / 100,
        ...                      since="0.2", removal="0.4")
        ... def drop(rate: float) -> float:
        ...     return rate
        >>> import warnings
        >>> from muscletransfer.deprecation import DeprecatedUseWarning
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecatedUseWarning)
        ...     drop(rate_percent=25)
        0.25
    """

    def mark(code: Code) -> Code:
        parameters = inspect.signature(code).parameters
        if old in parameters or (new is not None and new not in parameters):
            raise SettingError(
                f"{code.__qualname__} has the arguments {', '.join(parameters)}; wanted {old!r} "
                f"not among them{'' if new is None else f', and {new!r} among them'}."
            )
        owner = code.__qualname__.removesuffix(".__init__")
        entry = register(Deprecation("argument", f"{owner}({old})", since, removal, new))
        positions = list(parameters)

        def rename(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
            kwargs = dict(kwargs)
            if old in kwargs:
                value = kwargs.pop(old)
                if new is not None:
                    if new in kwargs or new in positions[: len(args)]:
                        raise SettingError(
                            f"{owner} was given {old!r} and {new!r}, which is the same argument "
                            f"under its old and its new name. Leave {old!r} out."
                        )
                    kwargs[new] = convert(value) if convert else value
            return kwargs

        @functools.wraps(code)
        def call(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                entry.warn()
            return code(*args, **rename(args, kwargs))

        def rename_all(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
            return current_arguments(code, args, rename(args, kwargs))

        call.__renames__ = rename_all  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return mark


def current_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call as the function takes them today, without a warning.

    For code that notes how something was called before it is called, as tasks do for checkpoints.

    Args:
        function: What is called; ``deprecated_argument`` may stand on it, also several times.
        args: Arguments by position, ``self`` included.
        kwargs: Arguments by name.

    Returns:
        ``kwargs``, with old names replaced.

    Raises:
        SettingError: If an argument is given under its old and its new name.

    .. versionadded:: 0.1

    Example:
        >>> @deprecated_argument("rate", new="lr", since="0.2", removal="0.4")
        ... def fit(lr: float) -> None: ...
        >>> current_arguments(fit, (), {"rate": 0.1}), current_arguments(len, (), {"obj": []})
        ({'lr': 0.1}, {'obj': []})
    """
    rename = getattr(function, "__renames__", None)
    return rename(args, kwargs) if rename else kwargs


def _with_note(doc: str | None, entry: Deprecation) -> str:
    way_out = f" Use {entry.instead} instead." if entry.instead else ""
    note = f".. deprecated:: {entry.since}\n   Will be removed in {entry.removal}.{way_out}"
    return f"{inspect.cleandoc(doc)}\n\n{note}" if doc else note
