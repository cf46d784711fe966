"""Indexing beside a plain pydicom loop that stops before the pixels, on the same files.

    python examples/benchmarks/indexing.py [files] [rounds]

Writes a synthetic export (five series of 200 slices a patient, headers of some hundred elements
with private ones, as scanners write them), reads all headers in several ways, turn about, and
prints wall and processor time; then the peak of resident memory for 100 files and for all of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from machine import describe, peak_of, timed
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from record import Record, add_json_argument

from muscletransfer.data.indexing import index_images

SIDE, SLICES, SERIES = 64, 200, 5
TAGS = [
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "SOPClassUID", "SOPInstanceUID",
    "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "Rows", "Columns",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
    "RescaleIntercept", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
]  # fmt: skip


def plain_slice(hu: np.ndarray) -> Dataset:
    """One slice with as many elements as a scanner writes; who and where is left to be set."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPClassUID, ds.Modality, ds.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY"]
    ds.Rows, ds.Columns, ds.SamplesPerPixel = *hu.shape, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PhotometricInterpretation, ds.RescaleSlope, ds.RescaleIntercept = "MONOCHROME2", 1, 0
    ds.PixelSpacing, ds.SliceThickness = [0.8, 0.8], 1.0
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PatientBirthDate, ds.PatientSex, ds.KVP = "19500101", "F", 120
    ds.ConvolutionKernel, ds.StudyDate, ds.StudyTime = "B30f", "20200101", "120000"
    for group in (0x0019, 0x0021, 0x0029, 0x0043):
        block = ds.private_block(group, "SCANNER", create=True)
        for element in range(1, 25):
            block.add_new(element, "LO", f"private value {element}")
    ds.PixelData = hu.tobytes()
    return ds


def write_export(root: Path, files: int) -> None:
    """Write that many slices; each patient's in one folder, without an ending."""
    hu = np.random.default_rng(0).normal(0, 12, (SIDE, SIDE)).round().astype(np.int16)
    hu[:8], hu[8:16] = -1000, -100
    ds = plain_slice(hu)
    for number in range(files):
        patient, series = number // (SLICES * SERIES), number // SLICES
        if number % SLICES == 0:
            ds.PatientID, ds.PatientName = f"ID{patient}", f"Name^{patient}"
            ds.StudyInstanceUID = generate_uid(entropy_srcs=[f"study {patient}"])
            ds.SeriesInstanceUID = generate_uid(entropy_srcs=[f"series {series}"])
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        ds.ImagePositionPatient = [0, 0, float(number % SLICES)]
        folder = root / f"patient{patient}"
        folder.mkdir(parents=True, exist_ok=True)
        pydicom.dcmwrite(folder / f"IM{number:06d}", ds, enforce_file_format=True)


def plain_loop(root: Path, tags: list[str] | None) -> int:
    """Read headers and group them by series, as a script would."""
    series: dict[str, list[tuple[float, str]]] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
        place = float(ds.ImagePositionPatient[2])
        series.setdefault(str(ds.SeriesInstanceUID), []).append((place, str(path)))
    return len(series)


def indexing_peak(root: Path, out: Path) -> float:
    """Peak resident megabytes of a process that does nothing but index a tree."""
    return peak_of(
        "from muscletransfer.data.indexing import index_images\n"
        f"index_images({str(root)!r}, {str(out / 'm.csv')!r}, pixels='none', workers=0)\n"
    )


def main() -> None:
    """Write, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=int, nargs="?", default=10_000)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    add_json_argument(parser)
    args = parser.parse_args()
    files, rounds = args.files, args.rounds
    print(describe())
    record = Record(f"Indexing {files} DICOM files")
    with tempfile.TemporaryDirectory() as name:
        root, few, out = Path(name) / "many", Path(name) / "few", Path(name) / "out"
        write_export(root, files)
        write_export(few, 100)
        ways: dict[str, Callable[[], object]] = {
            "pydicom, stop_before_pixels": lambda: plain_loop(root, None),
            "pydicom, and specific_tags": lambda: plain_loop(root, TAGS),
            "index, headers, one process": lambda: index_images(
                root, out / "m.csv", pixels="none", workers=0
            ),
            "index, headers, two processes": lambda: index_images(
                root, out / "m.csv", pixels="none", workers=2
            ),
            "index, as by default": lambda: index_images(root, out / "m.csv"),
        }
        times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, work in ways.items():
                times[way].append(timed(work))
        base = np.median(times["pydicom, stop_before_pixels"], axis=0)
        for way, pairs in times.items():
            wall, processor = np.array(pairs).T
            note = f"{np.median(processor):.2f} s of processor time"
            record.add(way, float(np.median(wall)), "s", note=note)
        ours = np.median(times["index, headers, two processes"], axis=0)
        record.add("pydicom loop / index of headers, two processes", base[0] / ours[0], at_least=1)
        small, large = indexing_peak(few, out), indexing_peak(root, out)
        record.add("peak resident memory, 100 files", small, "MB")
        record.add(f"peak resident memory, {files} files", large, "MB")
    record.write(args.json)


if __name__ == "__main__":
    main()
