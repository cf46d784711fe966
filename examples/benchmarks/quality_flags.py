"""How many of the failed outlines are among the tenth that quality flags send to a person?

Run from a checkout (about ten minutes on two idle cores; ``--folds 1`` leaves the ensemble out)::

    python examples/benchmarks/quality_flags.py

Trains three folds of 40 phantom patients without troubles, predicts 500 others, and compares with
the truth: for the first network alone, with mirror images, and for the ensemble. Failures have to
be rare for a tenth of the cases to hold four fifths of them, as in a clinic they are: 88 % of the
test patients are ordinary L3 slices, 2 % have their arms in the picture, 3 % metal, 2 % moved, 3 %
are wider than the field of view, and 2 % are slices of another level (two each of T12, L1, L2, L4,
S1). At another level nothing is muscle at L3, so any outline there has Dice 0. A failure is a Dice
below 0.85. All images are synthetic; the thresholds and weights of the flags were chosen on other
networks and phantoms of the same kind (other seeds), so the figure says that the order works on
such troubles, and nothing about real scans.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from machine import describe
from short_training import fine_tuned

from muscletransfer import read_mask
from muscletransfer.data.parallel import map_in_processes
from muscletransfer.data.synthetic import make_cohort, phantom_slice
from muscletransfer.data.synthetic.writing import write_image, write_label
from muscletransfer.prediction import PredictionRun, predict_cases

SHARES = {"ordinary": 88, "arms": 2, "metal": 3, "motion": 2, "truncated": 3, "level": 2}
LEVELS = ("T12", "L1", "L2", "L4", "S1")
FAILED, SENT = 0.85, 0.10


def draw(job: tuple[str, int, int, str, str]) -> None:
    """Write one test patient."""
    folder, seed, number, kind, level = job
    sequence = np.random.SeedSequence(seed, spawn_key=(number,))
    troubles = (kind,) if kind in ("arms", "metal", "motion", "truncated") else ()
    phantom = phantom_slice(sequence, size=256, troubles=troubles, level=level)
    name = f"T{number:04d}"
    write_image(phantom, Path(folder) / f"{name}.nii.gz", name, str(seed))
    write_label(phantom.mask, phantom, Path(folder) / f"{name}_mask.nii.gz")


def population(folder: Path, count: int, seed: int, workers: int) -> dict[str, str]:
    """Draw the test patients; return what kind each is."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(share * count / 100))]
    levels = [LEVELS[k % len(LEVELS)] for k in range(kinds.count("level"))]
    jobs, rows, found = [], ["patient_id,image"], {}
    for number, kind in enumerate(kinds):
        level = levels.pop() if kind == "level" else "L3"
        jobs.append((str(folder), seed, number, kind, level))
        rows.append(f"T{number:04d},T{number:04d}.nii.gz")
        found[f"T{number:04d}"] = level if kind == "level" else kind
    from quality_flags import draw as importable  # other processes do not see __main__

    list(map_in_processes(importable, jobs, workers))
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return found


def train(folder: Path, seed: int, steps: int, folds: int) -> list[Path]:
    """Fine-tune folds from random weights; return their best checkpoints."""
    cohort = make_cohort(folder / "cohort", patients=40, size=256, seed=seed)
    return [
        fine_tuned(
            cohort.manifest,
            folder / f"fold{fold}",
            seed=fold,
            steps=steps,
            label=f"fold {fold}",
            train_patients="all",
            fold=fold,
            val_patients=6,
            cache_dir=folder / "cache",
        )
        for fold in range(folds)
    ]


def true_dice(run: PredictionRun, folder: Path) -> dict[str, float]:
    """Dice of every predicted case against the truth."""
    scores = {}
    for one in run.outcomes:
        found = read_mask(one.mask).labels > 0
        truth = read_mask(folder / f"{one.name}_mask.nii.gz").labels > 0
        both = found.sum() + truth.sum()
        scores[one.name] = 2 * (found & truth).sum() / both if both else 1.0
    return scores


def recall(score: np.ndarray, failed: np.ndarray, sent: float = SENT) -> float:
    """Share of the failed cases among those with the highest scores."""
    first = np.argsort(-score, kind="stable")[: int(sent * len(score))]
    return float(failed[first].sum() / failed.sum())


def report(run: PredictionRun, dice: dict[str, float], kinds: dict[str, str]) -> dict[str, object]:
    """Print the tables of one run and return its figures."""
    names = [one.name for one in run.outcomes]
    scores = np.array([one.quality.score for one in run.outcomes])
    values = np.array([dice[name] for name in names])
    failed = values < FAILED
    kind = np.array([kinds[name] for name in names])
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(names), len(names)) for _ in range(2000)]
    repeats = [recall(scores[d], failed[d]) for d in draws if failed[d].any()]
    low, high = np.percentile(repeats, [2.5, 97.5])
    found = recall(scores, failed)
    print(f"{failed.sum()} of {len(names)} cases ({failed.mean():.1%}) have Dice < {FAILED}")
    print(
        f"among the {SENT:.0%} sent to a person: {found:.1%} of them (95 % CI over cases "
        f"{low:.1%} to {high:.1%}; wanted at least 80 %)"
    )
    shares = {s: recall(scores, failed, s) for s in (0.05, 0.08, 0.15, 0.20)}
    print("   at " + ", ".join(f"{s:.0%}: {r:.1%}" for s, r in shares.items()))
    print(f"{'kind':>10} {'cases':>5} {'failed':>6} {'sent':>5}  median Dice, flags that went up")
    sent = np.zeros(len(names), bool)
    sent[np.argsort(-scores, kind="stable")[: int(SENT * len(names))]] = True
    for name in dict.fromkeys(kinds.values()):
        mine = kind == name
        flags = Counter(
            f for one, m in zip(run.outcomes, mine, strict=True) if m for f in one.quality.flags
        )
        raised = ", ".join(f"{flag} {count}" for flag, count in flags.most_common())
        print(
            f"{name:>10} {mine.sum():>5} {(failed & mine).sum():>6} {(sent & mine).sum():>5}  "
            f"{np.median(values[mine]):.3f}, {raised or 'none'}"
        )
    return {
        "failed": int(failed.sum()),
        "cases": len(names),
        "recall": found,
        "interval": [low, high],
        "at": shares,
    }


def main() -> None:
    """Train, predict, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--folds", type=int, choices=(1, 2, 3, 4), default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder for images and runs; temporary if none")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        work = args.work or Path(name)
        print(describe())
        kinds = population(work / "test", args.cases, args.seed + 1, args.workers)
        checkpoints = train(work, args.seed, args.steps, args.folds)
        figures = {}
        runs = [
            ("one checkpoint", checkpoints[:1], False),
            ("one checkpoint, with mirror images", checkpoints[:1], True),
        ]
        if args.folds > 1:
            runs.append((f"{args.folds} folds", checkpoints, False))
        for title, members, tta in runs:
            run = predict_cases(
                work / "test" / "manifest.csv",
                members,
                work / f"predicted_{len(members)}_{tta}",
                tta=tta,
                overlays=False,
                overwrite=True,
            )
            print(f"\n{title}")
            figures[title] = report(run, true_dice(run, work / "test"), kinds)
        if args.json:
            args.json.write_text(json.dumps({"machine": describe(), **figures}, indent=1))


if __name__ == "__main__":
    main()
