"""Write the report of a study: tables, figures and the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from muscletransfer.data.files import atomic_path, write_text_atomic
from muscletransfer.report.plain_text import plain_text
from muscletransfer.study.report import sections
from muscletransfer.study.report.choice import choose
from muscletransfer.study.report.drawing import Drawing
from muscletransfer.study.report.figures import Figures
from muscletransfer.study.report.headline import answers, what_is_missing
from muscletransfer.study.report.material import Material, gather
from muscletransfer.study.report.measures import agreement_of_measures
from muscletransfer.study.report.page import StudyPage, folded, paragraph
from muscletransfer.study.report.structures import structure_summary
from muscletransfer.study.report.styles import arm_styles
from muscletransfer.study.results import write_results
from muscletransfer.study.statistics.analysis import TABLES, holds_tables

__all__ = ["write_study_report"]

_NAMES = "drawn_by_report.txt"  # what of the figures is ours to remove


def write_study_report(
    folder: str | Path, output: str | Path | None = None, *, pictures: bool = True
) -> Path:
    """Write everything about a study, however far it is.

    - ``report.html``: one page that stands by itself: no server, no network.
    - ``figures/``: its figures as SVG and PNG; those of an earlier report are removed
      (``drawn_by_report.txt`` names them).
    - the tables of `write_study_results`, and ``agreement.csv`` where there are muscle
      measures, ``structures.csv`` where there are several structures; those of an earlier report
      that this one has not are removed.

    Only the finished runs of the plan that was started last are in it; the page says what is
    missing, what failed and which runs belong to earlier plans.

    .. versionadded:: 0.1

    Args:
        folder: The study's folder.
        output: Where to; default its ``results/``.
        pictures: Show slices of cases; without, the page can go where images of patients must not.

    Returns:
        The page.

    Raises:
        DataError: Nothing was started there.

    Example:
        >>> import tempfile
        >>> write_study_report(tempfile.mkdtemp())
        Traceback (most recent call last):
        muscletransfer.errors.DataError: ...: holds no study (no plans/*.json); wanted a folder ...
    """
    folder = Path(folder)
    material = gather(folder)
    target = folder / "results" if output is None else Path(output)
    earlier, reported = holds_tables(target), (target / "report.html").is_file()
    write_results(material.results, target)
    tables = material.analysis.write(target) if material.analysis is not None else []
    page = StudyPage(f"Study {material.config.name}", _subtitle(material))
    page.top += [f'<div class="answers">{"".join(a.html() for a in answers(material))}</div>']
    page.top += [paragraph(words, "note") for words in what_is_missing(material)]
    page.top += [_tiles(material), _limits(material)]
    drawings, more = _results(page, material, target, pictures)
    sections.record(page, material, any(path.stem == "agreement" for path in more))
    _write_figures(target / "figures", drawings, _drawn_before(target))
    present = {path.stem for path in (*tables, *more)}
    ours = {*(TABLES if earlier else ()), *(("agreement", "structures") if reported else ())}
    for name in ours - present:
        (target / f"{name}.csv").unlink(missing_ok=True)
    return write_text_atomic(target / "report.html", page.render())


def _results(
    page: StudyPage, material: Material, target: Path, pictures: bool
) -> tuple[Mapping[str, Drawing], list[Path]]:
    """Everything that needs a finished run: the figures, and the files of further tables."""
    analysis, table = material.analysis, material.results.table
    if analysis is None:
        return {}, []
    choice = choose(analysis, table)
    limits = agreement_of_measures(table, analysis.labels)
    structures = structure_summary(table, analysis)
    more = [
        write_text_atomic(target / f"{name}.csv", found.to_csv(index=False))
        for name, found in (("agreement", limits), ("structures", structures))
        if not found.empty
    ]
    figures = Figures(analysis, arm_styles(analysis.arms, analysis.labels, analysis.reference))
    with plain_text(10.5):
        sections.curves(page, figures)
        sections.saving(page, figures)
        sections.human(page, figures)
        sections.summary(page, analysis, structures)
        sections.paired(page, analysis)
        sections.agreement(page, figures, table, limits, choice)
        if pictures:
            sections.overlays(page, figures, material, choice)
    return figures.drawings, more


def _write_figures(folder: Path, drawings: Mapping[str, Drawing], earlier: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Before the first of them: a report that breaks off must not leave pictures nobody removes.
    _note_names(folder, earlier | set(drawings))
    for name in earlier - set(drawings):
        for ending in (".svg", ".png"):
            (folder / f"{name}{ending}").unlink(missing_ok=True)
    for name, drawing in drawings.items():
        write_text_atomic(folder / f"{name}.svg", drawing.svg)
        with atomic_path(folder / f"{name}.png") as temporary:
            temporary.write_bytes(drawing.png)
    _note_names(folder, set(drawings))


def _note_names(folder: Path, names: set[str]) -> None:
    write_text_atomic(folder / _NAMES, "".join(f"{name}\n" for name in sorted(names)))


def _drawn_before(target: Path) -> set[str]:
    """The figures of an earlier report; others in the folder are not ours to remove."""
    found: set[str] = set()
    for path, pattern in (
        (target / "report.html", r'\bid="figure-([a-z0-9_]+)"'),
        (target / "figures" / _NAMES, r"(?m)^([a-z0-9_]+)$"),  # the page may be elsewhere by now
    ):
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            found.update(re.findall(pattern, text))
    return found


def _subtitle(material: Material) -> str:
    data = "synthetic data (phantom)" if material.is_synthetic else "data of a manifest"
    started = material.current.starts[-1][:10]
    return f"{data}; plan {material.current.plan_id}, last started {started}"


def _limits(material: Material) -> str:
    """What the statistics say of themselves."""
    notes = list(material.analysis.notes) if material.analysis is not None else []
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return folded("What limits these results", f"<ul>{items}</ul>", opened=True) if notes else ""


def _tiles(material: Material) -> str:
    total, done = len(material.current.ids("run")), len(material.results.runs)
    failed = len(material.status.failed) + len(material.results.left_out)
    tiles = [(f"{done} of {total}", "runs finished", done < total)]
    if failed:
        tiles.append((str(failed), "failed", True))
    analysis = material.analysis
    if analysis is not None:
        tiles += [
            (str(analysis.n_patients), "patients tested", False),
            (str(len({arm.source for arm in analysis.arms})), "sources compared", False),
            (", ".join(map(str, analysis.ns)), "labelled patients", False),
            (f"{material.settings['data']['num_folds']} \u00d7 {len(analysis.repeats)}",
             "folds \u00d7 repeats", False),
        ]  # fmt: skip
        if analysis.human is not None:
            tiles.append((str(len(analysis.human.observers)), "observers", False))
    body = "".join(
        f'<div class="tile{" bad" if bad else ""}"><b>{value}</b>{words}</div>'
        for value, words, bad in tiles
    )
    return f'<div class="tiles">{body}</div>'
