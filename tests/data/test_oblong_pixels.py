"""Pixels that are no squares: both axes have a size of their own."""

import numpy as np
import pytest

from muscletransfer.data.checking.facts import RowFacts
from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.levels.vertebra import mid_vertebra


def test_the_middle_of_a_slice_of_oblong_pixels():
    origins = np.array([[0.0, 0, 0], [0, 0, 5]])
    grid = ImageGrid((2, 11, 21), origins, (2.0, 0.5), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    np.testing.assert_allclose(grid.centres, origins + np.array([5.0, 10.0, 0.0]))


def test_the_middle_of_a_vertebra_of_oblong_pixels():
    label = np.zeros((6, 20, 30), bool)
    label[1:5, 4:9, 10:15] = True
    label[2:4, 9:14, 12] = True  # the process behind
    origins = np.array([[0.0, 0, 3.0 * k] for k in range(6)])
    grid = ImageGrid((6, 20, 30), origins, (2.0, 0.5), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    x, y, z = mid_vertebra(label, grid).point_mm
    assert (x, z) == (12 * 0.5, 2.5 * 3)
    assert y == pytest.approx(6 * 2.0, abs=2.0)  # rows 4 to 8, to a row


def test_the_field_of_view_is_height_and_width():
    names = RowFacts.__dataclass_fields__
    known = {"shape": (100, 200), "spacing": (0.5, 2.0)}
    facts = RowFacts(**{name: known.get(name) for name in names})
    assert facts.field_of_view == (50.0, 400.0)
