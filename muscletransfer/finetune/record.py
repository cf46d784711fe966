"""What a fine-tuning run writes into its checkpoints, and how it comes back from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import nn

from muscletransfer.checkpoint_io import holds_all_weights, write_checkpoints_directly
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.encoders.probe import first_features
from muscletransfer.errors import ContractError, TransferError
from muscletransfer.finetune.assembly import UnavailableLoss
from muscletransfer.finetune.gathering import gather_features, gather_spreads
from muscletransfer.finetune.holding import holding
from muscletransfer.finetune.model import SegmentationModel
from muscletransfer.finetune.profile import Spread, TrainingProfile
from muscletransfer.finetune.scoring import NativeScores
from muscletransfer.finetune.stored_class import check_class, class_path
from muscletransfer.freed_memory import give_back_freed_memory, keep_freed_memory
from muscletransfer.own_optimizer import ChoosesOptimizer
from muscletransfer.transfer import (
    CHECKPOINT_KEY,
    Provenance,
    TransferReport,
    checkpoint_block,
    checkpoint_provenance,
    describe_run,
    is_restoring,
    keys_of,
    plain_keys,
    read_artifact,
    rehearse,
    restoring,
    uncompiled,
    warn_preprocessing_mismatch,
)
from muscletransfer.transfer.arguments import RecordsArguments, keep_arguments, recorded
from muscletransfer.transfer.past import KnowsItsPast
from muscletransfer.transfer.to_plain import to_plain

__all__ = ["FineTuningRecord"]

_PARTS = {"encoder": "model.encoder", "decoder": "model.decoder"}


class FineTuningRecord(RecordsArguments, KnowsItsPast, ChoosesOptimizer):
    """Hyperparameters, provenance, saving and loading; the other half of the fine-tuner."""

    model: SegmentationModel
    loss: nn.Module
    num_classes: int
    val_scores: NativeScores
    test_scores: NativeScores
    transfer_report: TransferReport

    def __init__(self) -> None:
        super().__init__()
        self._effective: dict[str, Any] = {}
        self._left_out: list[str] = []
        self._attached: PreprocessingSpec | None = None
        self._trained_on: PreprocessingSpec | None = None
        self._profile: TrainingProfile | None = None
        self._profiled_step = -1
        self._learned_from: int | None = None  # the data module, not kept alive
        self._is_training = False
        self._stage_of: dict[str, int] | None = None
        self._spreads: tuple[Spread | None, Spread | None] | None = None

    def record(self, settings: Mapping[str, Any]) -> None:
        """Note what the model was built with, once encoder and loss are there.

        Args:
            settings: The arguments of the fine-tuner by name; those of a subclass, which rebuild
                the whole from a checkpoint, are known already.
        """
        stored, self._left_out = self.storable_arguments(self.model.encoder)
        effective, _ = recorded({**settings, **self.given_arguments}, self.model.encoder)
        # An object cannot be stored; the record still says which class it was.
        objects = {name: to_plain(settings[name]) for name in ("loss", "metrics")}
        self._effective = effective | objects
        keep_arguments(self, stored)

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
        """Rebuild a model from its checkpoint alone.

        Neither the file it was pre-trained from nor the network is needed, and nothing in the file
        is run. Call it on the class that was trained: a checkpoint of a class of your own loads as
        another one with a warning, if it fits at all.

        Args:
            checkpoint_path: The file.
            map_location: See `torch.load`.
            hparams_file: See Lightning.
            strict: See Lightning.
            weights_only: Leave at True: the checkpoints hold tensors and plain types only.
            kwargs: Arguments that replace those in the file. An encoder that no registry knows
                has to be given again; so have a loss module, to train or score (not to predict),
                and metrics that are objects, to score.

        Returns:
            The model, on the device of ``map_location`` (default: where it was saved from).

        Raises:
            WeightsError: There is no such file, it is damaged, or not one of this library.
            ContractError: An argument was an object, and is not given again; or the checkpoint is
                that of another class, with other parts.
            UnknownNameError: The encoder is of a name that is not registered here.
            TransferError: The given arguments make a model that the weights do not fit.
        """
        if isinstance(checkpoint_path, str | Path) and "://" not in str(checkpoint_path):
            read_artifact(checkpoint_path)  # says what is wrong with a file better than a reload
        try:
            with restoring():
                return super().load_from_checkpoint(
                    checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs
                )
        except RuntimeError as error:
            if "state_dict" not in str(error) or isinstance(error, TransferError):
                raise
            raise TransferError(
                f"{checkpoint_path} does not fit a {cls.__name__} with {kwargs or 'its settings'}: "
                f"{str(error).splitlines()[1].strip()} To start another task from its weights use "
                f"{cls.__name__}(..., weights=path, transfer='encoder+decoder')."
            ) from error

    @property
    def preprocessing(self) -> PreprocessingSpec | None:
        """How images have to be prepared, as in training or as the checkpoint says."""
        self.settle_failed_fit()
        if self._trained_on is None and self._restored and self._restored.preprocessing:
            return PreprocessingSpec.from_dict(self._restored.preprocessing)
        return self._trained_on

    @property
    def data_preprocessing(self) -> PreprocessingSpec | None:
        """How the attached data module prepares images; without one, as `preprocessing`."""
        return self._attached or self.preprocessing

    def setup(self, stage: str) -> None:
        """Take preprocessing and description of the data module; warn where they differ."""
        source: Any = getattr(self.trainer, "datamodule", None)
        spec = getattr(source, "preprocessing", None)
        self._attached = spec if isinstance(spec, PreprocessingSpec) else None
        self.settle_past()
        if stage == "fit":
            whole = holds_all_weights(self.trainer.strategy)
            self._stage_of = None if whole else first_features(self.model.encoder)
            self._profiled_step, self._spreads = -1, None
            self._learned_from, self._is_training = None, True
            data = source.describe() if hasattr(source, "describe") else {}
            self.begin_training(self.trainer, data, self._record_of_now)
            self._trained_on = self._attached
        self._warn_of_other_preprocessing()

    def _warn_of_other_preprocessing(self) -> None:
        """Warn where the weights met images that were prepared unlike those of the Trainer."""
        if self._trainer is None or self._attached is None or not self._trainer.is_global_zero:
            return
        record = self.provenance()
        before = record.parent if self.is_fitted_now() else record
        warn_preprocessing_mismatch(before, self._attached.to_dict())

    def teardown(self, stage: str) -> None:
        """Forget the data of a fit without a step, as when only a learning rate was looked for."""
        super().teardown(stage)
        if stage == "fit":
            self.end_training()

    def on_fit_start(self) -> None:
        """Rehearse the transfer: what no checkpoint could hand on fails in the first second."""
        rehearse(self.model.encoder, self.model.decoder)
        write_checkpoints_directly(self.trainer.strategy)
        if self.device.type == "cpu":
            keep_freed_memory()

    def on_train_end(self) -> None:
        """Note whose images were learned from: a checkpoint may be written after a test too."""
        super().on_train_end()
        self._learned_from, self._is_training = id(getattr(self.trainer, "datamodule", None)), False

    def on_fit_end(self) -> None:
        """Hand back what training held."""
        self.prepare_report(self.trainer, self._report_of_now)
        if self.device.type == "cpu":
            give_back_freed_memory()

    def provenance(self) -> Provenance:
        """Return the record of this run, with the records of what it started from."""
        self.settle_failed_fit()
        report, restored = self.transfer_report, self._restored
        parent, stem = report.provenance, report.stem if report.provenance else None
        if restored and self._data is not None and not self._resumed:
            # Another training, which began with the weights of a checkpoint.
            parent, stem, restored = restored, "unchanged", None
        return describe_run(
            task="segmentation-finetuning",
            hyperparameters=self._effective | self.optimizer_record(),
            data=self._data,
            seed=self._effective["seed"],
            parent=parent,
            stem=stem,
            restored=restored,
        )

    def forget_data(self) -> None:
        """Forget what was learned from, and how it was prepared."""
        super().forget_data()
        self._trained_on = self._learned_from = None

    def _record_of_now(self) -> Provenance:
        """Return the record as a checkpoint of the weights as they are would have it."""
        state = plain_keys(self.state_dict())
        block = checkpoint_block(self, self.provenance(), **_PARTS, state=state)
        return Provenance.from_dict(block["provenance"])

    def _report_of_now(self) -> dict[str, Any]:
        profile = self.training_profile()
        return {
            "provenance": self._record_of_now().to_dict(),
            "training_profile": None if profile is None else profile.to_block(),
        }

    def take_report(self, report: Mapping[str, Any]) -> None:
        """Take over the record of a copy that was trained in another process."""
        super().take_report(report)
        self._profile = TrainingProfile.from_block(report["training_profile"])

    def training_profile(self) -> TrainingProfile | None:
        """Return what the training images looked like; prediction tells strange images by it.

        While a data module with ``plain_batches`` is fitted, and as long as the Trainer has it
        afterwards, features are those of the weights as they are; otherwise what the checkpoint
        says.

        Returns:
            ``None`` where nothing is known (an older checkpoint, another kind of data module).
        """
        self.settle_failed_fit()
        trainer = self._trainer
        source: Any = getattr(trainer, "datamodule", None)
        if trainer is None or not (self.is_fitted_now() or id(source) == self._learned_from):
            return self._profile
        if self._data is None:  # the fit failed before it began to learn
            return self._profile
        # Where processes hold parts of the weights, one of them cannot run the encoder by itself.
        if not holds_all_weights(trainer.strategy) or not hasattr(source, "plain_batches"):
            return self._profile
        # Best and last are saved at the same step; after training, weights change without steps.
        if not self._is_training or self._profiled_step != self.global_step:
            if self._spreads is None:
                labels = list(range(1, max(2, self.num_classes)))
                spec = self.preprocessing
                is_ct = spec is not None and spec.hu_window is not None
                self._spreads = gather_spreads(source, labels, is_ct)
            features = gather_features(self.model.encoder, source)
            self._profile = TrainingProfile(*self._spreads, features)
            self._profiled_step = self.global_step
        return self._profile

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the block that says what the weights are and how to rebuild them."""
        self.keep_readable(checkpoint)
        # Not always the state of now: callbacks put averaged weights there.
        state = checkpoint["state_dict"] = plain_keys(checkpoint["state_dict"])
        block = checkpoint_block(self, self.provenance(), **_PARTS, state=state)
        block["class_path"] = class_path(self)
        block["left_out"] = list(self._left_out)
        block["optimizer"] = self.optimizer_block()
        block["object_token"] = self.writer_mark()
        with holding(uncompiled(self.model.encoder), state, "model.encoder."):
            profile = self.training_profile()
        block["training_profile"] = None if profile is None else profile.to_block()
        checkpoint[CHECKPOINT_KEY] = block

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the record back, and leave the loss to the constructor."""
        checkpoint["state_dict"] = keys_of(self, checkpoint["state_dict"])
        block = checkpoint.get(CHECKPOINT_KEY, {})
        self.began_at(checkpoint.get("global_step", 0))
        if self.is_own_past(block):
            return
        self.take_over_past(checkpoint_provenance(checkpoint), in_fit=self.is_fitted_now())
        self._warn_of_other_preprocessing()
        self.take_over_optimizer(block.get("optimizer"))
        self._profile = TrainingProfile.from_block(block.get("training_profile"))
        left_out = block.get("left_out", [])
        if is_restoring():
            self._replace([name for name in left_out if name not in self._left_out])
        state = checkpoint["state_dict"]
        # Tensors of a loss (class weights, say) come from the loss that was passed, if any.
        own = {f"loss.{key}": value for key, value in self.loss.state_dict().items()}
        kept = {key: value for key, value in state.items() if not key.startswith("loss.")}
        state = kept | {key: state.get(key, value) for key, value in own.items()}
        check_class(self, str(block.get("class_path", "")), state)
        checkpoint["state_dict"] = state

    def _replace(self, missing: list[str]) -> None:
        """Deal with arguments that were objects and were not given again."""
        if "loss" in missing and self._restored:
            name = str(self._restored.hyperparameters.get("loss"))
            self.loss = UnavailableLoss(name, self.num_classes)
        if "metrics" in missing and self._restored:
            for scores in (self.val_scores, self.test_scores):
                scores.own.forget(str(self._restored.hyperparameters.get("metrics")))
        needed = [name for name in missing if name not in ("loss", "metrics")]
        if needed:
            raise ContractError(
                f"The checkpoint's {type(self).__name__} was built with objects for "
                f"{', '.join(needed)}, which a file cannot hold. Pass them again: "
                f"load_from_checkpoint(path, {', '.join(f'{name}=...' for name in needed)})."
            )
