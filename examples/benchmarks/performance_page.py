"""Write docs/performance.md from the JSON files that the benchmarks wrote.

Run from a checkout::

    python examples/benchmarks/performance_page.py docs/performance docs/performance.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from record import Figure

HEAD = """# Performance

Every figure on this page was written by the command printed beside it; both sides of a ratio ran
in turns in one run, where a figure does not say otherwise. Where a limit is missed, that is said.
The figures are of the machine they name and say nothing of another: run the command. `load` is how
many programs wanted the processor when it ended: much above the number of cores means that others
took part of the time, of both sides of a ratio.

`python examples/benchmarks/measure.py` runs them all and writes this page. What the benchmarks are
compared with is no dependency of the library; `examples/benchmarks/peers/environment.py FOLDER`
makes an environment that has it. How this goes on is on the page
[Several devices and nodes](scaling.md).
"""
BOUNDS = """## What is fast by itself, and how to turn it off

- **bf16 autocast** where the processor or GPU multiplies bf16 (`recommended_precision`). Off by
  `precision="32-true"` of the Trainer, `compute: {precision: 32-true}` in the file of a study. The
  loss of the first steps agrees with float32 within 3 %, the test Dice within 0.02; weights and the
  state of the optimiser stay float32.
- **The channels-last layout** everywhere; off by `channels_last=False` of a task.
- **The fused AdamW** on CPU and CUDA, not under a gradient scaler; off by
  `model.use_optimizer("torch.optim.AdamW", fused=False)`.
- **Fast upsampling** on CPU from 512 pixels a batch; off by
  `use_fast_upsampling(model, enabled=False)`. It, the layout and the fused step together stay
  within 0.05 % of the loss and 0.2 % of the largest weight.
- **Convolutions of many channels and few pixels as products of matrices**, in bf16 on CPU: in the
  encoders of timm and smp, off by `use_fast_small_maps(encoder, enabled=False)`, and within the
  fast upsampling.
- **Freed memory stays in the process** while training on CPU (`mallopt` of glibc, up to 1 GiB), and
  is handed back when a fit ends; off by `MUSCLETRANSFER_KEEP_MEMORY=0` in the environment, and by
  itself where the environment has settings for the allocator or another allocator.
- **`torch.compile`** nowhere: its start is not earned back, see [Decisions](decisions.md).

`tests/finetune/test_fast_defaults.py` holds these bounds.
"""


def title_of(record: dict[str, Any]) -> str:
    """Its title, and the GPU it is of."""
    gpu = record.get("accelerator")
    return f"{record['title']}, on {gpu}" if gpu else record["title"]


def section(record: dict[str, Any]) -> str:
    """One benchmark as Markdown."""
    lines = [f"## {title_of(record)}", "", f"`{record['command']}`", ""]
    lines += [f"{record['machine']}; load {record['load']} at the end; {record['date']}.", ""]
    lines += ["| figure | measured | wanted | |", "|---|---|---|---|"]
    for values in record["figures"]:
        figure = Figure(**values)
        verdict = {None: "", True: "met", False: "**missed**"}[figure.met]
        measured = f"{figure.value:.4g} {figure.unit}".strip()
        if figure.note:
            note = figure.note.strip()
            inside = note[1:-1] if note[0] == "(" and note.find(")") == len(note) - 1 else note
            measured += f" ({inside})"
        lines.append(f"| {figure.what} | {measured} | {figure.limit} | {verdict} |")
    for remark in record.get("remarks", []):
        lines += ["", remark]
    for title, text in record.get("tables", {}).items():
        lines += ["", f"**{title}**", "", "```text", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def page(folder: Path) -> str:
    """The whole page."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not records:
        raise SystemExit(f"{folder} has no JSON file; run the benchmarks with --json first.")
    figures = [(title_of(record), Figure(**v)) for record in records for v in record["figures"]]
    judged = [(title, figure) for title, figure in figures if figure.met is not None]
    missed = [(title, figure) for title, figure in judged if not figure.met]
    summary = f"{len(judged) - len(missed)} of {len(judged)} limits are met."
    gpus = sorted({record["accelerator"] for record in records if record.get("accelerator")})
    if gpus:
        summary += f" Some were measured on {' and '.join(gpus)}; each says on what."
    else:
        summary += (
            " No GPU was at hand, so no figure is of one: the same commands take a GPU where torch"
            " sees one, and say so."
        )
    if missed:
        lines = [f"- {title}: {figure.what} is {figure.value:.4g} {figure.unit}".rstrip()
                 + f", wanted {figure.limit}" for title, figure in missed]  # fmt: skip
        summary += "\n\nMissed:\n\n" + "\n".join(lines)
    return "\n".join([HEAD, summary, "", BOUNDS, *map(section, records)])


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    args = parser.parse_args()
    args.page.write_text(page(args.folder))
    print(args.page)


if __name__ == "__main__":
    main()
