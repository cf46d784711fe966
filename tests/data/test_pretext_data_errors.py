"""PretextDataModule: layouts and exclusions that cannot work say why."""

from __future__ import annotations

from pathlib import Path

import pytest
from pretext_layouts import draw_layouts, paint, paint_mask, ready

from muscletransfer.data import Split
from muscletransfer.errors import (
    DataError,
    GeometryError,
    ImageReadError,
    ManifestError,
    SettingError,
    SplitError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_layouts(tmp_path_factory.mktemp("pretext"))


def test_exclusion_that_goes_wrong(root: Path) -> None:
    everyone = Split(train=(), val=(), test=tuple(f"P{i:02d}" for i in range(12)))
    with pytest.raises(SplitError, match="bars all of its 12 patients"):
        ready(root, "ct/manifest.csv", exclude=everyone)
    with pytest.warns(UserWarning, match="names 1 patients and none of them"):
        ready(root, "ct/manifest.csv", exclude=Split((), (), ("Q1",)))
    with pytest.warns(UserWarning, match="names 1 patients, and no source is a manifest"):
        ready(root, "classes", exclude=Split((), (), ("P00",)))
    with pytest.raises(SplitError, match=r"missing\.json"):
        ready(root, "ct/manifest.csv", exclude=root / "missing.json")


def test_one_patient_cannot_validate(root: Path) -> None:
    (root / "volumes" / "single.csv").write_text("patient_id,image\nP00,p00.nii.gz\n")
    with pytest.raises(SplitError, match="Set val_fraction=0"):
        ready(root, "volumes/single.csv", slices="all")
    assert len(ready(root, "volumes/single.csv", slices="all", val_fraction=0).train_set) == 6


def test_layout_errors(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    paint(tmp_path / "lone" / "images" / "a.jpg", 3)
    paint(tmp_path / "lone" / "images" / "b.jpg", 3)
    paint_mask(tmp_path / "lone" / "masks" / "a.png", [0, 1])
    paint(tmp_path / "sized" / "images" / "a.jpg", 3, (40, 30))
    paint_mask(tmp_path / "sized" / "masks" / "a.png", [0, 1], (20, 30))
    paint(tmp_path / "broken" / "cat" / "a.jpg", 3)
    (tmp_path / "broken" / "cat" / "b.jpg").write_bytes(b"\xff\xd8 not a photograph")
    lists = tmp_path / "lists"
    paint(lists / "a.jpg", 3)
    for name, text in {
        "gone": "file,label\nb.jpg,x",
        "nameless": "picture,label\na.jpg,x",
        "unlabelled": "file,label\na.jpg,",
        "short": "file,label\na.jpg",
        "column": "file,coarse\na.jpg,x",
        "none": "file,label",
        "later": "file,label\na.jpg,x\n\n\nb.jpg,y",
        "sheet": "file;label\na.jpg;x",
        "patients": "patient_id,file,label\nP1,a.jpg,x",
    }.items():
        (lists / f"{name}.csv").write_text(text + "\n")
    for source, error, message in (
        (tmp_path / "emptty", DataError, "does not exist.*did you mean 'empty'"),
        (tmp_path / "empty", DataError, "holds no images: found nothing"),
        (tmp_path / "lone", DataError, r"b\.jpg has no mask.*none is named 'b'"),
        (tmp_path / "sized", GeometryError, r"shape \(30, 20\)"),
        (tmp_path / "broken", ImageReadError, r"b\.jpg"),
        (lists / "a.jpg", DataError, "single file that is no CSV"),
        (lists / "gone.csv", ManifestError, "row 2: file 'b.jpg' is neither in"),
        (lists / "nameless.csv", ManifestError, "no column of file names; found picture, label"),
        (lists / "unlabelled.csv", ManifestError, "row 2: label is empty"),
        (lists / "short.csv", ManifestError, "row 2: has 1 values, the header 2"),
        (lists / "column.csv", ManifestError, "no column 'label'.*label_column="),
        (lists / "none.csv", ManifestError, "a header and no rows"),
        (lists / "later.csv", ManifestError, "row 5: file 'b.jpg' is neither in"),
        (lists / "sheet.csv", ManifestError, "'file;label' is not separated by commas.*Save"),
        (lists / "patients.csv", ManifestError, "its files in 'file'.*Rename that column to image"),
    ):
        with pytest.raises(error, match=message):
            ready(tmp_path, source, val_fraction=0)
    (lists / "manifest.csv").write_text("patient_id,image,label\nP1,a.jpg,x\n")
    with pytest.raises(ManifestError, match=r"'patient_id'.*reads no patients.*kind='manifest'"):
        ready(tmp_path, lists / "manifest.csv", kind="class_csv", val_fraction=0)
    with pytest.raises(UnknownNameError, match="Did you mean class_folder"):
        ready(root, "classes", kind="class_folders")
    with pytest.raises(DataError, match="wanted a folder images/ and a folder masks/"):
        ready(root, "classes", kind="mask_folders")
    with pytest.raises(SettingError, match="1 sources and 2 kinds"):
        ready(root, [root / "classes"], kind=["class_folder", None])
    with pytest.raises(SettingError, match="val_fraction is 1"):
        ready(root, "classes", val_fraction=1)
