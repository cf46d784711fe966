"""What a task knows of its own past: earlier fits, and fits in processes that were started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from torch import nn

from muscletransfer.transfer.provenance import Provenance
from muscletransfer.transfer.to_plain import to_plain

__all__ = ["KnowsItsPast"]

_REPORT = "muscletransfer_report"


class _Fit(NamedTuple):
    """A fit that began: its Trainer, the step it began at, and whether its data were new."""

    trainer: Trainer
    start: int
    is_new: bool


class KnowsItsPast(nn.Module):
    """Mixin for what a task's weights learned from.

    A task calls `settle_past` in each ``setup``, `begin_training` in that of a fit, `end_training`
    in its ``teardown``, and `settle_failed_fit` before it says its record. A checkpoint that is
    read says `began_at`, then `is_own_past`, then `take_over_past` where it is not. Not in
    ``on_fit_start``: a user's own hook of that name rarely calls the one it hides, and some
    strategies read a checkpoint after it.

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
        self._fit: _Fit | None = None
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
            self.forget_data()
        elif self._fit is not None:
            self._fit = self._fit._replace(is_new=True)

    def _is_of_the_data_now(self, restored: Provenance | None) -> bool:
        if restored is None:
            return True
        now = self.provenance()
        return (restored.data, restored.preprocessing) == (now.data, now.preprocessing)

    def forget_data(self) -> None:
        """Forget what was learned from: the weights are those of the record that was taken over."""
        self._data, self._resumed = None, False

    def provenance(self) -> Provenance:
        """Return the record of what the weights learned from."""
        raise NotImplementedError

    def writer_mark(self) -> str:
        """Return what says in a checkpoint that it is the past of this object.

        With the number of the process: one that is forked has the token of the original too.
        """
        return f"{self.object_token}-{os.getpid()}"

    def begin_training(
        self, trainer: Trainer, data: Mapping[str, Any], earlier: Callable[[], Provenance]
    ) -> None:
        """Note what is learned from now on, before a checkpoint is read.

        Args:
            trainer: Whose fit begins.
            data: What the data module says of itself.
            earlier: Returns the record of the training before. It becomes that of a parent where
                these are other data; on the same ones training goes on.
        """
        described = to_plain(data)  # arrays are not compared by ==
        if self._data is not None and described != self._data:
            self._restored = earlier()
            self.forget_data()
        self._fit = _Fit(trainer, trainer.global_step, self._data is None)
        self._data = described

    def began_at(self, step: int) -> None:
        """Note at which step a checkpoint that was read lets the fit begin.

        Args:
            step: Its ``global_step``.
        """
        if self._fit is not None:
            self._fit = self._fit._replace(start=step)

    def settle_past(self) -> None:
        """Forget the data of a fit that is over without a step: nothing was learned from them."""
        fit, self._fit = self._fit, None
        if fit is not None and fit.is_new and fit.trainer.global_step <= fit.start:
            self.forget_data()

    def settle_failed_fit(self) -> None:
        """As `settle_past` after an exception, of which Lightning tells a task by no hook."""
        if self._fit is not None and self._fit.trainer.interrupted:
            self.settle_past()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the Trainer; a copy is not fitted."""
        self.settle_failed_fit()
        state: Any = super().__getstate__()  # type: ignore[no-untyped-call]
        return {**state, "_fit": None}

    def end_training(self) -> None:
        """Close a fit, at the end of its ``teardown``."""
        self.settle_past()
        # Not sooner: until now callbacks write checkpoints.
        self._reports = self._report is not None

    def prepare_report(self, trainer: Trainer, report: Callable[[], dict[str, Any]]) -> None:
        """Keep a record for the process that started this one, if it waits for the weights."""
        self.settle_past()
        started = isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)
        self._report = report() if started else None

    def take_report(self, report: Mapping[str, Any]) -> None:
        """Take over the record of a copy that was trained in another process."""
        self._restored = Provenance.from_dict(report["provenance"])
        self.forget_data()

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
