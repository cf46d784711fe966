"""Build every kind of model of a study once before it starts, so that none fails hours later."""

from __future__ import annotations

from collections.abc import Collection

from muscletransfer.errors import MuscleTransferError, SettingError, UnknownNameError
from muscletransfer.randomness import own_stream
from muscletransfer.study.config.names import is_weights_file
from muscletransfer.study.plan.record import StudyPlan
from muscletransfer.study.plan.specs import PretextSpec
from muscletransfer.study.plan.tasks import has_argument

__all__ = ["check_models", "check_pretexts"]


def check_models(plan: StudyPlan, finished: Collection[str] = ()) -> None:
    """Build one model of each encoder and decoder, and of each arm that starts from given weights.

    Weights of a name are fetched on the way, once, and not by every worker.

    Args:
        plan: The plan.
        finished: Ids that need nothing any more.

    Raises:
        TransferError, WeightsError: Weights cannot be had, or do not fit; with the source's name.
        MuscleTransferError: Arguments of an encoder, a decoder or the loss are wrong.
    """
    files = {
        source.name: str(plan.config.path(source.weights))
        for source in plan.config.sources
        if source.weights is not None and is_weights_file(source.weights)
    }
    seen: set[tuple[str, ...]] = set()
    for run in plan.runs:
        given = run.source_kind == "weights"
        kind = run.arm if given else (run.encoder, run.decoder)
        if kind in seen or run.id in finished:
            continue
        seen.add(kind)
        from muscletransfer.study.work.finetune import build_model

        try:
            build_model(run, files.get(run.source, run.weights) if given else None)
        except MuscleTransferError as error:
            what = f"source {run.source!r} ({run.weights}) for {run.encoder}" if given else "models"
            way_out = (
                " Remove the source from the study's file to go on without it." if given else ""
            )
            raise type(error)(f"{what}: {error} Nothing was started.{way_out}") from error


def check_pretexts(plan: StudyPlan, finished: Collection[str] = ()) -> None:
    """Build one task of each kind of pre-training, and see whether all have images left.

    No weights are fetched and no image is read.

    Args:
        plan: The plan.
        finished: Ids that need nothing any more.

    Raises:
        SettingError: A task cannot be built with its arguments, or does not take what the study
            sets, or all its images show patients who are left out; with the source's name.
    """
    sources = {run.pretext: run.source for run in plan.runs}
    seen: set[str] = set()
    for spec in plan.pretexts:
        if spec.id not in finished:
            _check_left(plan, spec, f"sources ({sources[spec.id]})")
        kind = repr((spec.task, spec.init_args, spec.encoder, spec.depth, spec.decoder))
        if kind in seen or spec.id in finished:
            continue
        seen.add(kind)
        from muscletransfer.study.work.pretrain import build_task, shared_arguments

        # The number of classes is known when the images are; arguments may go with it.
        guesses = has_argument(spec.task, "num_classes") and "num_classes" not in spec.init_args
        place, taken = f"sources ({sources[spec.id]}).pretext", None
        try:
            taken = shared_arguments(spec)
            with own_stream(0):
                build_task(spec, None, None)
        except Exception as error:  # of a constructor that anybody may have written
            if taken is not None and guesses and not isinstance(error, UnknownNameError):
                continue
            if isinstance(error, MuscleTransferError):
                raise type(error)(f"{place}: {error}") from error
            raise SettingError(
                f"{place}: the task {spec.task!r} cannot be built with init_args "
                f"{spec.init_args} ({type(error).__name__}: {error}). Give what it needs, or "
                "remove what it cannot use."
            ) from error


def _check_left(plan: StudyPlan, spec: PretextSpec, place: str) -> None:
    images, excluded = plan.images[spec.id]
    for path, patients in images.patients.items():
        if patients <= set(excluded):
            raise SettingError(
                f"{place}: {path} shows {len(patients)} patients of the study, and in fold "
                f"{spec.fold} all of them are left out, so nothing is left to learn from. Wanted "
                "images of others too, or other folds."
            )
    share = spec.images["val_fraction"]
    listed = all("phantom" not in one and one["kind"] == "manifest" for one in images.sources)
    left = frozenset().union(*images.patients.values()) - set(excluded)
    if share > 0 and listed and len(left) == 1:
        when = f"in fold {spec.fold} one patient is left" if excluded else "there is one patient"
        raise SettingError(
            f"{place}: of {', '.join(images.patients)} {when}, who cannot both train and validate "
            f"(val_fraction is {share}). Wanted images of others too, other folds, or "
            "data.val_fraction: 0 to go without validation."
        )
