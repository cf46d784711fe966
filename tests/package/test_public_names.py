"""The public names are frozen: a change here is a change of the interface."""

import subprocess
import sys

import pytest

import muscletransfer

PUBLIC = {
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


def test_names_are_frozen() -> None:
    assert set(muscletransfer.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_each_name_has_a_home_and_a_docstring(name: str) -> None:
    value = getattr(muscletransfer, name)
    assert value.__name__ == name
    assert value.__doc__
    assert value.__module__.startswith("muscletransfer.")


def test_star_import_and_dir() -> None:
    assert set(dir(muscletransfer)) >= PUBLIC
    script = "from muscletransfer import *; print(JigsawPretext.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "JigsawPretext"


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'JigsawPretxt'"):
        muscletransfer.JigsawPretxt  # noqa: B018 - the access is the test
