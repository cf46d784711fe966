"""Published cut-offs, as tables with their citation. They are reported, never a diagnosis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muscletransfer.errors import DataError, UnknownNameError, close_matches

__all__ = ["CUTOFF_TABLES", "Cutoff", "CutoffTable", "check_bmi", "check_sex", "cutoffs"]


@dataclass(frozen=True)
class Cutoff:
    """One row of a table: whom it is for, and the value under which a measure counts as low.

    .. versionadded:: 0.1

    Args:
        measure: ``"smi_cm2_m2"`` or ``"smd_hu"``.
        value: The cut-off, in the unit of the measure; low is strictly below.
        sex: ``"M"``, ``"F"`` or ``None`` for both.
        bmi: Body mass indices it is for, from the first (inclusive) to the second (exclusive).

    Example:
        >>> Cutoff("smi_cm2_m2", 52.4, sex="M").fits("F", bmi=24.0)
        False
    """

    measure: str
    value: float
    sex: str | None = None
    bmi: tuple[float, float] = (0.0, math.inf)

    def fits(self, sex: str | None, bmi: float | None) -> bool:
        """Whether the row is for this patient; unknown sex or index fits no row that asks for it.

        Args:
            sex: ``"M"``, ``"F"`` or ``None``.
            bmi: In kg/m2, or ``None``.

        Returns:
            True when the row applies.
        """
        if self.sex is not None and sex != self.sex:
            return False
        if self.bmi == (0.0, math.inf):
            return True
        return bmi is not None and self.bmi[0] <= bmi < self.bmi[1]


@dataclass(frozen=True)
class CutoffTable:
    """The cut-offs of one publication.

    .. versionadded:: 0.1

    Args:
        citation: Where they were published.
        population: Whom they were derived in.
        verified: Whether the values here were compared with the publication itself.
        rows: The cut-offs.

    Example:
        >>> CUTOFF_TABLES["prado2008"].citation
        'Prado et al., Lancet Oncol 2008;9(7):629-635'
    """

    citation: str
    population: str
    verified: bool
    rows: tuple[Cutoff, ...]


_UNDER_25, _FROM_25 = (0.0, 25.0), (25.0, math.inf)

#: Cut-offs by name. Values of a table with ``verified=False`` were not compared with the
#: publication: look them up there before they are printed as a fact.
#:
#: .. versionadded:: 0.1
CUTOFF_TABLES: dict[str, CutoffTable] = {
    "prado2008": CutoffTable(
        citation="Prado et al., Lancet Oncol 2008;9(7):629-635",
        population="obese patients with solid tumours of the respiratory and digestive tract",
        verified=False,
        rows=(Cutoff("smi_cm2_m2", 52.4, "M"), Cutoff("smi_cm2_m2", 38.5, "F")),
    ),
    "martin2013": CutoffTable(
        citation="Martin et al., J Clin Oncol 2013;31(12):1539-1547",
        population="patients with solid tumours of the lung and the digestive tract",
        verified=False,
        rows=(
            Cutoff("smi_cm2_m2", 43.0, "M", _UNDER_25),
            Cutoff("smi_cm2_m2", 53.0, "M", _FROM_25),
            Cutoff("smi_cm2_m2", 41.0, "F"),
            Cutoff("smd_hu", 41.0, None, _UNDER_25),
            Cutoff("smd_hu", 33.0, None, _FROM_25),
        ),
    ),
}


def cutoffs(
    measures: Mapping[str, float],
    sex: str | None = None,
    bmi: float | None = None,
    tables: Sequence[str] | None = None,
) -> list[dict[str, str | float | bool | None]]:
    """Compare measures with published cut-offs.

    The result says on which side of a published number a measure lies. It is not a diagnosis: the
    cut-offs depend on the population, contrast phase, scanner and software they came from.

    .. versionadded:: 0.1

    Args:
        measures: What :func:`muscletransfer.measures.muscle_measures` returned.
        sex: ``"M"``, ``"F"``, ``"male"``, ``"female"`` or ``None``.
        bmi: Body mass index in kg/m2, or ``None``.
        tables: Names in :data:`CUTOFF_TABLES`; default all.

    Returns:
        One row for each cut-off that applies to this sex and index and whose measure is there:
        ``table``, ``measure``, ``value``, ``cutoff``, ``below`` (``None`` when the value is NaN),
        ``citation`` and ``verified``.

    Raises:
        UnknownNameError: No table of that name.
        DataError: A sex or body mass index that cannot be.

    Example:
        >>> for row in cutoffs({"smi_cm2_m2": 48.0, "smd_hu": 35.0}, sex="M", bmi=27.0):
        ...     print(row["table"], row["measure"], row["cutoff"], row["below"])
        prado2008 smi_cm2_m2 52.4 True
        martin2013 smi_cm2_m2 53.0 True
        martin2013 smd_hu 33.0 False
    """
    sex, bmi = check_sex(sex), check_bmi(bmi)
    found: list[dict[str, str | float | bool | None]] = []
    for name in tables if tables is not None else CUTOFF_TABLES:
        if name not in CUTOFF_TABLES:
            near = close_matches(name, CUTOFF_TABLES)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownNameError(
                f"Unknown table of cut-offs {name!r}; known: {', '.join(CUTOFF_TABLES)}.{hint}"
            )
        table = CUTOFF_TABLES[name]
        for row in table.rows:
            if row.measure not in measures or not row.fits(sex, bmi):
                continue
            value = float(measures[row.measure])
            found.append(
                {
                    "table": name,
                    "measure": row.measure,
                    "value": value,
                    "cutoff": row.value,
                    "below": None if math.isnan(value) else value < row.value,
                    "citation": table.citation,
                    "verified": table.verified,
                }
            )
    return found


def check_sex(sex: str | None) -> str | None:
    """Return ``"M"``, ``"F"`` or ``None``.

    Args:
        sex: ``"M"``, ``"F"``, ``"male"``, ``"female"`` in any case, or ``None``.

    Returns:
        The one-letter form.

    Raises:
        DataError: Anything else.

    Example:
        >>> check_sex("female")
        'F'
    """
    if sex is None:
        return None
    known = {"m": "M", "male": "M", "f": "F", "female": "F"}
    if not isinstance(sex, str) or sex.lower() not in known:
        raise DataError(f"sex is {sex!r}; wanted 'M', 'F', 'male', 'female' or None (unknown).")
    return known[sex.lower()]


def check_bmi(bmi: float | None) -> float | None:
    """Return a body mass index after checking that it can be one.

    Args:
        bmi: In kg/m2, or ``None``.

    Returns:
        The same.

    Raises:
        DataError: Not between 5 and 150.

    Example:
        >>> check_bmi(24)
        24.0
    """
    if bmi is None:
        return None
    try:
        value = float(bmi)
    except (TypeError, ValueError):
        value = math.nan
    if not 5 <= value <= 150:
        raise DataError(
            f"bmi is {bmi!r}; wanted kg/m2 between 5 and 150, or None when it is unknown."
        )
    return value
