"""A network fine-tuned on a few small phantom patients says which slices are of a far level."""

import numpy as np
import pytest
from scipy import stats
from trained import train

from muscletransfer.data.synthetic import phantom_slice
from muscletransfer.prediction import Ensemble, Thresholds

SEED, ORDINARY, OTHERS = 4321, 40, 12
LEAST_CURVE = {"T12": 0.85, "L1": 0.75, "S1": 0.85}  # L2 and L4 look much like L3


@pytest.fixture(scope="module")
def distances(tmp_path_factory):
    """Level to distances, of patients the network never saw."""
    checkpoint = train(tmp_path_factory.mktemp("level"), patients=20)
    ensemble = Ensemble([checkpoint], device="cpu")
    spec, found, number = ensemble.preprocessing, {}, 0
    for level in ("L3", *LEAST_CURVE):
        slices = []
        for _ in range(ORDINARY if level == "L3" else OTHERS):
            sequence = np.random.SeedSequence(SEED, spawn_key=(number,))
            phantom = phantom_slice(sequence, size=96, level=level)
            slices.append(spec.apply(phantom.hu, phantom.spacing)[0])
            number += 1
        found[level] = np.array(ensemble.predict(slices).distance)
    return found


@pytest.mark.parametrize("level", LEAST_CURVE)
def test_other_levels_lie_farther(distances, level):
    curve = stats.mannwhitneyu(distances[level], distances["L3"]).statistic / ORDINARY / OTHERS
    assert curve > LEAST_CURVE[level]


def test_the_flag_finds_far_levels_at_few_false_alarms(distances):
    limit = Thresholds().unfamiliar
    up = {level: float((found >= limit).mean()) for level, found in distances.items()}
    assert up["L3"] <= 0.15  # 5 % are expected over many training sets; one scatters around that
    assert (up["T12"] + up["S1"]) / 2 > 0.5
