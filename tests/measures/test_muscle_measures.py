from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from muscletransfer.errors import DataError, GeometryError, UnknownNameError
from muscletransfer.measures import (
    CUTOFF_TABLES,
    HU_WINDOWS,
    adipose_measures,
    cutoffs,
    hu_windows,
    muscle_measures,
)


def slice_with(values, shape=(20, 30)):
    """Air with the given HU in its first pixels, outlined."""
    hu, mask = np.full(shape, -1000, np.int16), np.zeros(shape, bool)
    hu.flat[: len(values)], mask.flat[: len(values)] = values, True
    return hu, mask


def noisy_slice(seed=0, shape=(40, 50)):
    rng = np.random.default_rng(seed)
    hu = rng.normal(20, 90, shape).round().astype(np.int16)
    hu[:3] = -1000
    return hu, rng.random(shape) < 0.3


def test_by_hand():
    hu, mask = slice_with([-191, -190, -100, -30, -29, 0, 29, 30, 150, 151])
    found = muscle_measures(hu, mask, spacing=(0.5, 2.0), height_m=2.0)
    pixel = 0.01  # 0.5 mm * 2 mm in cm2
    assert found["sma_outline_cm2"] == pytest.approx(10 * pixel)
    assert found["sma_cm2"] == pytest.approx(5 * pixel)
    assert found["smd_hu"] == pytest.approx((-29 + 0 + 29 + 30 + 150) / 5)
    assert found["smd_outline_hu"] == pytest.approx(
        np.mean([-191, -190, -100, -30, -29, 0, 29, 30, 150, 151])
    )
    assert found["imat_cm2"] == pytest.approx(3 * pixel)
    assert found["imat_percent"] == pytest.approx(100 * 3 / 8)
    assert found["lama_cm2"] == pytest.approx(3 * pixel)
    assert found["nama_cm2"] == pytest.approx(2 * pixel)
    assert found["smi_cm2_m2"] == pytest.approx(5 * pixel / 4)


def test_every_key_names_its_unit():
    hu, mask = noisy_slice()
    found = muscle_measures(
        np.stack([hu, hu]),
        np.stack([mask, mask]),
        (5.0, 0.8, 0.8),
        height_m=1.7,
        sex="F",
        bmi=23,
        groups={"all": 1},
    )
    units = ("_cm2", "_cm3", "_hu", "_percent", "_cm2_m2", "_count", "_below_cutoff")
    assert [key for key in found if not key.endswith(units)] == []


def test_windows_are_written_and_can_be_changed():
    hu, mask = slice_with([-30, -29, 110, 111])
    default = muscle_measures(hu, mask, (1, 1))
    for name in ("muscle", "fat", "lama", "nama"):
        written = default[f"{name}_window_low_hu"], default[f"{name}_window_high_hu"]
        assert written == HU_WINDOWS[name]
    other = muscle_measures(hu, mask, (1, 1), windows={"muscle": (-30, 110)})
    assert (default["sma_cm2"], other["sma_cm2"]) == pytest.approx((0.03, 0.03))
    assert (default["smd_hu"], other["smd_hu"]) == pytest.approx((64.0, 17.0))
    assert (other["muscle_window_low_hu"], other["muscle_window_high_hu"]) == (-30, 110)
    assert hu_windows()["muscle"] == (-29, 150)


@pytest.mark.parametrize("seed", range(3))
def test_equals_simpleitk_statistics(seed):
    hu, mask = noisy_slice(seed)
    spacing = (0.7, 0.9)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(spacing[::-1])
    window = sitk.BinaryThreshold(image, -29, 150, 1, 0)

    def as_label(array):
        label = sitk.GetImageFromArray(array.astype(np.uint8))
        label.CopyInformation(image)
        return label

    outline = as_label(mask)
    shape, statistics = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
    found = muscle_measures(hu, mask, spacing)
    for label, area, density in (
        (outline & window, "sma_cm2", "smd_hu"),
        (outline, "sma_outline_cm2", "smd_outline_hu"),
    ):
        shape.Execute(label)
        statistics.Execute(image, label)
        assert found[area] == pytest.approx(shape.GetPhysicalSize(1) / 100, rel=1e-9)
        assert found[density] == pytest.approx(statistics.GetMean(1), rel=1e-9)
    fat = outline & sitk.BinaryThreshold(image, -190, -30, 1, 0)
    shape.Execute(fat)
    assert found["imat_cm2"] == pytest.approx(shape.GetPhysicalSize(1) / 100, rel=1e-9)


def test_groups_are_each_like_a_mask_of_their_own():
    hu, _ = noisy_slice()
    labels = np.random.default_rng(1).integers(0, 3, hu.shape)
    found = muscle_measures(hu, labels, (0.8, 0.8), groups={"psoas": 1, "rectus": 2, "other": 9})
    for name, code in (("psoas", 1), ("rectus", 2)):
        alone = muscle_measures(hu, labels == code, (0.8, 0.8))
        for key in ("sma_cm2", "smd_hu", "imat_cm2", "imat_percent", "lama_cm2"):
            assert found[f"{name}_{key}"] == alone[key]
    total = muscle_measures(hu, labels > 0, (0.8, 0.8))
    assert found["sma_cm2"] == total["sma_cm2"]
    assert found["sma_cm2"] == pytest.approx(found["psoas_sma_cm2"] + found["rectus_sma_cm2"])
    assert found["other_sma_cm2"] == 0
    assert math.isnan(found["other_smd_hu"])


def test_an_empty_outline_has_area_zero_and_no_density():
    hu, mask = noisy_slice()
    found = muscle_measures(hu, np.zeros_like(mask), (1, 1), height_m=1.7, sex="M")
    unknown = {key for key, value in found.items() if math.isnan(value)}
    assert unknown == {"smd_hu", "smd_outline_hu", "imat_percent"}
    assert found["sma_cm2"] == found["smi_cm2_m2"] == found["imat_cm2"] == 0


def test_slices_average_their_areas_and_add_their_volumes():
    hu, mask = slice_with([40] * 10)
    half, _ = slice_with([40] * 10)
    two = muscle_measures(
        np.stack([hu, half, hu]),
        np.stack([mask, mask & (np.cumsum(mask).reshape(mask.shape) <= 4), 0 * mask]),
        (5.0, 1.0, 2.0),
    )
    assert two["slices_count"] == 2
    assert two["sma_cm2"] == pytest.approx((10 + 4) * 0.02 / 2)
    assert two["muscle_volume_cm3"] == pytest.approx((10 + 4) * 5 * 1 * 2 / 1000)


def test_one_slice_with_a_depth_axis_is_a_slice():
    hu, mask = noisy_slice()
    flat = muscle_measures(hu, mask, (0.8, 0.8))
    assert muscle_measures(hu[None], mask[None], (math.nan, 0.8, 0.8)) == flat
    assert muscle_measures(torch.from_numpy(hu), torch.from_numpy(mask), (0.8, 0.8)) == flat


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"height_m": 172}, DataError, "pass 1.72"),
        ({"height_m": "tall"}, DataError, "wanted metres"),
        ({"bmi": "high"}, DataError, "kg/m2"),
        ({"groups": ["psoas"]}, DataError, "mapping of names"),
        ({"hu": np.full((40, 50), 1064)}, DataError, "without the rescale intercept"),
        ({"hu": "ct.nii.gz"}, DataError, "read_ct"),
        ({"height_m": 0}, DataError, "wanted metres"),
        ({"height_m": math.nan}, DataError, "wanted metres"),
        ({"spacing": None}, GeometryError, "missing"),
        ({"spacing": (math.nan, 1)}, GeometryError, "unknown"),
        ({"spacing": (5, 1, 1)}, GeometryError, r"spacing\[1:\]"),
        ({"sex": "x"}, DataError, "'M', 'F'"),
        ({"bmi": 240}, DataError, "kg/m2"),
        ({"mask": np.full((40, 50), 3)}, DataError, "groups="),
        ({"mask": np.full((40, 50), 255)}, DataError, "nobody outlined"),
        ({"mask": np.full((40, 50), 3), "groups": {"psoas": 1}}, DataError, "does not name"),
        ({"groups": {"psoas": 1, "rectus": 1}}, DataError, "different codes"),
        ({"mask": np.ones((40, 51), bool)}, GeometryError, "one grid"),
        ({"hu": np.zeros((2, 2, 2, 2))}, DataError, r"\(H, W\)"),
        ({"hu": np.full((40, 50), np.nan)}, DataError, "not finite"),
        ({"windows": {"muscel": (0, 1)}}, UnknownNameError, "Did you mean 'muscle'"),
        ({"windows": {"muscle": (150, -29)}}, DataError, "low <= high"),
        ({"windows": {"muscle": 150}}, DataError, "two numbers"),
    ],
)
def test_bad_input_is_named(change, error, message):
    hu, mask = noisy_slice()
    with pytest.raises(error, match=message):
        muscle_measures(**({"hu": hu, "mask": mask, "spacing": (0.8, 0.8)} | change))


def test_spacing_in_the_order_of_simpleitk_is_refused():
    hu, mask = noisy_slice()
    volume, outline = np.stack([hu, hu]), np.stack([mask, mask])
    with pytest.raises(GeometryError, match=r"so \(5, 0.8, 0.8\)"):
        muscle_measures(volume, outline, (0.8, 0.8, 5.0))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_equal_spacings_may_differ_by_rounding(place):
    """NIfTI holds spacings in single precision."""
    hu, mask = noisy_slice()
    spacing = [1.5, 1.5, 1.5]
    spacing[place] *= 1 + 1e-7
    found = muscle_measures(np.stack([hu, hu]), np.stack([mask, mask]), spacing)
    wanted = muscle_measures(np.stack([hu, hu]), np.stack([mask, mask]), (1.5, 1.5, 1.5))
    assert found["sma_cm2"] == pytest.approx(wanted["sma_cm2"], rel=1e-6)


@pytest.mark.parametrize("scale", [255, 1])
def test_an_image_windowed_to_8_bits_is_refused(scale):
    hu, mask = noisy_slice()
    windowed = np.clip((hu + 150) / 400, 0, 1) * scale
    with pytest.raises(DataError, match="8 bits"):
        muscle_measures(windowed.astype(np.uint8) if scale == 255 else windowed, mask, (1, 1))


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((-150, 250), "clipped at -150 HU.*fat.*lower"),
        ((-29, 250), "clipped at -29 HU.*muscle.*lower"),  # windows include their ends
        ((-190, 250), "clipped at -190 HU.*fat.*lower"),
        ((-1000, 30), "clipped at 30 HU.*muscle.*higher"),
        ((-1000, 150), "clipped at 150 HU.*muscle.*higher"),
    ],
)
def test_an_image_clipped_inside_a_window_warns(ends, message):
    hu, mask = noisy_slice()
    hu = hu.copy()
    hu[:3] = 400  # bone
    with pytest.warns(UserWarning, match=message):
        muscle_measures(np.clip(hu, *ends), mask, (1, 1))


def test_an_image_that_is_not_clipped_does_not_warn():
    hu, mask = noisy_slice()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        muscle_measures(hu, mask, (1, 1))
        muscle_measures(np.clip(hu, -200, 250), mask, (1, 1))


@pytest.mark.parametrize(
    ("sex", "bmi", "expected"),
    [
        ("M", None, {("prado2008", "smi_cm2_m2"): 52.4}),
        (
            "M",
            24.9,
            {
                ("prado2008", "smi_cm2_m2"): 52.4,
                ("martin2013", "smi_cm2_m2"): 43.0,
                ("martin2013", "smd_hu"): 41.0,
            },
        ),
        (
            "male",
            25.0,
            {
                ("prado2008", "smi_cm2_m2"): 52.4,
                ("martin2013", "smi_cm2_m2"): 53.0,
                ("martin2013", "smd_hu"): 33.0,
            },
        ),
        ("F", None, {("prado2008", "smi_cm2_m2"): 38.5, ("martin2013", "smi_cm2_m2"): 41.0}),
        (None, 30, {("martin2013", "smd_hu"): 33.0}),
        (None, None, {}),
    ],
)
def test_cutoffs_apply_to_whom_they_are_for(sex, bmi, expected):
    rows = cutoffs({"smi_cm2_m2": 45.0, "smd_hu": 35.0}, sex, bmi)
    assert {(row["table"], row["measure"]): row["cutoff"] for row in rows} == expected
    for row in rows:
        assert row["below"] == (row["value"] < row["cutoff"])
        assert row["citation"] == CUTOFF_TABLES[row["table"]].citation


def test_a_value_on_the_cutoff_is_not_below_it():
    (row,) = cutoffs({"smi_cm2_m2": 52.4}, "M", tables=["prado2008"])
    assert row["below"] is False
    (row,) = cutoffs({"smi_cm2_m2": math.nan}, "M", tables=["prado2008"])
    assert row["below"] is None
    with pytest.raises(UnknownNameError, match="prado2008"):
        cutoffs({}, tables=["prado"])


def test_cutoffs_are_columns_when_sex_is_known():
    hu, mask = noisy_slice()
    found = muscle_measures(hu, mask, (0.8, 0.8), height_m=1.7, sex="F", bmi=22)
    assert found["prado2008_smi_cutoff_cm2_m2"] == 38.5
    assert found["prado2008_smi_below_cutoff"] is True
    assert found["martin2013_smd_cutoff_hu"] == 41.0
    without = muscle_measures(hu, mask, (0.8, 0.8), height_m=1.7)
    assert not [key for key in without if "cutoff" in key]


def ring():
    """Air, a ring of subcutaneous fat, a wall of muscle with fat in it, and a fatty cavity."""
    y, x = np.mgrid[:60, :60]
    radius = np.hypot(y - 30, x - 30)
    hu = np.full((60, 60), -1000)
    hu[radius < 28], hu[radius < 22], hu[radius < 16] = -110, 50, -100
    hu[30, 49], hu[30, 30], hu[31, 30] = -100, -160, 40  # IMAT; under the visceral window; bowel
    return hu, radius < 28, radius < 16, (radius < 22) & (radius >= 16)


def test_fat_lies_under_the_skin_or_in_the_cavity():
    hu, body, cavity, muscle = ring()
    found = adipose_measures(hu, body, cavity, (0.9, 0.8), muscle)
    pixel = 0.9 * 0.8 / 100
    assert found["sat_cm2"] == pytest.approx((body & ~cavity & ~muscle).sum() * pixel)
    assert found["vat_cm2"] == pytest.approx((cavity.sum() - 2) * pixel)
    assert (found["vat_window_low_hu"], found["vat_window_high_hu"]) == (-150, -50)
    # Without the muscle's outline its one pixel of fat counts as subcutaneous.
    loose = adipose_measures(hu, body, cavity, (0.9, 0.8))
    assert loose["sat_cm2"] == pytest.approx(found["sat_cm2"] + pixel)
    wide = adipose_measures(hu, body, cavity, (0.9, 0.8), muscle, {"vat": (-190, -30)})
    assert wide["vat_cm2"] == pytest.approx((cavity.sum() - 1) * pixel)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"cavity": "body", "body": "cavity"}, DataError, "exchanged"),
        ({"hu": "volume"}, DataError, "one slice"),
        ({"cavity": "small"}, GeometryError, "cavity has shape"),
        ({"spacing": None}, GeometryError, "missing"),
    ],
)
def test_bad_outlines_are_named(change, error, message):
    hu, body, cavity, muscle = ring()
    named = {"body": body, "cavity": cavity, "volume": hu[None], "small": cavity[1:], None: None}
    good = {"hu": hu, "body": body, "cavity": cavity, "spacing": (1, 1), "muscle": muscle}
    with pytest.raises(error, match=message):
        adipose_measures(**(good | {key: named[value] for key, value in change.items()}))


def test_a_few_pixels_at_the_lowest_value_are_no_clip():
    hu = np.full((40, 40), 40)
    hu[30:] = 400  # the highest values are in no window
    hu[0, :10] = -150  # 10 of 1600 pixels
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        muscle_measures(hu, mask, (1, 1))
    hu[0, :20] = -150
    with pytest.warns(UserWarning, match="clipped at -150 HU"):
        muscle_measures(hu, mask, (1, 1))
