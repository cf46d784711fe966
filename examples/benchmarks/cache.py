"""From DICOM to the cache, beside a one-process SimpleITK loop over the same files.

    python examples/benchmarks/cache.py [slices] [rounds] [slices for memory]

Writes a synthetic export of 512 x 512 series of 32 slices, and brings every slice to a grid of 256
and to disk, both ways, turn about: a loop that reads each series with SimpleITK, resamples it and
saves it; and the cache, built by two workers from an index. The limit is of the cache alone; the
index, which the loop has no need of, is timed as well, and the ratio is told with it and without.
Then the second start, which opens the cache; and the peak of resident memory for 100 slices and for
very many (of 64 x 64).

The loop does less: it hashes nothing, averages nothing against aliasing, checks neither places nor
HU, and does not wait until its files are on the disk. ITK resamples with all cores in it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from indexing import plain_slice
from machine import describe, peak_of, timed
from record import Record, add_json_argument

from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache
from muscletransfer.data.indexing import index_images
from muscletransfer.data.manifest.slices import expand_slices

SIDE, GRID, STACK = 512, 256, 32


def write_series(root: Path, slices: int, side: int) -> None:
    """Write series of noise in a body's range, one a folder and patient."""
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 60, (side, side)).round().astype(np.int16)
    hu[: side // 8], hu[side // 8 : side // 4] = -1000, -100
    ds = plain_slice(hu)
    for number in range(slices):
        patient = number // STACK
        ds.PatientID, ds.PatientName = f"ID{patient}", f"Name^{patient}"
        ds.StudyInstanceUID = f"2.25.1{patient:06d}"
        ds.SeriesInstanceUID = f"2.25.2{patient:06d}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.3{number:06d}"
        ds.ImagePositionPatient = [0, 0, float(number % STACK)]
        ds.PixelData = np.roll(hu, number, axis=1).tobytes()
        folder = root / f"patient{patient:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        pydicom.dcmwrite(folder / f"IM{number:06d}", ds, enforce_file_format=True)


def plain_loop(root: Path, out: Path) -> None:
    """Read, resample and save each series with SimpleITK, one after the other."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for folder in sorted(root.iterdir()):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        size, spacing = image.GetSize(), image.GetSpacing()
        scale = size[0] / GRID
        resampler = sitk.ResampleImageFilter()
        resampler.SetInterpolator(sitk.sitkLinear)
        resampler.SetDefaultPixelValue(-1024)
        resampler.SetSize([GRID, GRID, size[2]])
        resampler.SetOutputSpacing([spacing[0] * scale, spacing[1] * scale, spacing[2]])
        resampler.SetOutputOrigin(image.GetOrigin())
        resampler.SetOutputDirection(image.GetDirection())
        small = resampler.Execute(image)
        np.save(out / f"{folder.name}.npy", sitk.GetArrayViewFromImage(small).astype(np.int16))
        np.save(out / f"{folder.name}_native.npy", sitk.GetArrayViewFromImage(image))


def open_cache(manifest: Path, where: Path, workers: int) -> SliceCache:
    """Build the cache of all slices, or open it."""
    rows = expand_slices(Manifest.read(manifest), "all")
    return SliceCache.open_or_build(
        rows, PreprocessingSpec(size=GRID), where, need_masks=False, workers=workers
    )


def start_even(work: Callable[[], object]) -> tuple[float, float]:
    """Time a call that finds nothing left to write of what ran before it.

    The loop leaves its files to be written by the system later; the cache, which waits until its
    own are on the disk, would otherwise wait for those too.
    """
    os.sync()
    return timed(work)


def building_peak(root: Path, out: Path) -> float:
    """Peak resident megabytes of the process that builds a cache of small slices."""
    return peak_of(
        "from muscletransfer.data import Manifest, PreprocessingSpec, SliceCache\n"
        "from muscletransfer.data.indexing import index_images\n"
        "from muscletransfer.data.manifest.slices import expand_slices\n"
        f"index = index_images({str(root)!r}, {str(out / 'm.csv')!r}, workers=0)\n"
        "rows = expand_slices(Manifest.read(index.manifest), 'all')\n"
        f"SliceCache.open_or_build(rows, PreprocessingSpec(size=64), {str(out / 'c')!r},\n"
        "    need_masks=False)\n"
    )


def main() -> None:
    """Write, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slices", type=int, nargs="?", default=2048)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("many", type=int, nargs="?", default=10_000, help="slices for memory")
    add_json_argument(parser)
    args = parser.parse_args()
    slices, rounds, many = args.slices, args.rounds, args.many
    print(describe())
    record = Record(f"From DICOM to the cache, {slices} slices")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        root, manifest, where = base / "dicom", base / "m.csv", base / "cache"
        write_series(root, slices, SIDE)
        loop, index, first, second, alone = [], [], [], [], []
        for _ in range(rounds):
            manifest.unlink(missing_ok=True)
            index.append(start_even(lambda: index_images(root, manifest)))
            loop.append(start_even(lambda: plain_loop(root, base / "plain")))
            shutil.rmtree(where, ignore_errors=True)
            alone.append(start_even(lambda: open_cache(manifest, where, 0)))
            shutil.rmtree(where, ignore_errors=True)
            first.append(start_even(lambda: open_cache(manifest, where, 2)))
            second.append(start_even(lambda: open_cache(manifest, where, 2)))
        taken = {"loop": loop, "index": index, "alone": alone, "first": first, "second": second}
        for label, pairs in (
            ("SimpleITK loop, one process", loop),
            ("index", index),
            ("cache, one builder", alone),
            ("cache, two builders", first),
            ("cache, second start", second),
        ):
            wall, processor = np.array(pairs).T
            note = f"{np.median(processor):.2f} s of processor time"
            record.add(label, float(np.median(wall)), "s", note=note)
        middle = {name: np.median(pairs, axis=0)[0] for name, pairs in taken.items()}
        record.add("loop / cache, one builder", middle["loop"] / middle["alone"])
        record.add("loop / cache, two builders", middle["loop"] / middle["first"], at_least=2)
        whole = middle["index"] + middle["first"]
        record.add("loop / index and cache, two builders", middle["loop"] / whole)
        record.add("first / second start", middle["first"] / middle["second"], at_least=20)
    with tempfile.TemporaryDirectory() as name:
        peaks = []
        for count in (100, many):
            write_series(Path(name) / f"d{count}", count, 64)
            peaks.append(building_peak(Path(name) / f"d{count}", Path(name) / f"o{count}"))
        record.add("peak resident memory, 100 slices", peaks[0], "MB")
        record.add(f"peak resident memory, {many} slices", peaks[1], "MB", at_most=1.1 * peaks[0])
    record.write(args.json)


if __name__ == "__main__":
    main()
