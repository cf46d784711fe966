"""An observer study on disk: tables, figures, and one page to read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from muscletransfer.data.files import write_text_atomic
from muscletransfer.observers import Band, HumanLevel, ObserverStudy
from muscletransfer.report.figures import save_figure
from muscletransfer.report.html import Page
from muscletransfer.report.observer_figures import (
    TITLES,
    band_figure,
    error_figure,
    human_level_figure,
    icc_figure,
    study_agreement_figures,
)
from muscletransfer.report.observer_tables import (
    METRICS,
    band_row,
    shown,
    study_bands,
    study_tables,
)
from muscletransfer.report.plain_text import plain_text

__all__ = ["write_observer_study"]

_TITLE = "Observer study"
_OUR_FIGURE = re.compile(
    r"human_level_\d+|bands|relative_error|bland_altman_[a-z_]+|icc_(sma_cm2|sma_outline_cm2|smd_hu)"
)


def write_observer_study(
    study: ObserverStudy,
    folder: str | os.PathLike[str],
    human: Sequence[HumanLevel] = (),
) -> Path:
    """Write everything about an observer study into a folder.

    - ``report.html``: one self-contained page, the verdict first.
    - ``pairwise.csv``, ``leave_one_out.csv``, ``against_reference.csv``, ``measures.csv``: every
      comparison and every mask.
    - ``agreement.csv``, ``icc.csv``, ``spread.csv``, ``within_case_sd.csv``, ``bands.csv``.
    - ``human_level.csv`` and ``human_level_cases.csv``, with a model.
    - ``figures/``: the figures of the page as PNG.

    Args:
        study: The study.
        folder: Where to; made when needed, files of the same names are replaced, and where it holds
            the page of an earlier study its verdict and figures are removed.
        human: Outcomes of the human-level test; the first is the verdict.

    Returns:
        The path of the page.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {f"c{i}": {"A": np.tri(9, k=i), "B": np.tri(9, k=i + 1)} for i in range(3)}
        >>> study = observer_study(masks, dict.fromkeys(masks, (1.0, 1.0)))
        >>> write_observer_study(study, tempfile.mkdtemp()).name
        'report.html'
    """
    root = Path(folder)
    bands, lacking = study_bands(study)
    tables = study_tables(study, bands, human)
    _remove_earlier(root)
    for name, table in tables.items():
        write_text_atomic(root / f"{name}.csv", table.to_csv(index=False, float_format="%.10g"))
    page = Page(_TITLE, _subtitle(study))
    _verdict(page, human, study)
    with plain_text():
        _figures(page, root / "figures", study, human, bands, tables)
    for reason in lacking:
        page.text(f"{reason[0].upper()}{reason[1:]}")
    _tables(page, study, tables, bands)
    return page.write(root / "report.html")


def _remove_earlier(root: Path) -> None:
    """Remove what not every study has, so that no verdict of an earlier one stays beside this."""
    page = root / "report.html"
    if not page.is_file() or f"<title>{_TITLE}</title>" not in page.read_text(
        encoding="utf-8", errors="replace"
    ):
        return  # files of such names are somebody else's
    for name in ("human_level", "human_level_cases"):
        (root / f"{name}.csv").unlink(missing_ok=True)
    for path in (root / "figures").glob("*.png"):
        if _OUR_FIGURE.fullmatch(path.stem):
            path.unlink()


def _verdict(page: Page, human: Sequence[HumanLevel], study: ObserverStudy) -> None:
    if human:
        page.heading("Is the model as good as a human?")
        for found in human:
            page.text(found.sentence, note=True)
            if found.leave_one_out is not None:
                page.text(str(found.leave_one_out))
            if found.without:
                low, high = min(found.without.values()), max(found.without.values())
                every = len(found.without) == len(study.observers)
                who = "any one of the observers" if every else "any one who can be left out"
                page.text(
                    f"Without {who} the difference would be {low:+.3g} to {high:+.3g}. The "
                    "interval is over patients; it does not speak of other observers."
                )
            for band in found.bands:
                page.text(f"{band}.")
            for note in found.notes:
                page.text(f"Left out: {note}.")
    elif study.model_cases:
        page.text("No margin was chosen, so there is no verdict on the model.", note=True)
    if study.notes:
        page.heading("What was left out, and doubts")
        for note in study.notes:
            page.text(note)


def _figures(
    page: Page,
    folder: Path,
    study: ObserverStudy,
    human: Sequence[HumanLevel],
    bands: Sequence[Band],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    pairs, iccs = tables["agreement"], tables["icc"]
    for number, figure in enumerate(human_level_figure(human)):
        save_figure(figure, folder / f"human_level_{number + 1}.png")
        page.figure(
            figure,
            "How much better or worse the model agrees than a human does, with the interval over "
            "patients; below, the difference without each observer.",
        )
    page.heading("Overlap and distance")
    by_metric = {
        metric: own for metric in METRICS if (own := [b for b in bands if b.metric == metric])
    }
    if by_metric:
        figure = band_figure(by_metric)
        save_figure(figure, folder / "bands.png")
        page.figure(figure, "Each observer's mean over the cases, and the model's.")
    page.heading("Area and density")
    for name, caption, figure in study_agreement_figures(study):
        save_figure(figure, folder / f"{name}.png")
        page.figure(figure, f"{caption}: bias and 95 % limits of agreement.")
    area = "sma_cm2" if "sma_cm2" in study.measures else "sma_outline_cm2"
    figure_of_errors = error_figure(study, pairs, area)
    if figure_of_errors is not None:
        save_figure(figure_of_errors, folder / "relative_error.png")
        page.figure(figure_of_errors, "Relative error: each case, and the mean with its interval.")
    for measure in (m for m in (area, "smd_hu") if m in study.measures):
        figure_of_icc = icc_figure(pairs, iccs, measure)
        if figure_of_icc is not None:
            save_figure(figure_of_icc, folder / f"icc_{measure}.png")
            page.figure(figure_of_icc, f"ICC(2,1) of {TITLES[measure]} with its 95 % interval.")


def _tables(
    page: Page,
    study: ObserverStudy,
    tables: Mapping[str, pd.DataFrame],
    bands: Sequence[Band],
) -> None:
    page.heading("Figures")
    page.text(
        "Ranges of the observers' means over the cases; failures are not in a mean distance and "
        "are counted."
    )
    page.table([band_row(band, short=True) for band in bands])
    page.text(
        "Standard deviation of one observer around the others within a case; two observers differ "
        "by less than the last column in about 95 of 100 cases."
    )
    page.table([shown(row) for row in tables["within_case_sd"].to_dict("records")])
    page.text("ICC(2,1): two-way random effects, absolute agreement, one rater.")
    page.table([shown(row) for row in tables["icc"].to_dict("records")])
    titles = {
        "reference": "Means against the reference",
        "leave_one_out": f"Means against the {study.consensus} consensus of the others",
        "pairwise": "Means against one another",
    }
    for against in study.comparisons:
        page.text(f"{titles[against]}, over every case of the study:")
        page.table([shown(row) for row in study.summary(against).to_dict("records")])


def _subtitle(study: ObserverStudy) -> str:
    patients = len(set(study.patients.values()))
    text = (
        f"{len(study.observers)} observers, {len(study.cases)} cases of {patients} patients, "
        f"consensus by {study.consensus}"
    )
    if study.model_cases:
        text += f"; a model on {len(study.model_cases)} cases"
    return text + ". Nothing here is a diagnosis."
