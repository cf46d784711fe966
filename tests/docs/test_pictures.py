"""The pictures of the site: drawn by the tasks' own code, the same bytes each time."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from site_code import pictures


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SIZE", 128)


@pytest.mark.parametrize("name", sorted(pictures.PICTURES))
def test_each_panel_shows_something_else(name: str) -> None:
    torch.manual_seed(0)
    panels = [np.asarray(axis.images[0].get_array()) for axis in pictures.PICTURES[name]().axes]
    assert len(panels) >= 3
    for panel in panels:
        assert np.isfinite(panel).all()
        assert -1 < panel.min() < panel.max() < 2  # noise goes a little beyond [0, 1]
        assert panel.std() > 0.05
    same = {"reconstruction": 1, "segmentation": 2}.get(name, 0)  # "none" is the target; overlays
    alike = sum(
        a.shape == b.shape and np.array_equal(a, b)
        for index, a in enumerate(panels)
        for b in panels[:index]
    )
    assert alike == {0: 0, 1: 1, 2: 3}[same]


def test_a_board_has_the_tiles_in_rows() -> None:
    tiles = torch.arange(4.0).view(4, 1, 1).expand(4, 2, 2)
    board = pictures._board(tiles, 2, gap=0)
    wanted = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert torch.allclose(board, torch.tensor(wanted) / 3)


def test_drawing_again_changes_no_file(tmp_path: Path) -> None:
    pictures.draw(tmp_path, ["rotation", "simclr"])
    first = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(tmp_path.iterdir())}
    assert [p.name for p in first] == ["rotation.png", "simclr.png"]
    pictures.draw(tmp_path, ["rotation", "simclr"])
    assert first == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(tmp_path.iterdir())}
