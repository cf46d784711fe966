"""Curves of arms fitted to the same patients, and to the same bootstrap samples of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.resampling import resampled_means
from muscletransfer.study.statistics.shapes import CurveShape, fit_power_laws, monotone_pieces
from muscletransfer.study.statistics.training import TrainingVariation
from muscletransfer.study.statistics.values import Cell, PatientValues, enough_patients

__all__ = ["FEWEST_N", "Fit", "Fits"]

#: A power law has three parameters; with fewer n than this it would go through every point.
FEWEST_N = 4


@dataclass(frozen=True, eq=False)
class Fit:
    """The curve of one arm over one set of patients.

    Args:
        arm: The arm.
        n: Its n, ``(K,)``, rising.
        n_patients: How many patients have a value at each of them.
        means: Mean Dice at each, ``(K,)``.
        sample_means: Of each bootstrap sample, ``(B, K)``.
        curve: Fitted to the means; ``None`` with one n.
        samples: Fitted to each bootstrap sample; ``None`` with one n.
    """

    arm: Arm
    n: NDArray[np.float64]
    n_patients: int
    means: NDArray[np.float64]
    sample_means: NDArray[np.float64]
    curve: CurveShape | None
    samples: CurveShape | None


class Fits:
    """Fitted curves, each computed once for the patients that are asked for.

    Args:
        values: Values of the patients.
        repeats: Bootstrap samples.
        seed: Of the bootstrap.
        training: Add to each bootstrap sample what another training would give.
    """

    def __init__(
        self,
        values: PatientValues,
        repeats: int = 10_000,
        seed: int = 0,
        training: TrainingVariation | None = None,
    ) -> None:
        self.values, self.repeats, self.seed = values, repeats, seed
        self.moved = None if training is None else training.draw(repeats, seed)
        self.notes: list[str] = []
        present = ~np.isnan(values.values["dice"])
        enough = enough_patients(values)
        self._used = {cell: i for i, cell in enumerate(values.cells) if enough[i]}
        for (arm, n), row, ok in zip(values.cells, present, enough, strict=True):
            if not ok:
                self.notes.append(
                    f"{arm}, n = {n}: {int(row.sum())} of {row.size} patients were tested, so this "
                    "n is left out of the curves"
                )
        self._present = present
        self._means: dict[bytes, NDArray[np.float64]] = {}
        self._fits: dict[tuple[Arm, bytes], Fit | None] = {}

    def cells_of(self, arm: Arm) -> list[Cell]:
        """The cells of an arm that hold enough patients."""
        return [cell for cell in self._used if cell[0] == arm]

    def common(self, *arms: Arm) -> NDArray[np.bool_]:
        """Which patients have a value at every n of all these arms, ``(patients,)``."""
        rows = [self._used[cell] for arm in arms for cell in self.cells_of(arm)]
        return np.asarray(self._present[rows].all(axis=0))

    def of(self, arm: Arm, patients: NDArray[np.bool_]) -> Fit | None:
        """Fit an arm to some patients, who have a value at all of its n.

        Args:
            arm: The arm.
            patients: Which patients, ``(patients,)``.

        Returns:
            The fit, or ``None`` where the arm has no n with enough patients, or there is no
            patient.
        """
        key = arm, patients.tobytes()
        if key not in self._fits:
            self._fits[key] = self._fit(arm, patients)
        return self._fits[key]

    def _fit(self, arm: Arm, patients: NDArray[np.bool_]) -> Fit | None:
        cells = self.cells_of(arm)
        if not cells or not patients.any():
            return None
        columns = [list(self._used).index(cell) for cell in cells]
        n = np.array([float(count) for _, count in cells])
        rows = [self._used[cell] for cell in cells]
        means = self.values.values["dice"][rows][:, patients].mean(axis=1)
        sampled = self._sampled(patients)[:, columns]
        return Fit(
            arm=arm,
            n=n,
            n_patients=int(patients.sum()),
            means=means,
            sample_means=sampled,
            curve=_shape(n, means[None], 20),
            samples=_shape(n, sampled, 4),
        )

    def _sampled(self, patients: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Means of all used cells over bootstrap samples; NaN where a patient lacks the cell."""
        key = patients.tobytes()
        if key not in self._means:
            table = self.values.values["dice"][list(self._used.values())][:, patients].T
            complete = ~np.isnan(table).any(axis=0)
            found = np.full((self.repeats, table.shape[1]), np.nan)
            found[:, complete] = resampled_means(table[:, complete], self.repeats, self.seed)
            if self.moved is not None:
                found = np.clip(found + self.moved[:, list(self._used.values())], 0, 1)
            self._means[key] = found
        return self._means[key]


def _shape(n: NDArray[np.float64], dice: NDArray[np.float64], refine: int) -> CurveShape | None:
    if len(n) >= FEWEST_N:
        return fit_power_laws(n, dice, refine)[0]
    return monotone_pieces(n, dice) if len(n) > 1 else None
