"""What the agreement figures draw is what they were given."""

from __future__ import annotations

import numpy as np
import pytest

from muscletransfer.agreement import bland_altman
from muscletransfer.errors import DataError
from muscletransfer.report.agreement_figures import (
    AgreementPanel,
    IntervalRow,
    bland_altman_figure,
    interval_figure,
)


def pair(seed=0, growth=0.0, cases=30):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(80, 200, cases)
    error = rng.normal(2, 3, cases) + rng.normal(0, 1, cases) * growth * truth
    return truth + error / 2, truth - error / 2


def test_lines_and_bands_are_bias_and_limits():
    first, second = pair()
    figure = bland_altman_figure([AgreementPanel("area", "cm2", {"model": (first, second)})])
    (axes,) = figure.axes
    found = bland_altman(first, second)
    drawn = [line.get_ydata()[0] for line in axes.lines]
    assert drawn == pytest.approx([found.bias, found.lower, found.upper, 0.0])
    bands = [(p.get_y(), p.get_y() + p.get_height()) for p in axes.patches]
    assert np.array(bands) == pytest.approx(
        np.array([found.bias_ci, found.lower_ci, found.upper_ci])
    )
    points = np.asarray(axes.collections[0].get_offsets())
    assert points[:, 0] == pytest.approx((first + second) / 2)
    assert points[:, 1] == pytest.approx(first - second)
    assert axes.get_xlabel() == "mean of both (cm2)"


def test_limits_follow_a_growing_spread():
    first, second = pair(1, growth=0.1, cases=100)
    found = bland_altman(first, second)
    assert found.spread_grows
    (axes,) = bland_altman_figure([AgreementPanel("a", "cm2", {"m": (first, second)})]).axes
    sloped = [line for line in axes.lines if line.get_linestyle() == ":"]
    at = np.asarray(sloped[0].get_xdata())
    for line, limit in zip(sloped, found.limits_at(at), strict=True):
        assert line.get_ydata() == pytest.approx(limit)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["limits that follow the size"]


def test_several_series_have_no_bands_and_a_legend():
    series = {"A": pair(0), "model": pair(1)}
    figure = bland_altman_figure([AgreementPanel("area", "cm2", series)])
    assert len(figure.axes[0].patches) == 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "model"]


def test_intervals_points_and_infinite_ends():
    rows = [
        IntervalRow("a", 0.2, 0.1, 0.3, [0.15, 0.25]),
        IntervalRow("b", 0.5, -np.inf, np.inf, marked=True),
    ]
    figure = interval_figure(rows, "x", {"margin": 0.4}, span=(0.0, 0.1), span_label="band")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(list(bar) == pytest.approx([0.1, 0.3]) for bar in bars)
    markers = [line.get_marker() for line in axes.lines]
    assert "<" in markers
    assert ">" in markers
    assert np.isfinite(axes.get_xlim()).all()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["band", "margin"]
    figure.canvas.draw()


def test_nothing_to_draw_is_an_error():
    with pytest.raises(DataError, match="at least one"):
        bland_altman_figure([])
    with pytest.raises(DataError, match="at least one"):
        interval_figure([], "x")
