"""Predicted masks come back as they were, from a small file; a damaged file is named."""

from pathlib import Path

import numpy as np
import pytest

from muscletransfer.errors import DataError
from muscletransfer.study.results import read_masks, write_masks


def some_masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "bool": rng.random((37, 53)) > 0.5,
        "empty": np.zeros((5, 7), dtype=bool),
        "labels": rng.integers(0, 4, (20, 30)).astype(np.int64),
        "one_label": rng.integers(0, 2, (3, 8, 9)).astype(np.uint8),
        "high": np.full((4, 4), 255, dtype=np.uint8),
        "12": np.ones((1, 1), dtype=bool),
    }


def test_masks_come_back(tmp_path: Path) -> None:
    masks = some_masks()
    found = read_masks(write_masks(tmp_path / "masks.npz", masks))
    assert list(found) == list(masks)
    for case, mask in masks.items():
        assert found[case].shape == mask.shape
        assert found[case].dtype == (np.bool_ if mask.dtype == np.bool_ else np.uint8)
        np.testing.assert_array_equal(found[case], mask)
        assert found[case].flags.writeable


def test_no_masks_and_whole_numbers_as_names(tmp_path: Path) -> None:
    assert read_masks(write_masks(tmp_path / "none.npz", {})) == {}
    numbered = read_masks(write_masks(tmp_path / "n.npz", {7: np.eye(2, dtype=bool)}))  # type: ignore[dict-item]
    assert list(numbered) == ["7"]


def test_the_same_masks_give_the_same_bytes_and_few(tmp_path: Path) -> None:
    yy, xx = np.mgrid[:512, :512]
    rings = {str(i): abs(np.hypot(yy - 250 - i, xx - 256) - 120) < 25 for i in range(10)}
    first = write_masks(tmp_path / "a.npz", rings).read_bytes()
    assert write_masks(tmp_path / "b.npz", rings).read_bytes() == first
    assert len(first) < 10 * 512 * 512 / 8 / 5


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((2, 2)), "float64 values"),
        (np.full((2, 2), 256), "0 to 255"),
        (np.full((2, 2), -1), "from -1"),
        (np.zeros(4, dtype=bool), r"shape \(4,\)"),
        (np.zeros((0, 4), dtype=bool), r"shape \(0, 4\)"),
    ],
)
def test_what_is_no_mask(tmp_path: Path, mask: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=f"case 'P1'.*{words}|{words}"):
        write_masks(tmp_path / "masks.npz", {"P1": mask})
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not end in \.npz"):
        write_masks(tmp_path / "masks.zip", {})


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_masks(tmp_path / "masks.npz")


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_found_or_harmless(tmp_path: Path, seed: int) -> None:
    masks = some_masks()
    path = write_masks(tmp_path / "masks.npz", masks)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    if seed % 2:
        data = data[: rng.integers(0, len(data))]
    else:
        place = int(rng.integers(0, len(data)))
        data[place] ^= 1 << int(rng.integers(0, 8))
    path.write_bytes(data)
    try:
        found = read_masks(path)
    except DataError as error:
        found, message = masks, str(error)
    else:
        message = str(path)
    assert str(path) in message
    # Read in spite of the damage: a time stamp of the archive, or what nothing depends on.
    assert all(np.array_equal(found[case], mask) for case, mask in masks.items())


def test_another_file_and_another_version(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="cannot be read as masks"):
        read_masks(tmp_path / "other.npz")
    path = write_masks(tmp_path / "masks.npz", some_masks())
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "newer.npz", **{**arrays, "version": np.array(2)})
    with pytest.raises(DataError, match="version 2"):
        read_masks(tmp_path / "newer.npz")
    np.savez(tmp_path / "short.npz", **{**arrays, "data": arrays["data"][:-1]})
    with pytest.raises(DataError, match="ends before the mask of case '12'"):
        read_masks(tmp_path / "short.npz")
