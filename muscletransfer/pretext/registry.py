"""Pretext tasks by name: those of the library, and what others register."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from muscletransfer.errors import ContractError
from muscletransfer.registry import Registry

if TYPE_CHECKING:
    from muscletransfer.pretext.base import PretextTask

__all__ = ["create_pretext", "list_pretexts", "pretext_class", "register_pretext"]

Task = TypeVar("Task", bound="type[PretextTask]")

_REGISTRY: Registry[type[PretextTask]] = Registry(
    "pretext task",
    "muscletransfer.pretexts",
    "list_pretexts() shows all; add one with @register_pretext('name') on a PretextTask, or with "
    "an entry point of the group 'muscletransfer.pretexts'.",
    builtins={
        "classification": "muscletransfer.pretext.classification:ClassificationPretext",
        "jigsaw": "muscletransfer.pretext.jigsaw:JigsawPretext",
        "masked": "muscletransfer.pretext.masked:MaskedImagePretext",
        "multitask": "muscletransfer.pretext.multitask:MultiTaskPretext",
        "reconstruction": "muscletransfer.pretext.reconstruction:ReconstructionPretext",
        "rotation": "muscletransfer.pretext.rotation:RotationPretext",
        "segmentation": "muscletransfer.pretext.segmentation:SegmentationPretext",
        "simclr": "muscletransfer.pretext.simclr:SimCLRPretext",
    },
)


def register_pretext(name: str, *, override: bool = False) -> Callable[[Task], Task]:
    """Register a pretext task under a name (decorator).

    Packages register through an entry point instead, and are then known in every process::

        [project.entry-points."muscletransfer.pretexts"]
        rotation = "mypackage.rotation:Rotation"

    .. versionadded:: 0.1

    Args:
        name: The name, such as ``"rotation"``; it also names the task in the provenance.
        override: Take the name even when it is taken.

    Returns:
        The decorator, which returns the class unchanged.

    Raises:
        DuplicateNameError: When the name is taken.
        ContractError: When what is decorated is no :class:`~muscletransfer.PretextTask`.

    Example:
        >>> from muscletransfer.pretext import ClassificationPretext
        >>> @register_pretext("example/levels")
        ... class Levels(ClassificationPretext):
        ...     '''Tell the spinal level of a slice.'''
        >>> create_pretext("example/levels", num_classes=5).task_name
        'example/levels'
    """

    def decorate(task: Task) -> Task:
        from muscletransfer.pretext.base import PretextTask

        if not (isinstance(task, type) and issubclass(task, PretextTask)):
            raise ContractError(
                f"register_pretext({name!r}) is for classes derived from PretextTask, found "
                f"{task!r}."
            )
        _REGISTRY.register(name, task, override=override)
        task.task_name = name
        return task

    return decorate


def list_pretexts(pattern: str | None = None) -> list[str]:
    """List the names of all pretext tasks; no plug-in is imported for it.

    .. versionadded:: 0.1

    Args:
        pattern: A shell pattern such as ``"seg*"``, or ``None`` for all.

    Returns:
        The names, sorted.

    Example:
        >>> list_pretexts("r*")
        ['reconstruction', 'rotation']
    """
    return _REGISTRY.names(pattern)


def create_pretext(name: str, **kwargs: Any) -> PretextTask:
    """Build a pretext task by name.

    .. versionadded:: 0.1

    Args:
        name: A name of :func:`list_pretexts`.
        **kwargs: Arguments of the task's class.

    Returns:
        The task, ready for ``lightning.Trainer.fit``.

    Raises:
        UnknownNameError: When nothing has the name.
        PluginError: When the plug-in that has the name fails to import.
        ContractError: When an argument is unknown or not usable, or the plug-in is no task.

    Example:
        >>> create_pretext("jigsaw", grid=2).head.classify[-1].out_features
        24
    """
    return pretext_class(name)(**kwargs)


def pretext_class(name: str) -> type[PretextTask]:
    """Return the class of a pretext task.

    Args:
        name: A name of :func:`list_pretexts`.

    Raises:
        UnknownNameError, PluginError: As :func:`create_pretext`.
        ContractError: When what has the name is no pretext task.

    Example:
        >>> pretext_class("jigsaw").__name__
        'JigsawPretext'
    """
    task = _REGISTRY.get(name)

    from muscletransfer.pretext.base import PretextTask

    if not (isinstance(task, type) and issubclass(task, PretextTask)):
        raise ContractError(
            f"The pretext task {name!r} is {task!r}; wanted a class derived from PretextTask."
        )
    return task
