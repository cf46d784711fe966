"""Parse the command word, run the command, turn errors of ours into one readable line."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from muscletransfer._version import __version__
from muscletransfer.cli.data import add_data
from muscletransfer.cli.measuring import add_measure
from muscletransfer.cli.new import add_new
from muscletransfer.cli.observing import add_observers
from muscletransfer.cli.predicting import add_predict, is_for_lightning
from muscletransfer.cli.studying import INTERRUPTED, add_study
from muscletransfer.errors import MuscleTransferError
from muscletransfer.quick_exit import exit_quickly

__all__ = ["main"]

_LIGHTNING = {
    "fit": "train a pretext task or fine-tune a segmentation model",
    "validate": "score a checkpoint on the validation cases",
    "test": "score a checkpoint on the test cases, one row a case",
}
_LIGHTNING_PREDICT = "predict with LightningCLI"
_LISTING = ("list", "inspect", "status", "plan")  # what `| head` may cut short


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="muscletransfer",
        description="Source tasks, transfer and low-data evaluation of muscle segmentation on CT.",
        epilog="Set MUSCLETRANSFER_DEBUG=1 to see the traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"muscletransfer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="the whole story on synthetic images: pre-train, fine-tune, report",
        description="Phantom cohort, two source tasks, fine-tuning on 5 and 10 patients, a report.",
    )
    demo.add_argument("--output", default="muscletransfer_demo", help="folder for the report")
    demo.add_argument("--seed", type=int, default=0, help="seed of every random choice")
    demo.add_argument("--quick", action="store_true", help="a smaller run that only shows it works")

    phantom = commands.add_parser(
        "phantom",
        help="write a synthetic L3 cohort to try things on",
        description="Draw a synthetic cohort: manifest.csv, observers.csv, pretext.csv, images.",
    )
    phantom.add_argument("output", help="folder to make")
    phantom.add_argument("--patients", type=int, default=40)
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--size", type=int, default=512, help="rows and columns of a slice")
    phantom.add_argument("--format", choices=["nifti", "dicom"], default="nifti")
    phantom.add_argument("--observers", type=int, default=0, help="simulated observers, 0 to 10")
    phantom.add_argument("--other-levels", type=int, default=3, help="slices for pretext tasks")
    phantom.add_argument(
        "--troubles",
        nargs="+",
        default=[],
        metavar="NAME",
        help="arms, metal, motion, truncated: every third patient has one, the kinds in turn",
    )

    add_data(commands)
    add_measure(commands)
    add_observers(commands)

    add_predict(commands)
    add_study(commands)

    for name, text in _LIGHTNING.items():
        commands.add_parser(
            name, help=text, add_help=False, description="All arguments go to LightningCLI."
        )

    listing = commands.add_parser(
        "list", help="names that can be used", description="Names that can be used, one a line."
    )
    listing.add_argument("what", choices=["encoders", "decoders", "pretexts", "weights"])
    listing.add_argument("pattern", nargs="?", help='shell pattern, as in "timm/resnet*"')

    add_new(commands)

    inspect = commands.add_parser(
        "inspect",
        help="what a checkpoint or exported encoder is and where it comes from",
        description="Print the provenance chain of a .ckpt or .safetensors file.",
    )
    inspect.add_argument("file", help="a .ckpt or .safetensors file")
    inspect.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    .. versionadded:: 0.1

    Args:
        argv: Arguments without the program name; those of the process by default.

    Returns:
        The exit status: 0 when it worked, 1 when ``predict`` left inputs out, runs of a
        ``study`` failed or nobody read the output to its end, 2 for an error the user can mend,
        130 when it was stopped by Ctrl-C.

    Example:
        >>> main(["list", "pretexts", "jig*"])
        jigsaw
        0
    """
    if argv is None:
        exit_quickly()
        if hasattr(sys.stdout, "reconfigure"):  # a path that is no UTF-8 is still told
            sys.stdout.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if arguments[:1] == ["predict"] and is_for_lightning(arguments):
        options = argparse.Namespace(command=_LIGHTNING_PREDICT)
    else:
        options, rest = parser.parse_known_args(arguments)
        if rest and options.command not in _LIGHTNING:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        status = _run(options, arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `muscletransfer list encoders | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter closes it at exit
        word = getattr(options, "study_command", options.command)
        return 0 if word in _LISTING else 1
    except (KeyboardInterrupt, SystemExit) as stop:
        # A Trainer that is interrupted ends by sys.exit(1).
        in_trainer = isinstance(stop, SystemExit)
        if in_trainer and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        if argv is not None or (options.command in _LIGHTNING and not in_trainer):
            raise  # callers have their own ways
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except (MuscleTransferError, OSError) as error:
        in_training = options.command in _LIGHTNING and not isinstance(error, MuscleTransferError)
        if os.environ.get("MUSCLETRANSFER_DEBUG") or in_training:  # whose code may be the user's
            raise
        with contextlib.suppress(OSError):  # the terminal may be what is gone
            print(f"error: {_in_words(error)}", file=sys.stderr)
        return 2


def _in_words(error: Exception) -> str:
    if isinstance(error, MuscleTransferError) or not isinstance(error, OSError):
        return str(error)
    if error.filename is None or error.strerror is None:
        return f"{error}. See MUSCLETRANSFER_DEBUG=1 for where."
    return f"{error.filename}: {error.strerror}. Check the path, its rights and the disk."


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    if options.command in (*_LIGHTNING, _LIGHTNING_PREDICT):
        from muscletransfer.cli.lightning import run_lightning

        run_lightning(arguments)
    elif options.command == "predict":
        from muscletransfer.cli.predicting import run_predict

        return run_predict(options)
    elif options.command == "demo":
        from muscletransfer.demo import run_demo

        run_demo(options.output, seed=options.seed, quick=options.quick)
    elif options.command == "phantom":
        from muscletransfer.cli.phantom import write_phantom

        write_phantom(options)
    elif options.command == "data":
        from muscletransfer.cli.data import run_data

        run_data(options)
    elif options.command == "measure":
        from muscletransfer.cli.measuring import run_measure

        run_measure(options)
    elif options.command == "observers":
        from muscletransfer.cli.observing import run_observers

        run_observers(options)
    elif options.command == "study":
        from muscletransfer.cli.studying import run_study_command

        return run_study_command(options)
    elif options.command == "new":
        from muscletransfer.cli.new import run_new

        run_new(options)
    elif options.command == "list":
        from muscletransfer.cli.listing import print_names

        print_names(options.what, options.pattern)
    else:
        from muscletransfer.cli.inspecting import print_provenance

        print_provenance(options.file, as_json=options.json)
    return 0
