"""``muscletransfer study``: the whole experiment from one file."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscletransfer.errors import DataError, SettingError

if TYPE_CHECKING:
    from muscletransfer.study.config.study import StudyConfig

__all__ = ["INTERRUPTED", "add_study", "run_study_command"]

INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended

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

    fetch = words.add_parser(
        "fetch",
        help="copy what is finished from behind a URL, for tables and report",
        description="Copy plans, finished runs and pre-trainings of a study behind a URL to this "
        "machine, those that are not here yet.",
    )
    fetch.add_argument("study", metavar="URL", help="the study's URL, such as s3://bucket/study")
    fetch.add_argument(
        "-o", "--output", metavar="FOLDER", help="where to (default: the end of the URL)"
    )

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
    if output and Path(output).is_file():
        raise SettingError(f"--output {output} is a file; wanted a folder, or a new name for one.")
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


def _study_folder(text: str) -> str | Path:
    """The folder or URL of a study that was started."""
    place = _place(text)
    if isinstance(place, Path) and place.is_file():
        raise SettingError(
            f"{place} is a file; wanted a study's folder, which `muscletransfer study run` makes "
            f"(by default {place.stem} in the folder where it is called)."
        )
    return place


def _local_study(text: str) -> Path:
    """The folder of a study whose files are here."""
    place = _study_folder(text)
    if isinstance(place, str):
        raise SettingError(f"{place} is a URL; wanted a folder: {_how_to_fetch(place)}")
    return place


def _how_to_fetch(url: str) -> str:
    return f"`muscletransfer study fetch {url}` copies what is finished into one."


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
    from muscletransfer.study.plan.models import check_pretexts
    from muscletransfer.study.plan.planning import plan_study
    from muscletransfer.study.plan.printing import finished_ids, print_plan

    folder, config = _folder_and_config(options)
    plan = plan_study(config)
    check_pretexts(plan, finished_ids(folder))
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
        _say(f"Stopped; `muscletransfer study run {folder}` goes on.", "stderr")
        return INTERRUPTED
    _say(f"{folder}: {len(outcome.done)} done, {len(outcome.ran)} of them now.")
    for name, message in outcome.failed.items():
        _say(f"failed: {name}: {message}", "stderr")
    if outcome.skipped:
        _say(f"{len(outcome.skipped)} wait for a failed pre-training.", "stderr")
    if not outcome.complete:
        _say(
            f"See {folder}/failed for tracebacks; `muscletransfer study retry {folder}` runs "
            "them again.",
            "stderr",
        )
    if isinstance(folder, str):  # a URL: tables are made where its files are fetched to
        _say(f"Tables and report are made in a folder: {_how_to_fetch(folder)}")
        return 0 if outcome.complete else 1
    if not options.no_report and (folder / "runs").is_dir():  # made by the first finished run
        _write_report(folder)
    return 0 if outcome.complete else 1


def _status(options: argparse.Namespace) -> int:
    from muscletransfer.study.plan.printing import print_status

    print_status(_study_folder(options.study))
    return 0


def _retry(options: argparse.Namespace) -> int:
    from muscletransfer.study.plan import study_config
    from muscletransfer.study.running import read_status, retry_failed

    folder = _study_folder(options.study)
    study_config(folder)  # is there a study at all?
    status = read_status(folder)
    failed = [] if status is None else list(status.failed)
    missing = sorted(set(options.ids) - set(failed))
    if missing:  # before any traceback is removed
        raise SettingError(
            f"{', '.join(missing)}: no such failed run of the current plan in {options.study}; "
            "`muscletransfer study status` lists them. Nothing was changed."
        )
    # what failed in an earlier plan stays: this start would not run it
    found = retry_failed(folder, options.ids or failed)
    _say(f"{len(found)} to run again.")
    return _run(options) if found else 0


def _fetch(options: argparse.Namespace) -> int:
    from muscletransfer.study.running import fetch_folders, read_plans

    url = options.study.rstrip("/")
    if "://" not in url:
        raise SettingError(f"{url} is no URL; wanted one, such as s3://bucket/study.")
    folder = Path(options.output or url.rpartition("/")[2])
    if not read_plans(url):
        raise DataError(f"{url}: holds no study (no plans/*.json); wanted the URL of one.")
    count = fetch_folders(url, folder, ("runs", "pretexts"))
    _say(f"{folder}: {count} fetched; `muscletransfer study report {folder}` goes on.")
    return 0


def _results(options: argparse.Namespace) -> int:
    from muscletransfer.study.finish import write_study_results

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        paths = write_study_results(_local_study(options.study))
    for one in told:
        _say(f"note: {one.message}", "stderr")
    for path in paths:
        print(path)
    return 0


def _report(options: argparse.Namespace) -> int:
    folder = _local_study(options.study)
    return _write_report(folder, options.output, pictures=not options.no_pictures)


def _write_report(folder: Path, output: str | None = None, *, pictures: bool = True) -> int:
    from muscletransfer.study.report import write_study_report

    _say(str(write_study_report(folder, output, pictures=pictures)))
    return 0


def _say(words: str, stream: str = "stdout") -> None:
    """Print where somebody may have stopped reading; what is to be done goes on all the same."""
    try:
        print(words, file=getattr(sys, stream), flush=True)
    except OSError:  # a closed pipe or terminal
        setattr(sys, stream, open(os.devnull, "w"))  # noqa: SIM115 - until the end of the process


_WORDS = {
    "plan": _plan,
    "run": _run,
    "status": _status,
    "retry": _retry,
    "fetch": _fetch,
    "results": _results,
    "report": _report,
}
