"""Read YAML as people write it: ``1e-3`` is a number, and a key that stands twice is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from muscletransfer.errors import SettingError

__all__ = ["read_yaml"]


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` with the floats of YAML 1.2 and without silent repeats."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # before `<<` brings in keys, which those of the mapping itself may override
        if node not in self._checked:
            self._checked.add(node)
            self._check_repeats(node)
        super().flatten_mapping(node)

    def _check_repeats(self, node: yaml.MappingNode) -> None:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            merges = key_node.tag == "tag:yaml.org,2002:merge"
            key = "<<" if merges else self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float) and key in seen:
                line = key_node.start_mark.line + 1
                raise SettingError(f"line {line}: the key {key!r} stands twice; wanted it once.")
            if isinstance(key, str | int | float):
                seen.add(key)


# YAML 1.1 wants a dot in a float, so it takes 1e-3 for text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> Any:
    """Read one YAML file.

    Args:
        path: The file.

    Returns:
        Plain values.

    Raises:
        SettingError: It cannot be read, is no YAML, or has a key twice; with the line.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.yaml"
        >>> _ = file.write_text("lr: 1e-3")
        >>> read_yaml(file)
        {'lr': 0.001}
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); wanted the "
            "YAML file of a study."
        ) from error
    try:
        return yaml.load(content, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SettingError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
