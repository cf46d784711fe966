"""DICOM-SEG written by highdicom, read back onto its CT."""

from __future__ import annotations

import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from planned import Series, circle, write_rtstruct, write_seg, write_series

from muscletransfer.data.io.grids import read_grid
from muscletransfer.data.outlines import read_outlines, segment_names
from muscletransfer.errors import (
    DataError,
    GeometryError,
    ImageReadError,
    MuscleTransferError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return write_series(tmp_path_factory.mktemp("ct") / "series")


def masks(count: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    psoas = np.zeros((count, 60, 70), bool)
    wall = np.zeros((count, 60, 70), bool)
    psoas[1:4, 20:30, 15:33] = rng.random((3, 10, 18)) > 0.3
    wall[2:4, 35:50, 10:60] = rng.random((2, 15, 50)) > 0.3
    return {"psoas": psoas, "abdominal wall": wall}


def in_ct_order(series: Series, array: np.ndarray) -> np.ndarray:
    """From the order of writing to that of `read_ct`: along the normal of the slices."""
    cosines = np.array(series.slices[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(cosines[:3], cosines[3:])
    heights = [np.array(s.ImagePositionPatient, dtype=float) @ normal for s in series.slices]
    return array[np.argsort(heights)]


@pytest.mark.parametrize(
    "orientation", [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0)]
)
def test_segments_return_voxel_by_voxel(orientation: tuple[float, ...], tmp_path: Path) -> None:
    series = write_series(tmp_path / "ct", orientation=orientation)
    drawn = masks()
    path = write_seg(tmp_path / "seg.dcm", series, drawn)
    assert segment_names(path) == {"psoas": 1, "abdominal wall": 2}
    found = read_outlines(path, series.folder, ["psoas", "abdominal wall"], unmarked=0)
    wanted = np.where(drawn["abdominal wall"], 2, np.where(drawn["psoas"], 1, 0))
    np.testing.assert_array_equal(found.labels, in_ct_order(series, wanted))


def test_fractional_and_label_map_objects(series: Series, tmp_path: Path) -> None:
    drawn = masks()
    kinds = hd.seg.SegmentationTypeValues
    soft = {"psoas": np.where(drawn["psoas"], 0.8, 0.3 * drawn["abdominal wall"])}
    path = tmp_path / "fractional.dcm"
    write_seg(path, series, soft, kind=kinds.FRACTIONAL, dtype=np.float32)
    found = read_outlines(path, series.folder, "psoas", unmarked=0)
    np.testing.assert_array_equal(found.labels == 1, drawn["psoas"])
    apart = {"psoas": drawn["psoas"] & ~drawn["abdominal wall"], "wall": drawn["abdominal wall"]}
    path = write_seg(tmp_path / "map.dcm", series, apart, kind=kinds.LABELMAP)
    found = read_outlines(path, series.folder, {"wall": 1, "psoas": 2}, unmarked=0)
    np.testing.assert_array_equal(found.labels, np.select([apart["wall"], apart["psoas"]], [1, 2]))


def test_segments_that_share_a_label_are_all_drawn(series: Series, tmp_path: Path) -> None:
    drawn = masks()
    path = write_seg(tmp_path / "seg.dcm", series, drawn, labels=["Psoas", "Psoas"])
    assert segment_names(path) == {"Psoas": 1, "Psoas (2)": 2}
    both = in_ct_order(series, drawn["psoas"] | drawn["abdominal wall"])
    for asked in ("Psoas", "psoas", "pso*"):
        found = read_outlines(path, series.folder, asked, unmarked=0)
        np.testing.assert_array_equal(found.labels == 1, both)
    for one in ("Psoas (2)", 2):
        found = read_outlines(path, series.folder, one, unmarked=0)
        np.testing.assert_array_equal(found.labels == 1, drawn["abdominal wall"])


@pytest.mark.parametrize("first", ["*", "psoas", 1])
def test_the_later_one_of_the_table_stands(
    first: str | int, series: Series, tmp_path: Path
) -> None:
    """Also where an entry before it has named the same segment."""
    drawn = masks()
    drawn["abdominal wall"] |= drawn["psoas"]
    path = write_seg(tmp_path / "seg.dcm", series, drawn)
    table = {first: 1, "abdominal wall": 3, "Psoas": 2}
    found = read_outlines(path, series.folder, table, unmarked=0)
    np.testing.assert_array_equal(found.labels == 2, drawn["psoas"])


def test_slices_without_the_segment_are_not_annotated(series: Series, tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", series, masks())
    found = read_outlines(path, series.folder, {"abdominal wall": 1})
    assert [set(np.unique(s).tolist()) for s in found.labels] == [
        {255}, {255}, {0, 1}, {0, 1}, {255},
    ]  # fmt: skip


def test_another_series_or_segment_is_refused(series: Series, tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", series, masks())
    other = write_series(tmp_path / "other", frame=series.frame)
    with pytest.raises(GeometryError, match="refers to the series"):
        read_outlines(path, other.folder, "psoas")
    assert (read_outlines(path, other.folder, "psoas", other_series=True).labels == 1).any()
    with pytest.raises(GeometryError, match="another scan"):
        read_outlines(path, write_series(tmp_path / "stranger").folder, "psoas")
    with pytest.raises(UnknownNameError, match="Did you mean 'psoas'"):
        read_outlines(path, series.folder, "psaos")
    with pytest.raises(DataError, match="segment number 7"):
        read_outlines(path, series.folder, 7)


def test_another_grid_only_when_asked(series: Series, tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", series, masks())
    coarse = write_series(tmp_path / "coarse", count=3, gap=5.0, frame=series.frame)
    with pytest.raises(GeometryError, match=r"slices are 3 mm apart, those of the image 5 mm"):
        read_outlines(path, coarse.folder, "psoas", other_series=True)
    found = read_outlines(path, coarse.folder, "psoas", other_series=True, resample=True)
    # Slices at 5 and 10 mm take those at 6 and 9 mm, the nearest.
    np.testing.assert_array_equal(found.labels[1] == 1, masks()["psoas"][2])
    np.testing.assert_array_equal(found.labels[2] == 1, masks()["psoas"][3])


def test_damaged_files(series: Series, tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", series, masks())
    whole = path.read_bytes()
    cut = tmp_path / "cut.dcm"
    for lost in (2, 500, 2000):
        cut.write_bytes(whole[: len(whole) - lost])
        with pytest.raises(ImageReadError, match=r"cut short|may be damaged"):
            read_outlines(cut, series.folder, "psoas")
    structure = write_rtstruct(tmp_path / "rs.dcm", series, {"m": [(1, circle((30, 30), 5))]})
    with pytest.raises(ImageReadError, match="wanted SEG"):
        segment_names(structure)


def test_mutated_files_are_read_or_refused(series: Series, tmp_path: Path) -> None:
    """Random damage: a mask, or an error of ours that names the file; a cut file is never read."""
    whole = write_seg(tmp_path / "seg.dcm", series, masks()).read_bytes()
    rng = np.random.default_rng(6)
    grid = read_grid(series.folder)
    refused: list[str] = []
    for number in range(90):
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
                mask = read_outlines(broken, grid, "psoas")
            assert number % 3 != 0
            assert set(np.unique(mask.labels).tolist()) <= {0, 1, 255}
        except MuscleTransferError as error:
            refused.append(str(error))
    assert len(refused) >= 30
    assert all("broken.dcm" in text for text in refused)
