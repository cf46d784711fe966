"""One seed, one patient: at any size, in any process, with any number of workers."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from muscletransfer.data.synthetic import TROUBLES, PhantomSlice, make_cohort, phantom_slice
from muscletransfer.errors import UnknownNameError

_PRINT_DIGESTS = """
import hashlib
from muscletransfer.data.synthetic import TROUBLES, phantom_slice
for level, troubles in (("L3", ()), ("T12", ()), ("L3", TROUBLES)):
    phantom = phantom_slice(11, size=96, level=level, troubles=troubles)
    parts = (phantom.hu, phantom.groups, phantom.tissues)
    print(hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest())
"""


def digest(phantom: PhantomSlice) -> str:
    """Fingerprint of the image and its labels."""
    parts = (phantom.hu, phantom.groups, phantom.tissues)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def contents(folder):
    """Fingerprint of every file, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_same_bits_again_and_in_another_process():
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_DIGESTS],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    here = [
        digest(phantom_slice(11, size=96, level=level, troubles=troubles))
        for level, troubles in (("L3", ()), ("T12", ()), ("L3", TROUBLES))
    ]
    assert done.stdout.split() == here


def test_a_seed_and_its_sequence_are_the_same_patient():
    sequence = np.random.SeedSequence(4)
    first, second = (phantom_slice(sequence, size=64) for _ in range(2))
    assert digest(first) == digest(second) == digest(phantom_slice(4, size=64))


def test_other_seeds_are_other_patients():
    assert len({digest(phantom_slice(seed, size=64)) for seed in range(4)}) == 4


def test_the_patient_does_not_depend_on_the_size():
    small, large = phantom_slice(3, size=128), phantom_slice(3, size=256)
    assert small.patient == large.patient
    assert small.scanner == large.scanner
    blocks = large.mask.reshape(128, 2, 128, 2).mean(axis=(1, 3)) >= 0.5
    overlap = 2.0 * (blocks & (small.mask > 0)).sum() / (blocks.sum() + small.mask.sum())
    assert overlap > 0.95
    # The centre of the first small pixel lies in the middle of four large ones.
    assert small.origin == pytest.approx(np.add(large.origin, large.spacing[0] / 2), abs=2e-4)


def test_one_worker_and_two_write_the_same_files(tmp_path):
    settings = {"patients": 3, "size": 64, "observers": 2, "other_levels": 1, "seed": 5}
    one = make_cohort(tmp_path / "one", workers=1, **settings)
    two = make_cohort(tmp_path / "two", workers=2, **settings)
    assert contents(one.root) == contents(two.root)


def test_a_patient_does_not_depend_on_the_size_of_the_cohort(tmp_path):
    two = make_cohort(tmp_path / "two", patients=2, size=48, seed=9)
    three = make_cohort(tmp_path / "three", patients=3, size=48, seed=9)
    shared = contents(two.root / "images")
    assert set(shared) == {"P0001.nii.gz", "P0002.nii.gz"}
    assert shared.items() <= contents(three.root / "images").items()


@pytest.mark.parametrize(
    ("arguments", "found", "near"),
    [
        ({"level": "L33"}, "'L33'", "L3"),
        ({"troubles": ["arm"]}, "'arm'", "'arms'"),
    ],
)
def test_unknown_names_get_close_matches(arguments, found, near):
    with pytest.raises(UnknownNameError, match=found) as caught:
        phantom_slice(0, size=48, **arguments)
    assert near in str(caught.value)
