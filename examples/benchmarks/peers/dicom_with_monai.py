"""From labelled DICOM slices to a validated model with MONAI, as one script; see dicom_to_model.py.

Prints the steps it took and the validation Dice that it ended with, as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from peers.monai_pipeline import Training, items_of, seed, training_loader, validation_loader

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--dice", type=float, default=0.9)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--mixed", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    training = Training(args.encoder, device, args.mixed)
    items = items_of(args.manifest, args.split, "train")
    loader = training_loader(items, args.size, args.batch, args.every, args.workers)
    validation = validation_loader(items_of(args.manifest, args.split, "val"), args.size)
    steps, dice, best = 0, 0.0, -1.0
    while dice < args.dice and steps < args.most:
        for batch in loader:
            training.step(batch)
            steps += 1
        dice = training.validate(validation)
        if dice > best:
            best = dice
            torch.save(training.network.state_dict(), args.out / "best.pt")
    print(json.dumps({"steps": steps, "dice": dice}))
