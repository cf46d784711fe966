"""The public interface is frozen, dated, and shown by examples that run."""

import difflib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from public_api import api, comment_of, public_code, public_names

import muscletransfer

FROZEN = Path(__file__).with_name("public_api.txt")
CODE = public_code()
CONSTANTS = sorted(
    f"{module}.{name}"
    for module, name, value in public_names()
    if not callable(value) and name != "__version__"
)
# Examples that are shown and not run, with the reason.
NOT_RUN = {
    "muscletransfer.demo.run.run_demo": "takes minutes; .ci/run runs it with --quick",
    "muscletransfer.study.start.run_study": "takes minutes; tests/study runs some",
}
# The names that users import from the top, as the README and the design promise them.
TOP = {
    "__version__",
    "register_encoder",
    "create_encoder",
    "list_encoders",
    "Encoder",
    "register_weights",
    "list_weights",
    "register_pretext",
    "create_pretext",
    "list_pretexts",
    "PretextTask",
    "JigsawPretext",
    "ReconstructionPretext",
    "ClassificationPretext",
    "SegmentationPretext",
    "load_encoder",
    "save_encoder",
    "Provenance",
    "TransferReport",
    "SegmentationFineTuner",
    "LowDataModule",
    "PretextDataModule",
    "read_ct",
    "read_mask",
    "write_mask",
    "muscle_measures",
    "observer_study",
    "UnknownNameError",
    "DuplicateNameError",
}


def test_names_of_the_top_are_frozen() -> None:
    assert set(muscletransfer.__all__) == TOP


def test_every_public_name_and_its_arguments_are_frozen() -> None:
    changed = list(difflib.unified_diff(FROZEN.read_text().splitlines(), api(), lineterm="", n=0))
    assert not changed, (
        "The public interface has changed (- was, + is). What users call must go on working: see "
        "docs/stability.md and muscletransfer.deprecation. If the change is meant, write it into "
        "docs/changelog.md and run: python tests/package/public_api.py > "
        "tests/package/public_api.txt\n" + "\n".join(changed)
    )


@pytest.mark.parametrize("path", sorted(CODE))
def test_it_says_what_it_is_since_when_and_how_it_is_used(path: str) -> None:
    doc = inspect.cleandoc(CODE[path].__doc__ or "")
    assert doc, f"{path} has no docstring"
    assert "\n.. versionadded:: " in doc, f"{path} needs '.. versionadded:: X.Y' in its docstring"
    assert ">>> " in doc, f"{path} needs an 'Example:' with >>> lines that run"
    assert ("+SKIP" in doc) == (path in NOT_RUN), f"{path}: an example has to run"
    assert CODE[path].__module__.startswith("muscletransfer.")


@pytest.mark.parametrize("path", CONSTANTS)
def test_a_constant_has_a_comment_with_its_version(path: str) -> None:
    comment = comment_of(*path.rsplit(".", 1))
    assert ".. versionadded:: " in comment, f"{path} needs a '#:' comment with a versionadded"


def test_the_marks_name_versions_that_exist() -> None:
    """A mark is no later than the package, so that nobody looks for what is not out yet."""
    ours = tuple(int(part) for part in muscletransfer.__version__.split(".")[:2])
    for path, value in CODE.items():
        for line in inspect.cleandoc(value.__doc__ or "").splitlines():
            if line.startswith(".. versionadded:: "):
                since = tuple(int(part) for part in line.rpartition(" ")[2].split("."))
                assert len(since) == 2, f"{path}: {line}"
                assert since <= ours, f"{path}: {line}"


def test_star_import_and_dir() -> None:
    assert set(dir(muscletransfer)) >= TOP
    script = "from muscletransfer import *; print(JigsawPretext.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "JigsawPretext"


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'JigsawPretxt'"):
        muscletransfer.JigsawPretxt  # noqa: B018 - the access is the test
