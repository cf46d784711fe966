"""Run benchmarks one after the other in this process, as their command lines say.

The first argument names a JSON file with a list of [script, arguments]; what became of each is
written beside it: null, or why it failed. Imports are paid for once, which is most of what a tiny
benchmark takes.
"""

import json
import runpy
import sys
import time
import traceback
from pathlib import Path


def run(script: Path, arguments: list[str]) -> str | None:
    sys.argv = [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except BaseException:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    jobs = Path(sys.argv[1])
    found = {}
    for name, arguments in json.loads(jobs.read_text()):
        path = Path(name)
        sys.path.insert(0, str(path.parent))
        wall, busy = time.perf_counter(), time.process_time()
        found[path.name] = run(path, arguments)
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
        print(f"{path.name}: {wall:.1f} s, {busy:.1f} s of processor", file=sys.stderr, flush=True)
        jobs.with_suffix(".found.json").write_text(json.dumps(found))
