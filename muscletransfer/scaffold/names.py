"""One name given by a person, and the names that a package needs made from it."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from muscletransfer.errors import DuplicateNameError, SettingError
from muscletransfer.pretext import list_pretexts

__all__ = ["PluginNames"]

_PART = r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})?")
_LONGEST = 60


@dataclass(frozen=True)
class PluginNames:
    """The names of a package that brings one pretext task.

    .. versionadded:: 0.1

    Args:
        registered: The name of the task, such as ``"order"`` or ``"mylab/order"``: lower-case
            letters, digits, ``-`` and ``_``, beginning with a letter; at most one namespace.

    Raises:
        SettingError: If it is not such a name.

    Example:
        >>> names = PluginNames("mylab/which-way")
        >>> names.distribution, names.module, names.task_class
        ('muscletransfer-mylab-which-way', 'muscletransfer_mylab_which_way', 'WhichWayPretext')
    """

    registered: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.registered) or len(self.registered) > _LONGEST:
            raise SettingError(
                f"{self.registered!r} cannot name a pretext task of a new package; wanted at most "
                f"{_LONGEST} lower-case letters, digits, '-' and '_', beginning with a letter, "
                f"such as 'which-way' or 'mylab/which-way'."
            )

    @property
    def distribution(self) -> str:
        """What pip installs; its folder has the same name."""
        return f"muscletransfer-{re.sub('[/_]', '-', self.registered)}"

    @property
    def module(self) -> str:
        """What Python imports; the prefix keeps it apart from every other package."""
        return self.distribution.replace("-", "_")

    @property
    def task_class(self) -> str:
        """The class of the task."""
        words = re.split("[-_]", self.registered.rpartition("/")[2])
        return "".join(word.capitalize() for word in words).removesuffix("Pretext") + "Pretext"

    def check_free(self) -> None:
        """Raise an error when an installed package has one of the names.

        Raises:
            DuplicateNameError: If a pretext task or a package is already called so.
        """
        if self.registered in list_pretexts():
            raise DuplicateNameError(
                f"There is a pretext task {self.registered!r} already (muscletransfer list "
                f"pretexts). Choose another name, or put yours into a namespace: "
                f"'mylab/{self.registered.rpartition('/')[2]}'."
            )
        if importlib.util.find_spec(self.module) is not None:
            raise DuplicateNameError(
                f"A package {self.module!r} is installed already. Choose another name, or "
                f"uninstall it."
            )
