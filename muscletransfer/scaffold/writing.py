"""Fill in the templates and put the package where it was asked for, whole or not at all."""

from __future__ import annotations

import importlib.resources
import secrets
import shutil
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from muscletransfer._version import __version__
from muscletransfer.errors import SettingError
from muscletransfer.scaffold.names import PluginNames

__all__ = ["write_pretext_package"]

_SUFFIX = ".tmpl"


def write_pretext_package(name: str, output: str | Path | None = None) -> Path:
    """Write a package with one pretext task, its entry point, its tests and a README.

    The task it brings tells whether an image is upside down; it trains, and the tests pass, before
    a line was changed.

    .. versionadded:: 0.1

    Args:
        name: The task's name, see :class:`PluginNames`.
        output: The folder to make; ``./muscletransfer-<name>`` by default.

    Returns:
        The folder.

    Raises:
        SettingError: If the name cannot be used, the folder exists, or it cannot be written.
        DuplicateNameError: If the name is taken by something that is installed.

    Example:
        >>> import tempfile
        >>> folder = write_pretext_package("mylab/order", Path(tempfile.mkdtemp()) / "order")
        >>> sorted(path.name for path in folder.iterdir())
        ['.gitignore', 'README.md', 'pyproject.toml', 'src', 'tests']
    """
    names = PluginNames(name)
    names.check_free()
    target = Path(names.distribution if output is None else output).expanduser().absolute()
    if target.exists() or target.is_symlink():
        raise SettingError(
            f"{target} exists already, and nothing is overwritten. Remove it, or pass another "
            f"folder with --output."
        )
    values = {
        "name": names.registered,
        "distribution": names.distribution,
        "module": names.module,
        "task_class": names.task_class,
        "version": __version__,
    }
    templates = importlib.resources.files("muscletransfer.scaffold") / "templates" / "pretext"
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        _fill(templates, temporary, values)
        temporary.rename(target)
    except OSError as error:
        raise SettingError(
            f"{target} cannot be written: {error.strerror}. Pass a folder that can be made with "
            f"--output; the folder it lies in must exist."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _fill(source: Traversable, target: Path, values: dict[str, str]) -> None:
    """Copy a folder of templates; ``$module`` and the like are replaced in paths and texts."""
    for item in source.iterdir():
        name = Template(item.name.removesuffix(_SUFFIX)).substitute(values)
        if item.is_dir():
            (target / name).mkdir()
            _fill(item, target / name, values)
        elif item.name.endswith(_SUFFIX):
            text = Template(item.read_text(encoding="utf-8")).substitute(values)
            (target / name).write_text(text, encoding="utf-8", newline="\n")
