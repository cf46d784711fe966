"""What a task knows of its own past: earlier fits, and fits in processes that were started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from torch import nn

from muscletransfer.transfer.provenance import Provenance

__all__ = ["KnowsItsPast"]

_REPORT = "muscletransfer_report"


class KnowsItsPast(nn.Module):
    """Mixin for what a task's weights learned from.

    A fit under ``ddp_fork``, ``ddp_spawn`` or ``ddp_notebook`` runs in other processes, with copies
    of the task; Lightning sends the trained weights back as a state dict and nothing else. So the
    copy puts its record beside them, and `load_state_dict` of the original takes it out.

    Example:
        >>> module = KnowsItsPast()
        >>> module.object_token = "ab"
        >>> module.writer_mark() == f"ab-{os.getpid()}"
        True
    """

    object_token: str
    """Tells this object from every other, copies in this process included."""

    def __init__(self) -> None:
        super().__init__()
        self._data: dict[str, Any] | None = None
        self._data_before: dict[str, Any] | None = None
        self._has_begun = False
        self._restored: Provenance | None = None
        self._resumed = False
        self._report: dict[str, Any] | None = None
        self._reports = False

    def is_own_past(self, block: Mapping[str, Any]) -> bool:
        """Tell whether a checkpoint is of this object and of what it has learned now.

        The learning-rate finder takes its steps back so; a file of an earlier fit is as any other.

        Args:
            block: The one of this library in the checkpoint.
        """
        if block.get("object_token") != self.writer_mark():
            return False
        records = Provenance.from_dict(block["provenance"]), self.provenance()
        written, own = ([one.data for one in record.chain()] for record in records)
        return written == own

    def take_over_past(self, restored: Provenance | None, *, in_fit: bool) -> None:
        """Take over the record of a checkpoint that is not of this object.

        In a fit on the same images the training of the checkpoint goes on; on others it is one of
        its own, which must not be hidden.

        Args:
            restored: The record, if the checkpoint has one.
            in_fit: Whether a fit is under way; without one these weights learned from nothing here.
        """
        same = self._data is None or self._is_of_the_data_now(restored)
        self._restored, self._resumed = restored, in_fit and same
        if not in_fit:
            self._data = None

    def _is_of_the_data_now(self, restored: Provenance | None) -> bool:
        return restored is None or restored.data == self.provenance().data

    def provenance(self) -> Provenance:
        """Return the record of what the weights learned from."""
        raise NotImplementedError

    def writer_mark(self) -> str:
        """Return what says in a checkpoint that it is the past of this object.

        With the number of the process: one that is forked has the token of the original too.
        """
        return f"{self.object_token}-{os.getpid()}"

    def begin_training(
        self, data: dict[str, Any], earlier: Callable[[], Provenance], *, goes_on: bool = False
    ) -> None:
        """Note what is learned from now on.

        Args:
            data: What the data module says of itself.
            earlier: Returns the record of the training before. It becomes that of a parent where
                these are other data; on the same ones training goes on.
            goes_on: Whether a checkpoint was read for this fit, whose training goes on. One that
                is read later brings its record then.
        """
        if self._data is not None and not goes_on and data != self._data:
            self._restored, self._resumed = earlier(), False
            self._data = None
        self._data_before, self._data = self._data, data
        self._has_begun = True
        if goes_on and self._resumed:
            self._resumed = self._is_of_the_data_now(self._restored)

    def end_training(self, trainer: Trainer) -> None:
        """Forget a fit without a step, as when only a learning rate was looked for."""
        if self._has_begun and trainer.global_step == 0:
            self._data = self._data_before
        self._has_begun = False  # the learning-rate finder may end a fit before it begins
        # Not sooner: until now callbacks write checkpoints.
        self._reports = self._report is not None

    def prepare_report(self, trainer: Trainer, report: Callable[[], dict[str, Any]]) -> None:
        """Keep a record for the process that started this one, if it waits for the weights."""
        started = isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)
        self._report = report() if started else None

    def take_report(self, report: Mapping[str, Any]) -> None:
        """Take over the record of a copy that was trained in another process."""
        self._restored, self._resumed = Provenance.from_dict(report["provenance"]), False
        self._data = None

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the state, with the record beside it when it goes back to another process."""
        state = super().state_dict(*args, **kwargs)
        if self._reports:
            state[_REPORT] = self._report
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a state, and the record that may stand beside it."""
        if _REPORT in state_dict:
            state_dict = dict(state_dict)
            self.take_report(state_dict.pop(_REPORT))
        return super().load_state_dict(state_dict, *args, **kwargs)
