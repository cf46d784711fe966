"""All figures of a report, drawn once for the page and for the files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from muscletransfer.errors import DataError
from muscletransfer.observers.band import Band
from muscletransfer.observers.scores import score_of
from muscletransfer.report.agreement_figures import bland_altman_figure
from muscletransfer.study.report.choice import Choice, scratch_of
from muscletransfer.study.report.curve_figures import (
    arm_figure,
    dice_figure,
    human_figure,
    median_figure,
)
from muscletransfer.study.report.drawing import Drawing, drawn
from muscletransfer.study.report.measures import MEASURES, measure_panel
from muscletransfer.study.report.saving_figure import saving_figure
from muscletransfer.study.report.styles import ArmStyle
from muscletransfer.study.report.tables import metric_title
from muscletransfer.study.results import Arm
from muscletransfer.study.statistics import StudyAnalysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Figures"]

#: Figures of the statistics that are drawn as medians, and their columns in an observer study.
_MEDIANS = {
    "dta_rms": "dta_rms_mm",
    "sma_error_percent": "sma_difference_percent",
    "smd_error_hu": "smd_difference_hu",
}
_MOST_ARMS = 12


class Figures:
    """Draws figures, and keeps every one for its files.

    Args:
        analysis: The statistics.
        styles: How each arm is drawn.

    Attributes:
        drawings: Every figure that was drawn, by name.
    """

    def __init__(self, analysis: StudyAnalysis, styles: dict[Arm, ArmStyle]) -> None:
        self.analysis, self.styles = analysis, styles
        self.drawings: dict[str, Drawing] = {}

    def keep(self, figure: Figure, name: str, alt: str) -> Drawing:
        """Render a figure under a name that no other has."""
        base = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "figure"
        unique, number = base, 2
        while unique in self.drawings:
            unique, number = f"{base}_{number}", number + 1
        self.drawings[unique] = drawn(figure, unique, alt)
        return self.drawings[unique]

    def curves(self) -> Drawing:
        """Learning curves of all arms."""
        alt = "Mean Dice against the number of labelled patients, a line for each source"
        return self.keep(dice_figure(self.analysis, self.styles), "learning_curves", alt)

    def each_arm(self) -> Iterator[tuple[Drawing, str]]:
        """Each arm beside training from scratch, where there are several."""
        arms = [arm for arm in self.analysis.arms if arm.source != self.analysis.reference]
        if len(arms) < 2:
            return
        for arm in arms[:_MOST_ARMS]:
            label = self.analysis.labels[arm]
            scratch = scratch_of(self.analysis, arm)
            figure = arm_figure(self.analysis, self.styles, arm, scratch)
            alt = f"Learning curve of {label}"
            drawing = self.keep(figure, f"learning_curve_{label}", alt)
            beside = f", beside {self.analysis.labels[scratch]} (broken line)" if scratch else ""
            yield drawing, f"{label}{beside}"

    def medians(self, metric: str) -> Drawing | None:
        """Medians and quartiles of a figure over n, or ``None`` without any."""
        label = metric_title(metric, self.analysis.dta_unit)
        figure = median_figure(self.analysis, self.styles, metric, label, self._band(metric))
        alt = f"{label} against the number of labelled patients, a line for each source"
        return None if figure is None else self.keep(figure, metric, alt)

    def saving(self) -> Drawing | None:
        """Label-saving factors."""
        rows = [(self.styles[one.arm], one.headline) for one in self.analysis.saving]
        if not rows:
            return None
        alt = "Label-saving factor of each source with its interval"
        return self.keep(saving_figure(rows), "label_saving", alt)

    def human(self) -> Drawing | None:
        """Model minus observers over n."""
        if self.analysis.human is None:
            return None
        score = score_of(self.analysis.human.metric)
        unit = f" ({score.unit.strip()})" if score.unit else ""
        label = f"{score.name}{unit}: model minus observers"
        figure = human_figure(self.analysis, self.styles, label, score.higher_is_better)
        alt = "Agreement of models with observers minus that of two observers"
        return None if figure is None else self.keep(figure, "human_level", alt)

    def bland_altman(self, table: pd.DataFrame, choice: Choice) -> Iterator[tuple[Drawing, str]]:
        """Area and density of the chosen model and of the one from scratch."""
        arms = [choice.arm] if choice.scratch is None else [choice.arm, choice.scratch]
        classes = list(dict.fromkeys(table["class_name"]))
        for measure in MEASURES:
            for arm in arms:
                for name in classes:
                    panel = measure_panel(table, measure, arm, choice.n, choice.repeat, name)
                    if panel is None:
                        continue
                    label = self.analysis.labels[arm]
                    panel = replace(panel, title=f"{measure.title}, {label}")
                    structure = f", {name}" if len(classes) > 1 else ""
                    words = f"{measure.title}{structure}: {label}, n = {choice.n}"
                    drawing = self.keep(
                        bland_altman_figure([panel]),
                        f"bland_altman_{measure.name}_{label}_{name if structure else ''}",
                        f"Bland-Altman plot. {words}",
                    )
                    count = np.size(next(iter(panel.series.values()))[0])
                    yield drawing, f"{words}; {count} patients, one point each."

    def _band(self, metric: str) -> Band | None:
        """Range of the observers' medians against the reference, in the same unit."""
        human = self.analysis.human
        column = _MEDIANS[metric]
        # Medians of models are of means over structures, the observers' of one structure.
        if human is None or human.study is None or human.structure:
            return None
        if metric == "dta_rms" and self.analysis.dta_unit != "mm":
            return None
        if column not in human.study.against_reference.columns:
            return None
        try:
            return human.study.band(column, absolute=True, statistic="median")
        except DataError:  # no observer has enough cases: nothing to draw
            return None
