"""The cache on disk: what it holds, when it is rebuilt, what damage is seen."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from cached_slices import SHAPES, SPEC, folders, make_root, manifest_of, save, write
from dicom_files import body, write_slice
from PIL import Image

from muscletransfer.data import (
    PreprocessingSpec,
    SliceCache,
    SliceGeometry,
    default_cache_dir,
    read_ct,
)
from muscletransfer.data.cache import build, store
from muscletransfer.data.io import volume
from muscletransfer.errors import DataError, SettingError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_cache_holds_both_grids_of_every_case(root: Path, workers: int) -> None:
    manifest = manifest_of(root)
    cache = SliceCache.open_or_build(manifest, SPEC, root / "cache", workers=workers)
    assert len(cache) == 5
    assert (cache.images.shape, cache.images.dtype) == ((5, 32, 32), np.int16)
    assert (cache.masks.shape, cache.masks.dtype) == ((5, 32, 32), np.uint8)
    assert cache.classes == (0, 1, 2)
    assert cache.manifest_hash == manifest.content_hash()
    for i, row in enumerate(manifest.rows):
        ct = read_ct(row.image, row.slice_index)
        np.testing.assert_array_equal(cache.native_image(i), ct.hu[0])
        expected = (ct.hu[0] > -20) * (2 if i > 2 else 1)
        np.testing.assert_array_equal(cache.native_mask(i), expected)
        image, geometry = SPEC.apply(ct.hu[0], ct.slice_spacing, ct.flips)
        assert cache.geometry(i) == geometry
        assert isinstance(cache.geometry(i), SliceGeometry)
        np.testing.assert_array_equal(cache.image(i), image)
        back = SPEC.invert(torch.from_numpy(cache.mask(i) > 0)[None].float(), geometry)[0] > 0.5
        assert (back.numpy() == (expected > 0)).mean() > 0.9
    assert cache.native_image(0).dtype == np.int16
    with pytest.raises(ValueError, match="read-only"):
        cache.images[0, 0, 0] = 1


def test_threads_write_what_one_writes(tmp_path: Path) -> None:
    """More slices than are flushed at once, in two parts of which each thread writes one."""
    files = []
    for number in range(140):
        name = f"s{number % 2}/{number:03d}.dcm"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_slice(tmp_path / name, body((24, 24), number), position=(0, 0, number))
        files.append(f"P{number % 2},{name},,")
    manifest = manifest_of(write(tmp_path, *files))
    one = SliceCache.open_or_build(manifest, SPEC, tmp_path / "one", need_masks=False)
    two = SliceCache.open_or_build(manifest, SPEC, tmp_path / "two", need_masks=False, workers=3)
    assert two.directory.name == one.directory.name
    np.testing.assert_array_equal(two.images, one.images)
    for number in range(140):
        np.testing.assert_array_equal(two.native_image(number), body((24, 24), number))
    two.verify()
    assert all(not p.name.startswith("native-") for p in two.directory.iterdir())


def test_lying_image_is_turned_for_the_network_and_back_for_scoring(root: Path) -> None:
    write(root, "P1,ct1.nii.gz,m1.nii.gz,")
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert cache.geometry(0).flip == (True, True)
    upright, _ = SPEC.apply(body(SHAPES[1], 1)[::-1, ::-1], (0.8, 0.8))
    np.testing.assert_array_equal(cache.image(0), upright)
    np.testing.assert_array_equal(cache.native_image(0), body(SHAPES[1], 1))


def test_second_opening_builds_nothing_and_needs_no_source(root: Path) -> None:
    manifest = manifest_of(root)
    first = SliceCache.open_or_build(manifest, SPEC, root / "cache")
    stamp = (first.directory / "index.json").stat().st_mtime_ns
    again = SliceCache.open_or_build(manifest, SPEC, root / "cache")
    assert again.directory == first.directory
    assert (again.directory / "index.json").stat().st_mtime_ns == stamp
    for path in root.glob("*.n*"):
        path.unlink()
    np.testing.assert_array_equal(SliceCache(first.directory).images, first.images)


def test_what_makes_another_cache_and_what_does_not(root: Path) -> None:
    def build(spec: PreprocessingSpec = SPEC, **options: object) -> str:
        options = {"need_masks": True, **options}
        cache = SliceCache.open_or_build(manifest_of(root), spec, root / "cache", **options)
        return cache.directory.name

    first = build()
    assert build(PreprocessingSpec(size=32, hu_window=(0, 1), mean=0.3, std=2, channels=3)) == first
    names = {first, build(PreprocessingSpec(size=48)), build(PreprocessingSpec(spacing=2, size=32))}
    names |= {build(need_masks=False), build(pad_label=255)}
    assert len(names) == 5
    shutil.move(root / "ct0.nii.gz", root / "renamed.nii.gz")
    text = (root / "m.csv").read_text()
    (root / "m.csv").write_text(text.replace("ct0", "renamed").replace("P0", "Q0"))
    assert build() == first
    save(root / "m0.nii.gz", (body(SHAPES[0], 0)[None] > -500).astype(np.uint8))
    assert build() not in names
    assert len(folders(root)) == 6


def test_one_cache_tells_of_each_manifest_that_groups_its_images(root: Path) -> None:
    """A patient split in two: the cache is the same, its hash and warnings are not."""
    shutil.copy(root / "ct0.nii.gz", root / "copy.nii.gz")
    found = {}
    for second in ("P0", "P1"):
        write(root, "P0,ct0.nii.gz", f"{second},copy.nii.gz", header="patient_id,image")
        manifest = manifest_of(root)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            caches = [
                SliceCache.open_or_build(manifest, SPEC, root / "cache", need_masks=False)
                for _ in range(2)
            ]
        assert ["byte for byte" in str(one.message) for one in told] == [True] * len(told)
        assert {one.filename for one in told} <= {__file__}
        found[second] = len(told)
        for cache in (*caches, pickle.loads(pickle.dumps(caches[0]))):
            assert cache.manifest_hash == manifest.content_hash()
    assert found == {"P0": 0, "P1": 2}
    assert len(folders(root)) == 1


def test_no_patient_path_or_file_name_is_stored(root: Path) -> None:
    text = (root / "m.csv").read_text().replace("P0", "Jane-Doe")
    (root / "m.csv").write_text(text)
    SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    stored = b"".join(p.read_bytes() for p in (root / "cache").rglob("*") if p.is_file())
    names = b" ".join(str(p.relative_to(root)).encode() for p in (root / "cache").rglob("*"))
    for secret in (b"Jane-Doe", b"ct0", str(root).encode()):
        assert secret not in stored + names


def test_without_masks(root: Path) -> None:
    write(root, "P0,ct0.nii.gz", header="patient_id,image")
    with pytest.raises(DataError, match=r"1 of 1 rows have no mask \(rows 2\)"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache", need_masks=False)
    assert not cache.has_masks
    assert cache.classes == ()
    for call in (lambda: cache.masks, lambda: cache.mask(0), lambda: cache.native_mask(0)):
        with pytest.raises(DataError, match="need_masks=True"):
            call()


def test_plain_images_colour_and_deep_grey(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (20, 30, 3), np.uint8)
    deep = rng.integers(0, 65536, (30, 30), np.uint16)
    Image.fromarray(colour).save(tmp_path / "c.png")
    Image.fromarray(deep).save(tmp_path / "d.png")
    rows = ["A,c.png,0.7,0.9", "B,d.png,,"]
    write(tmp_path, *rows, header="patient_id,image,spacing_x_mm,spacing_y_mm")
    spec = PreprocessingSpec(size=32, hu_window=None, channels=3)
    cache = SliceCache.open_or_build(manifest_of(tmp_path), spec, tmp_path / "c", need_masks=False)
    assert cache.images.shape == (2, 32, 32, 3)
    assert cache.geometry(0).spacing == (0.9, 0.7)
    assert cache.geometry(1).spacing is None
    luminance = np.asarray(Image.fromarray(colour).convert("L"), np.int16)
    assert np.abs(cache.native_image(0) - luminance).max() <= 1
    np.testing.assert_array_equal(cache.native_image(1), deep)  # int32: it does not fit int16
    batch = spec.to_float(torch.from_numpy(np.array(cache.images)))
    assert batch.shape == (2, 3, 32, 32)


def test_dicom_series_and_slices(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for k in range(3):
        write_slice(folder / f"{9 - k}.dcm", body((24, 24), k), position=(0, 0, 5 * k))
    write(tmp_path, "A,s,,2", "A,s/9.dcm,,")
    cache = SliceCache.open_or_build(manifest_of(tmp_path), SPEC, tmp_path / "c", need_masks=False)
    np.testing.assert_array_equal(cache.native_image(0), body((24, 24), 2))
    np.testing.assert_array_equal(cache.native_image(1), body((24, 24), 0))


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "part0.bin", "cases.npy"])
def test_changed_bytes_of_the_same_length_are_seen_on_open(root: Path, name: str) -> None:
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    whole = np.array(cache.images)
    file = cache.directory / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=rf"{name} holds something else than was written"):
        SliceCache(cache.directory)
    again = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    np.testing.assert_array_equal(again.images, whole)
    again.verify()


def test_index_that_says_something_else_is_seen(root: Path) -> None:
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    file = cache.directory / "index.json"
    file.write_text(file.read_text().replace("0.8", "0.9"))
    with pytest.raises(DataError, match=r"damaged index\.json"):
        SliceCache(cache.directory)


def test_every_bit_is_compared_when_asked(tmp_path: Path) -> None:
    save(tmp_path / "big.nrrd", np.stack([body((300, 400), k) for k in range(3)]))
    write(tmp_path, *[f"P0,big.nrrd,,{k}" for k in range(3)])
    cache = SliceCache.open_or_build(
        manifest_of(tmp_path), SPEC, tmp_path / "cache", need_masks=False
    )
    cache.verify()
    size = (cache.directory / "part0.bin").stat().st_size
    place = (size - 4096) * 31 // 63 + 5000  # between two of the places that opening looks at
    with (cache.directory / "part0.bin").open("r+b") as file:
        file.seek(place)
        old = file.read(1)
        file.seek(place)
        file.write(bytes([old[0] ^ 1]))
    with pytest.raises(DataError, match="the native values of case 1 are not what was written"):
        SliceCache(cache.directory).verify()


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "part0.bin", "index.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_damaged_cache_is_seen_and_built_again(root: Path, name: str, how: str) -> None:
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    whole = np.array(cache.images)
    file = cache.directory / name
    if how == "cut":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.unlink()
    with pytest.raises(DataError, match=r"wanted a whole cache.*open_or_build"):
        SliceCache(cache.directory)
    again = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    np.testing.assert_array_equal(again.images, whole)
    assert folders(root) == [cache.directory.name]


def test_index_of_another_format_is_no_cache(root: Path) -> None:
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    for index in ({"format": 0}, [], {"format": 1}):
        (cache.directory / "index.json").write_text(json.dumps(index))
        with pytest.raises(DataError, match="wanted a whole cache"):
            SliceCache(cache.directory)


def test_a_cache_of_what_reading_gave_before_is_not_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under format 3 NaN of a NIfTI file was stored as 0 HU."""
    hu = body(SHAPES[0], 0)[None].astype(np.float32)
    hu[0, 20, 20] = np.nan
    save(root / "lost.nii.gz", hu)
    write(root, "P0,lost.nii.gz,m0.nii.gz,")
    with monkeypatch.context() as before:
        before.setattr(volume, "with_lost_values", lambda image, path: image)
        for module in (build, store):
            before.setattr(module, "FORMAT", 3)
        old = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
        assert old.native_image(0)[20, 20] == 0
    with pytest.raises(DataError, match="nan or infinite"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    with pytest.raises(DataError, match="is of another format"):
        SliceCache(old.directory)


def test_read_only_cache_is_usable_and_a_missing_one_is_named(root: Path) -> None:
    SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    for path in [root / "cache", *(root / "cache").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
        if os.geteuid() != 0:  # root may write anywhere
            with pytest.raises(DataError, match="MUSCLETRANSFER_CACHE"):
                SliceCache.open_or_build(
                    manifest_of(root), PreprocessingSpec(size=16), root / "cache"
                )
    finally:
        for path in [root / "cache", *(root / "cache").rglob("*")]:
            path.chmod(0o755)
    (root / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written .*MUSCLETRANSFER_CACHE"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "file")


def test_pickle_sends_the_folder_and_not_the_pixels(root: Path) -> None:
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    data = pickle.dumps(cache)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).images, cache.images)


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSCLETRANSFER_CACHE", str(tmp_path / "mine"))
    assert default_cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("MUSCLETRANSFER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "muscletransfer"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "muscletransfer"


def test_arguments_of_another_kind(root: Path) -> None:
    with pytest.raises(SettingError, match=r"manifest is a str; wanted .*Manifest\.read"):
        SliceCache.open_or_build(str(root / "m.csv"), SPEC)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="preprocessing is a dict; wanted a PreprocessingSpec"):
        SliceCache.open_or_build(manifest_of(root), SPEC.to_dict())  # type: ignore[arg-type]
