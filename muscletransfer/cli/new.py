"""``muscletransfer new pretext NAME``: a package of one's own, ready to run."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_new", "run_new"]


def add_new(commands: Any) -> None:
    """Add the command to the parser.

    Args:
        commands: What ``ArgumentParser.add_subparsers`` returned.
    """
    new = commands.add_parser(
        "new",
        help="write a package that adds a pretext task",
        description="Write a package of your own that plugs in, ready to run, with its tests.",
    )
    kinds = new.add_subparsers(dest="kind", metavar="WHAT", required=True)
    pretext = kinds.add_parser(
        "pretext",
        help="a package with one pretext task",
        description="Write a package with one pretext task. Nothing is overwritten.",
    )
    pretext.add_argument("name", metavar="NAME", help="of the task: which-way or mylab/which-way")
    pretext.add_argument(
        "-o", "--output", metavar="DIR", help="folder to make (./muscletransfer-NAME)"
    )


def run_new(options: argparse.Namespace) -> None:
    """Write the package and say what to do with it.

    Args:
        options: The parsed arguments of the command.

    Raises:
        SettingError: The name cannot be used, or the folder exists or cannot be made.
        DuplicateNameError: The name is taken.
    """
    from muscletransfer.scaffold import write_pretext_package

    folder = write_pretext_package(options.name, options.output)
    print(f"wrote {folder}")
    print(f'next: cd "{folder}" && pip install -e ".[dev]" && pytest')
