"""Cases that a module's studies are done on."""

from pathlib import Path

import pytest
from tiny_cases import ct_cases


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bodies")


@pytest.fixture(scope="module")
def manifest(place: Path) -> Path:
    return ct_cases(place / "cases", 12)
