"""Sphinx configuration: ``sphinx-build -W --keep-going -j auto docs docs/_build``."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

# Inherited by every page's kernel. What a user's cache holds must not decide a page.
os.environ["MUSCLETRANSFER_DOCS"] = str(DOCS)
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "MUSCLETRANSFER_CACHE" not in os.environ:
    os.environ["MUSCLETRANSFER_CACHE"] = tempfile.mkdtemp(prefix="muscletransfer-docs-")
    atexit.register(shutil.rmtree, os.environ["MUSCLETRANSFER_CACHE"], ignore_errors=True)

import muscletransfer  # noqa: E402 - after the environment is set

project = "muscletransfer"
author = "The muscletransfer authors"
copyright = "The muscletransfer authors, Apache-2.0"
version = release = muscletransfer.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "site_code.extension",
]
source_suffix = {".md": "myst-nb"}
exclude_patterns = ["_build"]

# Pages are plain Markdown; their python and bash blocks are cells. See site_code/.
nb_custom_formats = {".md": "site_code.reader.read_page"}
nb_execution_mode = "auto"  # runs a page that has a block, since no page comes with outputs
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_show_tb = True  # a block that fails is a warning, so all pages are tried
nb_output_stderr = "remove"  # progress and the Trainer's notes on this machine
nb_merge_streams = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# Every reference has to lead somewhere.
nitpicky = True
nitpick_ignore_regex = [
    # Other projects, Python included: their inventories would need the network. Names of our own
    # that are not public are shown without a link when they exist: site_code/extension.py.
    (r"py:.*", r"(collections|pathlib|typing|argparse|os|fractions|logging|subprocess)\..*"),
    (r"py:.*", r"(torch|torchmetrics|lightning|numpy|pandas|matplotlib|SimpleITK)\..*"),
    (r"py:class", r"Path|Tensor|nn\.Module|Figure|np\..*|npt\..*|pd\..*"),
]

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Lightning documents its hooks
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # a field of its own for each would describe properties twice

html_theme = "furo"
html_title = f"muscletransfer {release}"
html_static_path = []
