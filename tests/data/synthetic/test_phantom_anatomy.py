"""An L3 slice has life-like HU, geometry and masks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from muscletransfer.data.synthetic import GROUPS, TISSUES, phantom_slice

PATIENTS = 10


@pytest.fixture(scope="module")
def slices():
    """L3 slices of some patients."""
    return [phantom_slice(seed, size=192) for seed in range(PATIENTS)]


def of_tissue(phantom, name, *, core=False):
    """HU of a tissue, all of it or without its edge."""
    inside = phantom.tissues == TISSUES[name]
    return phantom.hu[ndimage.binary_erosion(inside) if core else inside]


def test_hu_are_life_like(slices):
    for phantom in slices:
        assert 30 <= np.median(phantom.hu[phantom.mask > 0]) <= 70
        assert -118 <= np.median(of_tissue(phantom, "subcutaneous_fat", core=True)) <= -92
        assert -118 <= np.median(of_tissue(phantom, "visceral_fat", core=True)) <= -85
        bone = of_tissue(phantom, "bone")
        assert 120 <= np.median(bone) <= 320
        assert np.percentile(bone, 99) > 330  # cortex
        corner = phantom.hu[:12, :12]
        assert -1005 <= corner.mean() <= -990
        assert phantom.hu.min() >= -1024
        assert phantom.hu.dtype == np.int16


def test_bowel_holds_gas_and_contents(slices):
    gas = [(of_tissue(phantom, "bowel") < -600).mean() for phantom in slices]
    assert 0.02 < np.mean(gas) < 0.4
    contrast = [(of_tissue(phantom, "bowel") > 130).mean() > 0.1 for phantom in slices]
    assert 0 < sum(contrast) < PATIENTS  # oral contrast in some and not in others


def test_contrast_phase_shows_in_vessels_and_kidneys(slices):
    native = slices[0].patient.with_changes(phase="native")
    portal = native.with_changes(phase="portal")
    plain, enhanced = (
        phantom_slice(2, size=128, level="L2", habitus=who) for who in (native, portal)
    )
    for name in ("vessel", "kidney"):
        gain = np.median(of_tissue(enhanced, name)) - np.median(of_tissue(plain, name))
        assert gain > 60
    assert abs(np.median(of_tissue(enhanced, "bone")) - np.median(of_tissue(plain, "bone"))) < 40


def test_spacing_and_field_of_view(slices):
    for phantom in slices:
        field = phantom.spacing[0] * 192
        assert phantom.spacing[0] == phantom.spacing[1]
        assert field == pytest.approx(phantom.scanner.field_of_view)
        assert 348 <= field <= 502  # 0.68 to 0.98 mm a pixel at 512 x 512
        body = phantom.tissues > 0
        assert not body[[0, -1]].any()
        assert not body[:, [0, -1]].any()  # all of the trunk is in view, about its middle
        middle = np.array([np.mean(np.flatnonzero(body.any(axis=axis))) for axis in (0, 1)])
        assert (np.abs(middle - 95.5) * phantom.spacing[0] < 30).all()


def test_a_table_lies_under_the_patient(slices):
    for phantom in slices:
        dense = ndimage.gaussian_filter(phantom.hu.astype(float), (0, 2)) > -930
        trunk = np.flatnonzero((phantom.tissues == TISSUES["subcutaneous_fat"]).any(axis=1))[-1]
        below = dense[trunk + 3 :, 86:106].any(axis=1)
        assert below.any()
        above = np.flatnonzero((phantom.tissues > 0).any(axis=1))[0]
        assert not dense[: above - 3].any()


def test_the_mask_is_where_muscle_is(slices):
    for phantom in slices:
        muscle = phantom.hu[phantom.mask > 0]
        assert ((muscle >= -29) & (muscle <= 150)).mean() > 0.9
        assert set(np.unique(phantom.mask)) == {0, 1}
        assert not (phantom.tissues[phantom.mask > 0] > 0).any()
        area = phantom.mask.sum() * np.prod(phantom.spacing) / 100
        assert 60 < area < 250  # cm2, as adults have


def test_named_groups_make_up_the_mask_and_are_symmetrical(slices):
    for phantom in slices:
        assert np.array_equal(phantom.groups > 0, phantom.mask > 0)
        assert set(np.unique(phantom.groups)) == {0, *GROUPS.values()}
    left = [code for name, code in GROUPS.items() if name.endswith("_left")]
    for code in left:
        sizes = np.array([[(p.groups == c).sum() for c in (code, code + 1)] for p in slices])
        assert 0.9 < sizes[:, 0].sum() / sizes[:, 1].sum() < 1.1  # no side is favoured
        assert (np.abs(np.log(sizes[:, 0] / sizes[:, 1])) < np.log(1.8)).all()


def test_groups_lie_where_they_belong(slices):
    for phantom in slices:
        columns = {
            name: float(np.nonzero(phantom.groups == code)[1].mean())
            for name, code in GROUPS.items()
        }
        rows = {
            name: float(np.nonzero(phantom.groups == code)[0].mean())
            for name, code in GROUPS.items()
        }
        for muscle in {name.rsplit("_", 1)[0] for name in GROUPS}:
            # The patient's left is on the right of the image.
            assert columns[f"{muscle}_left"] > columns[f"{muscle}_right"]
        assert rows["rectus_abdominis_left"] < rows["psoas_left"] < rows["erector_spinae_left"]
        assert columns["psoas_left"] < columns["quadratus_lumborum_left"]
        assert columns["quadratus_lumborum_left"] < columns["lateral_wall_left"]


def test_noise_falls_with_the_dose_and_rises_with_the_kernel(slices):
    """Noise in a homogeneous organ follows the scanner's settings."""
    smooth = [p for p in slices if p.scanner.kernel == "smooth"]
    rough = [p for p in slices if p.scanner.kernel != "smooth"]
    assert smooth
    assert rough

    def ratio(phantom):
        fat = phantom.tissues == TISSUES["subcutaneous_fat"]
        values = phantom.hu[ndimage.binary_erosion(fat, iterations=2)].astype(float)
        return np.subtract(*np.percentile(values, [84, 16])) / 2 / phantom.scanner.noise

    assert np.mean([ratio(p) for p in smooth]) < np.mean([ratio(p) for p in rough])
    for phantom in slices:
        assert 4.0 < phantom.scanner.noise < 60.0
