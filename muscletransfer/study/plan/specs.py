"""Specifications of one pre-training and one run: frozen, plain, and free of patient ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from muscletransfer.errors import DataError
from muscletransfer.study.plan.ids import content_id

__all__ = ["PretextSpec", "RunSpec"]


class _Spec:
    """Plain form and id of a specification."""

    id: str

    def content(self) -> dict[str, Any]:
        """Return all that can change the result, as plain values."""
        return {k: v for k, v in vars(self).items() if k != "id"}

    def to_dict(self) -> dict[str, Any]:
        """Return the content and the id."""
        return {"id": self.id, **self.content()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`.

        Raises:
            DataError: Its keys are not those of this version.
        """
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if set(plain) != known:
            odd = sorted(set(plain) ^ known)
            raise DataError(
                f"a {cls.__name__} has other keys than this version writes: {', '.join(odd)}. It "
                "was written by another version of muscletransfer; start the study again with this "
                "one (finished runs of other settings stay)."
            )
        return cls(**plain)


@dataclass(frozen=True)
class PretextSpec(_Spec):
    """One pre-training.

    .. versionadded:: 0.1

    Args:
        task: Registered name or class path of the source task.
        init_args: Arguments of the task.
        weights_key: Digest of a weight file among the arguments.
        encoder: Name of the encoder.
        encoder_kwargs: Its arguments.
        depth: Its halvings.
        decoder: The decoder that is trained with it, and handed on; ``None`` without.
        decoder_kwargs: Its arguments.
        in_channels: Image channels.
        images: Options of the images: layouts, slices, augmentation, preprocessing.
        images_key: Digest of what the images are.
        excluded_patients: How many patients of a fold are left out.
        excluded_key: Digest of who they are.
        fold: Whose test patients are left out; ``None`` where one serves all folds.
        steps: Optimisation steps.
        batch_size: Images a step.
        seed: Seed of everything.
        compute: Threads, precision, determinism.
        plugins: Distribution and version of tasks, encoder, decoder, loss and named weights from
            other packages.
        id: Filled in.

    Example:
        >>> from muscletransfer.study import config_from_dict, plan_study
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3}, "train_patients": [2],
        ...     "sources": [{"pretext": "jigsaw", "steps": 100, "data": {"images": "manifest"}}],
        ... })
        >>> spec = plan_study(config).pretexts[0]
        >>> isinstance(spec, PretextSpec), spec.task, spec.steps
        (True, 'jigsaw', 100)
    """

    task: str
    init_args: dict[str, Any]
    weights_key: str | None
    encoder: str
    encoder_kwargs: dict[str, Any]
    depth: int
    decoder: str | None
    decoder_kwargs: dict[str, Any]
    in_channels: int
    images: dict[str, Any]
    images_key: str
    excluded_patients: int
    excluded_key: str
    fold: int | None
    steps: int
    batch_size: int
    seed: int
    compute: dict[str, Any]
    plugins: dict[str, str] = field(default_factory=dict)
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            # Two folds with the same people left out share one pre-training.
            content = {k: v for k, v in self.content().items() if k != "fold"}
            object.__setattr__(self, "id", content_id(content))

    @property
    def label(self) -> str:
        """Words for progress and messages."""
        fold = "" if self.fold is None else f" without fold {self.fold}"
        return f"pre-training {self.task} ({self.encoder}){fold}"


@dataclass(frozen=True)
class RunSpec(_Spec):
    """One fine-tuning and test.

    .. versionadded:: 0.1

    Args:
        source: Name of the source.
        source_kind: ``random``, ``weights`` or ``pretext``.
        task: Of a pre-training: its task; ``None`` otherwise.
        encoder: Name of the encoder.
        decoder: Name of the decoder.
        transfer: ``none``, ``encoder`` or ``encoder+decoder``.
        freeze: ``none`` or ``encoder``.
        n: Training patients.
        fold: The fold that tests.
        num_folds: How many folds.
        repeat: Which draw of the training patients.
        seed: Seed of first weights, order, augmentation and dropout; the same for all sources.
        pretext: Id of the pre-training; ``None`` otherwise.
        weights: Name of a weight source or file; ``None`` otherwise.
        weights_sha256: Of a weight file; versions of the package for a named source.
        stem: What may be done to the first convolution.
        split_key: Digest of who trains, validates and tests.
        data_key: Digest of the cases.
        settings: What all runs of a study share: fine-tuning, selection, preprocessing, classes.
        settings_key: Its digest.
        encoder_args: ``kwargs`` and ``depth`` of the encoder, ``decoder_kwargs``.
        plugins: Distribution and version of encoder, decoder and loss from other packages.
        id: Filled in.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "sources": ["random"],
        ... })
        >>> from muscletransfer.study import plan_study
        >>> run = plan_study(config).runs[0]
        >>> isinstance(run, RunSpec), run.source, run.n
        (True, 'random', 2)
    """

    source: str
    source_kind: str
    task: str | None
    encoder: str
    decoder: str
    transfer: str
    freeze: str
    n: int
    fold: int
    num_folds: int
    repeat: int
    seed: int
    pretext: str | None
    weights: str | None
    weights_sha256: str | None
    stem: str
    split_key: str
    data_key: str
    encoder_args: dict[str, Any]
    plugins: dict[str, str]
    settings: dict[str, Any] = field(repr=False)
    settings_key: str = field(repr=False, default="")
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            # The digest of the settings stands for them: thousands of runs share one.
            content = {k: v for k, v in vars(self).items() if k not in ("id", "settings")}
            object.__setattr__(self, "id", content_id(content))

    @property
    def arm(self) -> tuple[str, str, str, str]:
        """What a learning curve is drawn of, namely source, encoder, decoder and transfer."""
        return self.source, self.encoder, self.decoder, self.transfer

    @property
    def label(self) -> str:
        """Words for progress and messages."""
        moved = "" if self.transfer in ("none", "encoder") else f" {self.transfer}"
        return f"{self.source}{moved} n={self.n} fold {self.fold} repeat {self.repeat}"
