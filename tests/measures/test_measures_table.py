"""Measures of a whole manifest, in process and on the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from muscletransfer.cli import main
from muscletransfer.data import Manifest, read_ct, read_mask
from muscletransfer.data.synthetic import GROUPS, make_cohort
from muscletransfer.errors import DataError, ManifestError, SettingError, UnknownNameError
from muscletransfer.measures import (
    HU_WINDOWS,
    adipose_measures,
    measure_manifest,
    muscle_measures,
)

UNITS = ("_cm2", "_cm3", "_cm2_m2", "_hu", "_percent", "_mm", "_m", "_kg_m2", "_count")
NAMES = {"case", "patient_id", "slice_index", "group", "sex", "warning", "problem", "troubles"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("phantom") / "c", patients=3, size=128, seed=2)


def save(array, path, spacing=(5.0, 0.9, 0.8)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path))


def small_slice(seed=0, slices=1):
    """A body with skin fat, a wall of muscle and a fatty cavity, and its three outlines."""
    y, x = np.mgrid[:60, :60]
    radius = np.hypot(y - 30, x - 30)
    hu = np.full((60, 60), -1000.0)
    hu[radius < 28], hu[radius < 22], hu[radius < 16] = -110, 50, -100
    hu += np.random.default_rng(seed).normal(0, 20, hu.shape) * (radius < 28)
    outlines = (radius < 28, (radius < 22) & (radius >= 16), radius < 16)
    stacked = [np.stack([a.astype(np.int16)] * slices) for a in (hu.round(), *outlines)]
    return stacked[0], *(a.astype(np.uint8) for a in stacked[1:])


def write_small(folder, rows="P1,ct.nii.gz,muscle.nii.gz,body.nii.gz,cavity.nii.gz,1.80,M,24\n"):
    for name, array in zip(("ct", "body", "muscle", "cavity"), small_slice(), strict=True):
        save(array, folder / f"{name}.nii.gz")
    head = "patient_id,image,mask,body_mask,cavity_mask,height_m,sex,bmi\n"
    (folder / "m.csv").write_text(head + rows)
    return folder / "m.csv"


def test_rows_are_the_measures_of_each_case(cohort):
    table = measure_manifest(cohort.manifest, keep=["troubles"])
    manifest = Manifest.read(cohort.manifest)
    assert table["case"].tolist() == [f"{row.patient_id}_slice000" for row in manifest]
    for line, row in zip(table.to_dict("records"), manifest, strict=True):
        image, mask = read_ct(row.image), read_mask(row.mask)
        found = muscle_measures(
            image.hu[0], mask.labels[0], image.slice_spacing, row.height_m, row.sex, row.bmi
        )
        assert {key: line[key] for key in found} == pytest.approx(found)
        assert (line["spacing_y_mm"], line["spacing_x_mm"]) == image.slice_spacing
        assert (line["group"], line["problem"], line["warning"]) == ("all", "", "")
    assert [c for c in table if c not in NAMES and not c.endswith((*UNITS, "_below_cutoff"))] == []


def test_each_named_group_has_a_row(cohort):
    table = measure_manifest(cohort.manifest, groups=GROUPS, mask_column="mask_groups")
    assert len(table) == 3 * (1 + len(GROUPS))
    row = Manifest.read(cohort.manifest).rows[1]
    image = read_ct(row.image)
    labels = read_mask(row.extra["mask_groups"] and row.manifest.parent / row.extra["mask_groups"])
    own = table[table.patient_id == row.patient_id].set_index("group")
    for name, code in GROUPS.items():
        alone = muscle_measures(
            image.hu[0], labels.labels[0] == code, image.slice_spacing, row.height_m
        )
        assert own.loc[name, "sma_cm2"] == alone["sma_cm2"]
        assert own.loc[name, "smd_hu"] == alone["smd_hu"]
        assert own.loc[name, "smi_cm2_m2"] == alone["smi_cm2_m2"]
    assert own.loc["all", "sma_cm2"] == pytest.approx(own.drop("all")["sma_cm2"].sum())
    assert own["prado2008_smi_cutoff_cm2_m2"].notna().tolist() == [True] + [False] * len(GROUPS)


def test_fat_is_measured_where_its_outlines_are(tmp_path):
    table = measure_manifest(write_small(tmp_path))
    hu, body, muscle, cavity = (array[0] for array in small_slice())
    wanted = adipose_measures(hu, body, cavity, (0.9, 0.8), muscle)
    row = table.iloc[0]
    for key, value in wanted.items():
        assert row[key] == pytest.approx(value, rel=1e-6)
    assert row["vat_window_low_hu"] == HU_WINDOWS["vat"][0]
    (tmp_path / "m.csv").write_text((tmp_path / "m.csv").read_text().replace("cavity.nii.gz", ""))
    with pytest.raises(ManifestError, match=r"row 2: column 'body_mask'.*'cavity_mask' has none"):
        measure_manifest(tmp_path / "m.csv")


def test_windows_are_changed_for_all_and_written(tmp_path):
    path = write_small(tmp_path)
    changed = measure_manifest(path, windows={"muscle": (0, 60)}).iloc[0]
    assert (changed["muscle_window_low_hu"], changed["muscle_window_high_hu"]) == (0, 60)
    assert changed["sma_cm2"] < measure_manifest(path).iloc[0]["sma_cm2"]


def test_several_slices_and_one_of_them(tmp_path):
    hu, _, muscle, _ = small_slice(slices=3)
    muscle[2] = 0
    save(hu, tmp_path / "ct.nii.gz")
    save(muscle, tmp_path / "muscle.nii.gz")
    (tmp_path / "m.csv").write_text(
        "patient_id,image,mask,slice_index\nP1,ct.nii.gz,muscle.nii.gz,1\n"
        "P2,ct2.nii.gz,muscle.nii.gz,\n"
    )
    save(hu, tmp_path / "ct2.nii.gz")
    one, whole = measure_manifest(tmp_path / "m.csv").to_dict("records")
    assert (one["slices_count"], whole["slices_count"]) == (1, 2)
    assert one["sma_cm2"] == pytest.approx(whole["sma_cm2"])
    assert whole["muscle_volume_cm3"] == pytest.approx(2 * whole["sma_cm2"] * 0.5)


def test_one_bad_case_is_reported_and_the_rest_go_on(tmp_path, capsys):
    good = "P1,ct.nii.gz,muscle.nii.gz,,,1.80,M,24\n"
    path = write_small(tmp_path, good + "P2,eight_bit.nii.gz,muscle.nii.gz,,,,,\n")
    windowed = np.clip((small_slice()[0] + 150) / 400 * 255, 0, 255).astype(np.uint8)
    save(windowed, tmp_path / "eight_bit.nii.gz")
    with pytest.raises(DataError, match=r"row 3.*8-bit grey"):
        measure_manifest(path)
    output = tmp_path / "out" / "measures.csv"
    assert main(["measure", str(path), "-o", str(output)]) == 2
    assert "1 of 2 cases could not be measured" in capsys.readouterr().err
    first, second = pd.read_csv(output).to_dict("records")
    assert first["sma_cm2"] > 0
    assert np.isnan(second["sma_cm2"])
    assert "row 3" in second["problem"]


def test_a_clipped_image_is_measured_with_a_warning(tmp_path):
    path = write_small(tmp_path, "P1,clipped.nii.gz,muscle.nii.gz,,,,,\n")
    save(np.clip(small_slice()[0], -150, 250), tmp_path / "clipped.nii.gz")
    assert "clipped at -150 HU" in measure_manifest(path).iloc[0]["warning"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("1.80", "180"), ManifestError, "centimetres"),
        ({"windows": {"muscel": (0, 1)}}, UnknownNameError, "muscle"),
        ({"groups": {"all": 1}}, SettingError, "rename"),
        ({"groups": {"psoas": 7}}, DataError, "row 2.*does not name"),
        ({"keep": ["observer"]}, ManifestError, "no further column 'observer'"),
        ({"mask_column": "outline"}, ManifestError, "no column 'outline'"),
        ({"on_error": "skip"}, UnknownNameError, "report"),
    ],
)
def test_bad_input_is_named(tmp_path, change, error, message):
    path = write_small(tmp_path)
    if isinstance(change, tuple):
        path.write_text(path.read_text().replace(*change))
        change = {}
    with pytest.raises(error, match=message):
        measure_manifest(path, **change)


def test_masks_of_another_grid_and_unknown_values_are_named(tmp_path):
    path = write_small(tmp_path)
    save(small_slice()[2] * 5, tmp_path / "muscle.nii.gz")
    with pytest.raises(DataError, match=r"row 2.*values 0, 5"):
        measure_manifest(path)
    save(small_slice()[2], tmp_path / "muscle.nii.gz", spacing=(5.0, 0.8, 0.9))
    with pytest.raises(DataError, match=r"row 2.*grid"):
        measure_manifest(path)


def test_the_command_writes_what_the_function_gives(cohort, tmp_path, capsys):
    output = tmp_path / "m.csv"
    groups = [f"--group={name}={code}" for name, code in GROUPS.items()]
    command = ["measure", str(cohort.manifest), "-o", str(output), "--mask-column", "mask_groups"]
    assert main([*command, *groups, "--window", "muscle=-30:110", "--keep", "troubles"]) == 0
    shown = capsys.readouterr().out
    assert "33 rows of 3 cases" in shown
    assert "not a diagnosis" in shown
    wanted = measure_manifest(
        cohort.manifest, GROUPS, {"muscle": (-30, 110)}, "mask_groups", keep=["troubles"]
    )
    written = pd.read_csv(output)
    assert written.columns.tolist() == wanted.columns.tolist()
    for column in ("sma_cm2", "smd_hu", "muscle_window_high_hu"):
        assert written[column].to_numpy() == pytest.approx(wanted[column].to_numpy())


@pytest.mark.parametrize("argument", ["--group=psoas", "--group=psoas=x", "--window=muscle=30"])
def test_arguments_that_cannot_be_read(cohort, tmp_path, argument, capsys):
    output = str(tmp_path / "m.csv")
    assert main(["measure", str(cohort.manifest), "-o", output, argument]) == 2
    assert "wanted a name" in capsys.readouterr().err


def test_a_window_that_is_given_twice_is_refused(cohort, tmp_path, capsys):
    windows = ["--window=muscle=-30:110", "--window=muscle=-29:150"]
    assert main(["measure", str(cohort.manifest), "-o", str(tmp_path / "m.csv"), *windows]) == 2
    assert "--window muscle is given twice" in capsys.readouterr().err


def test_a_muscle_that_is_on_no_slice_is_on_no_slice(tmp_path):
    hu, _, drawn, _ = small_slice(slices=3)
    save(hu, tmp_path / "ct.nii.gz")
    drawn[2] = 0
    save(drawn, tmp_path / "m.nii.gz")
    (tmp_path / "m.csv").write_text("patient_id,image,mask\nP1,ct.nii.gz,m.nii.gz\n")
    table = measure_manifest(tmp_path / "m.csv", groups={"psoas": 1, "rectus": 2})
    assert dict(zip(table["group"], table["slices_count"], strict=True)) == {
        "all": 2, "psoas": 2, "rectus": 0,
    }  # fmt: skip


def test_a_group_that_is_given_twice_is_no_sum(tmp_path, capsys):
    path = write_small(tmp_path)
    assert main(["measure", str(path), "--group", "psoas=1", "--group", "psoas=2"]) == 2
    assert "--group psoas is given twice (1 and 2)" in capsys.readouterr().err
