"""Label maps of other tools: names, values, grids."""

from __future__ import annotations

import gzip
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from muscletransfer.data import read_mask, read_volume
from muscletransfer.data.io.grids import grid_of, read_grid
from muscletransfer.data.outlines import TOTALSEGMENTATOR, label_names, read_outlines
from muscletransfer.data.outlines.names import apart, class_table
from muscletransfer.data.outlines.regrid import onto_grid
from muscletransfer.errors import DataError, GeometryError, ImageReadError, UnknownNameError

DIRECTIONS = [np.diag(f) for f in itertools.product((1.0, -1.0), repeat=3)]


def image_of(array: np.ndarray, direction: np.ndarray | None = None) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.8, 0.9, 3.0))
    image.SetOrigin((-12.5, 30.0, 7.0))
    if direction is not None:
        image.SetDirection(direction.ravel().tolist())
    return image


@pytest.fixture
def labels() -> np.ndarray:
    rng = np.random.default_rng(0)
    array = rng.choice([0, 0, 0, 86, 87, 88, 89, 29], size=(4, 9, 8)).astype(np.uint8)
    return array


def save(image: sitk.Image, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def ct(labels: np.ndarray, tmp_path: Path) -> Path:
    return save(image_of(labels.astype(np.int16) - 1000), tmp_path / "ct.mha")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_flip_of_the_mask_is_reindexed_exactly(
    direction: np.ndarray, labels: np.ndarray, ct: Path, tmp_path: Path
) -> None:
    code = "".join(
        pair[0 if direction[i, i] > 0 else 1] for i, pair in enumerate(("RL", "AP", "IS"))
    )
    turned = sitk.DICOMOrient(image_of(labels), code)
    path = save(turned, tmp_path / "turned.nii.gz")
    found = read_outlines(path, ct, {"autochthon_*": 1, "iliopsoas_*": 2}, names=TOTALSEGMENTATOR)
    wanted = np.select([np.isin(labels, (86, 87)), np.isin(labels, (88, 89))], [1, 2])
    np.testing.assert_array_equal(found.labels, wanted)


def test_permuted_and_cropped_masks_are_reindexed(
    labels: np.ndarray, ct: Path, tmp_path: Path
) -> None:
    permuted = save(sitk.PermuteAxes(image_of(labels), [2, 0, 1]), tmp_path / "permuted.mha")
    np.testing.assert_array_equal(onto_grid(read_mask(permuted), read_grid(ct)).labels, labels)
    box = image_of(labels)[2:7, 3:8, 1:3]
    found = onto_grid(read_mask(save(box, tmp_path / "box.mha")), read_grid(ct), outside=255)
    wanted = np.full(labels.shape, 255)
    wanted[1:3, 3:8, 2:7] = labels[1:3, 3:8, 2:7]
    np.testing.assert_array_equal(found.labels, wanted)


def test_other_grids_are_refused_with_the_reason(
    labels: np.ndarray, ct: Path, tmp_path: Path
) -> None:
    grid = read_grid(ct)

    def why(image: sitk.Image, name: str) -> str:
        with pytest.raises(GeometryError, match="does not lie on the grid") as caught:
            onto_grid(read_mask(save(image, tmp_path / name)), grid)
        return str(caught.value)

    moved = image_of(labels)
    moved.SetOrigin((-12.5, 30.3, 7.0))
    assert "shifted by 0.33 rows and 0.00 columns" in why(moved, "moved.mha")
    wide = image_of(labels)
    wide.SetSpacing((0.8, 0.95, 3.0))
    assert "rows are 0.95 mm apart, those of the image 0.9 mm" in why(wide, "wide.mha")
    turned = image_of(
        labels, np.array([[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]])
    )
    assert "turned by 5.73 degrees" in why(turned, "turned.mha")
    far = image_of(labels)
    far.SetOrigin((-12.5, 30.0, 700.0))
    assert "mm from the nearest slice" in why(far, "far.mha")
    beside = image_of(labels)
    beside.SetOrigin((-12.5 + 0.8 * 3, 30.0, 7.0))
    assert "part of its outline lies beside the image" in why(beside, "beside.mha")
    empty = image_of(np.zeros_like(labels))
    empty.SetOrigin((-12.5 + 0.8 * 640, 30.0, 7.0))
    assert "no region in common" in why(empty, "empty.mha")
    with pytest.raises(GeometryError, match="no region in common"):
        onto_grid(read_mask(tmp_path / "empty.mha"), grid, resample=True)


def test_resampling_equals_simpleitk(labels: np.ndarray, ct: Path, tmp_path: Path) -> None:
    image = image_of(labels)
    image.SetSpacing((1.13, 0.71, 2.3))
    image.SetOrigin((-13.1, 29.4, 6.2))
    angle = 0.2
    image.SetDirection((np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1))
    path = save(image, tmp_path / "other.mha")
    found = onto_grid(read_mask(path), read_grid(ct), resample=True)
    reference = sitk.Resample(
        image, sitk.ReadImage(str(ct)), sitk.Transform(), sitk.sitkNearestNeighbor, 0
    )
    wanted = sitk.GetArrayFromImage(reference)
    # ITK lets the outermost half voxel be outside or inside by its own rounding.
    assert (found.labels == wanted).mean() > 0.98
    assert (found.labels[found.labels != wanted] != 0).sum() <= 3


def test_a_folder_of_structures(labels: np.ndarray, ct: Path, tmp_path: Path) -> None:
    folder = tmp_path / "segmentations"
    for name in ("autochthon_left", "iliopsoas_left", "iliopsoas_right"):
        array = (labels == TOTALSEGMENTATOR[name]).astype(np.uint8)
        save(image_of(array), folder / f"{name}.nii.gz")
    found = read_outlines(folder, ct, {"iliopsoas_*": 1, "autochthon_left": 2})
    np.testing.assert_array_equal(
        found.labels, np.select([np.isin(labels, (88, 89)), labels == 86], [1, 2])
    )
    with pytest.raises(UnknownNameError, match="Did you mean 'iliopsoas_left'"):
        read_outlines(folder, ct, "iliopsaos_left")
    with pytest.raises(DataError, match="88 is a value; wanted a name"):
        read_outlines(folder, ct, 88)
    save(image_of(labels[:3]), folder / "odd.nii.gz")
    with pytest.raises(GeometryError, match="another grid than the other structures"):
        read_outlines(folder, ct, ["iliopsoas_left", "odd"])
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ImageReadError, match="holds no label maps"):
        read_outlines(tmp_path / "nothing", ct, "iliopsoas_left")


def test_names_from_the_file_itself(labels: np.ndarray, ct: Path, tmp_path: Path) -> None:
    import nibabel as nib

    image = image_of(labels)
    slicer = image_of(labels)
    for key, value in {
        "Segment0_Name": "Psoas L", "Segment0_LabelValue": "88",
        "Segment1_Name": "Psoas R", "Segment1_LabelValue": "89",
    }.items():  # fmt: skip
        slicer.SetMetaData(key, value)
    path = save(slicer, tmp_path / "segmentation.seg.nrrd")
    assert label_names(path) == {"Psoas L": 88, "Psoas R": 89}
    np.testing.assert_array_equal(read_outlines(path, ct, "psoas r").labels, labels == 89)

    named = nib.load(save(image, tmp_path / "plain.nii.gz"))
    assert label_names(tmp_path / "plain.nii.gz") == {}
    xml = '<CaretExtension><LabelTable><Label Key="29" Red="1"><![CDATA[L3]]></Label></LabelTable>'
    named.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    for name in ("named.nii.gz", "named.nii"):
        nib.save(named, tmp_path / name)
        assert label_names(tmp_path / name) == {"L3": 29}
    np.testing.assert_array_equal(
        read_outlines(tmp_path / "named.nii", ct, "L3").labels, labels == 29
    )


def test_names_of_a_damaged_file_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "total.nii.gz"
    path.write_bytes(gzip.compress(bytes(400))[:12])
    with pytest.raises(ImageReadError, match=r"is cut short or damaged .* Copy it again"):
        label_names(path)


def test_values_that_share_a_name_are_all_read(
    labels: np.ndarray, ct: Path, tmp_path: Path
) -> None:
    import nibabel as nib

    image = image_of(labels)
    for k, value in enumerate((88, 89)):
        image.SetMetaData(f"Segment{k}_Name", "Psoas")
        image.SetMetaData(f"Segment{k}_LabelValue", str(value))
    slicer = save(image, tmp_path / "segmentation.seg.nrrd")
    named = nib.load(save(image_of(labels), tmp_path / "plain.nii.gz"))
    table = "".join(f'<Label Key="{v}" Red="1"><![CDATA[Psoas]]></Label>' for v in (88, 89))
    xml = f"<CaretExtension><LabelTable>{table}</LabelTable></CaretExtension>"
    named.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(named, tmp_path / "named.nii.gz")
    for path in (slicer, tmp_path / "named.nii.gz"):
        assert label_names(path) == {"Psoas": 88, "Psoas (2)": 89}
        found = read_outlines(path, ct, "psoas")
        np.testing.assert_array_equal(found.labels == 1, np.isin(labels, (88, 89)))
        second = read_outlines(path, ct, "Psoas (2)")
        np.testing.assert_array_equal(second.labels == 1, labels == 89)
    pairs = [("a", 1), ("a", 2), ("a (2)", 3), ("a", 4)]
    assert apart(pairs) == {"a": 1, "a (3)": 2, "a (2)": 3, "a (4)": 4}


def test_values_without_names_are_a_guess_that_is_told(
    labels: np.ndarray, ct: Path, tmp_path: Path
) -> None:
    path = save(image_of(labels), tmp_path / "bare.nii.gz")
    with pytest.warns(UserWarning, match=r"carry no names .* \(29 is 'vertebrae_L3'\)"):
        guessed = read_outlines(path, ct, "iliopsoas_left")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # values, and a table that is given, are no guess
        said = read_outlines(path, ct, "iliopsoas_left", names=TOTALSEGMENTATOR)
        by_value = read_outlines(path, ct, 88)
    for found in (guessed, said, by_value):
        np.testing.assert_array_equal(found.labels == 1, labels == 88)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_vertebrae_in_another_order_are_another_table(
    direction: np.ndarray, tmp_path: Path
) -> None:
    """Version 1 had the oesophagus at 42 and T9 at 26, which version 2 calls T2 and S1."""
    array = np.zeros((12, 6, 5), np.uint8)
    array[2:4, 1, 1], array[6:8, 1, 1], array[1:9, 4, 4] = 25, 26, 42
    array[11, 5, 0] = 41  # specks of others do not count
    array[::2, 0, 0] = array[1, 0, 0] = 6
    array[:, 2] = 27
    array[10:, 2] = 28
    code = "".join(["RL", "AP", "IS"][i][0 if direction[i, i] > 0 else 1] for i in range(3))

    def stored(values: np.ndarray, name: str) -> Path:
        return save(sitk.DICOMOrient(image_of(values), code), tmp_path / name)

    ordered = np.where(np.isin(array, (27, 28)), array, 0)
    ct = save(image_of(array.astype(np.int16)), tmp_path / "ct.mha")
    path = stored(ordered, "ordered.nii.gz")
    assert read_outlines(path, ct, "vertebrae_L4", names=TOTALSEGMENTATOR).classes == (0, 1)
    for values in (array, np.where(ordered, 55 - ordered, 0)):
        path = stored(values, "other.nii.gz")
        for names in (None, TOTALSEGMENTATOR):
            with pytest.raises(DataError, match=r"value \d+ lies above .* another meaning"):
                read_outlines(path, ct, "vertebrae_L4", names=names)
        assert read_outlines(path, ct, "L4", names={"L4": 28}).classes == (0, 1)


def test_values_beyond_the_table_are_another_table(labels: np.ndarray, tmp_path: Path) -> None:
    labels[0, 0, :2] = 117, 255
    path = save(image_of(labels), tmp_path / "ends.nii.gz")
    found = read_outlines(path, path, "iliopsoas_left", names=TOTALSEGMENTATOR)
    np.testing.assert_array_equal(found.labels == 1, labels == 88)
    labels[0, 0, 0] = 118
    path = save(image_of(labels), tmp_path / "other.nii.gz")
    with pytest.raises(DataError, match=r"holds the value 118, and .* ends at 117: .* names="):
        read_outlines(path, path, "iliopsoas_left", names=TOTALSEGMENTATOR)
    assert read_outlines(path, path, 88).classes == (0, 1, 255)


def test_one_slice_may_hold_parts_of_two_vertebrae(tmp_path: Path) -> None:
    """The body of L4 and behind it the spinous process of L3: neither lies above the other."""
    array = np.zeros((1, 6, 5), np.uint8)
    array[0, 1:3], array[0, 4] = 28, 29
    path = save(image_of(array), tmp_path / "slice.nii.gz")
    found = read_outlines(path, path, "vertebrae_L3", names=TOTALSEGMENTATOR)
    np.testing.assert_array_equal(found.labels, array == 29)


def test_a_structure_of_255_is_one_in_its_own_file(tmp_path: Path) -> None:
    """Written as 0 and 255; beside other values 255 means not annotated."""
    array = np.zeros((3, 5, 5), np.uint8)
    array[1, 2:4, 1:4] = 255
    folder = tmp_path / "segmentations"
    whole = save(image_of(array), folder / "psoas.nii.gz")
    ct = save(image_of(array.astype(np.int16)), tmp_path / "ct.mha")
    np.testing.assert_array_equal(read_outlines(folder, ct, "psoas").labels, array == 255)
    with pytest.raises(DataError, match="If 255 is the structure, write it as 1"):
        read_outlines(whole, ct, "psoas")
    np.testing.assert_array_equal(read_outlines(whole, ct, 255).labels, array == 255)
    assert read_outlines(whole, ct, "psoas", names={"psoas": 1}).classes == (0, 255)
    array[1, 1, 1] = 1
    save(image_of(array), folder / "psoas.nii.gz")
    np.testing.assert_array_equal(read_outlines(folder, ct, "psoas").labels, array == 1)


def test_not_annotated_is_kept_and_bad_values_are_named(
    labels: np.ndarray, ct: Path, tmp_path: Path
) -> None:
    sparse = labels.copy()
    sparse[2] = 255
    path = save(image_of(sparse), tmp_path / "sparse.nii.gz")
    found = read_outlines(path, ct, {88: 1, 89: 1})
    assert (found.labels[2] == 255).all()
    np.testing.assert_array_equal(found.labels[0] == 1, np.isin(labels[0], (88, 89)))
    with pytest.raises(DataError, match="no voxel has the value 5; wanted one of 0, 29, 86"):
        read_outlines(path, ct, 5)
    unnamed = save(image_of(np.where(labels, labels + 130, 0)), tmp_path / "unnamed.mha")
    with pytest.raises(UnknownNameError, match="values have no names, so 'psoas' means nothing"):
        read_outlines(unnamed, ct, "psoas")
    assert read_outlines(unnamed, ct, "psoas", names={"psoas": 218}).classes == (0, 1)
    soft = save(image_of((labels / 89).astype(np.float32)), tmp_path / "soft.mha")
    with pytest.raises(DataError, match="probabilities or an interpolated mask"):
        read_outlines(soft, ct, 1)
    with pytest.raises(DataError, match="wanted a whole number from 1 to 254"):
        class_table({"a": 255})
    table = class_table({np.int64(88): np.int64(1), "a": 2})
    assert repr(table) == "{88: 1, 'a': 2}"
    assert class_table(np.uint8(88)) == {88: 1}
    with pytest.raises(DataError, match="no structure was named"):
        class_table([])


def same_grid(path: Path) -> None:
    a, b = read_grid(path), grid_of(read_volume(path))
    np.testing.assert_allclose(a.origins, b.origins)
    assert (a.shape, a.spacing, a.direction) == (b.shape, b.spacing, b.direction)


def test_a_volume_in_memory_has_the_grid_of_its_file(ct: Path) -> None:
    same_grid(ct)


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_files_of_two_and_four_dimensions_have_a_grid(ending: str, tmp_path: Path) -> None:
    """What can be read has a grid: a slice, or one time point."""
    volume = np.zeros((3, 9, 9), np.int16)
    direction = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], float)
    point = save(sitk.JoinSeries([image_of(volume, direction)]), tmp_path / f"four.{ending}")
    same_grid(point)
    assert read_grid(point).shape == (3, 9, 9)
    image = sitk.GetImageFromArray(volume[0] - 5)
    image.SetSpacing((0.8, 0.9))
    ct = save(image, tmp_path / f"ct.{ending}")
    same_grid(ct)
    masks = {}
    for name, row in (("a", 1), ("b", 5)):
        masks[name] = np.zeros((9, 9), np.uint8)
        masks[name][row : row + 2, 2:4] = 1
        image = sitk.GetImageFromArray(masks[name])
        image.SetSpacing((0.8, 0.9))
        save(image, tmp_path / f"segmentations/{name}.{ending}")
    wanted = masks["a"] + 2 * masks["b"]
    for given in (ct, read_volume(ct)):
        found = read_outlines(tmp_path / "segmentations", given, ["a", "b"])
        np.testing.assert_array_equal(found.labels[0], wanted)
