"""``muscletransfer study``: the whole experiment from one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscletransfer.errors import SettingError

if TYPE_CHECKING:
    from muscletransfer.study.config.study import StudyConfig

__all__ = ["add_study", "run_study_command"]

_INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended

_EPILOG = """\
A study may be stopped at any moment (Ctrl-C, kill, a full disk) and started again with `study run`:
what is finished is not run again. An edited file adds runs and keeps those that are still wanted.
"""


def add_study(commands: Any) -> None:
    """Add the command to the parser.

    Args:
        commands: What ``ArgumentParser.add_subparsers`` returned.
    """
    study = commands.add_parser(
        "study",
        help="which source task saves how many labels: plan, run and report a whole study",
        description="Pre-train source tasks, fine-tune on n labelled patients in cross-validation, "
        "compare, report.",
        epilog=_EPILOG,
    )
    words = study.add_subparsers(dest="study_command", metavar="WORD", required=True)

    plan = words.add_parser(
        "plan",
        help="what a study would run, how long it would take and how much disk",
        description="Print the runs and pre-trainings of a study, their number, and an estimate "
        "of time and disk from a timed probe (kept for this machine and these settings).",
    )
    _add_file(plan)
    _add_output(plan)
    plan.add_argument("--no-probe", action="store_true", help="do not measure: no estimate")
    plan.add_argument("--fresh-probe", action="store_true", help="measure again")
    plan.add_argument("--list", action="store_true", help="print every run with its id")
    _add_executor(plan)

    run = words.add_parser(
        "run",
        help="run what is not done yet, then write results and report",
        description="Start a study, or go on with it.",
        epilog=_EPILOG,
    )
    _add_file(run)
    _add_output(run)
    run.add_argument("--retry", action="store_true", help="also run again what failed before")
    run.add_argument(
        "--no-report", action="store_true", help="leave tables, statistics and report for later"
    )
    _add_executor(run)

    status = words.add_parser(
        "status", help="what is done, running, failed", description="Print how far a study is."
    )
    _add_folder(status)

    retry = words.add_parser(
        "retry",
        help="run again what failed",
        description="Forget failures and go on with the study.",
    )
    _add_folder(retry)
    retry.add_argument("ids", nargs="*", metavar="ID", help="only these; all by default")
    retry.add_argument(
        "--no-report", action="store_true", help="leave tables, statistics and report for later"
    )
    _add_executor(retry)

    for word, text in (
        ("results", "rebuild tables and statistics from the finished runs"),
        ("report", "rebuild tables, statistics, figures and report.html"),
    ):
        parser = words.add_parser(word, help=text, description=f"{text.capitalize()}.")
        _add_folder(parser)
        if word == "report":
            parser.add_argument(
                "-o",
                "--output",
                metavar="FOLDER",
                help="where the report goes (default: the study's results/)",
            )
            parser.add_argument(
                "--no-pictures",
                action="store_true",
                help="show no slices of cases: for a page that may be passed on",
            )


def run_study_command(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: The parsed arguments.

    Returns:
        0 when all went well, 1 when some runs failed, 130 when it was stopped by Ctrl-C.

    Raises:
        MuscleTransferError: What cannot work.
    """
    return _WORDS[options.study_command](options)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", metavar="FILE_OR_FOLDER", help="the study's YAML file, or its folder to go on"
    )


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="FOLDER", help="the study's folder")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", help="the study's folder (default: the file's name)"
    )


def _add_executor(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it runs (changes no result)")
    group.add_argument("--executor", default="local", help="local (default) or ray")
    group.add_argument("--workers", type=int, help="runs at a time on this machine")
    group.add_argument(
        "--devices", default="auto", help='GPUs, as "0,1"; auto (default); "" for none'
    )
    group.add_argument(
        "--runs-per-device", type=int, default=1, metavar="K", help="runs that share one GPU"
    )
    group.add_argument("--address", help="of a Ray cluster that is up; without it a local one")
    group.add_argument("--cache", metavar="FOLDER", help="where preprocessed slices are kept")


def _folder_and_config(options: argparse.Namespace) -> tuple[str | Path, StudyConfig]:
    """Read the file, or the study of a folder."""
    from muscletransfer.study.config import read_config
    from muscletransfer.study.plan import study_config

    output = getattr(options, "output", None)
    given = _place(options.study)
    if isinstance(given, str) or given.is_dir():
        if output:
            raise SettingError(
                f"{given} is a study's folder and --output another one; wanted one of them, or the "
                "study's YAML file."
            )
        return given, study_config(given)
    config = read_config(given)
    return _place(output) if output else Path.cwd() / given.stem, config


def _place(text: str) -> str | Path:
    """A path, or a URL as it is."""
    return text if "://" in text else Path(text)


def _executor_options(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"executor": options.executor}
    if options.workers is not None:
        found["workers"] = options.workers
    found["runs_per_device"] = options.runs_per_device
    if options.executor == "local":
        found["devices"] = options.devices
    elif options.devices != "auto":
        if options.devices:
            raise SettingError(
                f"--devices {options.devices} names GPUs of this machine, but the executor "
                f'{options.executor!r} shares out its own; wanted auto, or "" for none.'
            )
        found["devices"] = False
    if options.address is not None:
        if options.executor == "local":
            raise SettingError(
                f"--address {options.address} is that of a Ray cluster, but the executor is "
                "'local'; add --executor ray."
            )
        found["address"] = options.address
    return found


def _plan(options: argparse.Namespace) -> int:
    from muscletransfer.study.plan.planning import plan_study
    from muscletransfer.study.plan.printing import print_plan

    folder, config = _folder_and_config(options)
    plan = plan_study(config)
    print_plan(plan, folder, every_run=options.list)
    if not options.no_probe:
        from muscletransfer.study.plan.estimate import print_estimate

        print_estimate(plan, folder, workers=options.workers, fresh=options.fresh_probe)
    return 0


def _run(options: argparse.Namespace) -> int:
    from muscletransfer.study.start import run_study

    folder, config = _folder_and_config(options)
    try:
        outcome = run_study(
            config,
            folder,
            retry=getattr(options, "retry", False),
            cache_dir=options.cache,
            **_executor_options(options),
        )
    except KeyboardInterrupt:
        print(f"Stopped; `muscletransfer study run {folder}` goes on.", file=sys.stderr)
        return _INTERRUPTED
    print(f"{folder}: {len(outcome.done)} done, {len(outcome.ran)} of them now.")
    for name, message in outcome.failed.items():
        print(f"failed: {name}: {message}", file=sys.stderr)
    if outcome.skipped:
        print(f"{len(outcome.skipped)} wait for a failed pre-training.", file=sys.stderr)
    if not outcome.complete:
        print(
            f"See {folder}/failed for tracebacks; `muscletransfer study retry {folder}` runs "
            "them again.",
            file=sys.stderr,
        )
    if isinstance(folder, str):  # a URL: tables are made where its files are fetched to
        return 0 if outcome.complete else 1
    if not options.no_report and (folder / "runs").is_dir():  # made by the first finished run
        _write_report(folder)
    return 0 if outcome.complete else 1


def _status(options: argparse.Namespace) -> int:
    from muscletransfer.study.plan.printing import print_status

    print_status(_place(options.study))
    return 0


def _retry(options: argparse.Namespace) -> int:
    from muscletransfer.study.plan import study_config
    from muscletransfer.study.running import retry_failed

    study_config(options.study)  # is there a study at all?
    found = retry_failed(options.study, options.ids or None)
    missing = sorted(set(options.ids) - set(found))
    if missing:
        raise SettingError(
            f"{', '.join(missing)}: no such failed run in {options.study}; `muscletransfer study "
            "status` lists them."
        )
    print(f"{len(found)} to run again.")
    return _run(options) if found else 0


def _results(options: argparse.Namespace) -> int:
    from muscletransfer.study.finish import write_study_results

    for path in write_study_results(options.study):
        print(path)
    return 0


def _report(options: argparse.Namespace) -> int:
    return _write_report(Path(options.study), options.output, pictures=not options.no_pictures)


def _write_report(folder: Path, output: str | None = None, *, pictures: bool = True) -> int:
    from muscletransfer.study.report import write_study_report

    print(write_study_report(folder, output, pictures=pictures))
    return 0


_WORDS = {
    "plan": _plan,
    "run": _run,
    "status": _status,
    "retry": _retry,
    "results": _results,
    "report": _report,
}
