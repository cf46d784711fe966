"""``muscletransfer phantom``: a synthetic cohort on disk."""

from __future__ import annotations

import argparse

__all__ = ["write_phantom"]


def write_phantom(options: argparse.Namespace) -> None:
    """Write the cohort and say which manifests it has.

    Args:
        options: The parsed arguments of the command.

    Raises:
        DataError: If the folder holds something else or a number is out of range.
        UnknownNameError: If there is no such trouble.
    """
    from muscletransfer.data.synthetic import make_cohort

    cohort = make_cohort(
        options.output,
        patients=options.patients,
        seed=options.seed,
        size=options.size,
        image_format=options.format,
        observers=options.observers,
        other_levels=options.other_levels,
        troubles=options.troubles,
        progress=True,
    )
    print("All images are synthetic.")
    for manifest in (cohort.manifest, cohort.observers_manifest, cohort.pretext_manifest):
        if manifest is not None:
            print(manifest)
