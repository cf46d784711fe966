"""Commands of ours end without a search for cycles; whoever only calls `main` is left alone."""

from __future__ import annotations

import subprocess
import sys

START = """
import atexit, gc, sys
before = gc.get_freeze_count()  # Python 3.12 has frozen some objects itself
atexit.register(lambda: print("frozen" if gc.get_freeze_count() > before + 9 else "as ever"))
"""


def ends(code: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", START + code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_what_was_registered_is_still_called() -> None:
    code = """
from muscletransfer.quick_exit import exit_quickly
exit_quickly()
exit_quickly()
atexit.register(print, "called")
print("not flushed yet", end="\\n")
"""
    assert ends(code) == ["not flushed yet", "called", "frozen", ""]


def test_a_command_ends_quickly() -> None:
    code = "from muscletransfer.cli import main; sys.exit(main())"
    assert ends(code, "list", "decoders", "unet") == ["unet", "frozen", ""]


def test_a_call_of_main_leaves_the_callers_process_alone() -> None:
    code = "from muscletransfer.cli import main; main(['list', 'decoders', 'unet'])"
    assert ends(code) == ["unet", "as ever", ""]
