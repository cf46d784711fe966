"""What to cite, as far as the study used it."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from muscletransfer.study.statistics import StudyAnalysis

__all__ = ["Citation", "citation_html", "citations"]


class Citation(NamedTuple):
    """A publication.

    Args:
        what: What it stands for here.
        text: Authors, title, place.
        doi: Its DOI, or empty.
    """

    what: str
    text: str
    doi: str = ""


_STUDY = Citation(
    "design of the study",
    "McSweeney et al. Med Phys 2022;49(5):3107-3120.",
    "10.1002/mp.15533",
)
_ALWAYS = (
    _STUDY,
    Citation("paired test", "Wilcoxon F. Biometrics Bulletin 1945;1(6):80-83.", "10.2307/3001968"),
    Citation(
        "differences of zero", "Pratt JW. J Am Stat Assoc 1959;54(287):655-667.", "10.2307/2282543"
    ),
    Citation("many tests", "Holm S. Scand J Stat 1979;6(2):65-70."),
    Citation("bootstrap over patients", "Efron B. Ann Stat 1979;7(1):1-26.",
             "10.1214/aos/1176344552"),
    Citation("expanded percentile intervals", "Hesterberg TC. Am Stat 2015;69(4):371-386.",
             "10.1080/00031305.2015.1089789"),
)  # fmt: skip
_AGREEMENT = (
    Citation(
        "limits of agreement",
        "Bland JM, Altman DG. Stat Methods Med Res 1999;8(2):135-160.",
        "10.1177/096228029900800204",
    ),
    Citation(
        "intervals of the limits",
        "Carkeet A. Optom Vis Sci 2015;92(3):e71-e80.",
        "10.1097/OPX.0000000000000513",
    ),
)
_HUMAN = (
    Citation("human level", "Hu et al. J Med Imaging 2025;12:055003."),
    Citation(
        "fixed order of tests", "Maurer W, Hothorn LA, Lehmacher W. In: Biometrie in der "
        "chemisch-pharmazeutischen Industrie 6. Fischer 1995:3-18.",
    ),
)  # fmt: skip


def citations(analysis: StudyAnalysis | None, measures: bool) -> list[Citation]:
    """What the report rests on.

    Args:
        analysis: The statistics, or ``None`` without any.
        measures: Whether muscle measures are in it.

    Example:
        >>> [citation.doi for citation in citations(None, False)]
        ['10.1002/mp.15533']
    """
    if analysis is None:
        return [_STUDY]
    human = () if analysis.human is None else _HUMAN
    return [*_ALWAYS, *(_AGREEMENT if measures else ()), *human]


def citation_html(one: Citation) -> str:
    """A citation as an item of a list."""
    link = ""
    if one.doi:
        link = f' doi <a href="https://doi.org/{escape(one.doi)}">{escape(one.doi)}</a>'
    what = f"{one.what[0].upper()}{one.what[1:]}"
    return f"<li>{escape(what)}: {escape(one.text)}{link}</li>"
