"""Real files, from folder to masks, by the command line alone; writes the page of what was seen.

    python examples/real_files.py DATA_FOLDER

Index DICOM series and NIfTI files, prepare TotalSegmentator's output, check both manifests,
pre-train on every slice, fine-tune on the one labelled patient, predict the others. The folder
holds public CT that is not part of this project; the page that comes out names it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

NEEDED = ("ct_dicom", "ct_unlabelled", "ct_totalsegmentator_example")


def main(arguments: list[str] | None = None) -> int:
    """Run the commands in a fresh folder and write the page; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER", help="folder of real images")
    parser.add_argument("--output", type=Path, default=Path("real_files_run"), help="run folder")
    parser.add_argument("--quick", action="store_true", help="a few steps: shows that it works")
    parser.add_argument(
        "--write-docs",
        type=Path,
        metavar="FOLDER",
        help="where real_files.md goes; the run folder by default",
    )
    chosen = parser.parse_args(arguments)
    missing = [name for name in NEEDED if not (chosen.data / name).exists()]
    if missing:
        parser.error(f"{chosen.data} lacks {', '.join(missing)}")
    if chosen.output.exists() and any(chosen.output.iterdir()):
        parser.error(f"{chosen.output} holds files already; name another --output")

    from real_files_parts.commands import FULL, QUICK, run_chain
    from real_files_parts.page import write_page

    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "data").symlink_to(chosen.data.resolve())
    done = run_chain(chosen.output.resolve(), QUICK if chosen.quick else FULL)
    command = "python examples/real_files.py DATA_FOLDER" + " --quick" * chosen.quick
    page = write_page(done, chosen.output, chosen.write_docs or chosen.output, command)
    print(f"page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
