"""From what the argument ``augmentation`` may be to what is run on training batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muscletransfer.class_paths import check_call, class_and_arguments, find_object
from muscletransfer.data.augmentation.batch import Augmentation
from muscletransfer.data.augmentation.own import AugmentationLike, OwnAugmentation
from muscletransfer.errors import SettingError, UnknownNameError, close_matches

__all__ = ["augmentation_of"]

_PRESETS = {"default": Augmentation, "natural": Augmentation.natural, "none": Augmentation.none}
_WANTED = (
    f"Wanted {', '.join(_PRESETS)}, None, an Augmentation(rotation=..., ...), a function of "
    "(image, mask, generator), or the path of a class or function, such as 'mylab.parts.shear'."
)


def augmentation_of(
    given: AugmentationLike | Mapping[str, Any],
) -> Augmentation | OwnAugmentation | None:
    """Return the augmentation that an argument stands for.

    Args:
        given: A preset's name, ``None``, an `Augmentation`, a function, or what configurations
            write: the path of a class or function, or ``class_path`` with ``init_args``.

    Raises:
        UnknownNameError: No preset of that name, or a path that leads nowhere.
        PluginError: The path's module fails to import.
        ContractError: The class does not take the arguments.
        SettingError: Neither of these, or something that cannot be called.

    Example:
        >>> augmentation_of("natural").crop
        0.35
        >>> augmentation_of({"class_path": "muscletransfer.data.augmentation.Augmentation",
        ...                  "init_args": {"rotation": 5.0}}).rotation
        5.0
    """
    if given is None or isinstance(given, Augmentation):
        return given
    if isinstance(given, str) and given in _PRESETS:
        return _PRESETS[given]()
    if isinstance(given, Mapping) or (isinstance(given, str) and "." in given):
        path, arguments, _ = class_and_arguments(given, "augmentation")
        found = find_object(path, "augmentation", hint=_WANTED)
        if isinstance(found, type):
            check_call(found, f"the augmentation {path}", **arguments)
            return augmentation_of(found(**arguments))
        if arguments:
            raise SettingError(
                f"augmentation {path} is a {type(found).__name__} and takes no init_args; found "
                f"{', '.join(arguments)}. Make it a class whose objects are called."
            )
        given = found
    if callable(given):
        return OwnAugmentation(given)
    near = close_matches(str(given), _PRESETS)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownNameError(f"augmentation={given!r} is not known.{hint} {_WANTED}")
