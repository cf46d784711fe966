"""One slice of an image whose slices lie unevenly: only what it needs is read; it lies right."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage
from trained import phantom

from muscletransfer import read_mask
from muscletransfer.data.dicom.series_list import SeriesList, write_list
from muscletransfer.prediction import predict_cases

PLACES = (0.0, 5.0, 10.0, 20.0, 25.0)


def listed(root: Path) -> Path:
    """Write a series and its list, and spoil every file but the first and the fourth."""
    source = pydicom.dcmread(phantom(root / "one.dcm", 3))
    files = tuple(root / f"{k}.dcm" for k in range(len(PLACES)))
    for k, z in enumerate(PLACES):
        source.ImagePositionPatient = [*source.ImagePositionPatient[:2], z]
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
        source.save_as(files[k])
    for k in (1, 2, 4):
        files[k].write_bytes(b"")
    return write_list(root / "a.series.json", SeriesList(files, PLACES, float("nan")))


def multi_frame(root: Path) -> Path:
    """Write an enhanced object, its frames in another order than their places."""
    one = pydicom.dcmread(phantom(root / "one.dcm", 3))
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    shared, measures, plane, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = one.PixelSpacing, 5.0
    plane.ImageOrientationPatient = one.ImageOrientationPatient
    values.RescaleSlope, values.RescaleIntercept = one.RescaleSlope, one.RescaleIntercept
    values.RescaleType = "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.PixelValueTransformationSequence = [values]
    frames = []
    for z in reversed(PLACES):
        frame, where = Dataset(), Dataset()
        where.ImagePositionPatient = [*one.ImagePositionPatient[:2], z]
        frame.PlanePositionSequence = [where]
        frames.append(frame)
    one.PixelData = one.pixel_array.tobytes() * len(frames)
    one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence = [shared], frames
    one.NumberOfFrames = len(frames)
    for name in ("PixelSpacing", "SliceThickness", "ImagePositionPatient", "RescaleSlope"):
        if name in one:
            delattr(one, name)
    del one.RescaleIntercept, one.ImageOrientationPatient
    one.save_as(root / "multi.dcm")
    return root / "multi.dcm"


def in_a_folder(root: Path) -> Path:
    """Write the multi-frame object alone into a folder."""
    (root / "folder").mkdir()
    return multi_frame(root).rename(root / "folder" / "multi.dcm").parent


@pytest.mark.filterwarnings("ignore:.*taken as unknown")
@pytest.mark.parametrize("write", [listed, multi_frame, in_a_folder])
def test_a_slice_lies_where_the_image_has_it(write, checkpoint, tmp_path):
    image = write(tmp_path)
    run = predict_cases(image, checkpoint, tmp_path / "out", slice_index=3, overlays=False)
    assert not run.problems
    (one,) = run.outcomes
    assert one.slice_index == 3
    mask = read_mask(one.mask)
    assert mask.shape == (1, 96, 96)
    assert np.any(mask.labels)
    assert mask.origin[2] == pytest.approx(20.0)
