"""What the figures draw is what they were given."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from muscletransfer.report import learning_curve_figure, overlay_figure, save_figure
from muscletransfer.report.contact_sheet import Thumbnail, contact_sheet
from muscletransfer.report.figures import Overlay


def test_curve_draws_medians_quartiles_and_band() -> None:
    scores = {"Dice": {"random": {5: [0.1, 0.5, 0.9], 10: [0.7, 0.8, 0.9]}, "jigsaw": {5: [0.6]}}}
    figure = learning_curve_figure(scores, {"Dice": (0.92, 0.97)}, "range of 10 observers")
    (axes,) = figure.axes
    line = axes.containers[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.8])
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["range of 10 observers", "random", "jigsaw"]
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((0.92, 0.97))


def test_curve_takes_missed_masks() -> None:
    distances = {"RMS DTA (mm)": {"random": {5: [1.0, 2.0, np.inf], 10: [1.0, np.inf, np.inf]}}}
    figure = learning_curve_figure(distances)
    middle = figure.axes[0].containers[0].lines[0].get_ydata()
    assert middle[0] == 2.0
    assert np.isinf(middle[1])
    (arrows,) = [line for line in figure.axes[0].lines if line.get_marker() == "^"
                 and line.get_linestyle() == "None"]  # fmt: skip
    assert arrows.get_xdata() == pytest.approx([5, 10], rel=0.02)  # both have an infinite quartile
    figure.canvas.draw()


def test_overlay_draws_both_outlines(tmp_path: Path) -> None:
    hu = np.full((64, 64), -1000, np.int16)
    hu[10:50, 12:52] = 40
    mask = np.zeros((64, 64), np.uint8)
    mask[20:30, 20:40] = 1
    empty = np.zeros_like(mask)
    figure = overlay_figure([Overlay(hu, mask, mask, "best"), Overlay(hu, mask, empty, "worst")])
    assert [axes.get_title() for axes in figure.axes] == ["best", "worst"]
    assert [len(axes.collections) for axes in figure.axes] == [2, 1]
    assert save_figure(figure, tmp_path / "deep" / "overlay.png").stat().st_size > 1000


def test_dollar_signs_in_names_begin_no_formula() -> None:
    name = "a$_$b"
    blank = np.zeros((8, 8))
    for figure in (
        learning_curve_figure({"Dice": {name: {5: [0.5], 10: [0.6]}}}),
        overlay_figure([Overlay(blank, blank, blank, name)]),
        contact_sheet([Thumbnail(blank, None, name)]),
    ):
        figure.savefig(BytesIO(), format="png")


def test_no_two_sources_look_alike() -> None:
    names = [f"source {i}" for i in range(12)]
    figure = learning_curve_figure({"Dice": {name: {5: [0.5], 10: [0.6]} for name in names}})
    lines = [container.lines[0] for container in figure.axes[0].containers]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(names)


@pytest.mark.parametrize(
    ("scores", "median"),
    [
        ([0.2, 0.4], 0.3),
        ([1.0, 2.0, np.inf, np.inf], np.inf),
        ([1.0, 2.0, 3.0, np.inf], 2.5),  # one missed mask moves no quartile below it
        ([1.0, 2.0, 3.0, np.nan], np.nan),  # of what is not known nothing is drawn
    ],
)
def test_the_median_is_that_of_a_table(scores: list[float], median: float) -> None:
    figure = learning_curve_figure({"score": {"random": {5: scores}}})
    (drawn,) = figure.axes[0].containers[0].lines[0].get_ydata()
    assert drawn == pytest.approx(median, nan_ok=True)
