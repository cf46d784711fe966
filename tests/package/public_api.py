"""The public interface as text: every public name, with the arguments of what can be called.

``python tests/package/public_api.py > tests/package/public_api.txt`` after a change on purpose; the
difference of the file is then the change of the interface.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator

import muscletransfer

# Beside the packages: modules whose names users meet.
MODULES = ("muscletransfer", "muscletransfer.errors")


def public_modules() -> list[str]:
    """Return the modules whose ``__all__`` is the public interface."""
    packages = [
        info.name
        for info in pkgutil.walk_packages(muscletransfer.__path__, "muscletransfer.")
        if info.ispkg
    ]
    return sorted([*packages, *MODULES])


def public_names() -> Iterator[tuple[str, str, object]]:
    """Yield module, name and value of everything in an ``__all__``."""
    for module in public_modules():
        loaded = importlib.import_module(module)
        for name in sorted(getattr(loaded, "__all__", ())):
            yield module, name, getattr(loaded, name)


def public_code() -> dict[str, object]:
    """Return every public class and function once, by the path where it is defined."""
    return {
        f"{value.__module__}.{value.__qualname__}": value
        for _, _, value in public_names()
        if inspect.isclass(value) or isinstance(value, types.FunctionType)
    }


def line(module: str, name: str, value: object) -> str:
    """Describe a name: arguments, and ``=`` behind those that need not be given."""
    path = f"{module}.{name}"
    if isinstance(value, type) and issubclass(value, BaseException):
        return f"{path}: exception"
    if not (inspect.isclass(value) or isinstance(value, types.FunctionType)):
        return f"{path}: constant"
    if getattr(value, "_is_protocol", False) or (isinstance(value, type) and _is_typed_dict(value)):
        members = sorted({n for n in vars(value) if not n.startswith("_")} | _annotated(value))
        return f"{path}: {', '.join(members)}"
    shown = []
    for parameter in inspect.signature(value).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        optional = "=" if parameter.default is not parameter.empty else ""
        shown.append(f"{star.get(parameter.kind, '')}{parameter.name}{optional}")
    return f"{path}({', '.join(shown)})"


def _is_typed_dict(value: type) -> bool:
    return issubclass(value, dict) and hasattr(value, "__total__")


def _annotated(value: object) -> set[str]:
    return {n for n in getattr(value, "__annotations__", {}) if not n.startswith("_")}


def api() -> list[str]:
    """Return the whole interface, a line a name."""
    return [line(*found) for found in public_names()]


def comment_of(module: str, name: str) -> str:
    """Return the ``#:`` comment above a constant, looked up where it is assigned."""
    source = inspect.getsource(importlib.import_module(module))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return comment_of(str(node.module), name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            above = source.splitlines()[: node.lineno - 1]
            comment: list[str] = []
            while above and above[-1].startswith("#:"):
                comment.insert(0, above.pop())
            return "\n".join(comment)
    return ""


if __name__ == "__main__":
    print("\n".join(api()))
