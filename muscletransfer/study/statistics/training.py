"""How much the draw of the training patients and the seed move a mean, from repeats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.values import PatientValues, enough_patients

__all__ = ["TrainingVariation", "training_variation"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingVariation:
    """Deviations of single runs, to add what another training would give to bootstrap samples.

    Args:
        deviations: ``(runs, cells)``: of a fold and repeat, how far its mean Dice lies from the
            mean over repeats of the same patients, at each arm and n together (arms share the
            training patients of a repeat). Of the size that a single run's deviation has where
            every fold has every repeat; zero where a fold has one run of a cell, and the others
            larger by so much that draws have the spread of the cell's mean; zero in cells with
            too few patients for a curve.
        weights: Share of the patients that each fold tests, ``(folds,)``.
        repeats: The most runs that a fold's mean is over.
    """

    deviations: Floats
    weights: Floats
    repeats: int

    def draw(self, samples: int, seed: int) -> Floats:
        """Draw deviations of the cells' means, ``(samples, cells)``: for each fold, new repeats.

        Args:
            samples: How many.
            seed: Of the draws.
        """
        runs = len(self.deviations)
        rng = np.random.default_rng([seed, 1])  # other numbers than those of the patients
        share = np.zeros((samples, runs))
        rows = np.repeat(np.arange(samples), self.repeats)
        for weight in self.weights:
            drawn = rng.integers(0, runs, samples * self.repeats)
            np.add.at(share, (rows, drawn), weight / self.repeats)
        found: Floats = share @ self.deviations
        return found


def training_variation(table: pd.DataFrame, values: PatientValues) -> TrainingVariation | None:
    """Estimate the variation over trainings from repeats of the same test patients.

    A run's deviation from the mean over repeats holds the variation over trainings and a part of
    the noise of single results, which the bootstrap over patients has already. That part is
    estimated from the spread of patients within runs and taken out, for each n by itself.

    Where a fold has fewer repeats than others, as in a study under way, its mean varies more and
    fewer deviations are known. Those are then made so large that what is drawn for an arm and n has
    the variance of its mean, the sum over folds of share squared times variance of a run over runs.

    Args:
        table: The tidy table.
        values: Values of its patients.

    Returns:
        The variation, or ``None`` where at an arm and n of the curves fewer than half of the
        patients were tested in two repeats or more.
    """
    every, fold = _by_repeat(table, values)
    used = enough_patients(values)  # a run of an n that has just begun must not decide for all
    dice = every[used][:, :, ~np.isnan(every[used]).all(axis=(0, 1))]
    repeats = dice.shape[2]
    known = ~np.isnan(dice)
    counts = known.sum(axis=2, keepdims=True)
    tested, again = (counts > 0).sum(axis=(1, 2)), (counts > 1).sum(axis=(1, 2))
    if not used.any() or ((again == 0) | (2 * again < tested)).any():
        return None
    means = np.divide(
        np.nansum(dice, axis=2, keepdims=True), counts, where=counts > 0, out=np.zeros(counts.shape)
    )
    # A patient with one repeat deviates by nothing, so it must not count.
    away = np.where(known & (counts > 1), dice - means, np.nan)
    away *= np.sqrt(counts / np.maximum(counts - 1, 1))
    folds = np.unique(fold)
    runs, noise = [], []
    for number in folds:
        own = away[:, fold == number]
        size = (~np.isnan(own)).sum(axis=1)
        sums, squares = np.nansum(own, axis=1), np.nansum(own**2, axis=1)
        mean = np.divide(sums, size, where=size > 0, out=np.zeros(sums.shape))
        within = np.divide(
            squares - size * mean**2, size * (size - 1), where=size > 1, out=np.zeros(sums.shape)
        )
        runs.append(mean.T)
        noise.append(within.T)
    deviations, part = np.concatenate(runs), np.concatenate(noise)
    ns = np.array([n for _, n in values.cells])[used]
    for n in np.unique(ns):
        at = ns == n
        total = float((deviations[:, at] ** 2).sum())
        left = max(0.0, total - float(part[:, at].sum()))
        deviations[:, at] *= np.sqrt(left / total) if total > 0 else 0.0
    weights = np.array([(fold == number).mean() for number in folds])
    deviations *= np.sqrt(_too_narrow(known, away, fold, weights))
    of_all = np.zeros((len(deviations), len(used)))
    of_all[:, used] = deviations
    return TrainingVariation(of_all, weights, repeats)


def _too_narrow(
    known: NDArray[np.bool_], away: Floats, fold: NDArray[np.int64], weights: Floats
) -> Floats:
    """Variance of each cell's mean over that of draws, ``(cells,)``; 1 with every repeat.

    Draws take the mean of every fold as over all repeats, and from all rows alike, also from those
    that are zero since nothing is known of them.
    """
    repeats = known.shape[2]
    tested: NDArray[np.bool_] = np.asarray(known.any(axis=2))
    true, drawn = np.zeros(len(known)), 0.0
    told, rows = np.zeros(len(known)), 0
    for number, weight in zip(np.unique(fold), weights, strict=True):
        at = fold == number
        runs = known[:, at].any(axis=1).sum(axis=1)
        true += (tested[:, at].sum(axis=1) / tested.sum(axis=1)) ** 2 * (
            repeats / np.maximum(runs, 1)
        )
        drawn += weight**2
        told += (~np.isnan(away[:, at])).any(axis=1).sum(axis=1)
        rows += repeats
    found: Floats = true / drawn * (rows / told)
    return found


def _by_repeat(table: pd.DataFrame, values: PatientValues) -> tuple[Floats, NDArray[np.int64]]:
    """Dice by cell, patient and repeat, NaN where there is none; and the fold of each patient."""
    place = {(*arm, n): i for i, (arm, n) in enumerate(values.cells)}
    keys = [table[name] for name in (*Arm._fields, "n")]
    mean = table["dice"].groupby([*keys, table["patient"], table["repeat"]]).mean().reset_index()
    cell = [place[key] for key in zip(*(mean[name] for name in (*Arm._fields, "n")), strict=True)]
    who = pd.Index(values.patients).get_indexer(pd.Index(mean["patient"]))
    when, repeats = pd.factorize(mean["repeat"], sort=True)
    found = np.full((len(values.cells), len(values.patients), len(repeats)), np.nan)
    found[cell, who, when] = mean["dice"]
    fold = table.groupby("patient")["fold"].first().reindex(list(values.patients))
    return found, fold.to_numpy(dtype=np.int64)
