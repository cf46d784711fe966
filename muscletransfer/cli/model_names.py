"""``--model jigsaw``: the name of a registered pretext task where LightningCLI wants a class path.

The names work in a YAML file too (``model: {class_path: mypackage/task}``), those of installed
plug-ins included, in every process; just the plug-in that is named is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jsonargparse import get_loader, set_loader

from muscletransfer.pretext.registry import list_pretexts, pretext_class

__all__ = ["PARSER_MODE", "arguments_with_class_paths", "class_path_of"]

PARSER_MODE = "muscletransfer"
"""Mode of a jsonargparse parser that reads YAML and knows the names."""

_OPTIONS = ("--model", "--model.class_path")


def class_path_of(name: str) -> str:
    """Return the class path of a registered pretext task; other text is returned as it is.

    Args:
        name: What stands for a model: a registered name, a class path or a class's short name.

    Raises:
        UnknownNameError: If it has a ``/``, as only registered names have, and nothing has it.
        PluginError: If the plug-in that has the name fails to import.

    Example:
        >>> class_path_of("jigsaw")
        'muscletransfer.pretext.jigsaw.JigsawPretext'
        >>> class_path_of("my_package.MyTask")
        'my_package.MyTask'
    """
    if "/" not in name and name not in list_pretexts():
        return name
    task = pretext_class(name)
    return f"{task.__module__}.{task.__qualname__}"


def arguments_with_class_paths(arguments: Sequence[str]) -> list[str]:
    """Replace names of pretext tasks in command-line arguments.

    Example:
        >>> arguments_with_class_paths(["fit", "--model", "jigsaw", "--data", "jigsaw"])
        ['fit', '--model', 'muscletransfer.pretext.jigsaw.JigsawPretext', '--data', 'jigsaw']
        >>> arguments_with_class_paths(["fit", "--model=jigsaw"])
        ['fit', '--model=muscletransfer.pretext.jigsaw.JigsawPretext']
    """
    replaced = []
    before = ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        # `--model FILE.yaml` and `--model '{...}'` are LightningCLI's too.
        if before in _OPTIONS and not _is_file(argument):
            replaced.append(class_path_of(argument))
        elif equals and option in _OPTIONS and not _is_file(value):
            replaced.append(f"{option}={class_path_of(value)}")
        else:
            replaced.append(argument)
        before = argument
    return replaced


def _is_file(value: str) -> bool:
    return value.endswith((".yaml", ".yml", ".json")) or value.startswith("{")


def _load(text: str) -> Any:
    content = get_loader("yaml")(text)
    if isinstance(content, dict):
        _replace_model(content)
    return content


def _replace_model(content: dict[str, Any]) -> None:
    model = content.get("model")
    if isinstance(model, str) and not _is_file(model):
        content["model"] = class_path_of(model)
    elif isinstance(model, dict) and isinstance(model.get("class_path"), str):
        model["class_path"] = class_path_of(model["class_path"])


def _register_mode() -> None:
    import yaml  # jsonargparse's own requirement

    set_loader(PARSER_MODE, _load, exceptions=(yaml.YAMLError,))


_register_mode()
