"""The cache on disk: what it holds, when it is rebuilt, many processes, kills, damage, bad rows."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from dicom_files import body, write_slice
from PIL import Image

from muscletransfer.data import (
    Manifest,
    PreprocessingSpec,
    SliceCache,
    SliceGeometry,
    default_cache_dir,
    read_ct,
)
from muscletransfer.errors import (
    DataError,
    EmptyMaskError,
    GeometryError,
    ImageReadError,
    ManifestError,
)

SPEC = PreprocessingSpec(size=32)
SHAPES = [(40, 50), (64, 64), (33, 71)]


def save(path: Path, array: np.ndarray, *, nifti_ras: bool = False) -> None:
    image = sitk.GetImageFromArray(array)
    if array.ndim == 3:
        image.SetSpacing((0.8, 0.8, 5.0))
        if nifti_ras:
            image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three single slices of three sizes, and two slices of one volume."""
    for k, shape in enumerate(SHAPES):
        hu = body(shape, k)
        save(tmp_path / f"ct{k}.nii.gz", hu[None], nifti_ras=k == 1)
        save(tmp_path / f"m{k}.nii.gz", (hu[None] > -20).astype(np.uint8), nifti_ras=k == 1)
    volume = np.stack([body((30, 36), k) for k in range(10, 14)])
    save(tmp_path / "ct3.nrrd", volume)
    save(tmp_path / "m3.nrrd", (volume > -20).astype(np.uint8) * 2)
    rows = [f"P{k},ct{k}.nii.gz,m{k}.nii.gz," for k in range(3)]
    rows += ["P3,ct3.nrrd,m3.nrrd,3", "P3,ct3.nrrd,m3.nrrd,1"]
    return write(tmp_path, *rows)


def write(root: Path, *rows: str, header: str = "patient_id,image,mask,slice_index") -> Path:
    (root / "m.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def manifest_of(root: Path) -> Manifest:
    return Manifest.read(root / "m.csv")


def folders(root: Path) -> list[str]:
    where = root / "cache" / "slices"
    return sorted(p.name for p in where.iterdir()) if where.exists() else []


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


def test_lying_image_is_turned_for_the_network_and_back_for_scoring(root: Path) -> None:
    write(root, "P1,ct1.nii.gz,m1.nii.gz,")
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert cache.geometry(0).flip == (True, True)
    upright, _ = SPEC.apply(body(SHAPES[1], 1)[::-1, ::-1], (0.8, 0.8))
    np.testing.assert_allclose(cache.image(0), upright, atol=1)  # sums in another order
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


BUILD = """
import sys
from pathlib import Path
from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache
root = Path(sys.argv[1])
(root / f"ready{sys.argv[2]}").touch()
while not (root / "go").exists():
    pass
cache = SliceCache.open_or_build(
    Manifest.read(root / "m.csv"), PreprocessingSpec(size=32), root / "cache"
)
print(cache.directory, int(cache.images.astype(int).sum()), int(cache.masks.sum()))
"""


def start(root: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BUILD, str(root), str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.parametrize("damaged", [False, True])
def test_four_processes_at_once_make_one_cache(root: Path, damaged: bool) -> None:
    if damaged:
        cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
        os.truncate(cache.directory / "native.bin", 100)
    processes = [start(root, k) for k in range(4)]
    wait_for(lambda: len(list(root.glob("ready*"))) == 4)
    (root / "go").touch()
    results = [p.communicate(timeout=120) for p in processes]
    assert [p.returncode for p in processes] == [0] * 4, results
    assert len({out for out, _ in results}) == 1
    assert all(err == "" for _, err in results)
    assert len(folders(root)) == 1
    SliceCache(root / "cache" / "slices" / folders(root)[0])


def test_killed_build_leaves_no_lock_and_is_swept_later(root: Path) -> None:
    os.mkfifo(root / "pipe")  # opening it waits for a writer: the build hangs there until killed
    code = (
        "import sys; from pathlib import Path; from muscletransfer.data import cache_build\n"
        "root = Path(sys.argv[1])\n"
        "with cache_build._building(root / 'cache/slices/k', lambda: False) as folder:\n"
        "    (folder / 'images.npy').write_bytes(b'half')\n"
        "    open(root / 'pipe').read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(root)])
    wait_for(lambda: any((root / "cache").rglob("images.npy")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [name for name in folders(root) if name.startswith(".building-")]
    assert len(left) == 1
    SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert left[0] in folders(root)  # young: it might be a build of another container
    old = time.time() - 7200
    os.utime(root / "cache" / "slices" / left[0], (old, old))
    SliceCache.open_or_build(manifest_of(root), PreprocessingSpec(size=16), root / "cache")
    assert left[0] not in folders(root)


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "native.bin", "index.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_damaged_cache_is_seen_and_built_again(root: Path, name: str, how: str) -> None:
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    whole = np.array(cache.images)
    file = cache.directory / name
    if how == "cut":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.unlink()
    with pytest.raises(DataError, match=r"wanted a whole cache.*Delete the folder"):
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


EMPTY = np.zeros((1, *SHAPES[0]), np.uint8)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ("P0,ct0.nii.gz,empty.nrrd,", EmptyMaskError, r"empty\.nrrd has no foreground.*\[0\]"),
        ("P0,ct0.nii.gz,ignored.nrrd,", EmptyMaskError, r"no foreground \(values \[0, 255\]\)"),
        ("P0,ct0.nii.gz,m1.nii.gz,", GeometryError, r"differ in shape"),
        ("P0,ct0.nii.gz,moved.nrrd,", GeometryError, r"differ in origin"),
        ("P0,ct0.nii.gz,many.nrrd,", DataError, r"values up to 300; wanted class indices 0 to"),
        ("P0,ct0.nii.gz,m3.nrrd,", GeometryError, r"4 slices, its image one"),
        ("P3,ct3.nrrd,m3.nrrd,", ManifestError, r"has 4 slices and slice_index is empty.*0 to 3"),
        ("P3,ct3.nrrd,m3.nrrd,4", ImageReadError, r"slices 0 to 3; slice 4"),
        ("P0,plain.png,plain.png,", ImageReadError, "plain image.*hu_window=None"),
        ("P0,short.nii.gz,m0.nii.gz,", ImageReadError, r"short\.nii\.gz"),
        ("P0,mr.nii.gz,m0.nii.gz,", ImageReadError, r"0 to 200.*wanted HU"),
        ("P3,sagittal.nrrd,m3.nrrd,1", GeometryError, r"not stored as axial.*DICOMOrient"),
        ("P3,ct3.nrrd,fractions.nrrd,1", DataError, r"holds 0\.5"),
    ],
)
def test_bad_rows_are_named_and_leave_nothing(
    root: Path, row: str, error: type, message: str
) -> None:
    save(root / "empty.nrrd", EMPTY)
    save(root / "ignored.nrrd", np.where(np.indices(EMPTY.shape)[2] > 9, 255, EMPTY))
    moved = sitk.ReadImage(str(root / "m0.nii.gz"))
    moved.SetOrigin((3, 0, 0))
    sitk.WriteImage(moved, str(root / "moved.nrrd"))
    save(root / "many.nrrd", EMPTY.astype(np.uint16) + 300)
    Image.new("L", (5, 5)).save(root / "plain.png")
    (root / "short.nii.gz").write_bytes((root / "ct0.nii.gz").read_bytes()[:900])
    save(root / "mr.nii.gz", EMPTY.astype(np.int16) + np.arange(50, dtype=np.int16) * 4 + 4)
    save(root / "mr.nii.gz", (np.indices(EMPTY.shape)[2] % 3 * 100).astype(np.int16))
    sagittal = sitk.DICOMOrient(sitk.ReadImage(str(root / "ct3.nrrd")), "PIR")
    sitk.WriteImage(sagittal, str(root / "sagittal.nrrd"))
    save(root / "fractions.nrrd", np.full((4, 30, 36), 0.5, np.float32))
    write(root, "P9,ct1.nii.gz,m1.nii.gz,", row)
    with pytest.raises(error, match=rf"m\.csv row 3: .*{message}"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert folders(root) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_all_bad_rows_are_told_at_once(root: Path, workers: int) -> None:
    for k in range(14):
        hu = body((20, 20), k)
        save(root / f"x{k}.nrrd", hu[None])
        save(root / f"e{k}.nrrd", np.zeros((1, 20, 20), np.uint8))
    rows = [f"Q{k},x{k}.nrrd,e{k}.nrrd," for k in range(14)]
    write(root, "P0,ct0.nii.gz,m0.nii.gz,", *rows)
    with pytest.raises(EmptyMaskError) as caught:
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache", workers=workers)
    text = str(caught.value)
    assert "14 of 15 rows cannot be used, so nothing was cached" in text
    assert "m.csv row 3: " in text
    assert "m.csv row 12: " in text
    assert "m.csv row 13: " not in text
    assert "and 4 more" in text
    write(root, *rows[:2], "P3,ct3.nrrd,m3.nrrd,", "P0,ct0.nii.gz,m0.nii.gz,")
    with pytest.raises(DataError) as mixed:
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    assert type(mixed.value) is DataError
    assert folders(root) == []
    options = {"allow_empty_masks": True}
    write(root, *rows)
    assert len(SliceCache.open_or_build(manifest_of(root), SPEC, root / "c2", **options)) == 14


def test_outline_lost_or_cut_by_the_network_grid(root: Path) -> None:
    edge = np.zeros((1, 40, 50), np.uint8)
    edge[:, :3, :3] = 1
    save(root / "edge.nii.gz", edge)
    write(root, "P0,ct0.nii.gz,edge.nii.gz,")
    tight = PreprocessingSpec(spacing=0.8, size=16)
    with pytest.raises(EmptyMaskError, match=r"9 foreground pixels, none.*16 x 16.*100%"):
        SliceCache.open_or_build(manifest_of(root), tight, root / "cache")
    write(root, "P0,ct0.nii.gz,m0.nii.gz,", "P1,ct1.nii.gz,m1.nii.gz,")
    with pytest.warns(UserWarning, match=r"2 of 2 masks reach outside the 16 x 16.*row 3: \d+"):
        SliceCache.open_or_build(manifest_of(root), tight, root / "cache")


def test_copied_image_under_another_patient_is_reported(root: Path) -> None:
    shutil.copy(root / "ct0.nii.gz", root / "copy.nii.gz")
    write(root, "P0,ct0.nii.gz,m0.nii.gz,", "P7,copy.nii.gz,m0.nii.gz,")
    with pytest.warns(UserWarning, match=r"row 3: its image is the same, byte for byte.*row 2"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")


def test_spacing_columns_fill_in_and_must_not_contradict(root: Path) -> None:
    header = "patient_id,image,mask,slice_index,spacing_x_mm,spacing_y_mm"
    write(root, "P0,ct0.nii.gz,m0.nii.gz,,0.8,0.8", header=header)
    SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    write(root, "P0,ct0.nii.gz,m0.nii.gz,,0.8,1.0", header=header)
    with pytest.raises(ManifestError, match=r"row 2: spacing_y_mm, spacing_x_mm are \(1.0, 0.8\)"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")


def test_mask_of_one_slice_for_a_slice_of_a_volume(root: Path) -> None:
    one = sitk.ReadImage(str(root / "m3.nrrd"))[:, :, 2:3]
    sitk.WriteImage(one, str(root / "one.nrrd"))
    write(root, "P3,ct3.nrrd,one.nrrd,2", "P3,ct3.nrrd,m3.nrrd,1")
    cache = SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")
    np.testing.assert_array_equal(cache.native_mask(0) > 0, cache.native_image(0) > -20)
    write(root, "P3,ct3.nrrd,one.nrrd,1")
    with pytest.raises(GeometryError, match="differ in origin"):
        SliceCache.open_or_build(manifest_of(root), SPEC, root / "cache")


def test_empty_manifest(root: Path) -> None:
    with pytest.raises(DataError, match="no rows to cache"):
        SliceCache.open_or_build(Manifest((), root / "m.csv"), SPEC, root / "cache")
