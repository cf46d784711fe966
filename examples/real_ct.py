"""Pre-train on real images, fine-tune on real CT and cardiac MR, write the page of results.

    python examples/real_ct.py DATA_FOLDER

The folder holds public CT, MR and natural images that are not part of this project; the page that
comes out names them. Finished stages are kept in the output folder: start the command again and it
goes on. `--part ct` and `--part mr` can run side by side; the page says how long it all took.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the stages that are missing and write the page; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER", help="folder of real images")
    parser.add_argument("--output", type=Path, default=Path("real_ct_run"), help="run folder")
    parser.add_argument("--quick", action="store_true", help="a few steps a run: shows it works")
    parser.add_argument(
        "--part",
        choices=("all", "pretext", "ct", "mr"),
        default="all",
        help="do only these stages and write no page; run 'all' last",
    )
    parser.add_argument(
        "--write-docs",
        type=Path,
        metavar="FOLDER",
        help="where results.md and results/ go; the run folder by default",
    )
    chosen = parser.parse_args(arguments)
    missing = [name for name in NEEDED if not (chosen.data / name).exists()]
    if missing:
        parser.error(f"{chosen.data} lacks {', '.join(missing)}")

    from real_ct_parts.runs import run_all
    from real_ct_parts.settings import FULL, QUICK

    chosen.output.mkdir(parents=True, exist_ok=True)
    settings = QUICK if chosen.quick else FULL
    results = run_all(chosen.data, chosen.output, settings, chosen.part)
    if chosen.part == "all":
        from real_ct_parts.page import write_page

        command = "python examples/real_ct.py DATA_FOLDER" + " --quick" * chosen.quick
        page = write_page(
            results, chosen.data, chosen.output, chosen.write_docs or chosen.output, command
        )
        print(f"page: {page}")
    return 0


NEEDED = (
    "ct_dicom",
    "ct_unlabelled",
    "ct_totalsegmentator_example",
    "natural_camvid",
    "natural_imagenet_sample",
    "mr_cardiac_acdc",
)

if __name__ == "__main__":
    sys.exit(main())
