"""Series lists: one name for files that lie anywhere, read as a series."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from muscletransfer.data import Manifest, ManifestRow, PreprocessingSpec, SliceCache, read_ct
from muscletransfer.data.dicom.header import read_header
from muscletransfer.data.dicom.series_list import SeriesList, image_digest, read_list, write_list
from muscletransfer.data.files import digest, digest_files
from muscletransfer.data.manifest.slices import count_slices, expand_slices
from muscletransfer.errors import ImageReadError

sys.path.insert(0, str(Path(__file__).parent / "indexing"))
from ct_exports import body, save, slice_of, write_series


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A list of four slices beside the folders that hold them."""
    hu = write_series(tmp_path / "a", 4)
    (tmp_path / "b").mkdir()
    shutil.move(tmp_path / "a" / "A002", tmp_path / "b" / "x")
    write_series(tmp_path / "a", 3, series="other", start=50)
    files = [tmp_path / "a" / "A004", tmp_path / "a" / "A003", tmp_path / "b" / "x",
             tmp_path / "a" / "A001"]  # fmt: skip
    series = SeriesList(tuple(files), (0.0, 5.0, 10.0, 15.0), 5.0)
    return write_list(tmp_path / "lists" / "p.series.json", series), hu


def test_list_reads_as_the_series(listed: tuple[Path, np.ndarray]) -> None:
    path, hu = listed
    ct = read_ct(path)
    np.testing.assert_array_equal(ct.hu, hu)
    assert ct.spacing == pytest.approx((5.0, 0.8, 0.7))
    assert count_slices(path) == 4
    for k in range(4):
        one = read_ct(path, k)
        np.testing.assert_array_equal(one.hu[0], hu[k])
        assert one.origin == pytest.approx(ct.slice(k).origin)
        assert one.spacing == ct.spacing
    with pytest.raises(ImageReadError, match="slices 0 to 3; slice 4"):
        read_ct(path, 4)


def test_list_and_files_move_together(listed: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, hu = listed
    assert "../b/x" in json.loads(path.read_text())["files"]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("a", "b", "lists"):
        shutil.move(tmp_path / name, moved / name)
    np.testing.assert_array_equal(read_ct(moved / "lists" / "p.series.json").hu, hu)


def test_files_outside_are_named_in_full(tmp_path: Path) -> None:
    file = save(slice_of(body()), tmp_path / "far" / "f")
    path = write_list(tmp_path / "near" / "deep" / "l.series.json", SeriesList((file,), (0.0,), 5))
    assert json.loads(path.read_text())["files"] == [str(file)]
    assert read_list(path).files == (file,)


def test_one_slice_opens_one_file(listed: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, hu = listed
    for other in ("a/A004", "b/x"):
        (tmp_path / other).unlink()
    np.testing.assert_array_equal(read_ct(path, 3).hu[0], hu[3])
    with pytest.raises(ImageReadError, match=r"A004: does not exist"):
        read_ct(path)


def test_file_that_changed_since_is_named(listed: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = listed
    save(slice_of(body(3), 17.0), tmp_path / "a" / "A001")
    for index in (None, 3):
        with pytest.raises(ImageReadError, match=r"A001: lies at 17.*data index' again"):
            read_ct(path, index)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": "other"}', None],
    ids=["empty", "cut", "list", "of", "uneven"],
)
def test_damaged_lists_are_named(text: str | None, listed: tuple[Path, np.ndarray]) -> None:
    path, _ = listed
    if text is None:
        plain = json.loads(path.read_text())
        plain["places_mm"].pop()
        text = json.dumps(plain)
    path.write_text(text)
    with pytest.raises(ImageReadError, match=r"p\.series\.json.*run it again"):
        read_list(path)


@pytest.mark.parametrize("places", [(15.0, 10.0, 5.0, 0.0), (0.0, 5.0, 5.0, 15.0)])
def test_lists_out_of_order_are_refused(
    places: tuple[float, ...], listed: tuple[Path, np.ndarray]
) -> None:
    """As a whole they would be sorted, and slice by slice they would not."""
    path, _ = listed
    series = read_list(path)
    files = tuple(series.files[int(p // 5)] for p in places)
    write_list(path, SeriesList(files, places, 5.0))
    with pytest.raises(ImageReadError, match="with places_mm rising"):
        read_list(path)


def test_digest_follows_contents_and_order_not_names(
    listed: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, _ = listed
    first = image_digest(path)
    series = read_list(path)
    shutil.copy(tmp_path / "a" / "A003", tmp_path / "copy")
    other = (series.files[0], tmp_path / "copy", *series.files[2:])
    again = write_list(tmp_path / "q.series.json", SeriesList(other, series.places_mm, 5.0))
    assert image_digest(again) == first
    turned = write_list(
        tmp_path / "r.series.json", SeriesList(series.files[::-1], series.places_mm, 5.0)
    )
    assert image_digest(turned) != first
    save(slice_of(body(77), 5.0), tmp_path / "a" / "A003")
    assert image_digest(path) != first


def test_digests_of_many_files_are_remembered_as_one(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    old = time.time() - 60
    for file in (tmp_path / "s").iterdir():
        os.utime(file, (old, old))
    memo = tmp_path / "memo"
    value = digest(tmp_path / "s", memo)
    assert value == digest(tmp_path / "s")
    assert len(list(memo.iterdir())) == 1
    (entry,) = memo.iterdir()
    entry.write_text("f" * 64)
    assert digest(tmp_path / "s", memo) == "f" * 64  # looked up and not worked out
    os.utime(tmp_path / "s" / "A001", (old + 1, old + 1))
    assert digest(tmp_path / "s", memo) == value  # a changed time is another entry
    files = sorted((tmp_path / "s").iterdir())
    assert digest_files(files) != digest_files(files[::-1])


def test_what_readers_pass_over_is_in_no_digest(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 2)
    value = digest(tmp_path / "s")
    for name in (".DS_Store", "._A001", "DICOMDIR", "dicomdir"):
        (tmp_path / "s" / name).write_bytes(b"x")
    assert digest(tmp_path / "s") == value
    (tmp_path / "s" / "A009").write_bytes(b"x")
    assert digest(tmp_path / "s") != value


@pytest.mark.parametrize("wrong", ["memo is a file", "entry is a folder", "entry is no text"])
def test_digests_need_no_memory(wrong: str, tmp_path: Path) -> None:
    file, memo = tmp_path / "x", tmp_path / "memo"
    file.write_bytes(b"x")
    old = time.time() - 60
    os.utime(file, (old, old))
    value = digest(file, memo)
    (entry,) = memo.iterdir()
    entry.unlink()
    if wrong == "memo is a file":
        memo.rmdir()
        memo.touch()
    elif wrong == "entry is a folder":
        (entry / "deeper").mkdir(parents=True)
    else:
        entry.write_bytes(b"\xff" * 64)
    assert digest(file, memo) == value == digest(file)


def test_two_series_of_one_folder_have_two_caches(tmp_path: Path) -> None:
    """By their folder they would be one: it holds the same files for both."""
    names = []
    for series, start in (("A", 0), ("B", 40)):
        write_series(tmp_path / "s", 2, series=series, start=start)
        files = [tmp_path / "s" / f"{series}002", tmp_path / "s" / f"{series}001"]
        places = tuple(read_header(f).along_normal for f in files)
        path = write_list(tmp_path / f"{series}.series.json", SeriesList(tuple(files), places, 5.0))
        manifest = expand_slices(Manifest((ManifestRow("P", path),)), "all")
        cache = SliceCache.open_or_build(
            manifest, PreprocessingSpec(size=16), tmp_path / "cache", need_masks=False
        )
        np.testing.assert_array_equal(cache.native_image(1), body(start + 1))
        names.append(cache.directory.name)
    assert names[0] != names[1]
