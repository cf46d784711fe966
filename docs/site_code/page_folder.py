"""Runs inside a page's kernel: the folder that its blocks share, and its shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import IPython

ROOT = Path(__file__).parents[2]


def start_page() -> None:
    """Make the current folder look like a checkout, and let shell blocks run in one shell.

    Pages name ``examples/configs``. Variables that a shell block exports are there in the next one,
    as they are for a person who types them.
    """
    shutil.copytree(ROOT / "examples" / "configs", "examples/configs")
    exported = ""
    here = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([here, os.environ["PATH"]]),
        "MPLBACKEND": "Agg",
        # Rich and tqdm fit their lines to the terminal; the page has no terminal.
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }

    def shell(_: str, cell: str) -> None:
        nonlocal exported
        with tempfile.NamedTemporaryFile("w+", prefix="page-", suffix=".sh") as kept:
            kept.write(exported)
            kept.flush()
            script = f"source {kept.name}\n{cell}\nexport -p > {kept.name}\n"
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
            exported = Path(kept.name).read_text()
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode}\n{done.stderr[-3000:]}")

    IPython.get_ipython().register_magic_function(shell, "cell", "shell")
