"""The scanner: field of view, reconstruction kernel, dose and noise, table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from muscletransfer.data.synthetic.canvas import Canvas, Float32, Grid
from muscletransfer.data.synthetic.fields import random_field
from muscletransfer.data.synthetic.frame import Frame
from muscletransfer.data.synthetic.shapes import strip

__all__ = ["KERNELS", "Scanner", "acquire", "draw_table", "sample_scanner"]

#: Kernel name: Gaussian blur (mm), edge enhancement, centre of the noise spectrum (1/mm), noise.
KERNELS: dict[str, tuple[float, float, float, float]] = {
    "smooth": (0.72, 0.0, 0.3, 0.75),
    "medium": (0.58, 0.1, 0.42, 1.0),
    "sharp": (0.45, 0.35, 0.6, 1.45),
}


@dataclass(frozen=True)
class Scanner:
    """Settings of one acquisition.

    Attributes:
        field_of_view: Side of the reconstructed square in mm.
        kernel: Name in :data:`KERNELS`.
        kvp: Tube voltage in kV.
        slice_thickness: In mm.
        noise: Standard deviation of the noise at the centre with the medium kernel, in HU.
        cupping: HU by which beam hardening lowers the centre.
        table: Distance of the table from the back in mm.
    """

    field_of_view: float
    kernel: str
    kvp: int
    slice_thickness: float
    noise: float
    cupping: float
    table: float


def sample_scanner(frame: Frame, rng: np.random.Generator) -> Scanner:
    """Choose the settings for a patient, as a radiographer would: all of the trunk in view.

    Args:
        frame: Outlines of the patient.
        rng: Source of randomness.

    Returns:
        The settings; the field of view is 348 to 502 mm, 0.68 to 0.98 mm at 512 x 512.
    """
    width = float(np.ptp(frame.skin[:, 0]))
    view = np.clip(width * rng.uniform(1.05, 1.22), 0.68 * 512, 0.98 * 512)
    dose = np.exp(rng.normal(0.0, 0.32))
    return Scanner(
        field_of_view=float(round(view)),
        kernel=str(rng.choice(list(KERNELS), p=[0.35, 0.45, 0.2])),
        kvp=int(rng.choice([100, 120, 120, 140])),
        slice_thickness=float(rng.choice([3.0, 5.0, 5.0])),
        noise=float(17.0 * dose * (width / 360.0) ** 1.2),
        cupping=float(rng.uniform(0.0, 5.0)),
        table=float(rng.uniform(4.0, 14.0)),
    )


def draw_table(canvas: Canvas, frame: Frame, scanner: Scanner) -> None:
    """Draw mattress and table top under the patient."""
    bottom = float(frame.skin[:, 1].max()) + scanner.table
    x = np.linspace(-215.0, 215.0, 120)
    top = bottom + 14.0 - 30.0 * (x / 215.0) ** 2
    mattress = strip(np.stack([x, top - 7.0], axis=1), 9.0)
    canvas.paint(mattress, -965.0)
    canvas.paint(strip(np.stack([x, top + 15.0], axis=1), 24.0), -955.0)
    for shift, width, value in ((-3.0, 0.7, -450.0), (2.0, 2.6, 60.0), (29.0, 1.8, -150.0)):
        canvas.paint(strip(np.stack([x, top + shift], axis=1), width), value)


def _spectra(grid: Grid, scanner: Scanner) -> tuple[Float32, Float32]:
    """Transfer function of the kernel and root of the noise power, on the grid's frequencies."""
    blur, boost, centre, _ = KERNELS[scanner.kernel]
    fy = fft.fftfreq(grid.size, grid.spacing)[:, None]
    fx = fft.rfftfreq(grid.size, grid.spacing)[None, :]
    f2 = fx**2 + fy**2
    f = np.sqrt(f2)
    transfer = np.exp(-2.0 * (np.pi * blur) ** 2 * f2)
    transfer *= 1.0 + 4.0 * boost * f2 / (f2 + 0.35**2)
    # Filtered back projection: power rises with the frequency and falls with the kernel.
    # Slightly more along y: the lateral rays of a wide patient carry most noise.
    power = f * np.exp(-((f / (1.35 * centre)) ** 2)) * (1.0 + 0.35 * fy**2 / np.maximum(f2, 1e-9))
    return transfer.astype(np.float32), np.sqrt(power).astype(np.float32)


def acquire(
    hu: Float32, grid: Grid, frame: Frame, scanner: Scanner, rng: np.random.Generator
) -> Float32:
    """Blur with the kernel, add noise and cupping.

    Args:
        hu: The object in HU, ``(size, size)``.
        grid: Its pixel grid.
        frame: Outlines of the patient, for where noise is strongest.
        scanner: Settings.
        rng: Source of the noise.

    Returns:
        ``(size, size)`` float32 image in HU.
    """
    transfer, root_power = _spectra(grid, scanner)
    image = fft.irfft2(fft.rfft2(hu) * transfer, s=hu.shape)
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = fft.irfft2(fft.rfft2(white) * root_power, s=hu.shape)
    noise /= max(float(noise.std()), 1e-6)
    # Larger pixels average the noise.
    sigma = scanner.noise * KERNELS[scanner.kernel][3] * min(1.0, (0.85 / grid.spacing) ** 0.6)
    low, high = frame.skin.min(axis=0), frame.skin.max(axis=0)
    centre, half = 0.5 * (low + high), 0.5 * (high - low)
    rx = ((grid.x - centre[0]) / half[0]).astype(np.float32)
    ry = ((grid.y - centre[1]) / half[1]).astype(np.float32)
    depth = np.clip(1.0 - (rx[None, :] ** 2 + ry[:, None] ** 2), 0.0, 1.0)
    uneven = 1.0 + 0.12 * random_field(rng, grid, 60.0)
    image += noise * (sigma * (0.72 + 0.28 * depth) * uneven)
    image -= np.float32(scanner.cupping) * depth
    return np.asarray(image, dtype=np.float32)
