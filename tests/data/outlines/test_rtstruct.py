"""Outlines of a planning system on the slices that they were drawn on."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from planned import SPACING, Series, circle, write_rtstruct, write_series

from muscletransfer.data import MaskImage, read_ct
from muscletransfer.data.outlines import read_outlines, read_structure_set
from muscletransfer.errors import (
    DataError,
    GeometryError,
    ImageReadError,
    MuscleTransferError,
    SettingError,
    UnknownNameError,
)

MUSCLE = circle((35.3, 29.6), 18.4)
HOLE = circle((33.0, 30.0), 6.2)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return write_series(tmp_path_factory.mktemp("ct") / "series")


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return np.hypot(x - centre[0], y - centre[1]) < radius


def test_area_place_and_hole(series: Series, tmp_path: Path) -> None:
    path = write_rtstruct(
        tmp_path / "rs.dcm", series, {"Body": [(0, MUSCLE)], "Muscle L3": [(2, MUSCLE), (2, HOLE)]}
    )
    mask = read_outlines(path, series.folder, "Muscle L3")
    ct = read_ct(series.folder)
    assert (mask.shape, mask.origin, mask.direction) == (ct.shape, ct.origin, ct.direction)
    assert [set(np.unique(s).tolist()) for s in mask.labels] == [{255}, {255}, {0, 1}, {255}, {255}]
    wanted = disc((60, 70), (35.3, 29.6), 18.4) & ~disc((60, 70), (33.0, 30.0), 6.2)
    np.testing.assert_array_equal(mask.labels[2] == 1, wanted)
    area = (mask.labels[2] == 1).sum() * SPACING[0] * SPACING[1]
    assert area == pytest.approx(np.pi * (18.4**2 - 6.2**2) * SPACING[0] * SPACING[1], rel=0.01)
    plain = read_outlines(path, series.folder, "muscle l3", unmarked=0)
    assert plain.classes == (0, 1)


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0),
        (-1, 0, 0, 0, -1, 0),  # prone
        (-1, 0, 0, 0, 1, 0),  # mirrored: slices run to the feet
        (1, 0, 0, 0, np.cos(0.2), np.sin(0.2)),  # oblique
    ],
)
def test_every_orientation(orientation: tuple[float, ...], tmp_path: Path) -> None:
    series = write_series(tmp_path / "ct", orientation=orientation)
    path = write_rtstruct(tmp_path / "rs.dcm", series, {"m": [(1, MUSCLE)]})
    mask = read_outlines(path, series.folder, "m")
    index = int(np.flatnonzero((mask.labels == 1).any(axis=(1, 2)))[0])
    ct = read_ct(series.folder)
    # The slice is the one that pydicom wrote at this position, whatever the order of files.
    there = np.array(ct.slice(index).origin)
    assert there == pytest.approx(np.array(series.slices[1].ImagePositionPatient, dtype=float))
    np.testing.assert_array_equal(mask.labels[index] == 1, disc((60, 70), (35.3, 29.6), 18.4))


def test_tilted_gantry_and_missing_slices_have_a_place_each(tmp_path: Path) -> None:
    tilted = write_series(tmp_path / "tilted", step=(0.0, 0.7, 3.0))
    path = write_rtstruct(tmp_path / "a.dcm", tilted, {"m": [(3, MUSCLE)]})
    mask = read_outlines(path, tilted.folder, "m")
    np.testing.assert_array_equal(mask.labels[3] == 1, disc((60, 70), (35.3, 29.6), 18.4))
    holed = write_series(tmp_path / "holed", count=7)
    path = write_rtstruct(tmp_path / "b.dcm", holed, {"m": [(5, MUSCLE)]})
    for file in holed.folder.iterdir():
        if pydicom.dcmread(file).InstanceNumber in (3, 4):
            file.unlink()
    mask = read_outlines(path, holed.folder, "m")
    assert np.flatnonzero((mask.labels == 1).any(axis=(1, 2))).tolist() == [3]


def test_xor_contours(series: Series, tmp_path: Path) -> None:
    path = write_rtstruct(
        tmp_path / "rs.dcm", series, {"m": [(1, HOLE), (1, MUSCLE)]}, kind="CLOSEDPLANAR_XOR"
    )
    wanted = disc((60, 70), (35.3, 29.6), 18.4) & ~disc((60, 70), (33.0, 30.0), 6.2)
    np.testing.assert_array_equal(read_outlines(path, series.folder, "m").labels[1] == 1, wanted)


def test_several_rois_and_their_overlap(series: Series, tmp_path: Path) -> None:
    path = write_rtstruct(
        tmp_path / "rs.dcm", series, {"psoas_l": [(2, MUSCLE)], "psoas_r": [(2, HOLE)], "fat": []}
    )
    with pytest.warns(UserWarning, match="pixels belong to two structures"):
        mask = read_outlines(path, series.folder, ["psoas_l", "psoas_r"])
    np.testing.assert_array_equal(mask.labels[2] == 2, disc((60, 70), (33.0, 30.0), 6.2))
    one = read_outlines(path, series.folder, {"psoas_*": 1})
    np.testing.assert_array_equal(one.labels[2] == 1, disc((60, 70), (35.3, 29.6), 18.4))
    assert [r.name for r in read_structure_set(path).rois] == ["psoas_l", "psoas_r", "fat"]
    assert read_outlines(path, series.folder, 2).labels.max() == 255


def test_another_series_is_refused(series: Series, tmp_path: Path) -> None:
    other = write_series(tmp_path / "thin", frame=series.frame)
    path = write_rtstruct(tmp_path / "rs.dcm", series, {"m": [(2, MUSCLE)]})
    with pytest.raises(GeometryError, match=r"refers to the series .*the same frame"):
        read_outlines(path, other.folder, "m")
    allowed = read_outlines(path, other.folder, "m", other_series=True)
    np.testing.assert_array_equal(allowed.labels[2] == 1, disc((60, 70), (35.3, 29.6), 18.4))
    stranger = write_series(tmp_path / "stranger")
    for other_series in (False, True):
        with pytest.raises(GeometryError, match="another scan, so positions do not carry over"):
            read_outlines(path, stranger.folder, "m", other_series=other_series)


def test_positions_are_checked_too(series: Series, tmp_path: Path) -> None:
    def moved(name: str, shift: tuple[float, float, float], **options: object) -> Path:
        return write_rtstruct(tmp_path / name, series, {"m": [(2, MUSCLE)]}, shift=shift, **options)

    with pytest.raises(GeometryError, match=r"contour at 107\.30 mm, and the nearest slice"):
        read_outlines(moved("a.dcm", (0, 0, 1.3)), series.folder, "m")
    with pytest.raises(GeometryError, match="lie beside"):
        read_outlines(moved("b.dcm", (300.0, 0, 0)), series.folder, "m")
    with pytest.raises(GeometryError, match=r"names slice 2 .* and lies on slice 3"):
        read_outlines(moved("c.dcm", (0, 0, 3.0)), series.folder, "m")
    unnamed = moved("d.dcm", (0, 0, 3.0), name_instances=False)
    assert (read_outlines(unnamed, series.folder, "m").labels[3] == 1).any()


def test_a_ct_without_uids_is_checked_by_position_alone(series: Series, tmp_path: Path) -> None:
    ct = read_ct(series.folder)
    image = sitk.GetImageFromArray(ct.hu)
    image.SetSpacing(ct.spacing[::-1])
    image.SetOrigin(ct.origin)
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    path = write_rtstruct(tmp_path / "rs.dcm", series, {"m": [(2, MUSCLE)]})
    with pytest.warns(UserWarning, match="checked by position alone"):
        mask = read_outlines(path, tmp_path / "ct.nii.gz", "m")
    np.testing.assert_array_equal(mask.labels[2] == 1, disc((60, 70), (35.3, 29.6), 18.4))


def test_bad_input(series: Series, tmp_path: Path) -> None:
    rois = {"Muscle L3": [(2, MUSCLE)], "empty": []}
    path = write_rtstruct(tmp_path / "rs.dcm", series, rois)
    with pytest.raises(UnknownNameError, match=r"no ROI 'Muscle_L3'\. Did you mean 'Muscle L3'"):
        read_outlines(path, series.folder, "Muscle_L3")
    with pytest.raises(DataError, match=r"no closed contours \(found none at all"):
        read_outlines(path, series.folder, "empty")
    with pytest.raises(DataError, match="ROI number 7 was asked for; it has 2"):
        read_outlines(path, series.folder, 7)
    with pytest.raises(SettingError, match="contours, which have no voxels"):
        read_outlines(path, series.folder, "empty", resample=True)
    points = write_rtstruct(tmp_path / "p.dcm", series, {"m": [(1, MUSCLE[:1])]}, kind="POINT")
    with pytest.raises(DataError, match="found POINT"):
        read_outlines(points, series.folder, "m")
    cut = tmp_path / "cut.dcm"
    whole = path.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageReadError, match="damaged"):
        read_outlines(cut, series.folder, "Muscle L3")
    ct_file = sorted(series.folder.iterdir())[0]
    with pytest.raises(ImageReadError, match="modality is 'CT'; wanted RTSTRUCT"):
        read_structure_set(ct_file)
    broken = pydicom.dcmread(path)
    broken.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2"]
    broken.save_as(tmp_path / "broken.dcm")
    with pytest.raises(ImageReadError, match="a contour has 2 coordinates"):
        read_outlines(tmp_path / "broken.dcm", series.folder, "Muscle L3")


def test_without_pydicom_the_pip_command_is_told(
    series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from muscletransfer.errors import MissingDependencyError

    path = write_rtstruct(tmp_path / "rs.dcm", series, {"m": [(2, MUSCLE)]})
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'muscletransfer\[dicom\]'"):
        read_outlines(path, series.folder, "m")


def test_mutated_files_are_read_or_refused(series: Series, tmp_path: Path) -> None:
    """Random damage: an outline, or an error of ours that names the file; never a crash."""
    path = write_rtstruct(tmp_path / "rs.dcm", series, {"m": [(2, MUSCLE[::8]), (2, HOLE[::8])]})
    whole = path.read_bytes()
    rng = np.random.default_rng(4)
    refused: list[str] = []
    for number in range(120):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[int(rng.integers(140, len(data))) :]
        else:
            for at in rng.integers(0, len(data), 3 if number % 3 == 1 else 40):
                data[at] = int(rng.integers(256))
        broken = tmp_path / "broken.dcm"
        broken.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mask = draw(broken, series)
            assert set(np.unique(mask.labels).tolist()) <= {0, 1, 255}
        except MuscleTransferError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all("broken.dcm" in text for text in refused)


def draw(path: Path, series: Series) -> MaskImage:
    from muscletransfer.data.io.grids import read_grid
    from muscletransfer.data.outlines.rtstruct import draw_rois

    return draw_rois(read_structure_set(path), read_grid(series.folder), {"m": 1})
