"""Does the flag "unfamiliar" find slices of another level, and how often is it up for nothing?

Run from a checkout (about ten minutes on one idle core)::

    python examples/benchmarks/wrong_level.py --real FOLDER

Fine-tunes a network on 10 phantom patients (4 more validate) for each of the seeds 0, 1 and 2,
which were fixed before the flag was made, then looks at phantom slices of other patients: ordinary
L3 slices, and slices of each other level. For each level, the mean over seeds and their range of

- the area under the ROC curve of the feature distance, other level against L3 (0.5 is chance);
- the share of slices with the flag up, at L3 the false alarms; over many training sets 5 % are
  expected, and a single set of 14 patients scatters widely around that;
- the share that a limit with exactly 5 % false alarms on these L3 slices would find.

With ``--real`` (a folder with ``ct.nii.gz``, ``total_multilabel.nii.gz`` and ``labels.json``, see
`REAL`) the same on one real volume, by distance from L3: for a network that was fine-tuned on some
L3 slices of that volume, and for those of the phantom. One patient says nothing about others.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from machine import describe
from scipy import stats
from short_training import SPEC, fine_tuned

from muscletransfer import read_ct
from muscletransfer.data.parallel import map_in_processes
from muscletransfer.data.synthetic import OTHER_LEVELS, make_cohort, phantom_slice
from muscletransfer.prediction import Ensemble, Thresholds

PATIENTS, STATED = 10, 0.05
REAL_STEPS = 100  # slices a few millimetres apart are soon learnt
#: The real volume: slices of L3 as ``labels.json`` has them, labels as TotalSegmentator's.
REAL = {"image": "ct.nii.gz", "labels": "total_multilabel.nii.gz", "facts": "labels.json"}
MUSCLES = (86, 87, 88, 89)  # of the back and iliopsoas, left and right


def trained(manifest: Path, folder: Path, seed: int, steps: int, patients: int) -> Path:
    """Fine-tune on some patients; return the best checkpoint."""
    return fine_tuned(
        manifest,
        folder,
        seed=seed,
        steps=steps,
        label=f"seed {seed}",
        train_patients=patients,
        cache_dir=folder / "cache",
    )


def drawn(job: tuple[int, int, str]) -> np.ndarray:
    """One phantom slice on the network grid."""
    seed, number, level = job
    sequence = np.random.SeedSequence(seed, spawn_key=(number,))
    phantom = phantom_slice(sequence, size=256, level=level)
    return SPEC.apply(phantom.hu, phantom.spacing)[0]


def distances(checkpoint: Path, slices: Sequence[np.ndarray]) -> np.ndarray:
    """Feature distance of each slice."""
    ensemble = Ensemble([checkpoint])
    found = [ensemble.predict(slices[k : k + 16]).distance for k in range(0, len(slices), 16)]
    return np.array([one for batch in found for one in batch], np.float64)


def area_under_curve(ordinary: np.ndarray, other: np.ndarray) -> float:
    """Probability that a slice of the other kind is farther than an ordinary one."""
    return float(stats.mannwhitneyu(other, ordinary).statistic / (len(other) * len(ordinary)))


def shown(values: Sequence[float], digits: int = 2) -> str:
    """Mean and range."""
    low, high = min(values), max(values)
    return f"{np.mean(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def phantoms(work: Path, args: argparse.Namespace) -> tuple[dict[str, object], list[Path]]:
    """Print the table of the phantom; return its figures and the checkpoints."""
    from wrong_level import drawn as importable  # other processes do not see __main__

    limit = Thresholds().unfamiliar
    rows: dict[str, list[tuple[float, float, float]]] = {}
    checkpoints = []
    for seed in args.seeds:
        folder = work / f"seed{seed}"
        cohort = make_cohort(folder / "cohort", patients=24, size=256, seed=seed)
        checkpoints.append(trained(cohort.manifest, folder, seed, args.steps, PATIENTS))
        kinds = ["L3"] * args.ordinary
        kinds += [level for level in OTHER_LEVELS for _ in range(args.others)]
        jobs = [(1000 + seed, number, level) for number, level in enumerate(kinds)]
        slices = list(map_in_processes(importable, jobs, args.workers))
        found, level = distances(checkpoints[-1], slices), np.array(kinds)
        ordinary = found[level == "L3"]
        exact = float(np.quantile(ordinary, 1 - STATED))
        for name in ("L3", *OTHER_LEVELS):
            mine = found[level == name]
            curve = area_under_curve(ordinary, mine)
            up = float((mine >= limit).mean()), float((mine > exact).mean())
            rows.setdefault(name, []).append((curve, *up))
    print(f"{args.ordinary} L3 slices and {args.others} of each other level, for each seed")
    print(f"{'level':>6}  {'ROC AUC':<22} {'flag up':<22} at {STATED:.0%} false alarms")
    for name in ("T12", "L1", "L2", "L3", "L4", "S1"):
        print(f"{name:>6}  " + " ".join(f"{shown(v):<22}" for v in zip(*rows[name], strict=True)))
    return {"rows": rows}, checkpoints


def real_manifest(source: Path, folder: Path) -> tuple[Path, range, float]:
    """Write the L3 slices, each a file as if of another patient; the manifest, slices and step."""
    facts = json.loads((source / REAL["facts"]).read_text())
    image = sitk.ReadImage(str(source / REAL["image"]))
    labels = sitk.ReadImage(str(source / REAL["labels"]))
    mask = sitk.GetImageFromArray(np.isin(sitk.GetArrayFromImage(labels), MUSCLES).astype(np.uint8))
    mask.CopyInformation(labels)
    folder.mkdir(parents=True)
    first, last = facts["vertebra_slice_ranges"]["L3"]
    slices = range(first, last + 1)
    rows = ["patient_id,image,mask"]
    for k in slices:
        sitk.WriteImage(image[:, :, k : k + 1], str(folder / f"image{k}.nii.gz"))
        sitk.WriteImage(mask[:, :, k : k + 1], str(folder / f"mask{k}.nii.gz"))
        rows.append(f"slice{k},image{k}.nii.gz,mask{k}.nii.gz")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv", slices, facts["spacing_mm_zyx"][0]


def real_volume(
    source: Path, work: Path, of_phantoms: Sequence[Path], seeds: Sequence[int]
) -> dict[str, object]:
    """Print the tables of one real volume."""
    limit = Thresholds().unfamiliar
    volume = read_ct(source / REAL["image"])
    manifest, slices, step = real_manifest(source.resolve(), work / "real")
    grid = [SPEC.apply(one, volume.slice_spacing, volume.flips)[0] for one in volume.hu]
    away = np.array([max(slices[0] - k, 0, k - slices[-1]) * step for k in range(len(grid))])
    below = np.arange(len(grid)) < slices[0]
    bands = {
        "L3": away == 0,
        "to 30 mm above": (away > 0) & (away <= 30) & ~below,
        "to 30 mm below": (away > 0) & (away <= 30) & below,
        "farther above": (away > 30) & ~below,
        "farther below": (away > 30) & below,
    }
    figures: dict[str, object] = {}
    own = [trained(manifest, work / "real" / f"seed{s}", s, REAL_STEPS, 8) for s in seeds]
    for title, checkpoints in (
        ("fine-tuned on 8 L3 slices of this volume (validated on others of them)", own),
        ("fine-tuned on the phantom", of_phantoms),
    ):
        found = [distances(path, grid) for path in checkpoints]
        print(f"\nOne real volume; networks {title}")
        print(f"{'slices':>15} {'number':>6}  {'ROC AUC against L3':<22} flag up")
        for name, mine in bands.items():
            curves = [area_under_curve(one[bands["L3"]], one[mine]) for one in found]
            up = [float((one[mine] >= limit).mean()) for one in found]
            figures[f"{title}: {name}"] = {"slices": int(mine.sum()), "auc": curves, "up": up}
            print(f"{name:>15} {mine.sum():>6}  {shown(curves):<22} {shown(up)}")
    return figures


def main() -> None:
    """Train, look, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ordinary", type=int, default=100, help="L3 slices a seed")
    parser.add_argument("--others", type=int, default=20, help="slices a level and seed")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--real", type=Path, help="folder of a real volume; left out if none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        figures, checkpoints = phantoms(Path(name), args)
        if args.real:
            figures["real"] = real_volume(args.real, Path(name), checkpoints, args.seeds)
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), **figures}, indent=1))


if __name__ == "__main__":
    main()
