"""Pages: README's Python runs here, those of docs/ when the site is built, and all links lead on.

Building the site (``docs/conf.py``) runs every python and bash block of docs/; running them here
too would only do it twice. What can be seen without running them is checked here.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from site_code.blocks import RUN, Block, split_page  # noqa: E402 - no package: found by its folder

ENVIRONMENT = {**os.environ, "MPLBACKEND": "Agg"}
DOCS = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))
PAGES = ["README.md", *DOCS]
# Commands in docs/ that are shown (```console) and not run, each with its reason.
SHOWN = {
    "git clone <where you found this>": "the reader's own address",
    "cd muscletransfer": "goes with it",
    "pip install .": ".ci/run installs",
    "pip install 'muscletransfer[dicom]'": ".ci/run installs",
    "muscletransfer demo": "takes minutes; .ci/run runs it with --quick",
    "muscletransfer study results my_study": "needs a study that has run",
    "muscletransfer study report my_study": "likewise",
    "python examples/real_ct.py DATA_FOLDER": "needs images that are not part of the project",
    "python examples/real_files.py DATA_FOLDER": "likewise",
    "python examples/real_study.py DATA_FOLDER --study phantom --workers 2": "likewise; hours long",
    "python examples/real_study.py DATA_FOLDER --study cardiac_mr --workers 2": "likewise",
}


def parts(page: str) -> list[Block]:
    return split_page((ROOT / page).read_text())


def blocks(page: str, language: str) -> list[str]:
    return [p.source for p in parts(page) if p.kind == language]


@pytest.mark.slow
def test_python_blocks_of_readme_run(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks("README.md", "python")))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_the_commands_of_readme_run(tmp_path: Path) -> None:
    """Those from the cohort to the provenance of its model, with fewer and smaller steps."""
    (commands,) = [b for b in blocks("README.md", "bash") if "muscletransfer fit" in b]
    preprocessing = {"init_args": {"size": 64}}
    few = {"preprocessing": preprocessing, "batch_size": 2, "steps_per_epoch": 2}
    trainer = {"max_steps": 2, "enable_progress_bar": False, "accelerator": "cpu"}
    small = {"trainer": trainer, "data": {"init_args": few}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    commands = re.sub(
        r"--config (examples\S+)", rf"--config {ROOT}/\1 --config small.yaml", commands
    )
    commands = commands.replace("phantom phantom ", "phantom phantom --patients 24 --size 128 ")
    python = f'muscletransfer() {{ "{sys.executable}" -m muscletransfer "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", python + commands],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "jigsaw" in done.stdout  # the parent, in the chain that `inspect` prints
    assert "timm/resnet18" in done.stdout
    assert "test_dice" in done.stdout


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")])
def test_python_blocks_parse(page: str) -> None:
    for block in parts(page):
        if block.kind == "python":
            ast.parse(block.source, filename=f"{page}:{block.line + 1}")


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")])
def test_shell_blocks_parse(page: str) -> None:
    for source in blocks(page, "bash"):
        done = subprocess.run(
            ["bash", "-n"], input=source, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr


def test_commands_that_are_shown_and_not_run_are_known() -> None:
    shown = set()
    for page in DOCS:
        text = "".join(p.source for p in parts(page) if p.kind == "text")
        for block in re.findall(r"^```(?:console|sh|shell)\n(.*?)^```", text, re.M | re.S):
            lines = [line.removeprefix("$ ") for line in block.splitlines() if line]
            lines = [line.partition("  #")[0].rstrip() for line in lines]
            assert block.count("$ ") == len(lines), f"{page}: begin each command with '$ '"
            shown |= set(lines)
    unknown = shown - set(SHOWN)
    assert not unknown, f"say in SHOWN why these are not run, or make them ```bash: {unknown}"


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def headings(page: Path) -> set[str]:
    text = "".join(p.source for p in split_page(page.read_text()) if p.kind == "text")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return {slug(found) for found in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    text = "".join(p.source for p in parts(page) if p.kind == "text")
    # The pages of the API and the pictures are made when the site is built.
    made = {"api/index.md", *(f"pictures/{name}.png" for name in drawn())}
    for target in re.findall(r"\]\(\s*([^)\s]+)[^)]*\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or path in made:
            continue
        there = here.parent / path if path else here
        assert there.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in headings(there), f"{page} links to {target}"


def drawn() -> set[str]:
    """Return the names of the pictures, read from the script's table."""
    tree = ast.parse((ROOT / "docs/site_code/pictures.py").read_text())
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    (table,) = (
        n.value
        for n in tree.body
        if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "PICTURES"
    )
    named = {n.id for n in ast.walk(table) if isinstance(n, ast.Name)}
    return named & functions - {"draw"}


def test_each_picture_is_shown_and_described() -> None:
    shown = {}
    for page in DOCS:
        for alt, name in re.findall(
            r"!\[([^\]]*)\]\(pictures/(\w+)\.png\)", Path(ROOT / page).read_text()
        ):
            shown[name] = alt
    assert set(shown) == drawn()
    assert all(len(alt) > 20 for alt in shown.values())


def test_each_page_is_in_the_table_of_contents() -> None:
    trees = re.findall(
        r"^```\{toctree\}\n(.*?)^```", (ROOT / "docs/index.md").read_text(), re.M | re.S
    )
    words = [line for tree in trees for line in tree.splitlines()]
    listed = [line for line in words if line and not line.startswith(":")]
    wanted = {Path(page).stem for page in DOCS} - {"index"} | {"api/index"}
    assert sorted(listed) == sorted(wanted)  # each once


def test_a_page_is_split_as_it_is_read() -> None:
    page = (
        "# A\n\n```python\na = 1\n```\n\nText\n```bash\nls\n```\n"
        "````text\n```python\nno\n```\n````\n```toml\nx = 1\n```\n"
        "  ```python\n  indented = True\n  ```\n```python\nb = 2\n```"
    )
    found = split_page(page)
    assert [(p.kind, p.source, p.line) for p in found if p.kind in RUN] == [
        ("python", "a = 1\n", 2),
        ("bash", "ls\n", 7),
        ("python", "b = 2\n", 21),
    ]
    assert next(p.source for p in found if p.kind == "text") == "# A\n\n"
    assert "no" in found[4].source
    assert split_page("only text\n") == [Block("text", "only text\n", 0)]


def test_no_block_is_written_so_that_it_would_not_run() -> None:
    """An indented or otherwise spelt fence of Python or shell would be shown and never run."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        fences = re.findall(r"^[ >]*(?:```|~~~)[ ]*(python|py|python3|bash)\b.*$", text, re.M)
        run = [p for p in parts(page) if p.kind in RUN]
        assert len(fences) == len(run), f"{page} has {len(fences)} blocks, of which {len(run)} run"


def test_shell_blocks_of_a_page_share_what_they_export_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page_folder = pytest.importorskip("site_code.page_folder")  # of what builds the site
    magics: list[Callable[[str, str], None]] = []
    kernel = SimpleNamespace(register_magic_function=lambda magic, *_: magics.append(magic))
    monkeypatch.setattr(page_folder.IPython, "get_ipython", lambda: kernel)
    for name in ("page", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "page")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    page_folder.start_page()
    magics[0]("", "export WHO='you there'\nWHERE=here")
    with pytest.raises(RuntimeError, match="exit status 3"):
        magics[0]("", "export WHO=nobody; exit 3")
    magics[0]("", 'echo "$WHO ${WHERE-}"')
    assert capsys.readouterr().out == "you there \n"
    assert list((tmp_path / "temporary").iterdir()) == []
