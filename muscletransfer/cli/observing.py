"""``muscletransfer observers``: an observer study, and the human-level test of a model."""

from __future__ import annotations

import argparse

from muscletransfer.errors import SettingError

__all__ = ["add_observers", "run_observers"]

_MARGIN = (
    "how much worse than another observer the model may agree, as 0.01 (Dice) or dta_rms_mm=0.3; "
    "the first given is the verdict"
)


def add_observers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser.

    Args:
        commands: The subparsers of the command line.
    """
    observers = commands.add_parser(
        "observers",
        help="how well observers agree, and whether a model is as good as a human",
        description="Compare observers' masks of the same cases with each other, a reference and "
        "a model; write tables, figures and report.html.",
    )
    observers.add_argument(
        "observers", metavar="OBSERVERS.csv", help="patient_id,image,mask,observer[,slice_index]"
    )
    observers.add_argument("--reference", metavar="CSV", help="manifest with the reference masks")
    observers.add_argument("--model", metavar="CSV", help="manifest with a model's masks")
    observers.add_argument("-o", "--output", default="observers", help="folder to write into")
    observers.add_argument("--margin", action="append", default=[], help=_MARGIN)
    observers.add_argument("--consensus", choices=["majority", "staple"], default="majority")
    observers.add_argument(
        "--empty",
        choices=["error", "failure", "missing"],
        default="error",
        help="what an observer's empty mask means",
    )
    observers.add_argument("--label", type=int, help="the class, in masks of several")
    observers.add_argument("--no-hu", action="store_true", help="images are no CT: outlines alone")
    observers.add_argument("--confidence", type=float, default=0.95, help="of the human-level test")
    observers.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")


def run_observers(options: argparse.Namespace) -> None:
    """Run the study, write it, and print the verdict.

    Args:
        options: The parsed arguments of the command.

    Raises:
        SettingError: A model without a margin, a margin without a model, or one that cannot be
            read.
    """
    margins = _margins(options)
    from muscletransfer.observers import human_level, observer_study_from_manifest
    from muscletransfer.report.observer_page import write_observer_study

    study = observer_study_from_manifest(
        options.observers,
        options.reference,
        options.model,
        consensus=options.consensus,
        empty=options.empty,
        label=options.label,
        with_hu=not options.no_hu,
    )
    human = [
        human_level(study, margin, metric, options.confidence, seed=options.seed)
        for metric, margin in margins.items()
    ]
    page = write_observer_study(study, options.output, human)
    for found in human:
        print(found)
        for line in (found.leave_one_out, *found.bands):
            if line is not None:
                print(f"  {line}")
    for note in study.notes:
        print(f"note: {note}")
    print(page)


def _margins(options: argparse.Namespace) -> dict[str, float]:
    margins: dict[str, float] = {}
    for text in options.margin:
        metric, _, number = text.rpartition("=")
        metric = metric or "dice"
        if metric in margins:
            raise SettingError(f"--margin of {metric} was given twice; wanted one.")
        try:
            margins[metric] = float(number)
        except ValueError as error:
            raise SettingError(f"--margin {text!r}; {_MARGIN}.") from error
    if options.model and not margins:
        raise SettingError(
            "--model without --margin: choose, before looking, how much worse than another "
            "observer is still good enough, as --margin 0.01 (Dice) or --margin dta_rms_mm=0.3."
        )
    if margins and not options.model:
        raise SettingError("--margin without --model: there is nothing to test against it.")
    return margins
