"""``muscletransfer data``: from files as they arrive to a manifest that can be trained on."""

from __future__ import annotations

import argparse

from muscletransfer.cli.data_check import add_check
from muscletransfer.cli.data_index import add_index
from muscletransfer.cli.data_prepare import add_prepare

__all__ = ["add_data", "run_data"]


def add_data(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group of commands to the parser.

    Each of its commands lives in a module of its own, which names the function that runs it with
    ``set_defaults(run_data=...)`` and imports what is heavy only there.

    Args:
        commands: The subparsers of the command line.
    """
    group = commands.add_parser(
        "data",
        help="turn exports and data sets into a manifest",
        description="From files as they arrive to a manifest that can be trained on.",
    )
    actions = group.add_subparsers(dest="action", metavar="WHAT", required=True)
    add_index(actions)
    add_prepare(actions)
    add_check(actions)


def run_data(options: argparse.Namespace) -> None:
    """Run the command of the group that was asked for.

    Args:
        options: The parsed arguments.
    """
    options.run_data(options)
