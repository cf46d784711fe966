"""From the study's file to its pre-trainings and runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from muscletransfer.errors import SettingError
from muscletransfer.study.config.names import is_weights_file
from muscletransfer.study.config.sources import SourceConfig
from muscletransfer.study.config.study import NetworkPart, StudyConfig
from muscletransfer.study.plan.cases import check_observers, study_cases
from muscletransfer.study.plan.given_weights import check_given_weights
from muscletransfer.study.plan.ids import content_key, run_seed
from muscletransfer.study.plan.pretexts import PretextPlanner
from muscletransfer.study.plan.record import StudyPlan
from muscletransfer.study.plan.specs import RunSpec
from muscletransfer.study.plan.splits import StudySplits
from muscletransfer.study.plan.versions import part_versions, weights_version

__all__ = ["plan_study"]


def plan_study(config: StudyConfig) -> StudyPlan:
    """Work out what a study has to run; nothing is trained and no image is opened.

    .. versionadded:: 0.1

    The files of a manifest are hashed (once: digests are remembered), so that the ids of runs tell
    of their content.

    Args:
        config: The study.

    Returns:
        The plan. The same file and data give the same ids on every machine.

    Raises:
        SettingError, SplitError, ManifestError, DataError: What cannot work.

    Example:
        >>> from muscletransfer.study.config import config_from_dict
        >>> plan = plan_study(config_from_dict({
        ...     "data": {"phantom": {"patients": 12}, "num_folds": 3},
        ...     "train_patients": [2, 4], "repeats": 2, "sources": ["random"],
        ... }))
        >>> len(plan.runs), len(plan.pretexts), plan.runs[0].label
        (12, 0, 'random n=2 fold 0 repeat 0')
    """
    if any(config.loggers.values()):
        from muscletransfer.study.work.loggers import check_loggers

        check_loggers(config.loggers)
    cases = study_cases(config)
    check_observers(config, cases)
    given = check_given_weights(config, cases)
    splits = StudySplits(config, cases)
    planner = PretextPlanner(config, cases, splits)
    settings = _settings(config)
    settings_key = content_key(settings)
    arms = [
        (source, encoder, decoder, transfer)
        for source in config.sources
        for encoder in _chosen(config.encoders, source.encoders)
        for decoder in _chosen(config.decoders, source.decoders)
        for transfer in planner.transfers(source)
    ]
    weights = {source.name: _weights_of(config, source) for source in config.sources}
    runs: list[RunSpec] = []
    # repeats outermost: a study that is stopped has every arm, with fewer repeats
    for repeat in range(config.repeats):
        for fold in range(splits.num_folds):
            seed = run_seed(config.data.seed, "run", fold, repeat)
            for n in config.train_patients:
                split_key = splits.key(n, fold, repeat)
                for source, encoder, decoder, transfer in arms:
                    pretext = planner.spec_for(source, encoder, decoder, fold, repeat)
                    runs.append(
                        RunSpec(
                            source=source.name,
                            source_kind=source.kind,
                            task=None if source.pretext is None else source.pretext.task,
                            encoder=encoder.name,
                            decoder=decoder.name,
                            transfer=transfer,
                            freeze=source.freeze,
                            n=n,
                            fold=fold,
                            num_folds=splits.num_folds,
                            repeat=repeat,
                            seed=seed,
                            pretext=None if pretext is None else pretext.id,
                            weights=weights[source.name][0],
                            weights_sha256=weights[source.name][1],
                            stem=source.stem,
                            split_key=split_key,
                            data_key=cases.key,
                            encoder_args=_arguments(encoder, decoder),
                            plugins=part_versions(
                                encoder.name, decoder.name, loss=config.finetune.loss
                            ),
                            settings=settings,
                            settings_key=settings_key,
                        )
                    )
    return StudyPlan(
        config=config,
        cases=cases,
        pretexts=tuple(planner.specs.values()),
        runs=tuple(runs),
        images=planner.images,
        notes=(*planner.notes, *given),
    )


def _settings(config: StudyConfig) -> dict[str, Any]:
    """What all runs share and what can change their results; paths and loggers are not in it."""
    data = config.data
    return {
        "finetune": asdict(config.finetune),
        "selection": asdict(config.selection),
        "compute": asdict(config.compute),
        "preprocessing": data.preprocessing.to_dict(),
        "augmentation": data.augmentation,
        "class_names": list(data.class_names),
        "slices_per_patient": data.slices_per_patient,
        "data_seed": data.seed,
    }


def _arguments(encoder: NetworkPart, decoder: NetworkPart) -> dict[str, Any]:
    return {
        "depth": encoder.depth,
        "kwargs": encoder.kwargs,
        "decoder_kwargs": decoder.kwargs,
    }


def _chosen(
    parts: tuple[NetworkPart, ...], names: tuple[str, ...] | None
) -> tuple[NetworkPart, ...]:
    return parts if names is None else tuple(part for part in parts if part.name in names)


def _weights_of(config: StudyConfig, source: SourceConfig) -> tuple[str | None, str | None]:
    """Name and digest of a source's weights."""
    if source.weights is None:
        return None, None
    if is_weights_file(source.weights):
        from muscletransfer.data.files import digest

        path = config.path(source.weights)
        return path.name, digest(path)
    colour = source.weights in ("imagenet", "coco", "coco-deeplabv3")
    if colour and source.stem == "strict" and config.data.preprocessing.channels == 1:
        raise SettingError(
            f"sources: {source.name!r} holds weights for 3-channel images and the study's have 1; "
            "add stem: adapt to the source, or data.preprocessing.channels: 3."
        )
    return source.weights, weights_version(source.weights)
