"""The whole study, as its file describes it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.study.config.data import DataConfig
from muscletransfer.study.config.sources import SourceConfig
from muscletransfer.study.config.training import (
    ComputeConfig,
    FineTuneConfig,
    HumanLevelConfig,
    SelectionConfig,
)

__all__ = ["NetworkPart", "StudyConfig"]


@dataclass(frozen=True)
class NetworkPart:
    """An encoder or a decoder.

    Args:
        name: Its registered name.
        kwargs: Further arguments.
        depth: Of an encoder: halvings of the image.
    """

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    depth: int = 5


@dataclass(frozen=True)
class StudyConfig:
    """A study: sources x encoders x decoders x transfers x n x folds x repeats.

    .. versionadded:: 0.1

    Args:
        name: What it is called.
        data: The labelled cases.
        train_patients: Numbers of labelled training patients, ascending.
        repeats: Draws of the nested subsets for each fold.
        encoders: Encoders.
        decoders: Decoders.
        transfers: What is transferred, for sources that do not say.
        sources: Where weights start.
        finetune: Fine-tuning.
        selection: Which weights are tested.
        compute: Threads and precision of a run.
        human_level: The human-level test.
        loggers: Lightning loggers by name, with their arguments.
        keep_weights: Keep the fine-tuned weights of every run (``model.ckpt``).
        root: Folder that relative paths start from.
        given: The file as plain values.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> config = config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "sources": ["random"],
        ... })
        >>> config.train_patients, config.repeats, config.finetune.steps
        ((2, 4), 1, 500)
    """

    name: str
    data: DataConfig
    train_patients: tuple[int, ...]
    repeats: int
    encoders: tuple[NetworkPart, ...]
    decoders: tuple[NetworkPart, ...]
    transfers: tuple[str, ...]
    sources: tuple[SourceConfig, ...]
    finetune: FineTuneConfig = field(default_factory=FineTuneConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    human_level: HumanLevelConfig = field(default_factory=HumanLevelConfig)
    loggers: dict[str, dict[str, Any]] = field(default_factory=dict)
    keep_weights: bool = False
    root: Path = Path()
    given: dict[str, Any] = field(default_factory=dict, repr=False)

    def path(self, given: str) -> Path:
        """Return a path of the file as an absolute one."""
        return (self.root / Path(given).expanduser()).absolute()

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for a plan's record; paths as the file has them."""
        plain = _plain(self)
        return {k: v for k, v in plain.items() if k not in ("root", "given")}


def _plain(value: Any) -> Any:
    if isinstance(value, PreprocessingSpec):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value
