"""Masks whose agreement is known: rows of pixels, filled from the start."""

from __future__ import annotations

import numpy as np

from muscletransfer.observers import observer_study

SPACING = (1.0, 1.0)
SHAPE = (20, 50)


def filled(count):
    """The first ``count`` pixels: Dice of two is 2 min / sum, the area count / 100 cm2."""
    mask = np.zeros(SHAPE, bool)
    mask.flat[: round(count)] = True
    return mask


def study_of(counts, model=None, reference=None, **options):
    """A study from pixel counts: case to observer to count."""
    masks = {case: {who: filled(n) for who, n in own.items()} for case, own in counts.items()}

    def all_of(given):
        return None if given is None else {case: filled(n) for case, n in given.items()}

    return observer_study(
        masks, dict.fromkeys(masks, SPACING), all_of(reference), all_of(model), **options
    )


def overlap(a, b):
    return 2 * min(a, b) / (a + b)


def simulate(rng, cases=25, bias=(0, 10, -10), spread=12, model_bias=0.0, model_spread=12):
    """Counts of observers with a bias and a spread each, of a model, and the truth."""
    truth = rng.integers(400, 600, cases)
    counts, model, reference = {}, {}, {}
    for i, size in enumerate(truth):
        name = f"c{i:02d}"
        counts[name] = {
            f"O{k}": round(size + b + rng.normal(0, spread)) for k, b in enumerate(bias)
        }
        model[name] = round(size + model_bias + rng.normal(0, model_spread))
        reference[name] = int(size)
    return counts, model, reference
