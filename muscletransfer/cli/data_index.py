"""``muscletransfer data index``: the CT series of a tree of files, as a manifest."""

from __future__ import annotations

import argparse

__all__ = ["add_index", "run_index"]


def add_index(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the group.

    Args:
        actions: The subparsers of ``muscletransfer data``.
    """
    index = actions.add_parser(
        "index",
        help="find the axial CT series of a tree of DICOM, NIfTI, NRRD and MHA files",
        description="Walk a tree of files, pick the axial CT series, and write manifest.csv, one "
        "row a series under a pseudonym, and problems.csv: every other file or series, why it was "
        "left out, and the way out. One bad file never stops the run.",
    )
    index.add_argument("source", nargs="+", help="folders or files")
    index.add_argument("-o", "--output", default="manifest.csv", help="the manifest to write")
    index.add_argument(
        "--problems", help="the list of problems to write (problems.csv beside the manifest)"
    )
    index.add_argument(
        "--pixels",
        choices=["none", "middle", "all"],
        default="middle",
        help="which slices of a series are decoded and checked to be HU",
    )
    index.add_argument(
        "--links",
        metavar="FILE",
        help="also write which pseudonym is which patient, readable by you alone",
    )
    index.add_argument(
        "--key",
        metavar="FILE",
        help="make pseudonyms from the ids and the secret in this file, the same in every run "
        "(the file is made when it is not there); by default patients are numbered",
    )
    index.add_argument(
        "--patient",
        default="auto",
        metavar="RULE",
        help="whose a NIfTI, NRRD or MHA file is: file (each another), folder (one a folder), "
        "auto, or a regular expression with one group that is searched in the path",
    )
    index.add_argument("--workers", type=int, help="processes (as many as there are cores)")
    index.add_argument("--quiet", action="store_true", help="no progress bar")
    index.set_defaults(run_data=run_index)


def run_index(options: argparse.Namespace) -> None:
    """Index, write the tables, and say what they hold.

    Args:
        options: The parsed arguments of the command.

    Raises:
        DataError: No axial CT series was found (``problems.csv`` says why), or a name is no UTF-8.
    """
    from muscletransfer.data.indexing import index_images

    index = index_images(
        options.source,
        options.output,
        problems=options.problems,
        pixels=options.pixels,
        links=options.links,
        key=options.key,
        patient=options.patient,
        workers=options.workers,
        progress=not options.quiet,
    )
    print(index.summary())
