"""Load the weights of every source once before a study starts, so that none fails hours later."""

from __future__ import annotations

from collections.abc import Collection

from muscletransfer.errors import MuscleTransferError
from muscletransfer.study.config.names import is_weights_file
from muscletransfer.study.plan.record import StudyPlan

__all__ = ["check_weights"]


def check_weights(plan: StudyPlan, finished: Collection[str] = ()) -> None:
    """Build one model of each arm that starts from weights the study does not make itself.

    Weights of a name are fetched on the way, once, and not by every worker.

    Args:
        plan: The plan.
        finished: Ids that need nothing any more.

    Raises:
        TransferError, WeightsError: They cannot be had, or do not fit; with the source's name.
    """
    files = {
        source.name: str(plan.config.path(source.weights))
        for source in plan.config.sources
        if source.weights is not None and is_weights_file(source.weights)
    }
    seen = set()
    for run in plan.runs:
        if run.source_kind != "weights" or run.arm in seen or run.id in finished:
            continue
        seen.add(run.arm)
        from muscletransfer.study.work.finetune import build_model

        try:
            build_model(run, files.get(run.source, run.weights))
        except MuscleTransferError as error:
            raise type(error)(
                f"source {run.source!r} ({run.weights}) for {run.encoder}: {error} Nothing was "
                "started; remove the source from the study's file to go on without it."
            ) from error
