"""Write docs/scaling.md: what limits eight GPUs and several nodes, by a model and measured figures.

Run from a checkout, after two_processes.py and study_engine.py wrote their JSON::

    python examples/benchmarks/scaling.py docs/performance docs/scaling.md

Nothing on the page is typed by hand but the assumptions, which stand in this file under their names
and are printed on the page.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from scaling_parts.model import NETWORKS, Exchange, Network, study_seconds
from scaling_parts.page import write_page

TWO, ENGINE = "Two processes under DDP", "The engine of a study"
GPUS_A_NODE = 8
WORLDS = (2, 8, 16, 64)
STEPS_MS = (10.0, 30.0, 100.0)
MODELS = ("resnet18", "resnet34", "resnet50", "efficientnet_b0")
STUDY = {"runs": 1000, "pretexts": 16, "run_s": 60.0, "pretext_s": 600.0}
CASES = 10_000


def figures_of(folder: Path, title: str) -> tuple[dict[str, Any], dict[str, float]]:
    """The record whose title begins so, and its figures by name."""
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record["title"].startswith(title):
            return record, {one["what"]: one["value"] for one in record["figures"]}
    raise SystemExit(f"{folder} has no record of {title!r}; run its benchmark with --json first.")


def gradient_bytes(encoder: str) -> int:
    """Bytes of the float32 gradients of a U-Net, of which all ranks exchange every one a step."""
    from muscletransfer import SegmentationFineTuner

    model = SegmentationFineTuner(f"timm/{encoder}", "unet").model
    return 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)


def training_rows(sizes: dict[str, int], encoder: str) -> list[dict[str, Any]]:
    """Share of the ideal rate that is left, for each network of machines, step time and world."""
    rows = []
    for network in NETWORKS.values():
        for step_ms in STEPS_MS:
            kept = {}
            for world in WORLDS:
                exchange = Exchange(network, world, min(world, GPUS_A_NODE))
                step = step_ms / 1e3
                kept[world] = step / (step + exchange.exposed(sizes[encoder], step))
            rows.append({"network": network.name, "step_ms": step_ms, "kept": kept})
    return rows


def exchange_rows(sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Milliseconds of the exchange of a network's gradients, and the step that hides it."""
    rows = []
    for encoder, size in sizes.items():
        for network in NETWORKS.values():
            taken = {
                world: 1e3 * Exchange(network, world, min(world, GPUS_A_NODE)).seconds(size)
                for world in WORLDS
            }
            rows.append({"encoder": encoder, "network": network.name, "ms": taken})
    return rows


def study_rows(overhead_s: float) -> list[dict[str, Any]]:
    """Hours and speed-up of a study on more and more devices, each run on one of them."""
    alone = study_seconds(devices=1, overhead_s=overhead_s, **STUDY)
    rows = []
    for devices in (1, *WORLDS, 256):
        seconds = study_seconds(devices=devices, overhead_s=overhead_s, **STUDY)
        rows.append({"devices": devices, "hours": seconds / 3600, "speedup": alone / seconds})
    return rows


def gather_ms(network: Network, world: int, bytes_a_case: float) -> float:
    """Milliseconds until every rank has the table of all test cases."""
    return 1e3 * Exchange(network, world, min(world, GPUS_A_NODE)).gather(CASES * bytes_a_case)


def main() -> None:
    """Compute, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the records")
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    measured, two = figures_of(args.folder, TWO)
    _, engine = figures_of(args.folder, ENGINE)
    sizes = {name: gradient_bytes(name) for name in MODELS}
    write_page(
        args.page,
        measured=measured,
        two=two,
        sizes=sizes,
        exchange=exchange_rows(sizes),
        training=training_rows(sizes, MODELS[0]),
        encoder=MODELS[0],
        study=study_rows(engine["ray: added to each job"] / 1e3),
        settings={**STUDY, "overhead_ms": engine["ray: added to each job"], "cases": CASES},
        gather={
            network.name: gather_ms(network, WORLDS[-1], two["a table of test cases"])
            for network in NETWORKS.values()
        },
        worlds=WORLDS,
        per_node=GPUS_A_NODE,
    )
    print(args.page)


if __name__ == "__main__":
    main()
