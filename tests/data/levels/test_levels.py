"""The slice of a level, however a volume is stored."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spines import BODIES, FLIPS, HALF_HEIGHT, heights, save, spine, write_ct_series

from muscletransfer.data import MaskImage, read_ct
from muscletransfer.data.io.grids import read_grid
from muscletransfer.data.levels import find_level
from muscletransfer.data.outlines import TOTALSEGMENTATOR
from muscletransfer.errors import (
    DataError,
    EmptyMaskError,
    GeometryError,
    SettingError,
    UnknownNameError,
)


def test_gap_of_a_folder_with_missing_slices_is_known_slice_by_slice(tmp_path: Path) -> None:
    places = [float(z) for z in range(-60, 61, 3) if not 9 <= z <= 20]
    folder = write_ct_series(tmp_path / "ct", places)
    grid = read_grid(folder)
    assert grid.heights_mm.tolist() == pytest.approx(places)
    assert not grid.is_even
    assert grid.gap_mm == pytest.approx(3.0)


@pytest.mark.parametrize("flips", FLIPS)
def test_the_middle_of_the_body_is_found_in_every_flip(
    flips: tuple[int, int, int], tmp_path: Path
) -> None:
    image = spine(flips)
    path = save(image, tmp_path / "vertebrae.nii.gz")
    level = find_level(path, labels=path, names=TOTALSEGMENTATOR, neighbours=1)
    z = heights(image)
    wanted = int(np.argmin(np.abs(z - BODIES["vertebrae_L3"][0])))
    assert level.slice_index == wanted
    assert level.height_mm == pytest.approx(z[wanted], abs=1e-4)
    assert level.warnings == ()
    assert list(np.sign(np.diff(z[list(level.slices)]))) == [1, 1]  # from the feet to the head
    assert find_level(path, position_mm=float(z[wanted]) + 0.4).slice_index == wanted
    point = image.TransformIndexToPhysicalPoint((3, 4, wanted))
    assert find_level(path, position_mm=point).slice_index == wanted


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_labels_of_one_vertebra_and_a_folder_say_the_same(
    flips: tuple[int, int, int], tmp_path: Path
) -> None:
    image = spine(flips)
    ct = save(image, tmp_path / "ct.mha")
    folder = tmp_path / "segmentations"
    folder.mkdir()
    save(image == 29, folder / "vertebrae_L3.nii.gz")
    save(image == 30, folder / "vertebrae_L2.nii.gz")
    wanted = find_level(ct, labels=ct, names=TOTALSEGMENTATOR).slice_index
    assert find_level(ct, labels=folder).slice_index == wanted
    assert find_level(ct, labels=folder / "vertebrae_L3.nii.gz").slice_index == wanted
    assert find_level(ct, labels=ct, vertebra=29).slice_index == wanted
    assert find_level(ct, labels=ct, vertebra="L3", names={"L3": 29}).slice_index == wanted
    assert find_level(ct, labels=folder, vertebra="vertebrae_L2").slice_index != wanted


def test_labels_stored_another_way_round_are_reindexed(tmp_path: Path) -> None:
    ct = save(spine((1, 1, 1)), tmp_path / "ct.mha")
    labels = save(spine((-1, 1, -1)), tmp_path / "labels.nii.gz")
    assert (
        find_level(ct, labels=labels, names=TOTALSEGMENTATOR).slice_index
        == find_level(ct, labels=ct, names=TOTALSEGMENTATOR).slice_index
    )


def test_labels_on_another_grid_only_when_asked(tmp_path: Path) -> None:
    ct = save(spine((1, 1, -1)), tmp_path / "ct.mha")
    coarse = save(spine((1, 1, 1), spacing=(3.0, 3.0, 5.0)), tmp_path / "coarse.mha")
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        find_level(ct, labels=coarse, names=TOTALSEGMENTATOR)
    level = find_level(ct, labels=coarse, names=TOTALSEGMENTATOR, other_grid=True)
    assert level.height_mm == pytest.approx(BODIES["vertebrae_L3"][0], abs=5.0 / 2 + 3.0 / 2)
    far = spine((1, 1, 1))
    far.SetOrigin((-40.0, -50.0, 500.0))
    with pytest.raises(GeometryError, match="wanted labels of this image"):
        find_level(
            ct, labels=save(far, tmp_path / "far.mha"), names=TOTALSEGMENTATOR, other_grid=True
        )


def test_a_folder_with_missing_slices_gives_the_nearest_slice(tmp_path: Path) -> None:
    places = [float(z) for z in range(-69, 70, 3) if z not in (-3, 0, 3)]
    folder = write_ct_series(tmp_path / "ct", places)
    labels = save(spine(low=(-40.0, -50.0, -69.0), high=(40.0, 50.0, 69.0)), tmp_path / "l.nii.gz")
    with pytest.warns(UserWarning, match="missing") as told:
        level = find_level(
            folder, labels=labels, names=TOTALSEGMENTATOR, other_grid=True, neighbours=1
        )
    assert "slices are missing at the middle of the vertebra" in str(told[0].message)
    assert "only 0 of 1 neighbours towards the feet" in str(told[1].message)
    assert level.height_mm == 6.0
    assert [places[k] for k in level.slices] == [6.0, 9.0]
    with pytest.raises(GeometryError, match="slices are missing there"):
        find_level(folder, position_mm=1.6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert places[find_level(folder, position_mm=-7.0).slice_index] == -6.0


def test_a_nifti_of_labels_fits_its_dicom_series(tmp_path: Path) -> None:
    """What TotalSegmentator writes for a DICOM folder: the same voxels, stored the other way."""
    places = [float(z) for z in range(-69, 70, 3)]
    folder = write_ct_series(tmp_path / "ct", places)
    labels = sitk.DICOMOrient(spine(low=(-40.0, -50.0, -69.0), high=(40.0, 50.0, 69.0)), "RAS")
    path = save(labels, tmp_path / "labels.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        level = find_level(folder, labels=path, names=TOTALSEGMENTATOR)
    assert level.height_mm == pytest.approx(1.5, abs=1.5)
    moved = sitk.Image(labels)
    moved.SetOrigin([v + 0.7 for v in labels.GetOrigin()])
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        find_level(folder, labels=save(moved, tmp_path / "moved.nii.gz"), names=TOTALSEGMENTATOR)


def test_labels_of_a_tilted_gantry_count_in_their_own_slices(tmp_path: Path) -> None:
    """Slices shifted against each other have no straight grid; labels drawn on them still do."""
    places = [float(z) for z in range(-69, 70, 3)]
    folder = write_ct_series(tmp_path / "ct", places, shift_per_mm=np.tan(np.radians(12)))
    with pytest.warns(UserWarning, match="shifted against the next"):
        ct = read_ct(folder)
    image = sitk.GetArrayFromImage(spine(low=(-40.0, -50.0, -69.0), high=(40.0, 50.0, 69.0)))
    mask = MaskImage(image, ct.spacing, ct.direction, ct.origin)
    with pytest.warns(UserWarning, match="counted in slices"):
        level = find_level(ct, labels=mask, names=TOTALSEGMENTATOR)
    assert places[level.slice_index] == 0.0
    assert find_level(folder, position_mm=12.4).height_mm == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("tilt", "says"), [(3.0, None), (10.0, "tilted by 10.0"), (25.0, "wanted")]
)
def test_oblique_slices(tilt: float, says: str | None, tmp_path: Path) -> None:
    path = save(spine(tilt=tilt), tmp_path / "spine.mha")
    if tilt > 20:
        with pytest.raises(GeometryError, match=r"tilted by 25\.0 degrees"):
            find_level(path, labels=path, names=TOTALSEGMENTATOR)
        return
    if says is None:
        level = find_level(path, labels=path, names=TOTALSEGMENTATOR)
    else:
        with pytest.warns(UserWarning, match=says):
            level = find_level(path, labels=path, names=TOTALSEGMENTATOR)
    image = sitk.ReadImage(str(path))
    middle = (0.0, -15.0, BODIES["vertebrae_L3"][0])  # of the body
    slice_of_middle = image.TransformPhysicalPointToContinuousIndex(middle)[2]
    assert level.slice_index == pytest.approx(slice_of_middle, abs=1.0)


def test_a_sagittal_volume_is_refused(tmp_path: Path) -> None:
    image = sitk.PermuteAxes(spine(), [1, 2, 0])
    with pytest.raises(GeometryError, match="not stored as axial slices"):
        find_level(save(image, tmp_path / "sagittal.mha"), slice_index=3)


def test_a_vertebra_that_is_cut_off_warns(tmp_path: Path) -> None:
    body_cut = save(spine(low=(-40.0, -50.0, -4.0)), tmp_path / "body.mha")
    with pytest.warns(UserWarning, match="cut off at the first slice.*its middle is a guess"):
        find_level(body_cut, labels=body_cut, names=TOTALSEGMENTATOR)
    process_cut = save(spine(low=(-40.0, -50.0, -16.0)), tmp_path / "process.mha")
    with pytest.warns(UserWarning, match="its body is whole"):
        level = find_level(process_cut, labels=process_cut, names=TOTALSEGMENTATOR)
    assert level.height_mm == pytest.approx(BODIES["vertebrae_L3"][0], abs=1.5)
    side_cut = save(spine(low=(-10.0, -50.0, -70.0)), tmp_path / "side.mha")
    with pytest.warns(UserWarning, match="at the side of the image"):
        find_level(side_cut, labels=side_cut, names=TOTALSEGMENTATOR)


def test_a_vertebra_that_is_missing_is_named(tmp_path: Path) -> None:
    path = save(spine(low=(-40.0, -50.0, 20.0)), tmp_path / "upper.mha")
    with pytest.raises(EmptyMaskError, match=r"vertebrae_L3 is missing \(found vertebrae_L2\)"):
        find_level(path, labels=path, names={"vertebrae_L3": 29, "vertebrae_L2": 30})


def test_stray_voxels_do_not_move_the_middle(tmp_path: Path) -> None:
    array = sitk.GetArrayFromImage(spine())
    wanted = find_level(
        save(spine(), tmp_path / "a.mha"), labels=tmp_path / "a.mha", names=TOTALSEGMENTATOR
    ).slice_index
    array[-3:, 2:5, 2:5] = 29
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(spine())
    path = save(image, tmp_path / "stray.mha")
    assert find_level(path, labels=path, names=TOTALSEGMENTATOR).slice_index == wanted


def test_parts_are_told_within_the_box_of_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels of a whole CT would take a gigabyte."""
    from scipy import ndimage

    from muscletransfer.data.levels import vertebra as module

    rng = np.random.default_rng(0)
    label = np.zeros((9, 30, 40), bool)
    label[2:7, 11:20, 5:25] = rng.random((5, 9, 20)) > 0.8
    parts, _ = ndimage.label(label, np.ones((3, 3, 3)))
    wanted = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    shapes: list[tuple[int, ...]] = []

    def seen(array: np.ndarray, structure: np.ndarray) -> object:
        shapes.append(array.shape)
        return real(array, structure=structure)

    real = ndimage.label
    monkeypatch.setattr(ndimage, "label", seen)
    np.testing.assert_array_equal(module._largest(label), wanted)
    assert shapes == [(5, 9, 20)]


def test_mixed_up_labels_are_noticed(tmp_path: Path) -> None:
    image = spine()
    swapped = sitk.ChangeLabel(image, {28: 30, 30: 28})
    path = save(swapped, tmp_path / "swapped.mha")
    names = {name: value for name, (_, value) in BODIES.items()}
    with pytest.warns(UserWarning, match="wrong side"):
        find_level(path, labels=path, names=names)
    for table in (None, TOTALSEGMENTATOR):
        with pytest.raises(DataError, match="value 28 lies above 29"):
            find_level(path, labels=path, names=table)


def test_names_that_are_guessed_or_shared_are_told(tmp_path: Path) -> None:
    path = save(spine(), tmp_path / "spine.mha")
    with pytest.warns(UserWarning, match="carry no names and were taken as TotalSegmentator's"):
        level = find_level(path, labels=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_level(path, labels=path, vertebra=29) == replace(level, how="29")
    image = spine()
    for k, value in enumerate((28, 29)):
        image.SetMetaData(f"Segment{k}_Name", "L3")
        image.SetMetaData(f"Segment{k}_LabelValue", str(value))
    named = save(image, tmp_path / "named.seg.nrrd")
    with pytest.raises(DataError, match="'L3' is the name of the values 28, 29"):
        find_level(path, labels=named, vertebra="L3")


def test_bad_requests(tmp_path: Path) -> None:
    path = save(spine(), tmp_path / "spine.mha")
    with pytest.raises(SettingError, match="2 of slice_index"):
        find_level(path, slice_index=1, position_mm=0.0)
    with pytest.raises(SettingError, match="0 of slice_index"):
        find_level(path)
    with pytest.raises(SettingError, match="neighbours is -1"):
        find_level(path, slice_index=1, neighbours=-1)
    with pytest.raises(DataError, match="slices 0 to 46; slice 90"):
        find_level(path, slice_index=90)
    with pytest.raises(GeometryError, match=r"its slices lie from -70\.00 to 68\.00"):
        find_level(path, position_mm=400.0)
    for nowhere in (float("nan"), np.inf, (0.0, 0.0, float("nan"))):
        with pytest.raises(SettingError, match=r"position_mm is .* wanted finite numbers"):
            find_level(path, position_mm=nowhere)
    with pytest.raises(UnknownNameError, match="Did you mean 'vertebrae_L3'"):
        find_level(path, labels=path, vertebra="vertebra_L3", names=TOTALSEGMENTATOR)
    with pytest.raises(EmptyMaskError, match="label 77 is missing"):
        find_level(path, labels=path, vertebra=77)
    odd = save(sitk.ChangeLabel(spine(), {28: 228, 29: 229}), tmp_path / "odd.mha")
    with pytest.raises(DataError, match="values have no names"):
        find_level(path, labels=odd)
    with pytest.warns(UserWarning, match="only 1 of 3 neighbours towards the feet"):
        assert find_level(path, slice_index=1, neighbours=3).slices == (0, 1, 2, 3, 4)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    path = save(spine(), tmp_path / "spine.mha")
    wanted = find_level(path, position_mm=-4, neighbours=1)
    for number in (np.float32(-4), np.int64(-4), np.array([0.0, 0.0, -4.0])):
        assert find_level(path, position_mm=number, neighbours=np.int64(1)) == wanted
    index = wanted.slice_index
    assert find_level(path, slice_index=np.int64(index)) == find_level(path, slice_index=index)
    found = find_level(path, labels=path, vertebra=np.uint8(29))
    assert found == find_level(path, labels=path, vertebra=29)


def test_the_body_and_not_the_label_is_halved() -> None:
    """The phantom's process hangs 9 mm below its body, so the label's middle is 4.5 mm too low."""
    middle, value = BODIES["vertebrae_L3"]
    z = np.arange(-60.0, 60.0, 0.5)
    whole = z[(label_at_axis(z) == value)]
    assert (whole.min() + whole.max()) / 2 == pytest.approx(middle - 4.5, abs=0.5)
    assert HALF_HEIGHT == 14.0


def label_at_axis(z: np.ndarray) -> np.ndarray:
    from spines import label_at

    y = np.linspace(-30, 35, 66)[:, None]
    found = label_at(np.zeros((1, 1)), y, z[None])
    return np.where((found == 29).any(0), 29, 0)
