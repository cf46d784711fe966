"""The Sphinx side: pictures and API pages before reading, shell blocks, and every link."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import sphinx.util.inspect
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from site_code.api import Api, Name, collect
from site_code.reader import SHELL_MAGIC

logger = logging.getLogger(__name__)
DOCS = Path(__file__).parents[1]
_API: list[Api] = []


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the handlers."""
    app.connect("builder-inited", draw_pictures)
    app.connect("builder-inited", write_api_pages)
    app.connect("autodoc-process-signature", show_arguments)
    app.connect("doctree-read", show_as_written)
    app.connect("missing-reference", find_reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def draw_pictures(app: Sphinx) -> None:
    """Draw what the pages show; in a process of its own, which is free to import torch."""
    subprocess.run(
        [sys.executable, str(DOCS / "site_code" / "pictures.py")], check=True, timeout=300
    )


def write_api_pages(app: Sphinx) -> None:
    """Write ``api/``: a page for each package, and their index."""
    api = collect()
    _API[:] = [api]
    folder = DOCS / "api"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if old.stem not in {"index", *api.pages}:
            old.unlink()
    for module, names in api.pages.items():
        _write(folder / f"{module}.md", _page(module, names, api.elsewhere[module]))
    entries = "\n".join(sorted(api.pages))
    _write(
        folder / "index.md",
        "# API\n\nOne page a package. Arrays have their shapes, quantities their units; errors are "
        "those a caller should\nexpect. Types of other packages are not linked: the site is built "
        f"without the network.\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n",
    )


def _page(module: str, names: list[Name], elsewhere: dict[str, str]) -> str:
    lines = [f"# {module}", "", "```{eval-rst}", f".. automodule:: {module}", "   :no-members:", ""]
    if elsewhere:
        lines += ["Documented on other pages:", ""]
        lines += [f"- :py:obj:`{path} <{there}>`" for path, there in elsewhere.items()]
        lines.append("")
    for name in names:
        path = name.home if name.directive == "autodata" else name.path
        lines += [f".. {name.directive}:: {path}"]
        if name.directive in ("autoclass", "autoexception"):
            lines.append("   :members:")
        if name.end:
            lines.append(f"   :inherited-members: {', '.join(name.end)}")
        lines.append("")
    return "\n".join([*lines, "```", ""])


def _write(path: Path, text: str) -> None:
    """Write a page unless it is the same: Sphinx reads again what has changed."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def show_arguments(
    app: Sphinx, what: str, name: str, obj: Any, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Show the arguments that a caller gives.

    The tasks' ``__new__`` takes anything and notes it; what is taken stands at ``__init__``. The
    default of a data class's field that a factory makes is written ``...``, which parses.
    """
    if what == "class" and (signature or "").startswith("(*args"):
        found = sphinx.util.inspect.signature(obj.__init__, bound_method=True)
        return sphinx.util.inspect.stringify_signature(
            found, unqualified_typehints=True, show_return_annotation=False
        ), returns
    if signature and "<factory>" in signature:
        return signature.replace("<factory>", "..."), returns
    return None


def show_as_written(app: Sphinx, doctree: nodes.document) -> None:
    """Show what was run by the shell magic as the shell block that it is in the page.

    A link to a file of the sources that the site does not have becomes its text; one that leads
    nowhere is left for MyST to complain about.
    """
    for block in list(doctree.findall(nodes.literal_block)):
        source = block.astext()
        if source.startswith(SHELL_MAGIC):
            shown = source.removeprefix(SHELL_MAGIC).lstrip("\n")
            block.replace_self(nodes.literal_block(shown, shown, language="bash"))
    (api,) = _API
    module = app.env.docname.removeprefix("api/")
    for link in list(doctree.findall(addnodes.pending_xref)):
        target = link["reftarget"]
        if link.get("refdomain") == "py":
            link["reftarget"] = meant(api, module, target)
        if link["reftype"] == "myst" and target.startswith("../") and (DOCS / target).exists():
            link.replace_self(link.children)


def meant(api: Api, module: str, target: str) -> str:
    """Return the name that a page means, where others have the same: its own, or one below it."""
    own = api.public.get(f"{module}.{target}")
    below = {
        path
        for path in api.public.values()
        if path.startswith(f"{module}.") and path.endswith(f".{target}")
    }
    return own or (below.pop() if len(below) == 1 else target)


def find_reference(
    app: Sphinx, env: BuildEnvironment, node: Any, content: nodes.Element
) -> nodes.Node | None:
    """Resolve inner paths and bare names of what is public; show what is not without a link."""
    target = node["reftarget"]
    if node.get("refdomain") != "py":
        return None
    (api,) = _API
    known = api.public.get(target) or api.short.get(target)
    if known is not None and known != target:
        domain = env.get_domain("py")
        found = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", known, node, content)
        if found is not None:
            return found
    return content if exists(target) else None


def exists(target: str) -> bool:
    """Tell whether a path or bare name is one of ours, though not public."""
    home, _, name = target.rpartition(".")
    if home:
        return hasattr(sys.modules.get(home), name) and home.startswith("muscletransfer")
    ours = (module for path, module in sys.modules.items() if path.startswith("muscletransfer."))
    return any(name in vars(module) for module in ours)
