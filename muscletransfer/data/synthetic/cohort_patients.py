"""One patient of a cohort: images, outlines and observers, drawn and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.synthetic.cohort_tables import CohortRows, patient_row
from muscletransfer.data.synthetic.levels import OTHER_LEVELS
from muscletransfer.data.synthetic.observers import OBSERVERS, simulate_observer
from muscletransfer.data.synthetic.slices import phantom_slice
from muscletransfer.data.synthetic.writing import ImageFormat, write_image, write_label

__all__ = ["PatientJob", "draw_patient"]


@dataclass(frozen=True)
class PatientJob:
    """What a worker needs for one patient; plain values, so that it can be sent to a process.

    Attributes:
        root: Folder of the cohort.
        index: Number of the patient, from 0.
        seed: Seed of the cohort.
        image_format: How images are written.
        size: Rows and columns of a slice.
        observers: How many outline the patient.
        other_levels: How many slices of other levels.
        trouble: The patient's trouble, or None.
    """

    root: str
    index: int
    seed: int
    image_format: ImageFormat
    size: int
    observers: int
    other_levels: int
    trouble: str | None


def draw_patient(job: PatientJob) -> CohortRows:
    """Draw and write everything of one patient.

    Args:
        job: What to draw, and where to.

    Returns:
        The patient's rows in the tables of the cohort.
    """
    root = Path(job.root)
    patient_id = f"P{job.index + 1:04d}"
    ending = ".dcm" if job.image_format == "dicom" else ".nii.gz"
    sequence = np.random.SeedSequence(job.seed, spawn_key=(job.index,))
    troubles = () if job.trouble is None else (job.trouble,)
    phantom = phantom_slice(sequence, size=job.size, troubles=troubles)
    image = f"images/{patient_id}{ending}"
    mask, groups = f"masks/{patient_id}.nii.gz", f"groups/{patient_id}.nii.gz"
    write_image(phantom, root / image, patient_id, str(job.seed))
    write_label(phantom.mask, phantom, root / mask)
    write_label(phantom.groups, phantom, root / groups)
    base = {"patient_id": patient_id, "image": image, "slice_index": 0}
    patient = phantom.patient
    observed = []
    for observer in OBSERVERS[: job.observers]:
        drawn = simulate_observer(
            phantom.mask, phantom.spacing, observer, sequence, groups=phantom.groups
        )
        path = f"observers/{patient_id}_{observer.name}.nii.gz"
        write_label(drawn, phantom, root / path)
        observed.append({**base, "mask": path, "observer": observer.name})
    return CohortRows(
        manifest={
            **base,
            "mask": mask,
            "height_m": f"{patient.height_m:.2f}",
            "sex": "M" if patient.male else "F",
            "bmi": f"{patient.bmi:.1f}",
            "mask_groups": groups,
            "troubles": " ".join(phantom.troubles),
        },
        observed=observed,
        pretext=list(_draw_levels(job, root, patient_id, ending, sequence)),
        patient=patient_row(patient_id, phantom),
    )


def _draw_levels(
    job: PatientJob, root: Path, patient_id: str, ending: str, sequence: np.random.SeedSequence
) -> Iterator[dict[str, Any]]:
    """Draw the slices of other levels; which ones rotates from patient to patient."""
    for number in range(job.other_levels):
        label = (job.index + number) % len(OTHER_LEVELS)
        level = OTHER_LEVELS[label]
        phantom = phantom_slice(sequence, size=job.size, level=level)
        stem = f"pretext/{patient_id}_{level}"
        write_image(phantom, root / f"{stem}{ending}", patient_id, str(job.seed))
        write_label(phantom.tissues, phantom, root / f"{stem}_tissues.nii.gz")
        yield {
            "patient_id": patient_id,
            "image": f"{stem}{ending}",
            "mask": f"{stem}_tissues.nii.gz",
            "slice_index": 0,
            "label": label,
        }
