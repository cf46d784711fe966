"""Plain images (PNG, TIFF, JPEG, BMP) through Pillow: arrays without millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from muscletransfer.data.files import atomic_path
from muscletransfer.data.io.volume import PLAIN_SUFFIXES, check_exists
from muscletransfer.data.types import Array
from muscletransfer.errors import DataError, ImageReadError

__all__ = ["is_plain", "read_image", "read_plain_mask", "write_plain_mask"]

_SUBFILE = 254  # TIFF's NewSubfileType; its lowest bit is for a smaller copy of another page
# What Pillow raises over damaged headers, besides errors of the system.
_DAMAGED = (OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError, UnidentifiedImageError)


def is_plain(path: Path) -> bool:
    """Whether the name ends like a plain image."""
    return path.suffix.lower() in PLAIN_SUFFIXES


def read_image(path: str | Path) -> Array:
    """Read a plain image.

    .. versionadded:: 0.1

    Args:
        path: PNG, TIFF, JPEG or BMP, of one page.

    Returns:
        ``(H, W)`` grey as uint8, uint16 or float32, or ``(H, W, 3)`` uint8 colour; transparency
        is dropped.

    Raises:
        ImageReadError: The file is missing, empty, damaged, too large, or of another format.
        DataError: A TIFF of several pages: all but one would be ignored.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("L", (4, 2), 7).save(file)
        >>> read_image(file).tolist()
        [[7, 7, 7, 7], [7, 7, 7, 7]]
    """
    path = Path(path)
    with _opened(path) as image:
        mode = image.mode
        if mode in ("RGB", "L"):
            return np.asarray(image)
        if mode in ("I;16", "I;16B", "I;16L", "I"):
            values = np.asarray(image)
            fits = values.min() >= 0 and values.max() <= 65535
            return values.astype(np.uint16) if fits else values.astype(np.float32)
        if mode == "F":
            return np.asarray(image, dtype=np.float32)
        return np.asarray(image.convert("L" if mode in ("1", "LA") else "RGB"))


def read_plain_mask(path: Path) -> Array:
    """Read class indices ``(H, W)`` from a plain image; palette images give their indices.

    A file with the values 0 and 255 and no other is a black-and-white drawing: 255 becomes 1.

    Raises:
        ImageReadError: See `read_image`.
        DataError: A JPEG (its compression changes values), a TIFF of several pages, or colours that
            are no indices.
    """
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise DataError(
            f"{path}: is a JPEG, whose compression changes mask values; wanted PNG or TIFF."
        )
    with _opened(path) as image:
        values: Array = np.asarray(image)
    if values.ndim == 3:
        if not all(
            (values[..., k] == values[..., 0]).all() for k in range(min(3, values.shape[2]))
        ):
            raise DataError(
                f"{path}: is a colour image (mode {image.mode}); wanted one class index a pixel. "
                "Save it as an 8-bit grey or palette image."
            )
        values = values[..., 0]
    if values.dtype == np.uint8 and set(np.unique(values).tolist()) == {0, 255}:
        return np.asarray(values == 255, dtype=np.uint8)
    return values


def write_plain_mask(mask: Array, path: Path) -> None:
    """Write ``(H, W)`` class indices 0..255 as an 8-bit PNG or TIFF, whole or not at all."""
    with atomic_path(path) as temporary:
        Image.fromarray(mask.astype(np.uint8)).save(temporary)


def _count_pages(image: Image.Image) -> int:
    """Return the pages of a TIFF, without thumbnails and other smaller copies of one."""
    if image.format != "TIFF" or getattr(image, "n_frames", 1) == 1:
        return 1
    pages = 0
    for frame in ImageSequence.Iterator(image):
        pages += not int(frame.getexif().get(_SUBFILE, 0)) & 1
    image.seek(0)
    return pages


class _opened:  # noqa: N801 - a context manager read like open()
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Image.Image:
        check_exists(self.path)
        try:
            self.image = Image.open(self.path)
            pages = _count_pages(self.image)
            self.image.load()
        except Image.DecompressionBombError as error:
            raise ImageReadError(
                f"{self.path}: is too large ({str(error).split(', could')[0]}); wanted one slice "
                "or photograph. Cut it, or save it smaller."
            ) from error
        except _DAMAGED as error:
            kind = str(error).split(" '")[0].split(" <")[0]
            raise ImageReadError(
                f"{self.path}: cannot be read as an image ({kind}); wanted PNG, TIFF, JPEG or "
                "BMP. The file may be cut short, damaged or of another format."
            ) from error
        if pages > 1:
            self.image.close()
            raise DataError(
                f"{self.path}: has {pages} pages; wanted one slice a file. Save the pages apart, "
                "or as one volume (NIfTI, NRRD, MHA)."
            )
        return self.image

    def __exit__(self, *args: object) -> None:
        self.image.close()
