"""Files that grow in blocks, written past the page cache, and a cache built by processes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from cached_slices import SPEC, make_root, manifest_of, write
from dicom_files import body, write_slice

from muscletransfer.data import SliceCache
from muscletransfer.data.cache import blocks, build
from muscletransfer.data.cache.blocks import ALIGNED, BlockFile
from muscletransfer.data.cache.checksum import checksum

SIZES = (1, 7, 4096, 100_000, 0, 3, (1 << 20) - 5, (1 << 21) + 11, 8, 999)


def append_all(path: Path, rng: np.random.Generator) -> list[tuple[int, bytes]]:
    with BlockFile(path) as file:
        parts = [rng.bytes(size) for size in SIZES]
        return [(file.append(memoryview(part)), part) for part in parts]


def check(path: Path, wrote: list[tuple[int, bytes]]) -> None:
    found, end = path.read_bytes(), 0
    for offset, part in wrote:
        assert offset % ALIGNED == 0
        assert end <= offset < end + 4096  # behind what came before, and close to it
        assert found[offset : offset + len(part)] == part
        end = offset + len(part)
    assert len(found) < end + 4096


def test_what_is_appended_is_found_where_it_was_said(tmp_path: Path) -> None:
    path, rng = tmp_path / "file", np.random.default_rng(0)
    wrote = append_all(path, rng)
    wrote += append_all(path, rng)  # goes on from the end
    check(path, wrote)


def test_file_that_takes_no_direct_write_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that start between two pages of memory and disk are refused by the system."""
    monkeypatch.setattr(blocks, "_BLOCK", 1000 * ALIGNED)
    monkeypatch.setattr(blocks, "_PAGE", ALIGNED)
    monkeypatch.setattr(blocks, "_spare", type(blocks._spare)())
    path = tmp_path / "file"
    with BlockFile(path) as file:
        refused = file._direct
        wrote = [(file.append(memoryview(part)), part) for part in (b"a" * 9000, b"b" * 20_001)]
    check(path, wrote)
    if refused:  # where the system has direct writes at all
        assert not file._direct


def test_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_DIRECT", 0)
    check(tmp_path / "file", append_all(tmp_path / "file", np.random.default_rng(1)))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_full_disk_is_told(size: int) -> None:
    text = os.strerror(errno.ENOSPC)
    with pytest.raises(OSError, match=text), BlockFile(Path("/dev/full")) as file:
        file.append(memoryview(bytes(size)))


def test_after_an_error_nothing_more_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError), BlockFile(tmp_path / "file") as file:
        file.append(memoryview(b"part")[::2])  # not in one piece
    assert (tmp_path / "file").stat().st_size == 0
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(file._handle)  # closed


def test_processes_write_what_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_MANY", 1)
    manifest = manifest_of(make_root(tmp_path))
    one = SliceCache.open_or_build(manifest, SPEC, tmp_path / "one")
    two = SliceCache.open_or_build(manifest, SPEC, tmp_path / "two", workers=2)
    assert two.directory.name == one.directory.name
    np.testing.assert_array_equal(two.images, one.images)
    np.testing.assert_array_equal(two.masks, one.masks)
    for index in range(len(one)):
        np.testing.assert_array_equal(two.native_image(index), one.native_image(index))
        np.testing.assert_array_equal(two.native_mask(index), one.native_mask(index))
        assert two.geometry(index) == one.geometry(index)
    assert (two.classes, two.manifest_hash) == (one.classes, one.manifest_hash)
    two.verify()
    assert all(not p.name.startswith("native-") for p in two.directory.iterdir())


def test_processes_name_a_bad_row_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_MANY", 1)
    for number in range(3):
        write_slice(tmp_path / f"{number}.dcm", body((24, 24), number), position=(0, 0, number))
    (tmp_path / "1.dcm").write_bytes(b"nothing")
    manifest = manifest_of(write(tmp_path, *(f"P{k},{k}.dcm,," for k in range(3))))
    with pytest.raises(build.DataError, match=r"row 3: .*1\.dcm"):
        SliceCache.open_or_build(manifest, SPEC, tmp_path / "c", need_masks=False, workers=2)
    assert list((tmp_path / "c" / "slices").iterdir()) == []


@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 1000])
def test_checksum_sees_every_bit_and_every_exchange_of_words(size: int) -> None:
    rng = np.random.default_rng(size)
    data = rng.integers(0, 256, size, np.uint8)
    for bit in range(8 * size):
        changed = data.copy()
        changed[bit // 8] ^= 1 << bit % 8
        assert checksum(changed) != checksum(data)
    words = rng.permutation(np.arange(1 << 10, dtype=np.uint64))
    for step in (1, 64, 512):
        assert checksum(words) != checksum(np.roll(words, step))


def test_checksum_is_a_sum_of_words_with_odd_weights() -> None:
    data = np.random.default_rng(0).integers(-1000, 1000, (5, 9), np.int16)
    raw = data.tobytes() + bytes(-data.nbytes % 8)
    words = [int.from_bytes(raw[k : k + 8], "little") for k in range(0, len(raw), 8)]
    total = sum(w * ((k + 1) * 0x9E3779B97F4A7C15 | 1) for k, w in enumerate(words))
    assert checksum(data) % 2**64 == total % 2**64
    assert -(2**63) <= checksum(data) < 2**63
