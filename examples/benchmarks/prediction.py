"""Prediction beside a plain fp32 loop over the same network, and with reading and writing.

Run from a checkout on an otherwise idle machine::

    python examples/benchmarks/prediction.py

U-Net / resnet18 at 256 x 256 on phantom slices of 512 x 512. Unless a ``--checkpoint`` is given one
is trained first, long enough to be sure of its outlines: where a network is not, the rounding of
bf16 decides. Both sides take turns in one process:

- ``network``: the fp32 network, channels first, a slice at a time, as a loop over a list of images
  is written, beside ``Ensemble.predict`` in batches of eight;
- ``files``: the same loop with reading (`read_ct`), preprocessing, the way back to the native grid
  and writing of NIfTI, beside ``predict_cases`` without pictures (which also measures and judges).
  Loading the network is left out on both sides.

On a GPU both networks are there, and a slice goes there and its mask comes back on both sides. What
a plain loop is beaten by was said of a CPU and is no limit there.

Printed: medians and quartiles of wall time a slice, CPU seconds a slice, ratios, and the lowest
Dice between the masks of both sides.
"""

from __future__ import annotations

import argparse
import copy
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import describe, precision_of_ours, spread
from record import Record, add_json_argument
from training_only import training_only

from muscletransfer import LowDataModule, SegmentationFineTuner, read_ct, write_mask
from muscletransfer.data import Manifest, PreprocessingSpec
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.decoders import use_fast_upsampling
from muscletransfer.finetune.native import native_prediction
from muscletransfer.prediction import Ensemble, predict_cases

BATCH = 8
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def trained(manifest: Path, folder: Path, steps: int, size: int) -> Path:
    """Fine-tune for a few steps."""
    data = LowDataModule(
        manifest,
        train_patients="all",
        val_patients=2,
        preprocessing=PreprocessingSpec(size=size),
        batch_size=4,
        steps_per_epoch=steps,
        cache_dir=folder / "cache",
    )
    model = SegmentationFineTuner("timm/resnet18", "unet")
    trainer = training_only(folder, steps)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(folder / "trained.ckpt")
    return folder / "trained.ckpt"


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks."""
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def wait() -> None:
    """Let a GPU finish what it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def plain_network_of(checkpoint: Path) -> torch.nn.Module:
    """The network as smp has it, in fp32 and channels first, where ours computes."""
    tuner = SegmentationFineTuner.load_from_checkpoint(checkpoint, map_location="cpu")
    plain = copy.deepcopy(tuner.model)
    use_fast_upsampling(plain, enabled=False)  # smp's own blocks
    return plain.eval().to(DEVICE, memory_format=torch.contiguous_format)


def timed(function: Callable[[], object], count: int) -> tuple[float, float]:
    """Wall and CPU seconds a slice."""
    wait()
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    wait()
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def main() -> None:
    """Let both sides take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=256, help="of the network's grid")
    parser.add_argument("--native", type=int, default=512, help="of the slices on disk")
    parser.add_argument("--steps", type=int, default=120)
    add_json_argument(parser)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = make_cohort(
            folder / "cohort", patients=args.slices, size=args.native, seed=3, workers=1
        )
        checkpoint = args.checkpoint or trained(cohort.manifest, folder, args.steps, args.size)
        images = [row.image for row in Manifest.read(cohort.manifest).rows]
        ensemble = Ensemble([checkpoint], device=DEVICE)
        spec = ensemble.preprocessing
        plain = plain_network_of(checkpoint)
        stored = [spec.apply(v.hu[0], v.slice_spacing)[0] for v in map(read_ct, images)]
        masks: dict[str, list[np.ndarray]] = {"plain": [], "ours": []}

        def logits_of(one: np.ndarray) -> torch.Tensor:
            return plain(spec.to_float(torch.from_numpy(one)[None].to(DEVICE)))

        def plain_network() -> None:
            masks["plain"] = []
            with torch.no_grad():
                for one in stored:
                    found = torch.sigmoid(logits_of(one))[0, 0] > 0.5
                    masks["plain"].append(found.cpu().numpy())

        def our_network() -> None:
            masks["ours"] = []
            for start in range(0, len(stored), BATCH):
                found = ensemble.predict(stored[start : start + BATCH]).probabilities
                masks["ours"] += list((found[:, 0] > 0.5).numpy())

        def plain_files() -> None:
            (folder / "plain").mkdir(exist_ok=True)
            with torch.no_grad():
                for path in images:
                    image = read_ct(path)
                    flip = image.flips
                    one, geometry = spec.apply(image.hu[0], image.slice_spacing, flip)
                    mask = native_prediction(logits_of(one)[0], geometry, spec).mask.numpy()
                    write_mask(mask, folder / "plain" / path.name, image)

        def our_files() -> None:
            predict_cases(images, ensemble, folder / "ours", overlays=False, overwrite=True)

        sides = {
            "network, plain": plain_network,
            "network, ours": our_network,
            "files, plain": plain_files,
            "files, ours": our_files,
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for number in range(args.rounds + 1):  # the first round warms up
            for side, function in sides.items():
                taken = timed(function, len(images))
                if number:
                    times[side].append(taken)
        lowest = min(dice(a, b) for a, b in zip(masks["plain"], masks["ours"], strict=True))
        pairs = [(folder / "plain" / p.name, folder / "ours" / "masks" / p.name) for p in images]
        native = [[read_label(path) for path in pair] for pair in pairs]
        lowest_native = min(dice(a, b) for a, b in native)
    print(describe())
    for side, found in times.items():
        wall, cpu = zip(*found, strict=True)
        print(f"{side:>15}: {spread(wall)} a slice; CPU {1e3 * np.median(cpu):.1f} ms")
    record = Record("Prediction beside a plain fp32 loop over the same network")
    record.remark(precision_of_ours())
    for side, found in times.items():
        walls = [wall for wall, _ in found]
        note = spread(walls).split("ms ")[1]
        record.add(f"a slice, {side}", 1e3 * float(np.median(walls)), "ms", note=note)
    for kind in ("network", "files"):
        for k, clock in enumerate(("wall", "CPU")):
            slow, fast = (np.median([t[k] for t in times[f"{kind}, {s}"]]) for s in SIDES)
            ratio = float(slow / fast)
            record.add(f"{kind}: plain / ours, {clock}", ratio, at_least=limit_of(kind, clock))
    record.add("lowest Dice between the masks, network grid", lowest, at_least=0.999)
    record.add("lowest Dice between the masks, native grid", lowest_native, at_least=0.999)
    record.write(args.json)


SIDES = ("plain", "ours")


def limit_of(kind: str, clock: str) -> float | None:
    """What a ratio must reach, where one was stated for."""
    return 2.3 if (kind, clock, DEVICE) == ("network", "wall", "cpu") else None


def read_label(path: Path) -> np.ndarray:
    """Read a mask as booleans."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))) > 0


if __name__ == "__main__":
    main()
