"""The page that scaling.py writes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scaling_parts.model import BACKWARD, BUCKET, NETWORKS


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def per_world(values: dict[int, float], shape: str) -> list[str]:
    """Values of a row in order."""
    return [format(value, shape) for value in values.values()]


def told_of_exchange(apart: float, ddp: float, exchange: float) -> str:
    """Say how much of the exchange hid behind the backward pass on CPUs.

    Args:
        apart: Milliseconds of a step of two processes that do not know of each other.
        ddp: Of two under DDP.
        exchange: Of the exchange by itself.
    """
    added = ddp - apart
    if added > exchange:
        found = (
            f"all of the exchange and {added - exchange:.3g} ms more. Nothing of it hid behind the "
            "backward pass, whose cores it takes time of, and the sum of a step apart and the "
            "exchange is less than what to expect there"
        )
    else:
        found = (
            f"{max(added, 0) / exchange:.0%} of the exchange. The rest hid behind the backward "
            "pass, though the exchange takes time of the cores that compute"
        )
    return (
        f"On CPUs a step under DDP took {added:.3g} ms more than one apart: {found}. How much "
        "slower two processes are that do not know of each other is what the machine itself takes: "
        "memory and shared caches."
    )


def write_page(
    path: Path,
    *,
    measured: dict[str, Any],
    two: dict[str, float],
    sizes: dict[str, int],
    exchange: list[dict[str, Any]],
    training: list[dict[str, Any]],
    encoder: str,
    study: list[dict[str, Any]],
    settings: dict[str, Any],
    gather: dict[str, float],
    worlds: Sequence[int],
    per_node: int,
) -> None:
    """Write it."""
    alone, apart, ddp = (two[f"step, {side}"] for side in ("alone", "two apart", "two under DDP"))
    alone_exchange = two["exchange of as many bytes by itself"]
    ranks = [f"{world} GPUs" for world in worlds]
    assumed = [
        [n.name, f"{n.inside:g} GB/s", f"{n.between:g} GB/s", f"{n.latency_us:g} µs"]
        for n in NETWORKS.values()
    ]
    figures = [
        ["a step of one process alone", f"{alone:.4g} ms"],
        ["a step of two that do not know of each other", f"{apart:.4g} ms"],
        ["a step of two under DDP", f"{ddp:.4g} ms"],
        ["images a second, two under DDP over one", f"{2 * alone / ddp:.3g}"],
        ["the exchange by itself", f"{alone_exchange:.4g} ms"],
        ["a step apart and the exchange, one after the other", f"{apart + alone_exchange:.4g} ms"],
        ["the exchange of one number", f"{two['exchange of one number']:.3g} ms"],
        ["a batch from the loader", f"{two['a batch from the loader']:.3g} ms"],
        ["a table of test cases", f"{two['a table of test cases']:.3g} bytes a case"],
    ]
    of_exchange = textwrap.fill(told_of_exchange(apart, ddp, alone_exchange), 100)
    least = min(row["kept"][per_node] for row in training)
    far = min(row["kept"][worlds[-1]] for row in training)
    loader = 100 * two["a batch from the loader"] / alone
    text = f"""# Several devices and nodes

One GPU is enough for a fine-tuning on few labels, and a study is many of them. This page says what
more devices bring, by arithmetic from figures that were measured on one machine. It was written by

`python examples/benchmarks/scaling.py docs/performance docs/scaling.md`

No machine with several GPUs was at hand. What is measured is marked as such; the rest is computed
under the assumptions below, and is no measurement.

## What was measured

`{measured["command"]}`, on {measured["machine"]}, {measured["date"]}; load {measured["load"]}. Two
processes of one thread each, on CPUs, exchange gradients by gloo over the loopback.

{table(["figure", "measured"], figures)}

{of_exchange}

## What travels

All gradients, as 4-byte floats, once a step: their size does not depend on the batch or on bf16
autocast. In milliseconds of a full exchange, over

{table(["assumed", "inside a node", "between nodes", "a message"], assumed)}

with {per_node} GPUs a node:

{
        table(
            ["U-Net on", "gradients", "network", *ranks],
            [
                [
                    row["encoder"],
                    f"{sizes[row['encoder']] / 1e6:.0f} MB",
                    row["network"],
                    *per_world(row["ms"], ".2f"),
                ]
                for row in exchange
            ],
        )
    }

## One training on many GPUs

Share of the ideal images a second that is left, U-Net on {encoder}. The step is that of one GPU by
itself; none was measured, so there are three. The exchange goes on during the backward pass
({BACKWARD:.0%} of a step); what is left of it, and at least the last bucket of
{BUCKET / 2**20:.0f} MiB, is waited for.

{
        table(
            ["network", "a step of one GPU", *ranks],
            [
                [row["network"], f"{row['step_ms']:g} ms", *per_world(row["kept"], ".0%")]
                for row in training
            ],
        )
    }

In this model {per_node} GPUs of one node keep at least {least:.0%}; over slow connections between
nodes it may be {far:.0%}. Before that, something else ends the gain: ten labelled slices are fewer
than one batch of {per_node} GPUs. More devices then see the same slices more often a step, in a
larger batch, and not more of them. Several GPUs are for pre-training, where images are many.

## What the host does

- Making a batch is a copy from the mapped cache: {two["a batch from the loader"]:.3g} ms measured,
  {loader:.2g} % of the measured step on one core. Augmentation runs on the device. Each rank
  does this for itself, so a node needs one free core a GPU and no loader processes.
- The cache is mapped into memory: ranks of a node share its pages, see
  [Performance](performance.md). Each node builds its own, once, unless its folder lies on a shared
  file system.
- Scores travel as numbers, {two["a table of test cases"]:.0f} bytes a case, never as masks. A test
  of {settings["cases"]:,} cases over {worlds[-1]} GPUs is gathered in
  {min(gather.values()):.2g} to {max(gather.values()):.2g} ms, once a test.
- A validation counts cases of all ranks once and runs at the pace of the rank with the most slices.

## A study on many GPUs

Runs do not talk to each other. What limits a study is that fine-tunings wait for the pre-training
they start from, and what the engine adds to a job ({settings["overhead_ms"]:.3g} ms with Ray,
measured by `python examples/benchmarks/study_engine.py`). For {settings["runs"]:,} runs of
{settings["run_s"]:g} s and {settings["pretexts"]} pre-trainings of {settings["pretext_s"]:g} s, one
device each:

{
        table(
            ["devices", "hours", "times as fast"],
            [
                [str(row["devices"]), f"{row['hours']:.2f}", f"{row['speedup']:.1f}"]
                for row in study
            ],
        )
    }

So give a study's devices to its runs (`muscletransfer study run --executor ray`), one each, and
spread a single training over several only when it has the images for it.
"""
    path.write_text(text)
