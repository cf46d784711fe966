"""What holds for every test: one thread, a cache folder that goes with the run, a browser."""

import atexit
import gc
import os
import shutil
import tempfile

# Before torch is imported, and inherited by every process that a test starts. Threads of several
# workers that wait for each other on the same cores cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The first process makes the folder and removes it; workers and their children inherit its name.
# What an earlier run or the user's own work left in the real cache must not decide a test.
if "MUSCLETRANSFER_TEST_RUN" not in os.environ:
    os.environ["MUSCLETRANSFER_TEST_RUN"] = "1"
    os.environ["MUSCLETRANSFER_CACHE"] = tempfile.mkdtemp(prefix="muscletransfer-tests-")
    atexit.register(shutil.rmtree, os.environ["MUSCLETRANSFER_CACHE"], ignore_errors=True)

from browser import browser  # noqa: F401 - a fixture of all tests


def pytest_collection_finish() -> None:
    """Spare each later search for cycles the million objects that collecting has imported."""
    gc.collect()
    gc.freeze()
