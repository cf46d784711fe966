"""Time of one RMS distance-to-agreement on phantom outlines, beside MONAI's and others.

Run from a checkout, on one core::

    OMP_NUM_THREADS=1 python examples/benchmarks/distance.py --patients 3

MONAI's side computes the symmetric mean, which it has, and no root mean square: the same distances,
summed up otherwise. surface-distance takes part where it is installed (see peers/environment.py);
it computes the distances of all surface elements, from which its users take what they need.

Every observer's outline is compared with the reference of its case at 512 x 512. Printed are the
median and the fastest of several runs a pair, in ms, and the median over the pairs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance
from peers.installed import installed
from record import Record, add_json_argument
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from muscletransfer.data import Manifest, read_mask
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.metrics import boundary, dice, distance_to_agreement
from muscletransfer.metrics.boundary import crop_to_union


def with_monai(pred, target, spacing):
    """Symmetric average surface distance on tensors, as MONAI's users call it."""
    batch = [torch.from_numpy(mask)[None, None].float() for mask in (pred, target)]
    return compute_average_surface_distance(
        *batch, include_background=True, symmetric=True, spacing=spacing
    ).item()


def with_tree(pred, target, spacing):
    """The k-d tree alone."""
    sides = [np.argwhere(boundary(mask)) * spacing for mask in crop_to_union(pred, target)]
    trees = [KDTree(side, compact_nodes=False, balanced_tree=False) for side in sides]
    return rms(trees[1].query(sides[0])[0], trees[0].query(sides[1])[0])


def with_transform(pred, target, spacing):
    """Euclidean distance transforms of both boundaries, cropped."""
    a, b = (boundary(mask) for mask in crop_to_union(pred, target))
    return rms(
        distance_transform_edt(~b, sampling=spacing)[a],
        distance_transform_edt(~a, sampling=spacing)[b],
    )


def with_surface_distance(pred, target, spacing):
    """surface-distance, as its read-me shows, and the pooled root mean square of what it gives."""
    from surface_distance import compute_surface_distances

    found = compute_surface_distances(target, pred, spacing)
    length, total = 0.0, 0.0
    for side in ("gt_to_pred", "pred_to_gt"):
        distances = found[f"distances_{side}"]
        sizes = found["surfel_areas_gt" if side == "gt_to_pred" else "surfel_areas_pred"]
        length, total = length + sizes.sum(), total + (sizes * distances**2).sum()
    return float(np.sqrt(total / length))


def rms(there, back):
    """Pooled root mean square."""
    return float(np.sqrt(np.mean(np.concatenate([there, back]) ** 2)))


def timed(function: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Median and fastest run in ms."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), min(times)


def main() -> None:
    """Draw the cohort, time every pair, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--observers", type=int, default=10)
    parser.add_argument("--size", type=int, default=512)
    add_json_argument(parser)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    ways = {
        "muscletransfer": distance_to_agreement,
        "MONAI": with_monai,
        "k-d tree": with_tree,
        "transform": with_transform,
    }
    record = Record(
        f"RMS distance-to-agreement of two {args.size} x {args.size} muscle masks, one core"
    )
    record.remark("MONAI computes the symmetric mean of the distances, not their root mean square.")
    if installed(record, "surface_distance", "surface-distance"):
        ways["surface-distance"] = with_surface_distance
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(
            folder, patients=args.patients, observers=args.observers, size=args.size
        )
        observed = Manifest.read(cohort.observers_manifest, allow_repeats=True)
        wanted = {row.patient_id: row for row in Manifest.read(cohort.manifest)}
        for row in observed:
            mask = read_mask(wanted[row.patient_id].mask)
            target, pred = mask.labels[0] > 0, read_mask(row.mask).labels[0] > 0
            times = [
                timed(lambda way=way: way(pred, target, mask.slice_spacing), args.repeats)  # noqa: B023
                for way in ways.values()
            ]
            rows.append(times)
            shown = "  ".join(f"{median:6.2f} ({fast:5.2f})" for median, fast in times)
            overlap = dice(pred, target)
            print(f"{row.patient_id} {row.extra['observer']}  Dice {overlap:.3f}  {shown}")
    medians = dict(zip(ways, np.median(np.array(rows), axis=0), strict=True))
    for name, (median, fast) in medians.items():
        limit = 3.0 if name == "muscletransfer" and args.size == 512 else None
        record.add(f"one pair, {name}", median, "ms", at_most=limit, note=f"fastest {fast:.2f}")
    for name in list(ways)[1:]:
        limit = 3.0 if name == "MONAI" else None
        ratio = medians[name][0] / medians["muscletransfer"][0]
        record.add(f"{name} / muscletransfer", ratio, at_least=limit)
    record.write(args.json)


if __name__ == "__main__":
    main()
