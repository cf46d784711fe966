"""Figures and self-contained pages that show a result to a person."""

from muscletransfer.report.figures import (
    human_band_label,
    learning_curve_figure,
    overlay_figure,
    save_figure,
)
from muscletransfer.report.html import Page

__all__ = [
    "Page",
    "human_band_label",
    "learning_curve_figure",
    "overlay_figure",
    "save_figure",
]
