"""``muscletransfer data check``: is a manifest fit to be trained on?"""

from __future__ import annotations

import argparse

from muscletransfer.errors import DataError

__all__ = ["add_check", "run_check"]


def add_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the group.

    Args:
        actions: The subparsers of ``muscletransfer data``.
    """
    check = actions.add_parser(
        "check",
        help="check a manifest: files, grids, HU, masks, folds, slices of two patients alike",
        description="Read every image and mask as training would and list what is wrong, errors "
        "first, each with the way out. The exit status is 0 without errors and 2 with.",
    )
    check.add_argument("manifest", help="the CSV")
    check.add_argument("-o", "--output", metavar="HTML", help="also write a page with overlays")
    check.add_argument("--mask-column", default="mask", help="column with the masks")
    check.add_argument("--fold-column", help="column with the folds (fold or split by default)")
    check.add_argument("--not-ct", action="store_true", help="values are not HU, as in MR")
    check.add_argument("--workers", type=int, default=0, help="processes (0: this one)")
    check.add_argument("--quiet", action="store_true", help="no progress bar")
    check.set_defaults(run_data=run_check)


def run_check(options: argparse.Namespace) -> None:
    """Check, print what was found, and write the page.

    Args:
        options: The parsed arguments of the command.

    Raises:
        DataError: The manifest has errors; they are printed, and in the page.
    """
    from muscletransfer.data.checking import check_manifest

    check = check_manifest(
        options.manifest,
        mask_column=options.mask_column,
        fold_column=options.fold_column,
        is_ct=not options.not_ct,
        workers=options.workers,
        progress=not options.quiet,
    )
    written = None
    if options.output:
        from muscletransfer.report.data_check_page import write_data_check

        written = write_data_check(check, options.output)
    print(check.summary())
    if written is not None:
        print(written)
    if check.errors:
        raise DataError(
            f"{options.manifest}: errors: {len(check.errors)}; wanted none before training. They "
            "are listed above, each with the way out."
        )
