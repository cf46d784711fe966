"""The API pages: one a package, written from its ``__all__`` when the site is built."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import types
from dataclasses import dataclass, field, replace

import muscletransfer

# A module beside the packages, whose names users meet.
MODULES = ("muscletransfer.errors",)
# Runs the command line; its page is command_line.md.
NO_PAGE = ("muscletransfer.cli",)


@dataclass(frozen=True)
class Name:
    """A public name.

    Attributes:
        path: Where users import it, such as ``muscletransfer.pretext.JigsawPretext``.
        home: Where it is defined, such as ``muscletransfer.pretext.jigsaw.JigsawPretext``.
        directive: What documents it.
        end: Bases at which inherited members stop being shown; empty to show none.
    """

    path: str
    home: str
    directive: str
    end: tuple[str, ...] = ()


@dataclass
class Api:
    """All public names, each documented once.

    Attributes:
        pages: The names that each page documents, by the module that the page is of.
        elsewhere: Names of a page that another page documents: path here, path there.
        public: Path of the documented name for each path that it can be reached by.
        short: The same for names without a module, where only one has that name.
    """

    pages: dict[str, list[Name]] = field(default_factory=dict)
    elsewhere: dict[str, dict[str, str]] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)
    short: dict[str, str | None] = field(default_factory=dict)


def collect() -> Api:
    """Import every package and sort its names; the top one, whose names live below, last."""
    packages = sorted(
        info.name
        for info in pkgutil.walk_packages(muscletransfer.__path__, "muscletransfer.")
        if info.ispkg
    )
    api = Api()
    for module in (*packages, *MODULES, "muscletransfer"):
        loaded = importlib.import_module(module)
        names = [n for n in sorted(getattr(loaded, "__all__", ())) if not n.startswith("_")]
        if module in NO_PAGE or not names:
            continue
        api.pages[module], api.elsewhere[module] = [], {}
        for name in names:
            _add(api, module, name, getattr(loaded, name))
    for names in api.pages.values():
        names[:] = [replace(name, end=_end(api, name)) for name in names]
    return api


def _end(api: Api, name: Name) -> tuple[str, ...]:
    """Return where inherited members end: what bases without an entry define is shown."""
    if name.directive != "autoclass":
        return ()
    module, _, short = name.home.rpartition(".")
    bases = getattr(importlib.import_module(module), short).__mro__[1:]
    hidden = list(itertools.takewhile(lambda base: _is_hidden(api, base), bases))
    return tuple(base.__name__ for base in bases if base not in hidden) if hidden else ()


def _is_hidden(api: Api, base: type) -> bool:
    path = f"{base.__module__}.{base.__name__}"
    return path.startswith("muscletransfer.") and path not in api.public


def _add(api: Api, module: str, name: str, value: object) -> None:
    path = f"{module}.{name}"
    is_code = inspect.isclass(value) or isinstance(value, types.FunctionType)
    home = f"{value.__module__}.{name}" if is_code else _home_of_constant(module, name)
    there = api.public.get(home)
    if there is None:
        directive = _directive(value, is_code)
        there = home if directive == "autodata" else path
        api.pages[module].append(Name(path, home, directive))
        api.short[name] = None if name in api.short else path
    else:
        api.elsewhere[module][path] = there
    api.public[home] = api.public[path] = there


def _directive(value: object, is_code: bool) -> str:
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if is_code else "autodata"


def _home_of_constant(module: str, name: str) -> str:
    """Return the path under which a constant is assigned: its comment stands there."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _home_of_constant(str(node.module), name)
    return f"{module}.{name}"
