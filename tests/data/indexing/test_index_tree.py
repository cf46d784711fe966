"""An export of any shape: what is found in it, how it is read again, and what is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from ct_exports import (
    SHAPE,
    body,
    enhanced,
    problems_of,
    reason_for,
    save,
    slice_of,
    write_series,
)
from pydicom.uid import (
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
)

from muscletransfer.cli import main
from muscletransfer.data import Manifest, read_ct
from muscletransfer.data.indexing import ImageIndex, index_images
from muscletransfer.errors import DataError, ImageReadError, SettingError


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A disorderly export, and the HU of the five series that are to be found in it."""
    root = tmp_path_factory.mktemp("export")
    truth = {}
    truth["plain"] = write_series(root / "p1", 5, patient="ID-1", series="plain")
    write_series(root / "p1", 4, patient="ID-1", series="PET", Modality="PT",
                 SOPClassUID=PositronEmissionTomographyImageStorage)  # fmt: skip
    truth["other"] = write_series(root / "p1", 3, patient="ID-1", series="other", start=20)
    truth["spread"] = write_series(root / "x" / "y", 6, patient="ID-2", series="spread", start=30)
    (root / "x" / "z").mkdir()
    for name in ("spread001", "spread004"):
        shutil.move(root / "x" / "y" / name, root / "x" / "z" / name)
    shutil.copy(root / "x" / "y" / "spread002", root / "x" / "again")
    frames = np.stack([body(40 + k) for k in range(4)])
    save(enhanced(frames[[2, 0, 3, 1]], [10.0, 0.0, 15.0, 5.0]), root / "multi")
    truth["multi"] = frames
    image = sitk.GetImageFromArray(np.stack([body(50 + k) for k in range(3)]))
    image.SetSpacing((0.7, 0.8, 5.0))
    sitk.WriteImage(image, str(root / "v.nii.gz"))
    truth["nifti"] = sitk.GetArrayFromImage(image)
    sitk.WriteImage(sitk.Cast(image > 0, sitk.sitkUInt8), str(root / "mask.nrrd"))
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    save(slice_of(body(1), 99, patient="ID-1", series="plain", **scout), root / "p1" / "scout")
    save(
        slice_of(body(1), patient="ID-1", series="sc", SOPClassUID=SecondaryCaptureImageStorage),
        root / "capture.dcm",
    )
    outlines = slice_of(
        body(1), patient="ID-1", series="rt", SOPClassUID=RTStructureSetStorage, Modality="RTSTRUCT"
    )
    for name in ("PixelData", "Rows", "Columns"):
        del outlines[name]
    save(outlines, root / "outlines.dcm")
    (root / "report.txt").write_text("Dear colleague")
    (root / "empty.dcm").touch()
    (root / ".DS_Store").write_text("x")
    (root / "DICOMDIR").write_bytes(b"not looked at")
    return root, truth


def index(root: Path, output: Path, **options: object) -> ImageIndex:
    return index_images(root, output / "manifest.csv", **{"workers": 0, **options})


def test_every_ct_series_is_found_and_reads_right(
    export: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    root, truth = export
    found = index(root, tmp_path)
    manifest = Manifest.read(found.manifest)
    assert (found.rows, found.patients) == (5, 4)
    volumes = [read_ct(row.image) for row in manifest]
    for name, hu in truth.items():
        matches = [v for v in volumes if np.array_equal(v.hu, hu)]
        assert len(matches) == 1, name
        assert matches[0].spacing == pytest.approx((5.0, 0.8, 0.7))
    by_patient = {row.patient_id: [] for row in manifest}
    for row, volume in zip(manifest, volumes, strict=True):
        by_patient[row.patient_id].append(volume.num_slices)
        assert row.extra["slices"] == str(volume.num_slices)
        assert (row.extra["rows"], row.extra["columns"]) == tuple(map(str, SHAPE))
        assert row.extra["gap_mm"] == "5"
        for k in (0, volume.num_slices - 1):
            one = read_ct(row.image, k)
            np.testing.assert_array_equal(one.hu[0], volume.hu[k])
            assert one.origin == pytest.approx(volume.slice(k).origin)
    assert sorted(map(sorted, by_patient.values())) == [[3], [3, 5], [4], [6]]


def test_what_is_left_out_is_named_with_reason_and_way_out(
    export: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    root, _ = export
    csv = index(root, tmp_path).problems_csv
    rows = problems_of(csv)
    assert all(row["reason"] and row["way_out"] for row in rows)
    assert all(Path(row["file"]).is_relative_to(root) for row in rows)
    expected = {
        "PET001": "left out: its modality is PT",
        "scout": "left out: is a localiser",
        "capture.dcm": "left out: is a secondary capture",
        "outlines.dcm": "left out: is a RTSTRUCT DICOM object without CT pixels",
        "report.txt": "left out: is no medical image",
        "empty.dcm": "left out: has 0 bytes -> Copy",
        "mask.nrrd": "left out: values run from 0 to 1 (looks like a mask)",
    }
    for name, reason in expected.items():
        assert reason_for(csv, name).startswith(reason), name
    assert [r["files"] for r in rows if r["reason"].startswith("its modality")] == ["4"]
    copies = [r for r in rows if r["outcome"] == "duplicate"]
    assert len(copies) == 1
    assert Path(copies[0]["file"]).name in ("again", "spread002")
    assert len(rows) == len(expected) + 1


def test_processes_change_nothing(
    export: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    root, _ = export
    one, two = index(root, tmp_path / "a"), index(root, tmp_path / "b", workers=2)
    assert one.manifest.read_text().replace("/a/", "/b/") == two.manifest.read_text()
    assert one.problems_csv.read_text() == two.problems_csv.read_text()
    lists = [sorted((tmp_path / f / "manifest_series").iterdir()) for f in "ab"]
    assert [p.name for p in lists[0]] == [p.name for p in lists[1]]


def test_output_beside_the_images_moves_with_them(tmp_path: Path) -> None:
    hu = write_series(tmp_path / "all" / "dicom", 3)
    first = index(tmp_path / "all", tmp_path / "all")
    text = first.manifest.read_text()
    again = index(tmp_path / "all", tmp_path / "all")
    assert again.manifest.read_text() == text
    assert again.files == 3  # neither manifest nor lists are taken for images
    shutil.move(tmp_path / "all", tmp_path / "moved")
    row = Manifest.read(tmp_path / "moved" / "manifest.csv").rows[0]
    np.testing.assert_array_equal(read_ct(row.image).hu, hu)


def test_lists_of_an_earlier_run_go_with_it(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 3, series="A")
    index(tmp_path / "in", tmp_path)
    before = sorted(p.name for p in (tmp_path / "manifest_series").iterdir())
    save(slice_of(body(9), 15.0), tmp_path / "in" / "later")
    index(tmp_path / "in", tmp_path)
    after = sorted(p.name for p in (tmp_path / "manifest_series").iterdir())
    assert len(before) == len(after) == 1
    assert before != after
    assert read_ct(Manifest.read(tmp_path / "manifest.csv").rows[0].image).num_slices == 4


def test_without_ct_the_reasons_are_written_and_no_manifest(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 3, Modality="MR")
    with pytest.raises(DataError, match=r"no axial CT series in 3 files.*\n.*\n.*modality is MR"):
        index(tmp_path / "in", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["problems.csv"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="in 0 files"):
        index(tmp_path / "nothing", tmp_path / "out")


def test_odd_entries_of_a_tree_neither_hang_nor_stop(tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_series(source / "a", 2)
    os.mkfifo(source / "pipe")
    (source / "broken").symlink_to(source / "gone")
    (source / "a" / "loop").symlink_to(source)
    (source / "a" / "twin").symlink_to(source / "a" / "A001")
    found = index(source, tmp_path)
    assert found.rows == 1
    csv = found.problems_csv
    assert "is no regular file" in reason_for(csv, "pipe")
    assert "cannot be read" in reason_for(csv, "broken")
    assert "duplicate" in reason_for(csv, "twin")


def test_volumes_whose_patient_is_their_file_folder_or_a_pattern(tmp_path: Path) -> None:
    for name in ("a/ct1.nii", "a/ct2.nii", "b/ct3.nii"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray(np.stack([body(len(name)), body(2)]))
        image.SetSpacing((0.8, 0.8, 3.0))
        sitk.WriteImage(image, str(tmp_path / "in" / name))
    assert index(tmp_path / "in" / "a", tmp_path).patients == 2
    auto = index(tmp_path / "in", tmp_path)
    assert auto.patients == 2
    assert "2 volumes of this folder are taken for one patient" in reason_for(
        auto.problems_csv, "a"
    )
    assert index(tmp_path / "in", tmp_path, patient="file").patients == 3
    assert index(tmp_path / "in", tmp_path, patient="(ct)[0-9]").patients == 1
    for rule, message in (("[", "no expression"), ("ct", "0 groups"), ("(zz)", "finds nothing")):
        with pytest.raises(SettingError, match=message):
            index(tmp_path / "in", tmp_path, patient=rule)
    (tmp_path / "in" / "sub-01").mkdir()
    (tmp_path / "in" / "sub-02").mkdir()
    for name, old in (("sub-01/x.nii", "a/ct1.nii"), ("sub-02/y.nii", "a/ct2.nii")):
        shutil.move(tmp_path / "in" / old, tmp_path / "in" / name)
    (tmp_path / "in" / "b" / "ct3.nii").rename(tmp_path / "in" / "sub-02" / "z.nii")
    assert index(tmp_path / "in", tmp_path).patients == 2


def test_volume_headers_alone_cannot_tell_masks(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.stack([body(k) for k in range(2)]))
    image.SetSpacing((0.8, 0.8, 3.0))
    sitk.WriteImage(image, str(tmp_path / "ct.mha"))
    sitk.WriteImage(sitk.Cast(image > 0, sitk.sitkUInt8), str(tmp_path / "m.mha"))
    assert index(tmp_path, tmp_path).rows == 1
    assert index(tmp_path, tmp_path, pixels="none").rows == 2


def test_arguments_that_cannot_work(tmp_path: Path) -> None:
    write_series(tmp_path / "images", 1)
    with pytest.raises(ImageReadError, match=r"imagse: does not exist.*mean images"):
        index(tmp_path / "imagse", tmp_path)
    with pytest.raises(SettingError, match="none, middle, all"):
        index(tmp_path, tmp_path, pixels="some")
    with pytest.raises(SettingError, match="source is empty; wanted a folder or file"):
        index_images(tmp_path.glob("imagse*"), tmp_path / "manifest.csv")
    with pytest.raises(SettingError, match="are one file"):
        index(tmp_path, tmp_path, links=tmp_path / "manifest.csv")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        index(tmp_path / "images", tmp_path / "file" / "deeper")


def test_command_line(
    export: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = export
    output = tmp_path / "m.csv"
    assert main(["data", "index", str(root), "-o", str(output), "--quiet", "--workers", "0"]) == 0
    text = capsys.readouterr()
    assert "5 axial CT series of 4 patients" in text.out
    assert "4 files, left out: its modality is PT" in text.out
    assert text.err == ""
    assert Manifest.read(output).rows[0].patient_id.endswith("-0001")
    assert main(["data", "index", str(tmp_path / "no"), "-o", str(output)]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_script_without_a_guard_may_use_processes(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 2)
    script = tmp_path / "script.py"
    script.write_text(
        "from muscletransfer.data.indexing import index_images\n"
        f"index = index_images({str(tmp_path / 'in')!r}, {str(tmp_path / 'm.csv')!r}, workers=2)\n"
        "print(index.rows)"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
