"""Two whole studies: the paper's protocol on a synthetic cohort, and cardiac MR outlined by people.

    python examples/real_study.py DATA_FOLDER --workers 2

Which source task saves how many labels? The folder holds public natural and MR images that are not
part of this project. Each study may be stopped at any moment; the same command goes on. At the end
it writes the study's report and its part of the page of results.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

NEEDED = {
    "phantom": ("natural_camvid",),
    "cardiac_mr": ("natural_camvid", "natural_imagenet_sample", "mr_cardiac_acdc"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the studies and write their parts of the page; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER", help="folder of real images")
    parser.add_argument(
        "--study", choices=("all", *NEEDED), default="all", help="only this one (default: both)"
    )
    parser.add_argument("--output", type=Path, default=Path("real_study_run"), help="run folder")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument("--quick", action="store_true", help="a few steps a run: shows it works")
    parser.add_argument(
        "--write-docs",
        type=Path,
        metavar="FOLDER",
        help="where results.md and results/ go; the run folder by default",
    )
    chosen = parser.parse_args(arguments)
    names = list(NEEDED) if chosen.study == "all" else [chosen.study]
    missing = {part for name in names for part in NEEDED[name] if not (chosen.data / part).exists()}
    if missing:
        parser.error(f"{chosen.data} lacks {', '.join(sorted(missing))}")

    from real_study_parts.page import write_part
    from real_study_parts.runs import run

    for name in names:
        folder = run(name, chosen.data, chosen.output, workers=chosen.workers, quick=chosen.quick)
        command = f"python examples/real_study.py DATA_FOLDER --study {name}"
        command += f" --workers {chosen.workers}" * (chosen.workers > 1) + " --quick" * chosen.quick
        page = write_part(name, folder, chosen.write_docs or chosen.output, command, chosen.quick)
        print(f"page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
