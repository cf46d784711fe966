"""Names for things: registered in process, or by installed packages through entry points.

A registry knows three kinds of entry:

* objects registered in this process with the decorator,
* built-ins named by an import string, imported when first asked for,
* entry points of installed distributions (``[project.entry-points."muscletransfer.encoders"]``),
  found through :mod:`importlib.metadata`, so that every process, a spawned one too, sees them
  without anybody importing the plug-in.

Listing names imports nothing; asking for one name imports just the module behind it.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Generic, TypeVar, cast, overload

from muscletransfer.errors import (
    ContractError,
    DuplicateNameError,
    PluginError,
    UnknownNameError,
    close_matches,
)

__all__ = ["Registry", "owner_of"]

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from names to objects of one kind, open to other packages.

    Args:
        kind: What the names stand for, as a message should say it ("encoder").
        group: The entry-point group that other packages fill, or ``None`` for a registry that is
            closed to them.
        how_to_register: One sentence for the error of an unknown name: how to add one.
        builtins: Names that the library itself brings, each with an import string
            ``"package.module:attribute"``; imported when first asked for.

    Example:
        >>> greetings = Registry[str]("greeting", None, "Call greetings.register(name, text).")
        >>> greetings.register("hello", "Hello, world")
        'Hello, world'
        >>> greetings.get("hello")
        'Hello, world'
        >>> greetings.get("helo")
        Traceback (most recent call last):
        muscletransfer.errors.UnknownNameError: Unknown greeting 'helo'. Did you mean 'hello'? ...
    """

    def __init__(
        self,
        kind: str,
        group: str | None,
        how_to_register: str,
        builtins: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self.how_to_register = how_to_register
        self._builtins = dict(builtins or {})
        self._registered: dict[str, T] = {}
        self._overriding: set[str] = set()
        self._entry_points: dict[str, list[EntryPoint]] | None = None
        self._seen_path: tuple[str, ...] = ()

    @overload
    def register(self, name: str, obj: T, *, override: bool = False) -> T: ...

    @overload
    def register(
        self, name: str, obj: None = None, *, override: bool = False
    ) -> Callable[[T], T]: ...

    def register(
        self, name: str, obj: T | None = None, *, override: bool = False
    ) -> T | Callable[[T], T]:
        """Register an object under a name, directly or as a decorator.

        Args:
            name: The name to take: text without spaces or wildcards, such as ``"tiny"`` or
                ``"mypackage/tiny"``.
            obj: The object, or ``None`` to get a decorator.
            override: Take the name even when it is taken.

        Returns:
            The object itself, or the decorator.

        Raises:
            ContractError: When ``name`` is not a usable name.
            DuplicateNameError: When another object has the name; the message names both owners.

        Example:
            >>> registry = Registry[type]("shape", None, "Use @registry.register(name).")
            >>> @registry.register("square")
            ... class Square: ...
            >>> registry.get("square") is Square
            True
        """
        self._check_name(name)
        if obj is not None:
            self._add(name, obj, override)
            return obj

        def decorate(decorated: T) -> T:
            self._add(name, decorated, override)
            return decorated

        return decorate

    def get(self, name: str) -> T:
        """Return the object behind a name, importing its module when needed.

        Args:
            name: A registered name, a built-in or the name of an entry point.

        Returns:
            The object.

        Raises:
            UnknownNameError: When nothing has the name; up to three close matches are named.
            DuplicateNameError: When two distributions claim the name and nobody overrode it.
            PluginError: When the plug-in that has the name fails to import.
        """
        if name in self._overriding:
            return self._registered[name]
        points = self._points_of(name)
        if len(points) > 1 or (points and name in self._builtins):
            owners = [self._builtin_owner()] if name in self._builtins else []
            raise self._duplicate(name, owners + [_describe(point) for point in points])
        if name in self._registered:
            return self._registered[name]
        if name in self._builtins:
            return self._load_builtin(name)
        if points:
            return self._load(points[0])
        raise self.unknown(name)

    def names(self, pattern: str | None = None) -> list[str]:
        """List all names, sorted, without importing any plug-in.

        Args:
            pattern: A shell pattern such as ``"timm/resnet*"`` (see :mod:`fnmatch`, case matters),
                or ``None`` for all.

        Returns:
            The names.
        """
        known = sorted({*self._registered, *self._builtins, *self._installed()})
        return known if pattern is None else fnmatch.filter(known, pattern)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            name in self._registered or name in self._builtins or bool(self._points_of(name))
        )

    def unknown(self, name: str, known: list[str] | None = None) -> UnknownNameError:
        """Build the error for a name that nothing has.

        Args:
            name: The name that was asked for.
            known: The names to search for close matches; all names of the registry by default.

        Returns:
            The error, to be raised by the caller.
        """
        matches = close_matches(str(name), self.names() if known is None else known)
        hint = f" Did you mean {_either(matches)}?" if matches else ""
        return UnknownNameError(f"Unknown {self.kind} {name!r}.{hint} {self.how_to_register}")

    def _add(self, name: str, obj: T, override: bool) -> None:
        if override:
            self._overriding.add(name)
        else:
            self._check_free(name, obj)
        self._registered[name] = obj

    def _check_free(self, name: str, obj: T) -> None:
        if name in self._registered:
            if self._registered[name] is obj:
                return
            raise self._duplicate(name, [owner_of(self._registered[name]), owner_of(obj)])
        if name in self._builtins and _import_string(obj) != self._builtins[name]:
            raise self._duplicate(name, [self._builtin_owner(), owner_of(obj)])
        # A plug-in may name an object in its entry points and decorate it too: that is one claim.
        points = self._installed().get(name, [])
        others = [p for p in points if not _brings(p, _module(obj))]
        if others:
            raise self._duplicate(name, [_describe(p) for p in others] + [owner_of(obj)])

    def _load_builtin(self, name: str) -> T:
        module, _, attribute = self._builtins[name].partition(":")
        return cast(T, getattr(importlib.import_module(module), attribute))

    def _load(self, point: EntryPoint) -> T:
        try:
            loaded = cast(T, point.load())
        except Exception as error:
            raise PluginError(
                f"The {self.kind} {point.name!r} comes from {_describe(point)}, which failed to "
                f"import: {type(error).__name__}: {error}. Repair or uninstall that distribution; "
                f"all other names keep working."
            ) from error
        # The decorator of the plug-in, if it has one, has run by now; either way the name is kept.
        return self._registered.setdefault(point.name, loaded)

    def _installed(self, refresh: bool = False) -> dict[str, list[EntryPoint]]:
        if self.group is None:
            return {}
        path = tuple(sys.path)
        if self._entry_points is None or refresh or path != self._seen_path:
            found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
            for point in importlib.metadata.entry_points(group=self.group):
                # The same distribution met twice on sys.path is still one claim.
                key = (_distribution(point), point.value)
                found.setdefault(point.name, {}).setdefault(key, point)
            self._entry_points = {name: list(points.values()) for name, points in found.items()}
            self._seen_path = path
        return self._entry_points

    def _points_of(self, name: str) -> list[EntryPoint]:
        points = self._installed().get(name, [])
        if points or name in self._registered or name in self._builtins:
            return points
        # A package installed since the first look (a notebook's "pip install") is found here.
        return self._installed(refresh=True).get(name, [])

    def _duplicate(self, name: str, owners: list[str]) -> DuplicateNameError:
        return DuplicateNameError(
            f"The {self.kind} name {name!r} is taken twice: by {' and by '.join(owners)}. "
            f"Choose another name, uninstall one of them, or register yours with override=True "
            f"to replace the other on purpose."
        )

    def _check_name(self, name: object) -> None:
        if not isinstance(name, str):
            raise ContractError(
                f"The name of a {self.kind} must be text, found {name!r}. {self.how_to_register}"
            )
        if not name or name != "".join(name.split()) or set(name) & set("*?[]"):
            raise ContractError(
                f"{name!r} cannot name a {self.kind}: wanted text without spaces and without the "
                f"wildcards *?[], such as 'tiny' or 'mypackage/tiny'."
            )

    @staticmethod
    def _builtin_owner() -> str:
        return "muscletransfer itself (built in)"


def _module(obj: object) -> str:
    return str(getattr(obj, "__module__", None) or type(obj).__module__)


def _import_string(obj: object) -> str:
    return f"{_module(obj)}:{getattr(obj, '__qualname__', '')}"


def _root(module: str) -> str:
    return module.partition(".")[0]


def _brings(point: EntryPoint, module: str) -> bool:
    """Tell whether the distribution of an entry point brings a module, as far as can be told."""
    root = _root(module)
    package = sys.modules.get(root)
    if _root(point.module) != root or package is None or getattr(package, "__file__", None):
        return _root(point.module) == root
    # A namespace package, which several distributions may share.
    places = [Path(place) for place in package.__path__]
    if _portion(point.module, places) != _portion(module, places):
        return False
    dist, loaded = point.dist, getattr(sys.modules.get(module), "__file__", None)
    files = [file for file in (dist and dist.files) or () if file.parts[0] == root]
    if dist is None or loaded is None or not files:  # an editable one lists no modules
        return True
    return Path(loaded) in {Path(str(dist.locate_file(file))) for file in files}


def _portion(module: str, places: list[Path]) -> Path | None:
    """Return the folder of a namespace package that a module of it lies in."""
    name = module.split(".")[1] if "." in module else ""
    return next((p for p in places if (p / name).is_dir() or (p / f"{name}.py").is_file()), None)


def owner_of(obj: object) -> str:
    """Name the distribution and module that a class, a function or an object comes from.

    Args:
        obj: The class or function, or an object of the class.

    Returns:
        Words for a message.

    Example:
        >>> import json
        >>> owner_of(json.JSONDecoder)
        "module 'json.decoder' (not an installed distribution)"
    """
    module = _module(obj)
    distributions = importlib.metadata.packages_distributions().get(_root(module))
    if distributions:
        return f"the distribution {distributions[0]!r} (module {module})"
    return f"module {module!r} (not an installed distribution)"


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"


def _describe(point: EntryPoint) -> str:
    return f"the distribution {_distribution(point)!r} (entry point {point.value!r})"


def _either(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" or {quoted[-1]}"
