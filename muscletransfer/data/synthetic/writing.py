"""Write phantom slices as NIfTI or DICOM files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from muscletransfer.data.io.write import save_image
from muscletransfer.data.synthetic.levels import LEVEL_HEIGHTS, check_level
from muscletransfer.data.synthetic.scanner import KERNELS
from muscletransfer.data.synthetic.slices import PhantomSlice

__all__ = ["ImageFormat", "check_format", "write_image", "write_label"]

ImageFormat: TypeAlias = Literal["nifti", "dicom"]

# Root for UIDs made from numbers (ISO/IEC 9834-8, PS3.5 B.2): no registration is needed.
_UID_ROOT = "2.25."
_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_KERNEL_NAMES = dict(zip(KERNELS, ("PH20", "PH30", "PH50"), strict=True))


def check_format(image_format: str) -> ImageFormat:
    """Return a known format, or raise.

    Raises:
        UnknownNameError: The name is not a format.
    """
    from muscletransfer.errors import UnknownNameError

    for known in get_args(ImageFormat):
        if image_format == known:
            return known  # type: ignore[no-any-return]
    raise UnknownNameError(
        f"image format {image_format!r} is unknown; "
        f"wanted one of {', '.join(get_args(ImageFormat))}"
    )


def _volume(
    array: npt.NDArray[np.int16] | npt.NDArray[np.uint8], phantom: PhantomSlice
) -> sitk.Image:
    """One-slice volume in LPS with the phantom's geometry."""
    image = sitk.GetImageFromArray(array[None])
    image.SetSpacing((phantom.spacing[1], phantom.spacing[0], phantom.scanner.slice_thickness))
    # Slices of one patient share a frame of reference, so they lie apart along the body.
    height = LEVEL_HEIGHTS[check_level(phantom.level)] * phantom.patient.frame
    image.SetOrigin((*phantom.origin, round(height, 1)))
    return image


def write_label(label: npt.NDArray[np.uint8], phantom: PhantomSlice, path: Path) -> None:
    """Write a label map with the geometry of a phantom as NIfTI."""
    save_image(_volume(label, phantom), path)


def _uid(*parts: str) -> str:
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return _UID_ROOT + str(int.from_bytes(digest[:16], "big"))


def write_image(phantom: PhantomSlice, path: Path, patient_id: str, seed: str) -> None:
    """Write the HU of a phantom; the ending of the path (``.nii.gz``, ``.dcm``) gives the format.

    Args:
        phantom: The slice.
        path: Where to.
        patient_id: Pseudonym for the DICOM header.
        seed: Text that all UIDs are made from, so that a cohort is the same each time.

    Raises:
        DataError: The file could not be written whole.
    """
    volume = _volume(phantom.hu, phantom)
    if path.suffix != ".dcm":
        save_image(volume, path)
        return
    scanner, patient = phantom.scanner, phantom.patient
    # One seed draws other pixels for another size or trouble: then they are other images too.
    person = (seed, f"{phantom.hu.shape}", patient_id)
    drawn = (*person, phantom.level, *phantom.troubles)
    tags = {
        "0008|0008": "DERIVED\\SECONDARY\\AXIAL",
        "0008|0012": "20200101",
        "0008|0013": "000000",
        "0008|0016": _CT_IMAGE_STORAGE,
        "0008|0018": _uid(*drawn, "instance"),
        "0008|0020": "20200101",
        "0008|0030": "000000",
        "0008|0060": "CT",
        "0008|0070": "muscletransfer phantom",
        "0008|103e": f"synthetic axial {phantom.level}",
        "0010|0010": patient_id,
        "0010|0020": patient_id,
        "0010|0040": "M" if patient.male else "F",
        "0010|1010": f"{int(patient.age):03d}Y",
        "0010|1020": f"{patient.height_m:.2f}",
        "0010|1030": f"{patient.bmi * patient.height_m**2:.1f}",
        "0018|0050": f"{scanner.slice_thickness:.1f}",
        "0018|0060": str(scanner.kvp),
        "0018|1100": f"{scanner.field_of_view:.1f}",
        "0018|1210": _KERNEL_NAMES[scanner.kernel],
        "0018|5100": "HFS",
        "0020|000d": _uid(*person, "study"),
        "0020|000e": _uid(*drawn, "series"),
        "0020|0011": "1",
        "0020|0013": "1",
        "0020|0052": _uid(*person, "frame"),
        "0028|0030": f"{phantom.spacing[0]:.9g}\\{phantom.spacing[1]:.9g}",
        "0028|1050": "50",
        "0028|1051": "400",
        "0028|1052": "-1024",
        "0028|1053": "1",
        "0028|1054": "HU",
    }
    for tag, value in tags.items():
        volume.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    save_image(volume, path, writer)
