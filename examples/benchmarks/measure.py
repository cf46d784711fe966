"""Run the benchmarks of docs/performance.md, one after the other, and write the page.

Run from a checkout on an otherwise idle machine; some hours on two cores, so `--only` picks::

    python examples/benchmarks/peers/environment.py FOLDER
    FOLDER/bin/python examples/benchmarks/measure.py --only 14 16

`--only` takes them in its own order, so that what matters most is there first. On a machine with a
GPU those that compute take it, and get files of their own beside those of CPUs; the others are of
the CPU whether or not there is a GPU, and are left out. A benchmark that fails leaves its last
figures as they were and is told at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: File of the figures, and the script with its arguments; "1 " runs on one thread.
FIGURES = {
    "01_training_speed": "training_speed.py",
    "02_prediction": "prediction.py",
    "03_cache": "cache.py 2048 3 2000",
    "04_study_engine": "study_engine.py",
    "05_study_planning": "study_planning.py --times 5",
    "06_study_statistics": "study_statistics.py",
    "07_study_report": "study_report.py",
    "08_distance": "1 distance.py",
    "09_puzzles_128": "puzzles.py --size 128",
    "10_puzzles_256": "puzzles.py --size 256",
    "11_startup": "startup.py",
    "13_observers": "1 observers.py",
    "14_augmentation": "augmentation.py",
    "15_monai_training": "monai_training.py --size 128",
    "16_dicom_to_model": "dicom_to_model.py",
    "17_contrastive": "contrastive.py",
    "18_memory": "memory.py",
    "19_growth": "1 growth.py",
    "20_profile": "profile_steps.py",
    "21_two_processes": "two_processes.py",
    "22_indexing": "indexing.py 10000 3",
    "23_listing": "listing.py",
    "24_phantom": "phantom.py",
    "25_dicom_to_model_128": "dicom_to_model.py --size 128",
    "26_fit_and_bare_loop": "training_speed.py --encoder resnet34 --size 256 --batch 16 "
    "--loops bare ready fit --rounds 3 --steps 4",
}
#: What is of the CPU whether or not there is a GPU, and need not be measured again beside one.
CPU_ONLY = (
    *("03", "04", "05", "06", "07", "08", "09", "10", "11", "13"),
    *("19", "21", "22", "23", "24"),
)
#: The pages, and the figures that each cannot be written without.
PAGES = {
    "performance_page.py": ("performance.md", ()),
    "scaling.py": ("scaling.md", ("04_study_engine", "21_two_processes")),
}


def has_gpu() -> bool:
    """Whether torch sees a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def chosen(only: list[str] | None, gpu: bool) -> dict[str, str]:
    """Names and scripts of what is to be run, in the order that was asked for."""
    here = [name for name in FIGURES if not (gpu and name.startswith(CPU_ONLY))]
    wanted = [name for start in only or [""] for name in here if name.startswith(start)]
    if not wanted:
        raise SystemExit(f"no figures begin with {only}; there are {', '.join(here)}")
    return {name: FIGURES[name] for name in dict.fromkeys(wanted)}


def write_pages(folder: Path) -> list[str]:
    """Write the pages that the folder has the figures of; return those that failed."""
    failed = []
    for script, (page, needed) in PAGES.items():
        missing = [name for name in needed if not (folder / f"{name}.json").is_file()]
        if missing:
            print(f"{page} is left as it was: {folder} has no {' and no '.join(missing)}")
            continue
        command = [sys.executable, HERE / script, folder, folder.parent / page]
        if subprocess.run(command).returncode:
            failed.append(page)
    return failed


def main() -> None:
    """Run them, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NUMBER", help="beginnings of file names")
    parser.add_argument("--folder", type=Path, default=Path("docs/performance"))
    parser.add_argument("--list", action="store_true", help="show the commands and end")
    args = parser.parse_args()
    gpu, failed = has_gpu(), []
    wanted = chosen(args.only, gpu)
    if args.list:
        print("\n".join(f"{name}: {script.removeprefix('1 ')}" for name, script in wanted.items()))
        return
    for name, words in wanted.items():
        script, *arguments = words.removeprefix("1 ").split()
        target = args.folder / f"{name}{'_gpu' if gpu else ''}.json"
        threads = {"OMP_NUM_THREADS": "1"} if words.startswith("1 ") else {}
        command = [sys.executable, HERE / script, *arguments, "--json", target]
        print(f"\n== {name}", flush=True)
        if subprocess.run(command, env={**os.environ, **threads}).returncode:
            failed.append(name)
    failed += write_pages(args.folder)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
