"""Plain Markdown pages as notebooks: what a person reads as an example is what is run."""

from __future__ import annotations

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from site_code.blocks import split_page

SHELL_MAGIC = "%%shell"
_START = """\
import os, sys
sys.path.insert(0, os.environ["MUSCLETRANSFER_DOCS"])
from site_code.page_folder import start_page
start_page()
del os, sys, start_page
"""


def read_page(page: str) -> nbformat.NotebookNode:
    """Turn a page into a notebook: Python blocks as they are, shell blocks under a magic.

    A page with code begins with a hidden cell that makes its folder ready, see
    :func:`site_code.page_folder.start_page`. One without code starts no kernel.
    """
    parts = split_page(page)
    cells, lines = [], []
    if any(part.kind != "text" for part in parts):
        cells.append(new_code_cell(_START, metadata={"tags": ["remove-cell"]}))
        lines.append(0)
    for part in parts:
        if part.kind == "text":
            cells.append(new_markdown_cell(part.source))
        elif part.kind == "bash":
            cells.append(new_code_cell(f"{SHELL_MAGIC}\n{part.source.rstrip()}"))
        else:
            cells.append(new_code_cell(part.source.rstrip()))
        lines.append(part.line)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "source_map": lines})
