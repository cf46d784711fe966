"""What a pretext task writes into its checkpoints, and how it comes back from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.checkpoint_io import write_checkpoints_directly
from muscletransfer.errors import ContractError
from muscletransfer.freed_memory import give_back_freed_memory, keep_freed_memory
from muscletransfer.own_optimizer import ChoosesOptimizer
from muscletransfer.transfer import (
    CHECKPOINT_KEY,
    Provenance,
    TransferReport,
    checkpoint_block,
    checkpoint_provenance,
    describe_run,
    keys_of,
    plain_keys,
    rehearse,
    restoring,
    warn_preprocessing_mismatch,
)
from muscletransfer.transfer.arguments import RecordsArguments
from muscletransfer.transfer.past import KnowsItsPast

__all__ = ["PretextRecord"]


class PretextRecord(RecordsArguments, KnowsItsPast, ChoosesOptimizer):
    """Hyperparameters, provenance, saving and loading; the other half of :class:`PretextTask`."""

    task_name: ClassVar[str]
    encoder: Any
    seed: int

    def __init__(self) -> None:
        super().__init__()
        self.transfer_report: TransferReport | None = None
        self._effective: dict[str, Any] = {}
        self._left_out: list[str] = []
        self._preprocessing: dict[str, Any] | None = None

    def setup(self, stage: str) -> None:
        """Ask the data module how it prepares images, and in a fit what is learned from."""
        super().setup(stage)
        self.settle_past()
        described = self._describe_data()
        self._preprocessing = None if described is None else described.get("preprocessing")
        # One of several tasks inside another has no training of its own.
        trainer = self._trainer
        if stage == "fit" and trainer is not None and trainer.lightning_module is self:
            self.begin_training(trainer, described or {}, self._record_of_now)

    def on_fit_start(self) -> None:
        """Check the parts and rehearse the transfer, before any time is spent on training."""
        self._check_head()
        # `trainer.validate` leaves their numbers as inference tensors, which a fit cannot add to.
        for part in cast(nn.Module, self).modules():
            if isinstance(part, Metric):
                part.reset()
        rehearse(self.encoder, getattr(self, "decoder", None))
        if self.global_rank == 0 and self.preprocessing():
            warn_preprocessing_mismatch(self.provenance().parent, self.preprocessing())
        write_checkpoints_directly(self.trainer.strategy)
        if self.device.type == "cpu":
            keep_freed_memory()

    def on_fit_end(self) -> None:
        """Hand back what training held."""
        self.prepare_report(self.trainer, lambda: {"provenance": self._record_of_now().to_dict()})
        if self.device.type == "cpu":
            give_back_freed_memory()

    def teardown(self, stage: str) -> None:
        """Forget the data of a fit without a step, as when only a learning rate was looked for."""
        super().teardown(stage)
        if stage == "fit":
            self.end_training()

    def preprocessing(self) -> dict[str, Any]:
        """Return how the images were prepared, as a dict; empty when no data module says so."""
        if self._preprocessing is None and self._restored is not None:
            return dict(self._restored.preprocessing)
        return dict(self._preprocessing or {})

    def _check_head(self) -> None:
        """See :class:`PretextTask`."""
        raise NotImplementedError

    def provenance(self) -> Provenance:
        """Return the record of this run: task, data, preprocessing, seed, versions and parent."""
        self.settle_failed_fit()
        report, restored = self.transfer_report, self._restored
        parent, stem = (report.provenance, report.stem) if report else (None, None)
        if restored and self._data is not None and not self._resumed:
            # Another training, which began with the weights of a checkpoint.
            parent, stem, restored = restored, "unchanged", None
        return describe_run(
            task=self.task_name,
            hyperparameters=self._effective | self.optimizer_record(),
            data=self._data,
            seed=self.seed,
            parent=parent,
            stem=stem,
            restored=restored,
        )

    def _transfer_block(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        decoder = "decoder" if getattr(self, "decoder", None) is not None else None
        record = self.provenance()
        return checkpoint_block(self, record, encoder="encoder", decoder=decoder, state=state)

    def _record_of_now(self) -> Provenance:
        """Return the record as a checkpoint of the weights as they are would have it."""
        block = self._transfer_block(plain_keys(self.state_dict()))
        return Provenance.from_dict(block["provenance"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write what a later transfer needs: specs, prefixes, provenance."""
        self.keep_readable(checkpoint)
        # Not always the state of now: callbacks put averaged weights there.
        state = checkpoint["state_dict"] = plain_keys(checkpoint["state_dict"])
        block = self._transfer_block(state)
        block["class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"
        block["left_out"] = list(self._left_out)
        block["optimizer"] = self.optimizer_block()
        block["object_token"] = self.writer_mark()
        checkpoint[CHECKPOINT_KEY] = block

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the history of the checkpoint; refuse one of another task."""
        checkpoint["state_dict"] = keys_of(self, checkpoint["state_dict"])
        block = checkpoint.get(CHECKPOINT_KEY, {})
        self.began_at(checkpoint.get("global_step", 0))
        if self.is_own_past(block):
            return
        self.take_over_past(checkpoint_provenance(checkpoint), in_fit=self.is_fitted_now())
        self.take_over_optimizer(block.get("optimizer"))
        again = [name for name in block.get("left_out", []) if name not in self._left_out]
        if again:
            raise ContractError(
                f"The checkpoint's {type(self).__name__} was built with objects for "
                f"{', '.join(again)}, which a file cannot hold. Pass them again: "
                f"load_from_checkpoint(path, {', '.join(f'{name}=...' for name in again)})."
            )
        written = str(block.get("class_path", "")).rpartition(".")[2]
        if set(checkpoint["state_dict"]) != set(self.state_dict()) and written not in {
            "",
            type(self).__qualname__,
        }:
            raise ContractError(
                f"The checkpoint holds a {written}, not a {type(self).__name__}. Load it with "
                f"{written}.load_from_checkpoint(path); to start from its encoder only, pass "
                f"{type(self).__name__}(weights=path)."
            )

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """Rebuild a task from a checkpoint, without the weights it once started from.

        Args:
            checkpoint_path: A ``.ckpt`` file.
            map_location: Device, see ``torch.load``.
            hparams_file: See Lightning.
            strict: See Lightning.
            weights_only: Never runs code from the file; ``False`` only for files of other origin.
            kwargs: Arguments that replace stored ones, and objects, which could not be stored.

        Raises:
            ContractError: If an argument was an object and is not passed again, or the checkpoint
                is another task's.
        """
        with restoring():
            return super().load_from_checkpoint(
                checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs
            )

    def _describe_data(self) -> dict[str, Any] | None:
        """Return what the attached data module says of itself, if there is one that does."""
        datamodule = getattr(self._trainer, "datamodule", None) if self._trainer else None
        describe = getattr(datamodule, "describe", None)
        return dict(describe()) if callable(describe) else None
