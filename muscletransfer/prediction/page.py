"""The page to look through a run: worst first, from the file system, with no server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from muscletransfer._version import __version__
from muscletransfer.data.files import write_text_atomic
from muscletransfer.prediction.cases import Problem
from muscletransfer.prediction.outcome import Outcome
from muscletransfer.prediction.page_parts import SCRIPT, STYLE
from muscletransfer.prediction.quality import FLAGS

__all__ = ["TITLE", "render_page", "write_page"]

TITLE = "Muscle outlines"
# Column, heading, digits; shown where a case has it.
_MEASURES = (
    ("sma_cm2", "SMA cm²", 1),
    ("smd_hu", "SMD HU", 1),
    ("smi_cm2_m2", "SMI cm²/m²", 1),
    ("imat_cm2", "IMAT cm²", 1),
    ("imat_percent", "IMAT %", 1),
)


def write_page(
    path: Path,
    outcomes: Sequence[Outcome],
    problems: Sequence[Problem],
    off: Mapping[str, str],
    members: int,
    tta: bool,
) -> Path:
    """Write the page, whole or not at all; see `render_page`."""
    return write_text_atomic(path, render_page(path.parent, outcomes, problems, off, members, tta))


def render_page(
    root: Path,
    outcomes: Sequence[Outcome],
    problems: Sequence[Problem],
    off: Mapping[str, str],
    members: int,
    tta: bool,
) -> str:
    """Return the page as HTML.

    Args:
        root: Folder of the page; pictures and masks are named relative to it.
        outcomes: In the order in which they are shown.
        problems: Inputs that could not be predicted.
        off: Flags that could not go up, and why.
        members: Number of networks.
        tta: Whether mirror images were predicted too.

    Example:
        >>> "0 of 0" in render_page(Path("."), [], [], {}, 1, False)
        False
    """
    flagged = sum(bool(one.quality.flags) for one in outcomes)
    networks = "one network" if members == 1 else f"{members} networks"
    views = ", each image and its mirror image" if tta else ""
    parts = [
        "<h1>Muscle outlines to look through</h1>",
        f'<p class="soft">{networks}{views}; muscletransfer {escape(__version__)}. Not a medical '
        "device: outlines and measures are for research, and a person has to look at them. File "
        "names and identifiers on this page may name patients.</p>",
        '<div class="tiles">',
        _tile(len(outcomes), "predicted"),
        _tile(flagged, "with a flag", warn=flagged > 0),
        _tile(len(outcomes) - flagged, "without"),
        _tile(len(problems), "not predicted", warn=bool(problems)),
        "</div>",
        _problems(problems),
        _off(off),
    ]
    if outcomes:
        parts += [_controls(), _table(outcomes), _legend(), _gallery(root, outcomes)]
        parts.append(f"<script>{SCRIPT}</script>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _tile(number: int, text: str, warn: bool = False) -> str:
    return f'<div class="tile{" warn" if warn else ""}"><b>{number}</b>{text}</div>'


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    rows = "".join(
        f'<tr><td class="text">{escape(one.case)}</td><td class="text">{escape(one.message)}</td>'
        "</tr>"
        for one in problems
    )
    return (
        '<div class="problems"><b>Not predicted</b> (also in '
        f'<a href="problems.csv">problems.csv</a>)<table><tbody>{rows}</tbody></table></div>'
    )


def _off(off: Mapping[str, str]) -> str:
    if not off:
        return ""
    reasons: dict[str, list[str]] = {}
    for flag, reason in off.items():
        reasons.setdefault(reason, []).append(flag)
    items = "; ".join(f"<b>{', '.join(flags)}</b>: {escape(why)}" for why, flags in reasons.items())
    return f'<p class="soft">Flags that are off in this run: {items}.</p>'


def _controls() -> str:
    return (
        '<div class="controls"><input type="search" id="search" placeholder="Find a case or flag" '
        'aria-label="Find a case or flag"><label><input type="checkbox" id="flagged"> only with a '
        'flag</label><span class="soft" id="shown"></span><span class="soft">Click a heading to '
        "sort; the pictures follow. All numbers: "
        '<a href="measures.csv">measures.csv</a></span></div>'
    )


def _table(outcomes: Sequence[Outcome]) -> str:
    measures = [m for m in _MEASURES if any(m[0] in one.measures for one in outcomes)]
    ensemble = any(one.member_dice is not None for one in outcomes)
    heads = [("Case", True), ("Review score", False), ("Flags", True)]
    heads += [(title, False) for _, title, _ in measures]
    heads.append(("Expected Dice", False))
    heads += [("Dice between predictions", False)] if ensemble else []
    head = "".join(
        f'<th scope="col"{" class=text" if text else ""}'
        f"{' aria-sort=descending' if title == 'Review score' else ''}>"
        f'<button type="button">{escape(title)}</button></th>'
        for title, text in heads
    )
    rows = []
    for number, one in enumerate(outcomes):
        cells = [
            f'<td class="text name" title="{escape(one.name)}"><a href="#case{number}">'
            f"{escape(one.name)}</a></td>",
            _number(one.quality.score, 2),
            f'<td class="text flags">{_flags(one)}</td>',
            *(_number(one.measures.get(name), digits) for name, _, digits in measures),
            _number(one.expected_dice, 3),
        ]
        cells += [_number(one.member_dice, 3)] if ensemble else []
        rows.append(
            f'<tr data-card="case{number}" data-flagged="{int(bool(one.quality.flags))}">'
            + "".join(cells)
            + "</tr>"
        )
    return (
        f'<div class="scroll"><table id="cases"><thead><tr>{head}</tr></thead><tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def _number(value: float | None, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return '<td data-value="">&ndash;</td>'
    return f'<td data-value="{value:.6g}">{value:.{digits}f}</td>'


def _flags(one: Outcome) -> str:
    if not one.quality.flags:
        return '<span class="flag none">none</span>'
    return "".join(
        f'<span class="flag" title="{escape(FLAGS[flag][1])}">{escape(flag)}</span>'
        for flag in one.quality.flags
    )


def _legend() -> str:
    items = "".join(f"<dt><b>{name}</b></dt><dd>{text}</dd>" for name, (_, text) in FLAGS.items())
    return (
        "<details><summary>What the flags and columns mean</summary>"
        "<p>The review score orders the cases: disagreement and uncertainty of the prediction, and "
        "a weight for each flag. It is no probability. <b>Expected Dice</b> is what the network's "
        "own probabilities promise, <b>Dice between predictions</b> how alike the networks (or "
        "views) outline. SMA: area of muscle within -29 to 150 HU; SMD: its mean HU; SMI: SMA by "
        "height squared; IMAT: fat within the outline.</p>"
        f'<dl style="display:grid;grid-template-columns:auto 1fr;gap:.1rem 1rem">{items}</dl>'
        "</details>"
    )


def _gallery(root: Path, outcomes: Sequence[Outcome]) -> str:
    cards = "\n".join(_card(root, number, one) for number, one in enumerate(outcomes))
    return f'<h2>Pictures</h2>\n<div class="cases" id="gallery">\n{cards}\n</div>'


def _card(root: Path, number: int, one: Outcome) -> str:
    picture = ""
    if one.overlay is not None:
        link = quote(one.overlay.relative_to(root).as_posix())
        picture = (
            f'<a href="{link}"><img loading="lazy" src="{link}" '
            f'alt="slice of {escape(one.name)} with the predicted outline"></a>'
        )
    remarks = (*one.quality.reasons, *([one.warning] if one.warning else []))
    reasons = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    facts = [
        (title, f"{one.measures[name]:.{digits}f}")
        for name, title, digits in _MEASURES
        if name in one.measures and math.isfinite(one.measures[name])
    ]
    mask = quote(one.mask.relative_to(root).as_posix())
    facts.append(("Image", f"{escape(one.image.name)}, slice {one.slice_index}"))
    facts.append(("Mask", f'<a href="{mask}">{escape(one.mask.name)}</a>'))
    listed = "".join(f"<dt>{title}</dt><dd>{text}</dd>" for title, text in facts)
    return (
        f'<article class="case" id="case{number}"><header><h3>{escape(one.name)}</h3>'
        f'<span class="soft">score {one.quality.score:.2f}</span></header>{_flags(one)}{picture}'
        + (f"<ul>{reasons}</ul>" if reasons else "")
        + f"<dl>{listed}</dl></article>"
    )
