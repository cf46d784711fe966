import math

import numpy as np
import pytest
import torch
from scipy import stats
from trained import phantom

from muscletransfer import read_ct
from muscletransfer.data.synthetic import phantom_slice
from muscletransfer.errors import SettingError
from muscletransfer.finetune.profile import FeatureReference, Spread, TrainingProfile
from muscletransfer.prediction import FLAGS, Ensemble, Thresholds
from muscletransfer.prediction.picture import look_at, outside_field, touched_mm
from muscletransfer.prediction.quality import expected_dice, flags_off, judge

GOOD = {"expected": 0.97, "agreement": 0.96, "distance": 0.9}


@pytest.fixture(scope="module")
def whole():
    return phantom_slice(np.random.SeedSequence(1), size=160)


@pytest.fixture(scope="module")
def profile(whole):
    area = whole.mask.sum() * whole.spacing[0] ** 2 / 100
    spread = Spread(20, float(np.log(area)), 0.2)
    return TrainingProfile(spread, Spread(20, 45.0, 8.0), None)


def flags_of(phantom, profile, mask=None, density=45.0, **changes):
    found = judge(
        phantom.hu,
        phantom.mask if mask is None else mask,
        phantom.spacing,
        density=density,
        profiles=[profile],
        **(GOOD | changes),
    )
    return found.flags


def test_a_good_case_raises_nothing(whole, profile):
    assert flags_of(whole, profile) == ()


@pytest.mark.parametrize(
    ("flag", "changes"),
    [
        ("disagreement", {"agreement": 0.88}),
        ("uncertain", {"expected": 0.80}),
        ("unfamiliar", {"distance": 1.6}),
        ("density", {"density": 5.0}),
    ],
)
def test_a_number_out_of_bounds_raises_its_flag_alone(whole, profile, flag, changes):
    assert flags_of(whole, profile, **changes) == (flag,)


def test_an_area_outside_the_training_range(whole, profile):
    half = whole.mask.copy()
    half[:, : half.shape[1] // 2] = 0
    assert flags_of(whole, profile, mask=half) == ("area",)
    assert flags_of(whole, None, mask=half) == ()


def test_nothing_outlined(whole, profile):
    found = judge(whole.hu, whole.mask * 0, whole.spacing, density=None, profiles=[profile], **GOOD)
    assert found.flags == ("empty",)
    assert found.score > 5


@pytest.mark.parametrize(("trouble", "flag"), [("arms", "arms"), ("metal", "metal")])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_troubles_are_seen_in_the_picture(trouble, flag, number, profile):
    sequence = np.random.SeedSequence(50, spawn_key=(number,))
    seen = phantom_slice(sequence, size=160, troubles=(trouble,))
    assert flag in flags_of(seen, None)
    assert flags_of(phantom_slice(sequence, size=160), None) == ()


@pytest.mark.parametrize("number", [2, 3])
def test_a_body_wider_than_the_field(number):
    sequence = np.random.SeedSequence(50, spawn_key=(number,))
    cut = phantom_slice(sequence, size=160, troubles=("truncated",))
    assert "cut" in flags_of(cut, None)


@pytest.mark.parametrize("spacing", [(1.5, 1.5), (1.5, 1.53), (1.0, 2.0), (2.0, 1.2)])
def test_the_field_is_a_circle_of_the_patient_and_not_of_the_pixels(spacing):
    """A body of 220 x 380 mm in a field of 320 mm: an ellipse where pixels are oblong."""
    height, width = (int(400 / step) for step in spacing)
    y, x = np.mgrid[:height, :width]
    y, x = (y - (height - 1) / 2) * spacing[0], (x - (width - 1) / 2) * spacing[1]
    noise = np.random.default_rng(0).normal(0, 8, y.shape).round()
    hu = np.where((y / 110) ** 2 + (x / 190) ** 2 < 1, 40, -1000) + noise
    unseen = np.hypot(y, x) > 160
    hu[unseen] = -1024
    assert (outside_field(hu, spacing) != unseen).mean() < 0.002
    # The two arcs on which body and field end; in sides of pixels that is up to 4/pi more.
    crossing = np.sqrt((1 - 160**2 / 190**2) / (1 / 110**2 - 1 / 190**2))
    arcs = 4 * 160 * np.arcsin(crossing / 160)
    assert 0.85 * arcs < look_at(hu, spacing).cut_mm < 1.3 * arcs


def test_muscle_at_the_edge_of_the_array(whole, profile):
    columns = np.flatnonzero(whole.mask.any(axis=0))
    first = columns[0] + 3  # the array ends inside the muscle of one side
    found = judge(
        whole.hu[:, first:],
        whole.mask[:, first:],
        whole.spacing,
        density=45.0,
        profiles=[profile],
        **GOOD,
    )
    assert set(found.flags) == {"cut", "edge"}
    rows = np.count_nonzero(whole.mask[:, first])
    assert found.edge_mm == pytest.approx(rows * whole.spacing[0])


def test_touched_length_by_brute_force():
    rng = np.random.default_rng(0)
    mask, outside = rng.random((9, 11)) < 0.5, rng.random((9, 11)) < 0.2
    outside &= ~mask
    total = 0.0
    for y, x in np.argwhere(mask):
        sides = [(y, x - 1), (y, x + 1)], [(y - 1, x), (y + 1, x)]
        for step, pair in zip((2.0, 0.5), sides, strict=True):
            beyond = any(not (0 <= r < 9 and 0 <= c < 11) or outside[r, c] for r, c in pair)
            total += step * beyond
    assert touched_mm(mask, outside, (2.0, 0.5)) == pytest.approx(total)


def test_air_set_to_one_number_is_not_the_edge_of_the_field(whole):
    cleaned = np.where(whole.hu < -500, -1000, whole.hu)
    assert not outside_field(cleaned).any()
    assert look_at(cleaned, whole.spacing).cut_mm == 0.0


def test_expected_dice_is_the_mean_over_masks_drawn_from_the_probabilities():
    """Ratio of expectations; close to the expectation of the ratio on many pixels."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.3, (1, 60, 60))
    chosen = p > 0.5
    draws = [rng.random(p.shape) < p for _ in range(200)]
    mean = np.mean([2 * (chosen & d).sum() / (chosen.sum() + d.sum()) for d in draws])
    assert expected_dice(torch.from_numpy(p)) == pytest.approx(mean, abs=0.003)
    several = np.concatenate([1 - p, p])
    assert expected_dice(torch.from_numpy(several)) == pytest.approx(mean, abs=0.003)


def test_the_worse_the_sooner():
    quiet = np.full((30, 30), 40)
    mask = np.zeros((30, 30), np.uint8)
    mask[10:20, 10:20] = 1
    scores = [
        judge(quiet, mask, None, expected=e, agreement=a, distance=d, density=None).score
        for e, a, d in ((0.97, 0.97, 0.9), (0.93, 0.97, 0.9), (0.93, 0.8, 0.9), (0.93, 0.8, 2.0))
    ]
    assert scores == sorted(scores)
    assert len(set(scores)) == 4


def test_thresholds_can_be_moved(whole, profile):
    strict = judge(
        whole.hu,
        whole.mask,
        whole.spacing,
        density=45.0,
        profiles=[profile],
        thresholds=Thresholds(disagreement=0.02),
        **GOOD,
    )
    assert strict.flags == ("disagreement",)
    assert "0.960" in strict.reasons[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metal_mm2", 0.0), ("disagreement", -0.1), ("uncertain", math.nan), ("cut_mm", True),
        ("arms_cm2", "8"), ("coverage", 1.0), ("coverage", 99), ("coverage", 0),
    ],
)  # fmt: skip
def test_a_threshold_that_is_no_limit_is_refused(name, value):
    with pytest.raises(SettingError, match=f"threshold {name} is {value!r}; wanted"):
        Thresholds(**{name: value})


def test_a_flag_at_infinity_never_goes_up():
    limits = Thresholds(uncertain=math.inf, edge_mm=np.float32(5))
    numbers = {"expected": 0.0, "agreement": None, "distance": None, "density": None}
    found = judge(np.full((9, 9), 40), np.eye(9), None, thresholds=limits, **numbers)
    assert (found.score, found.flags) == (0.0, ())


def test_probabilities_that_are_no_numbers_promise_nothing():
    assert expected_dice(torch.full((1, 4, 4), math.nan)) == 0.0
    assert expected_dice(torch.tensor([[[1.0, 1.0, math.nan, 0.0]]])) == 0.0


def test_features_of_a_photograph_are_far(checkpoint, tmp_path):
    """What is no abdomen at all is farther than every L3 slice."""
    ensemble = Ensemble([checkpoint], device="cpu")
    spec = ensemble.preprocessing
    slices = []
    for number in range(6):
        image = read_ct(phantom(tmp_path / f"{number}.nii.gz", number))
        slices.append(spec.apply(image.hu[0], image.slice_spacing)[0])
    stripes = np.where(np.arange(64) // 4 % 2, 250, -150).astype(np.int16)
    odd = [np.broadcast_to(stripes, (64, 64)).copy(), np.full((64, 64), 250, np.int16)]
    distances = ensemble.predict(slices + odd).distance
    assert max(distances[:6]) < min(distances[6:])
    assert min(distances[6:]) > Thresholds().unfamiliar


def test_the_training_range_covers_all_members():
    far = TrainingProfile(Spread(20, 5.5, 0.05), None, None)
    near = TrainingProfile(Spread(20, 4.6, 0.05), None, None)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 1  # 100 cm2 at 10 mm
    common = {"expected": 1.0, "agreement": None, "distance": None, "density": None}
    hu = np.full((40, 40), 40)
    assert "area" not in judge(hu, mask, (10, 10), profiles=[far, near], **common).flags
    assert "area" in judge(hu, mask, (10, 10), profiles=[far], **common).flags
    low, high = Spread(20, 5.5, 0.05).interval(0.99)
    reach = stats.t.ppf(0.995, 19) * 0.05 * np.sqrt(1 + 1 / 20)
    assert (low, high) == pytest.approx((5.5 - reach, 5.5 + reach))


def test_flags_that_are_off_say_why():
    everything = TrainingProfile(
        Spread(5, 1.0, 1.0),
        Spread(5, 1.0, 1.0),
        FeatureReference.of(torch.randn(7, 3)),
    )
    assert flags_off([everything], 2, True) == {}
    assert set(flags_off([everything], 1, True)) == {"disagreement"}
    assert set(flags_off([None, everything], 2, False)) == {
        "cut", "edge", "arms", "metal", "density"
    }  # fmt: skip
    assert set(flags_off([None], 1, False)) < set(FLAGS)
    few = Spread.of([5.0, 5.1])
    one_patient = FeatureReference.of(torch.randn(15, 8), ["A"] * 15)
    off = flags_off([TrainingProfile(few, few, one_patient)], 2, True)
    assert "fewer than four patients" in off["unfamiliar"]
    assert "spacing" not in off["unfamiliar"]  # which features do not need
    assert off["area"] == off["density"]
    assert "fewer than three cases" in off["area"]
