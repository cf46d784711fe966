"""``muscletransfer predict INPUT... --checkpoint A.ckpt``: files in, masks and measures out."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from muscletransfer.errors import SettingError

if TYPE_CHECKING:
    from muscletransfer.prediction import PredictionRun

__all__ = ["add_predict", "is_for_lightning", "run_predict"]

# Words that only LightningCLI's form of the command knows.
_LIGHTNING_OPTIONS = (
    "--config",
    "--ckpt_path",
    "--model",
    "--data",
    "--trainer",
    "--print_config",
    "--seed_everything",
    "--return_predictions",
    "--weights_only",
)


def is_for_lightning(arguments: Sequence[str]) -> bool:
    """Tell whether ``predict`` is meant in LightningCLI's form.

    Args:
        arguments: The command word and everything after it.

    Example:
        >>> is_for_lightning(["predict", "--config", "c.yaml", "--ckpt_path=best.ckpt"])
        True
        >>> is_for_lightning(["predict", "scans", "--checkpoint", "best.ckpt", "-o", "out"])
        False
    """
    options = [a.split("=")[0].split(".")[0] for a in arguments[1:] if a.startswith("--")]
    return any(option in _LIGHTNING_OPTIONS for option in options)


def add_predict(commands: Any) -> None:
    """Add the command to the parser.

    Args:
        commands: What ``ArgumentParser.add_subparsers`` returned.
    """
    predict = commands.add_parser(
        "predict",
        allow_abbrev=False,
        help="masks, measures, quality flags and a page from image files and a checkpoint",
        description="Outline muscle in CT slices: masks on the native grid, measures.csv, "
        "problems.csv, overlays and index.html, worst first.",
        epilog="With --config, --model, --data, --trainer or --ckpt_path the command is "
        "LightningCLI's (muscletransfer predict --config C --ckpt_path F): masks of the test cases "
        "of a data module.",
    )
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="file, folder or manifest CSV")
    predict.add_argument(
        "--checkpoint", nargs="+", required=True, metavar="CKPT", help="one, or several to average"
    )
    predict.add_argument("-o", "--output", required=True, help="folder to write to")
    predict.add_argument("--slice-index", type=int, help="slice of volumes, counted from 0")
    predict.add_argument(
        "--format", default="nifti", metavar="FORMAT", help="nifti, rtstruct or dicom-seg"
    )
    predict.add_argument("--tta", action="store_true", help="average with the mirror image")
    predict.add_argument("--batch-size", type=int, default=8)
    predict.add_argument("--precision", default="auto", help="auto, bf16-mixed or 32-true")
    predict.add_argument("--device", help="cpu, cuda, cuda:1, ...")
    predict.add_argument("--workers", type=int, default=2, help="threads that read and write")
    predict.add_argument("--no-overlays", action="store_true", help="draw no pictures")
    predict.add_argument("--overwrite", action="store_true", help="replace an earlier run")


def run_predict(options: argparse.Namespace) -> int:
    """Predict and say where the results are.

    Args:
        options: The parsed arguments.

    Returns:
        0 when every input was predicted, 1 when some were not, 2 when none was.

    Raises:
        MuscleTransferError: Nothing could be started.
    """
    if options.slice_index is not None and options.slice_index < 0:
        raise SettingError(f"--slice-index is {options.slice_index}; wanted 0 or more.")
    from tqdm import tqdm

    from muscletransfer.prediction import predict_cases

    with (
        warnings.catch_warnings(),
        tqdm(desc="cases", unit="case", file=sys.stderr, leave=False) as bar,
    ):
        # highdicom's, which has the name of the patient in it: a log is no place for that
        warnings.filterwarnings("ignore", "The string .* intended person name")
        run = predict_cases(
            options.inputs,
            options.checkpoint,
            options.output,
            slice_index=options.slice_index,
            mask_format=options.format,
            tta=options.tta,
            batch_size=options.batch_size,
            precision=options.precision,
            device=options.device,
            workers=options.workers,
            overlays=not options.no_overlays,
            overwrite=options.overwrite,
            on_case=lambda _: bar.update(),
        )
    _summary(run)
    if not run.problems:
        return 0
    return 1 if run.outcomes else 2


def _summary(run: PredictionRun) -> None:
    flagged = sum(bool(one.quality.flags) for one in run.outcomes)
    print(f"{len(run.outcomes)} predicted, {flagged} with a flag; look through {run.page}")
    print(f"one row a case: {run.measures}")
    reasons: dict[str, list[str]] = {}
    for flag, reason in run.flags_off.items():
        reasons.setdefault(reason, []).append(flag)
    for reason, flags in reasons.items():
        print(f"flags that are off ({', '.join(flags)}): {reason}")
    if run.passed_over:
        names = ", ".join(path.name for path in run.passed_over[:5])
        more = f" and {len(run.passed_over) - 5} more" if len(run.passed_over) > 5 else ""
        print(f"passed over, as no images: {names}{more}")
    for problem in run.problems:
        print(f"not predicted: {problem.case}: {problem.message}", file=sys.stderr)
