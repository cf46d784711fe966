"""Which pre-trainings a study needs: shared wherever they can be, one a fold where they must."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from muscletransfer.data.files import digest
from muscletransfer.errors import SettingError
from muscletransfer.study.config.names import check_weights_file, is_weights_file
from muscletransfer.study.config.sources import PretextConfig, SourceConfig
from muscletransfer.study.config.study import NetworkPart, StudyConfig
from muscletransfer.study.plan.cases import Cases
from muscletransfer.study.plan.ids import content_key, run_seed
from muscletransfer.study.plan.leakage import PretextImages, look_at_images
from muscletransfer.study.plan.specs import PretextSpec
from muscletransfer.study.plan.splits import StudySplits
from muscletransfer.study.plan.tasks import (
    check_arguments,
    handing_on,
    inner_tasks,
    trains_decoder,
)
from muscletransfer.study.plan.versions import part_versions, weights_version

__all__ = ["PretextPlanner"]

_BOTH = "encoder+decoder"


class PretextPlanner:
    """Makes the pre-training that a run starts from, each once.

    Args:
        config: The study.
        cases: Its cases.
        splits: Its splits.

    Attributes:
        specs: Pre-trainings by id, in the order they were asked for.
        images: By id: what it learns from, and the patients left out.
        notes: What a user should know.
    """

    def __init__(self, config: StudyConfig, cases: Cases, splits: StudySplits) -> None:
        self.config = config
        self.cases = cases
        self.splits = splits
        self.specs: dict[str, PretextSpec] = {}
        self.images: dict[str, tuple[PretextImages, tuple[str, ...]]] = {}
        self.notes: list[str] = []
        self._known: dict[tuple[Any, ...], PretextSpec] = {}
        self._looked: dict[str, PretextImages] = {}
        self._excluded: dict[tuple[str, int], tuple[str, ...]] = {}
        for source in config.sources:
            if source.pretext is not None:
                self._look(source, source.pretext)

    def transfers(self, source: SourceConfig) -> tuple[str, ...]:
        """Return what is transferred from a source, of what it can give.

        Raises:
            SettingError: A decoder is asked for that the source does not train.
        """
        if source.kind == "random":
            return ("none",)
        wanted = self.config.transfers if source.transfers is None else source.transfers
        can = True
        if source.pretext is not None:
            can = trains_decoder(source.pretext.task, source.pretext.init_args)
        elif source.weights is not None and source.weights.startswith("hf-hub:"):
            can = source.transfers is not None  # not looked at before it is fetched
        elif source.weights is not None:
            can = is_weights_file(source.weights) and self._file_has_decoder(source.weights)
        kept = tuple(t for t in wanted if can or t != _BOTH)
        if not kept or (source.transfers is not None and kept != wanted):
            raise SettingError(
                f"sources: {source.name!r} trains no decoder, so {_BOTH!r} cannot be transferred; "
                "wanted transfers: [encoder]."
            )
        return kept

    def spec_for(
        self,
        source: SourceConfig,
        encoder: NetworkPart,
        decoder: NetworkPart,
        fold: int,
        repeat: int,
    ) -> PretextSpec | None:
        """Return the pre-training a run starts from, or ``None`` where it needs none."""
        pretext = source.pretext
        if pretext is None:
            return None
        # Where only the encoder moves, the decoder it was trained with is the study's first.
        if _BOTH not in self.transfers(source):
            decoder = self.config.decoders[0]
        excluded = self._left_out(source, fold)
        again = repeat if pretext.per_repeat else 0
        known = (source.name, encoder.name, decoder.name, excluded, again)
        if known not in self._known:
            spec = self._spec(source, pretext, encoder, decoder, excluded, fold, again)
            self._known[known] = self.specs.setdefault(spec.id, spec)
            self.images.setdefault(spec.id, (self._looked[source.name], excluded))
        return self._known[known]

    def _spec(
        self,
        source: SourceConfig,
        pretext: PretextConfig,
        encoder: NetworkPart,
        decoder: NetworkPart,
        excluded: tuple[str, ...],
        fold: int,
        again: int,
    ) -> PretextSpec:
        init_args, own_decoder, decoder_kwargs = self._with_decoder(source, pretext, decoder)
        weights = init_args.get("weights")
        key = None
        if isinstance(weights, str) and is_weights_file(weights):
            check_weights_file(self.config, weights, f"sources ({source.name}).pretext.init_args")
            key = digest(self.config.path(weights))
            init_args["weights"] = Path(weights).name  # the key tells which; no id tells where
        preprocessing = {
            **self.config.data.preprocessing.to_dict(),
            **pretext.images.preprocessing,
        }
        images = {
            k: v
            for k, v in vars(pretext.images).items()
            if k not in ("images", "other_people", "exclude_validation", "licence")
        }
        return PretextSpec(
            task=pretext.task,
            init_args=init_args,
            weights_key=key,
            encoder=encoder.name,
            encoder_kwargs=encoder.kwargs,
            depth=encoder.depth,
            decoder=own_decoder,
            decoder_kwargs=decoder_kwargs,
            in_channels=self.config.data.preprocessing.channels,
            images={**images, "preprocessing": preprocessing},
            images_key=self._looked[source.name].key,
            excluded_patients=len(excluded),
            excluded_key=content_key(excluded),
            fold=fold if excluded else None,
            steps=pretext.steps,
            batch_size=pretext.batch_size,
            seed=run_seed(self.config.data.seed, "pretext", again),
            compute=asdict(self.config.compute),
            plugins=_versions(encoder.name, own_decoder, pretext),
        )

    def _with_decoder(
        self, source: SourceConfig, pretext: PretextConfig, decoder: NetworkPart
    ) -> tuple[dict[str, Any], str | None, dict[str, Any]]:
        """Return the arguments of a task, and name and arguments of the decoder that it trains."""
        init_args = dict(pretext.init_args)
        if not trains_decoder(pretext.task, init_args):
            return init_args, None, {}
        label = handing_on(pretext.task, init_args)
        tasks = {} if label is None else {str(k): v for k, v in init_args["tasks"].items()}
        own = init_args if label is None else dict(tasks[label] or {})
        name = own.pop("decoder", decoder.name)
        kwargs = own.pop("decoder_kwargs", decoder.kwargs if name == decoder.name else {})
        if label is not None:  # one task of several gets it with its arguments
            own |= {"decoder": name, **({"decoder_kwargs": kwargs} if kwargs else {})}
            init_args["tasks"] = {**tasks, label: own}
        if name != decoder.name and _BOTH in self.transfers(source):
            place = "init_args" if label is None else f"init_args.tasks.{label}"
            raise SettingError(
                f"sources: {source.name!r} trains the decoder {name!r}, and {decoder.name!r} is "
                f"to take it over; remove {place}.decoder (each decoder then gets its own), or set "
                f"the source's decoders: [{name}]."
            )
        return init_args, name, kwargs

    def _look(self, source: SourceConfig, pretext: PretextConfig) -> None:
        where = f"sources ({source.name})"
        check_arguments(pretext.task, pretext.init_args, f"{where}.pretext")
        replace(self.config.data.preprocessing, **_known_fields(pretext, where))
        found = look_at_images(self.config, self.cases, pretext.images)
        self._looked[source.name] = found
        self.notes += [f"{source.name}: {note}" for note in found.notes]

    def _left_out(self, source: SourceConfig, fold: int) -> tuple[str, ...]:
        if (source.name, fold) not in self._excluded:
            assert source.pretext is not None
            barred = self.splits.test(fold)
            if source.pretext.images.exclude_validation:
                barred += self.splits.validation(fold)
            self._excluded[source.name, fold] = self._looked[source.name].excluded(barred)
        return self._excluded[source.name, fold]

    def _file_has_decoder(self, weights: str) -> bool:
        from muscletransfer.transfer import read_artifact

        return read_artifact(self.config.path(weights)).decoder_state is not None


def _versions(encoder: str, decoder: str | None, pretext: PretextConfig) -> dict[str, str]:
    """Return the versions of what a pre-training takes from other packages, by part."""
    given = pretext.init_args
    inner = inner_tasks(pretext.task, given, "pretext")
    found = part_versions(encoder, decoder, pretext.task, inner=inner, loss=given.get("loss"))
    weights = given.get("weights")
    if isinstance(weights, str) and not is_weights_file(weights):
        version = weights_version(weights)
        if version is not None:
            found["weights"] = version
    return found


def _known_fields(pretext: PretextConfig, where: str) -> dict[str, Any]:
    """Check the names of preprocessing fields of a source; the spec checks their values."""
    from muscletransfer.data.preprocessing import PreprocessingSpec

    changed = pretext.images.preprocessing
    if "channels" in changed:
        raise SettingError(
            f"{where}.data.preprocessing.channels: the study's own, the same for all; remove it."
        )
    PreprocessingSpec.from_dict(changed)
    return changed
