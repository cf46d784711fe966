"""The command line: ``muscletransfer COMMAND ...``.

Only the parser lives here, so that ``muscletransfer --help`` starts in a fraction of a second; each
command imports what it needs when it runs.
"""

from muscletransfer.cli.main import main

__all__ = ["main"]
