"""The networks of a prediction: one checkpoint or several, run together on a batch."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.errors import ContractError, DataError, SettingError
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.finetune.layout import layout_features
from muscletransfer.finetune.profile import TrainingProfile
from muscletransfer.finetune.stored_class import class_of
from muscletransfer.hardware import recommended_precision, use_channels_last
from muscletransfer.losses import activate
from muscletransfer.prediction.fuse import fold_norms

__all__ = ["BatchPrediction", "Ensemble"]


@dataclass(frozen=True, eq=False)
class BatchPrediction:
    """What the networks say about a batch.

    .. versionadded:: 0.1

    Args:
        probabilities: (B, K, h, w) float32, the mean over members and views.
        agreement: One a case: the mean Dice between the outlines of every two members (and views);
            ``None`` where there is one only.
        distance: One a case: how far its features lie from the training images, the mean over
            the members that know; 0 is typical, and 5 % of further images like the training ones
            would pass 1. ``None`` where none knows.

    Example:
        >>> import torch
        >>> one = BatchPrediction(torch.full((1, 1, 4, 4), 0.5), agreement=[None], distance=[None])
        >>> one.probabilities.shape
        torch.Size([1, 1, 4, 4])
    """

    probabilities: Tensor
    agreement: list[float | None]
    distance: list[float | None]


class Ensemble:
    """Fine-tuned networks that predict as one: the mean of their probabilities.

    Several threads may share one; they take turns.

    .. versionadded:: 0.1

    Args:
        members: Checkpoints of `SegmentationFineTuner`, or fine-tuners; given ones are copied. The
            checkpoint of a class of your own needs that class imported.
        tta: Also predict the mirror image and turn it back (the two halves of the trunk are alike).
        precision: ``"bf16-mixed"``, ``"32-true"``, or ``"auto"`` for the fast one of the machine.
        device: Where to run; a GPU when there is one.

    Raises:
        SettingError: No member, members that disagree on images or classes, another precision.
        WeightsError: A checkpoint is missing, damaged, or not one of this library.
        ContractError: A member is something else, or its encoder cannot be rebuilt.
        DataError: A member does not say how its images were prepared.

    Example:
        >>> model = SegmentationFineTuner("timm/resnet18")
        >>> model._trained_on = PreprocessingSpec(size=64)
        >>> ensemble = Ensemble([model], precision="32-true", device="cpu")
        >>> ensemble.predict([np.zeros((64, 64), np.int16)]).probabilities.shape
        torch.Size([1, 1, 64, 64])
    """

    def __init__(
        self,
        members: Sequence[str | Path | SegmentationFineTuner],
        *,
        tta: bool = False,
        precision: str = "auto",
        device: str | torch.device | None = None,
    ) -> None:
        if not members:
            raise SettingError("no checkpoint; wanted at least one.")
        loaded = [_load(member) for member in members]
        self.preprocessing = _same(loaded, members)
        self.num_classes = loaded[0].num_classes
        named = [_classes(one) for one in loaded if _classes(one)]
        self.class_names: list[str] | None = named[0] if named else None
        self.profiles: list[TrainingProfile | None] = [m.training_profile() for m in loaded]
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.precision = _precision(precision, self.device)
        self.tta = tta
        self._turn = threading.Lock()
        spec = self.preprocessing
        blank = spec.to_float(torch.zeros(1, *spec.shape, *(3,) * (spec.stored_channels == 3)))
        self._networks = [_prepared(m, self.device, self.precision, blank) for m in loaded]

    def __len__(self) -> int:
        return len(self._networks)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_turn"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _turn=threading.Lock())

    @property
    def voices(self) -> int:
        """How many predictions are averaged, members times views."""
        return len(self) * (2 if self.tta else 1)

    def predict(self, stored: Sequence[Any]) -> BatchPrediction:
        """Predict slices that are on the network grid.

        Args:
            stored: int16 arrays as `PreprocessingSpec.apply` gives them, of one shape.

        Returns:
            Probabilities, agreement and distance of each.
        """
        batch = torch.from_numpy(np.stack(stored)).to(self.device)
        images = self.preprocessing.to_float(batch).contiguous(memory_format=torch.channels_last)
        voices: list[Tensor] = []
        distances: list[Tensor] = []
        # One at a time: what the hook hears must be of this thread's images.
        with self._turn, torch.inference_mode(), self._autocast():
            for network, profile in zip(self._networks, self.profiles, strict=True):
                with _listening(network.model.encoder) as heard:
                    voices.append(activate(network(images).float()))
                if profile is not None and profile.features is not None:
                    distances.append(profile.features.distance(layout_features(images, heard[0])))
                if self.tta:
                    mirrored = activate(network(images.flip(-1)).float())
                    voices.append(mirrored.flip(-1))
            mean = torch.stack(voices).mean(0) if len(voices) > 1 else voices[0]
        count = len(mean)
        far = torch.stack(distances).mean(0).tolist() if distances else [None] * count
        return BatchPrediction(mean.cpu(), _agreement(voices), far)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision != "bf16-mixed":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def _load(member: str | Path | SegmentationFineTuner) -> SegmentationFineTuner:
    if isinstance(member, SegmentationFineTuner):
        return member
    if not isinstance(member, str | Path):
        raise ContractError(
            f"a member is a {type(member).__name__}; wanted the path of a checkpoint, or a "
            "SegmentationFineTuner."
        )
    found = class_of(member, SegmentationFineTuner)
    return found.load_from_checkpoint(member, map_location="cpu")


def _same(loaded: Sequence[SegmentationFineTuner], members: Sequence[Any]) -> PreprocessingSpec:
    """Return the members' preprocessing; raise unless they share it and their classes."""
    specs = [one.preprocessing for one in loaded]
    for spec, member in zip(specs, members, strict=True):
        if spec is None:
            raise DataError(
                f"{_name(member)} does not say how its images were prepared; wanted a checkpoint "
                "of a model that was fitted with a data module."
            )
        if spec != specs[0]:
            first, other = specs[0].to_dict(), spec.to_dict()  # type: ignore[union-attr]
            differ = [f"{k}={first[k]!r} and {other[k]!r}" for k in first if first[k] != other[k]]
            raise SettingError(
                f"{_name(members[0])} and {_name(member)} were trained on differently prepared "
                f"images ({', '.join(differ)}); wanted one preprocessing for the whole ensemble."
            )
    for one, member in zip(loaded, members, strict=True):
        if one.num_classes != loaded[0].num_classes:
            raise SettingError(
                f"{_name(members[0])} has {loaded[0].num_classes} classes and {_name(member)} "
                f"{one.num_classes}; wanted the same number for the whole ensemble."
            )
    named = [(m, one) for m, one in zip(members, loaded, strict=True) if _classes(one)]
    for member, one in named:
        if _classes(one) != _classes(named[0][1]):
            raise SettingError(
                f"{_name(named[0][0])} has the classes {', '.join(_classes(named[0][1]))} and "
                f"{_name(member)} {', '.join(_classes(one))}; wanted the same ones in the same "
                "order, since the probabilities of each number are averaged."
            )
    assert specs[0] is not None
    return specs[0]


def _classes(model: SegmentationFineTuner) -> list[str]:
    return list(model.hparams.get("class_names") or ())


def _name(member: object) -> str:
    return str(member) if isinstance(member, str | Path) else f"a {type(member).__name__}"


def _precision(wanted: str, device: torch.device) -> str:
    if wanted == "auto":
        return recommended_precision("cpu" if device.type == "cpu" else device.type)
    if wanted not in ("bf16-mixed", "32-true"):
        raise SettingError(f"precision is {wanted!r}; wanted 'auto', 'bf16-mixed' or '32-true'.")
    return wanted


def _prepared(
    model: SegmentationFineTuner, device: torch.device, precision: str, image: Tensor
) -> SegmentationFineTuner:
    """Return a copy ready to predict: evaluating, norms folded, channels last, cast once."""
    trainer, model._trainer = model._trainer, None  # a Trainer is no part of a network
    try:
        network = copy.deepcopy(model)
    finally:
        model._trainer = trainer
    network.eval().float()  # a model of another precision too; ``precision`` decides here
    network.model = fold_norms(network.model, image)  # type: ignore[assignment]
    network = use_channels_last(network.to(device))
    if precision == "bf16-mixed":
        # Autocast would cast the same kernels again for every batch; norms stay in float32.
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                part.to(torch.bfloat16)
    return network


@contextmanager
def _listening(encoder: nn.Module) -> Iterator[list[list[Tensor]]]:
    """Note what the encoder returns, so that features cost nothing more."""
    heard: list[list[Tensor]] = []
    hook = encoder.register_forward_hook(lambda _module, _inputs, maps: heard.append(maps))
    try:
        yield heard
    finally:
        hook.remove()


def _agreement(voices: Sequence[Tensor]) -> list[float | None]:
    """Mean Dice between every two outlines (all structures as one), a case."""
    if len(voices) < 2:
        return [None] * len(voices[0])
    masks = [_foreground(voice).flatten(1) for voice in voices]
    areas = [mask.sum(1).double() for mask in masks]
    scores = []
    for a, b in combinations(range(len(masks)), 2):
        both = (masks[a] & masks[b]).sum(1).double()
        whole = areas[a] + areas[b]
        scores.append(torch.where(whole > 0, 2 * both / whole.clamp_min(1), 1.0))
    found: list[float | None] = torch.stack(scores).mean(0).tolist()
    return found


def _foreground(probabilities: Tensor) -> Tensor:
    if probabilities.shape[1] == 1:
        return probabilities[:, 0] > 0.5
    return probabilities.argmax(1) > 0
