"""The manifest: what is read, what is refused and in which words, what is hashed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from muscletransfer.data import Manifest, ManifestRow
from muscletransfer.errors import ManifestError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for k in range(4):
        pixels = np.full((4, 5), k, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{k}.png")
        Image.fromarray(pixels % 2).save(tmp_path / "masks" / f"{k}.png")
    return tmp_path


def read(root: Path, text: str, **options: Any) -> Manifest:
    (root / "m.csv").write_text(text, encoding=options.pop("encoding", "utf-8"))
    return Manifest.read(root / "m.csv", **options)


FULL = """patient_id,image,mask,slice_index,label,height_m,sex,bmi,spacing_x_mm,spacing_y_mm,site
P1,images/0.png,masks/0.png,,muscle,1.75,male,24.5,0.7,0.8,Manchester
P2,images/1.png,,12.0,,,,,,,"Leeds, north"
"""


def test_every_column_is_understood(root: Path) -> None:
    manifest = read(root, FULL)
    first, second = manifest.rows
    assert first.image == root / "images" / "0.png"
    assert first.mask == root / "masks" / "0.png"
    assert (first.label, first.height_m, first.sex, first.bmi) == ("muscle", 1.75, "M", 24.5)
    assert first.spacing == (0.8, 0.7)  # (sy, sx)
    assert first.slice_index is None
    assert first.extra == {"site": "Manchester"}
    assert (second.slice_index, second.mask, second.sex, second.spacing) == (12, None, None, None)
    assert second.extra == {"site": "Leeds, north"}
    assert [row.line for row in manifest] == [2, 3]
    assert manifest.patients == ["P1", "P2"]


def test_spreadsheet_habits_are_accepted(root: Path) -> None:
    text = "patient_id , image\r\n P1 , images/0.png \r\n,\r\n\r\nP2,./images/1.png\r\n"
    manifest = read(root, text, encoding="utf-8-sig")  # the mark that Excel puts in front
    assert manifest.patients == ["P1", "P2"]
    assert [row.line for row in manifest] == [2, 5]
    absolute = read(root, f"patient_id,image\nP1,{root / 'images' / '0.png'}\n")
    assert absolute.rows[0].image == root / "images" / "0.png"


def test_written_manifest_reads_back_the_same_and_moves_with_its_folder(root: Path) -> None:
    manifest = read(root, FULL)
    text = manifest.write(root / "again.csv").read_text()
    assert str(root) not in text
    again = Manifest.read(root / "again.csv")
    pairs = zip(again.rows, manifest.rows, strict=True)
    assert all(a.to_record() == b.to_record() for a, b in pairs)
    moved = root.parent / (root.name + "-moved")
    shutil.copytree(root, moved)
    assert Manifest.read(moved / "again.csv").rows[0].image == moved / "images" / "0.png"
    elsewhere = manifest.write(root / "sub" / "far.csv")
    assert Manifest.read(elsewhere).rows[0].image == root / "images" / "0.png"
    bare = Manifest((ManifestRow("P1", root / "images" / "0.png"),))
    assert bare.write(root / "b.csv").read_text() == "patient_id,image\nP1,images/0.png\n"
    assert bare.rows[0].line == 2


def test_select_and_where(root: Path) -> None:
    text = "patient_id,image,role\nB,images/0.png,primary\nA,images/1.png,x\nB,images/2.png,x\n"
    manifest = read(root, text)
    assert [r.line for r in manifest.select(["B"])] == [2, 4]
    assert [r.line for r in manifest.where(role="x")] == [3, 4]
    assert [r.line for r in manifest.where(role="x", patient_id="B")] == [4]
    with pytest.raises(ManifestError, match=r"no row for patient 'C'"):
        manifest.select(["A", "C"])
    with pytest.raises(ManifestError, match=r"no column 'rol' \(did you mean 'role'\?\)"):
        manifest.where(rol="x")


def test_other_mask_columns_and_repeats(root: Path) -> None:
    text = "patient_id,image,mask_groups\nP,images/0.png,masks/0.png\n"
    assert read(root, text, mask_column="mask_groups").rows[0].mask == root / "masks" / "0.png"
    with pytest.raises(ManifestError, match=r"no column 'mask_grops' .*'mask_groups'"):
        read(root, text, mask_column="mask_grops")
    observers = "patient_id,image,mask\nP,images/0.png,masks/0.png\nP,images/0.png,masks/1.png\n"
    assert len(read(root, observers, allow_repeats=True)) == 2
    with pytest.raises(ManifestError, match=r"already in row 2.*allow_repeats"):
        read(root, observers)


def test_a_whole_volume_and_its_first_slice_are_two(root: Path) -> None:
    (root / "volume.nii.gz").touch()
    text = "patient_id,image,slice_index\nP,volume.nii.gz,\nP,volume.nii.gz,0\n"
    assert [row.slice_index for row in read(root, text)] == [None, 0]


H = "patient_id,image\n"
REFUSED = {
    "": "is empty",
    H: "has a header and no rows",
    "patient,image\nP,images/0.png\n": r"no column 'patient_id' \(did you mean 'patient'\?\)",
    "patient_id,img\nP,images/0.png\n": r"no column 'image'.*found patient_id, img",
    "patient_id;image\nP;images/0.png\n": "not separated by commas.*CSV UTF-8",
    "patient_id,image,image\nP,a,b\n": "column 'image' occurs twice",
    "patient_id,image,Slice Index\nP,images/0.png,3\n": "'Slice Index' looks like 'slice_index'",
    H + ",images/0.png\n": r"row 2: patient_id is empty",
    H + "P,\n": r"row 2: image is empty",
    H + "P,images/0.png,x\n": r"row 2: has 3 values, the header 2.*Quote",
    H + "P,images/0.pgn\n": r"row 2: image 'images/0\.pgn' does not exist.*Did you mean 0\.png",
    H + "P,imgs/0.png\n": r"folder '.*imgs' does not exist either",
    H + "P,images/0.png\nP,images/../images/0.png\n": r"row 3: .* is already in row 2",
    "patient_id,image,slice_index\nP,images/0.png,\nP,images/0.png,0\n": r"is already in row 2",
    H + "P,images/0.png\nQ,images/0.png\n": r"row 3: .* belongs to patient 'Q', and to 'P' in",
    "patient_id,image,mask\nP,images/0.png,no.png\n": r"row 2: mask 'no\.png' does not exist",
    "patient_id,image,slice_index\nP,images/0.png,1.5\n": r"slice_index is '1\.5'; wanted a whole",
    "patient_id,image,slice_index\nP,images/0.png,-1\n": r"slice_index is '-1'",
    "patient_id,image,slice_index\nP,images/0.png,L3\n": r"slice_index is 'L3'",
    "patient_id,image,height_m\nP,images/0.png,175\n": r"'175'.*looks like centimetres.*1\.75",
    "patient_id,image,height_m\nP,images/0.png,5.9\n": r"height_m is '5\.9'; wanted metres from",
    'patient_id,image,height_m\nP,images/0.png,"1,75"\n': r"'1,75'.*decimal point, not a comma",
    "patient_id,image,sex\nP,images/0.png,1\n": r"sex is '1'; wanted M, F or nothing",
    "patient_id,image,bmi\nP,images/0.png,0\n": r"bmi is '0'",
    "patient_id,image,bmi\nP,images/0.png,nan\n": r"bmi is 'nan'",
    "patient_id,image,spacing_x_mm\nP,images/0.png,1\n": "both or neither",
    "patient_id,image,spacing_x_mm,spacing_y_mm\nP,images/0.png,0,1\n": r"spacing_x_mm is '0'",
    H + 'P,"images/0.png\n': r"row \d: ",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_wrong_manifests_name_file_row_and_way_out(root: Path, text: str) -> None:
    with pytest.raises(ManifestError, match=rf"^{root}/m\.csv.*{REFUSED[text]}"):
        read(root, text)


def test_missing_mask_when_needed(root: Path) -> None:
    text = "patient_id,image,mask\nP,images/0.png,masks/0.png\nQ,images/1.png,\n"
    assert read(root, text).rows[1].mask is None
    with pytest.raises(ManifestError, match=r"row 3: mask is empty"):
        read(root, text, need_masks=True)
    with pytest.raises(ManifestError, match="no column 'mask'"):
        read(root, H + "P,images/0.png\n", need_masks=True)


def test_files_that_are_no_manifest(root: Path) -> None:
    with pytest.raises(ManifestError, match=r"none\.csv: cannot be read \(No such file"):
        Manifest.read(root / "none.csv")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        Manifest.read(root / "images" / "0.png")
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.read(root)


BASE = "patient_id,image,mask\nP,images/0.png,masks/0.png\nP,images/1.png,masks/1.png\n"
BASE += "Q,images/2.png,masks/2.png\n"


def test_hash_holds_contents_and_neither_names_nor_order(root: Path) -> None:
    same = read(root, BASE).content_hash()
    assert len(same) == 64
    lines = BASE.splitlines()
    assert read(root, "\n".join([lines[0], lines[3], lines[2], lines[1]])).content_hash() == same
    renamed = BASE.replace("P,", "someone,").replace("Q,", "other,")
    assert read(root, renamed).content_hash() == same
    shutil.copy(root / "images" / "0.png", root / "images" / "copy.png")
    assert read(root, BASE.replace("images/0.png", "images/copy.png")).content_hash() == same


def test_hash_changes_with_anything_that_matters(root: Path) -> None:
    seen = {read(root, BASE).content_hash()}
    for text in (
        BASE.replace("Q,", "P,"),  # all slices of one patient
        BASE.replace("masks/2.png", "masks/1.png"),
        BASE.replace("masks/2.png", ""),
        BASE.replace("mask\n", "mask,slice_index\n").replace(".png\n", ".png,0\n"),
        BASE.replace("mask\n", "mask,label\n").replace(".png\n", ".png,a\n"),
        BASE.replace("mask\n", "mask,spacing_x_mm,spacing_y_mm\n").replace(".png\n", ".png,1,1\n"),
        "\n".join(BASE.splitlines()[:-1]),
    ):
        seen.add(read(root, text).content_hash())
    Image.fromarray(np.full((4, 5), 77, np.uint8)).save(root / "images" / "0.png")
    seen.add(read(root, BASE).content_hash())
    assert len(seen) == 9


def test_remembered_digests_follow_a_changed_file(root: Path) -> None:
    memo = root / "memo"
    image = root / "images" / "0.png"
    old = image.stat().st_mtime_ns - 10**12
    for path in root.rglob("*.png"):
        os.utime(path, ns=(old, old))
    first = read(root, BASE).content_hash(memo)
    assert len(list(memo.iterdir())) == 6
    assert read(root, BASE).content_hash(memo) == first
    # The memo is what is used: spoil it and the hash follows, so the second reading was quick.
    for path in memo.iterdir():
        path.write_text("0" * 64)
    assert read(root, BASE).content_hash(memo) != first
    data = bytearray(image.read_bytes())
    data[-20] ^= 1
    image.write_bytes(bytes(data))  # same size, another time
    assert read(root, BASE).content_hash() != first


def test_dicom_folder_is_hashed_whatever_its_file_names(root: Path) -> None:
    folder = root / "series"
    folder.mkdir()
    for k in range(3):
        shutil.copy(root / "images" / f"{k}.png", folder / f"{k}.dcm")
    first = read(root, H + "P,series\n").content_hash()
    (folder / "0.dcm").rename(folder / "z.dcm")
    assert read(root, H + "P,series\n").content_hash() == first
    (folder / "z.dcm").unlink()
    assert read(root, H + "P,series\n").content_hash() != first


def test_many_missing_files_are_told_without_comparing_each_with_all(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint compares with every file of the folder: a thousand rows took minutes."""
    from muscletransfer.data.manifest import rows as module

    asked: list[str] = []
    real = module.close_matches

    def counted(name: str, known: list[str]) -> list[str]:
        asked.append(name)
        return real(name, known)

    monkeypatch.setattr(module, "close_matches", counted)
    (root / "m.csv").write_text(
        "patient_id,image\n" + "".join(f"P{k},image_{k}.gone.png\n" for k in range(40))
    )
    found, errors = Manifest.read_each(root / "m.csv")
    assert (len(found), len(errors), len(asked)) == (0, 40, 10)
    assert all("does not exist" in str(error) for _, _, error in errors)
