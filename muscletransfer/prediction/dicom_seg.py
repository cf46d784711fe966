"""DICOM-SEG: a mask as a segmentation object, through highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from muscletransfer._version import __version__
from muscletransfer.data.files import atomic_path
from muscletransfer.data.types import Array

__all__ = ["write_dicom_seg"]


def write_dicom_seg(mask: Array, source: Path, path: Path, classes: Sequence[str]) -> Path:
    """Write a binary segmentation that refers to one DICOM slice, one segment a class.

    Args:
        mask: uint8 (H, W) class indices.
        source: The DICOM file of the slice.
        path: Where to.
        classes: Names of the classes 1, 2, ...

    Returns:
        The path. A mask without foreground keeps its (empty) frames, so that it reads as "none".
    """
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name="muscletransfer", family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=hd.sr.CodedConcept("127954009", "SCT", "Skeletal muscle"),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(classes, 1)
    ]
    planes = np.stack([mask == number for number in range(1, len(classes) + 1)], axis=-1)
    found = hd.seg.Segmentation(
        source_images=[dcmread(source, force=True)],  # a file without the preamble was read too
        pixel_array=planes[None].astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=901,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="muscletransfer",
        manufacturer_model_name="muscletransfer",
        software_versions=__version__,
        device_serial_number="0",
        omit_empty_frames=False,
    )
    with atomic_path(path) as temporary:
        found.save_as(temporary)
    return path
