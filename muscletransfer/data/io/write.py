"""Writing an image file and making sure that it is there."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.io.volume import itk_name
from muscletransfer.errors import DataError

__all__ = ["save_image"]


def save_image(
    image: sitk.Image, path: str | Path, writer: sitk.ImageFileWriter | None = None
) -> None:
    """Write an image and read it back.

    On a full disk the NIfTI writer of ITK cuts the file short and reports success, so only reading
    shows that the pixels are there.

    Args:
        image: What to write.
        path: Where to; the ending gives the format.
        writer: A prepared writer; by default one that compresses.

    Raises:
        DataError: The file could not be written whole (what there is of it is removed), or its
            name is no UTF-8.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.nii.gz"
        >>> save_image(sitk.Image(4, 3, 2, sitk.sitkInt16), path)
        >>> sitk.ReadImage(str(path)).GetSize()
        (4, 3, 2)
    """
    if writer is None:
        writer = sitk.ImageFileWriter()
        writer.UseCompressionOn()
        writer.SetCompressionLevel(1)
    name = itk_name(path, DataError)
    writer.SetFileName(name)
    try:
        writer.Execute(image)
        written = sitk.ReadImage(name)
        whole = np.array_equal(
            sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(image)
        )
        reason = "the pixels in the file are not those written"
    except RuntimeError as error:
        whole, reason = False, str(error).strip().splitlines()[-1]
    if not whole:
        with contextlib.suppress(OSError):  # the error to report is the one above
            Path(path).unlink(missing_ok=True)
        raise DataError(
            f"{path}: could not be written whole ({reason}); wanted a folder that can be written, "
            "with enough free space. Free some, or choose another folder."
        )
