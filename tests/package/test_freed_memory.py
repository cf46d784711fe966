"""Training keeps freed memory in its process, and leaves the user's own settings alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from muscletransfer import SegmentationFineTuner, create_pretext
from muscletransfer.freed_memory import give_back_freed_memory, keep_freed_memory

GLIBC = sys.platform.startswith("linux") and hasattr(os, "confstr") and "CS_GNU_LIBC_VERSION" in (
    os.confstr_names
)  # fmt: skip
pytestmark = pytest.mark.skipif(not GLIBC, reason="glibc's allocator alone can be told")

# Page faults of blocks of 16 MB that are freed and wanted again, before and after.
FAULTS = """
import ctypes, resource
from muscletransfer.freed_memory import give_back_freed_memory, keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        blocks = [libc.malloc(40 << 20) for _ in range(3)]
        for block in blocks:
            ctypes.memset(block, 1, 40 << 20)
        for block in blocks:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
done = keep_freed_memory()
faults()
kept = faults()
give_back_freed_memory()
print(plain, int(done), kept, faults())
"""


def run(**environment: str) -> list[int]:
    clean = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


def test_blocks_are_wanted_again_without_page_faults():
    plain, done, kept, given_back = run()
    pages = 3 * (40 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert done
    assert plain >= 4 * pages
    assert kept < pages // 10
    assert given_back >= pages // 2  # what was given back comes as new pages, once


@pytest.mark.parametrize(
    "environment",
    [
        {"MUSCLETRANSFER_KEEP_MEMORY": "0"},
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"},
    ],
)
def test_settings_of_the_user_stay(environment):
    _, done, kept, _ = run(**environment)
    assert not done
    assert kept >= 4 * 3 * (40 << 20) // os.sysconf("SC_PAGE_SIZE")


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    assert keep_freed_memory() is False


@pytest.mark.parametrize("kind", ["pretext", "finetune"])
def test_training_does_it_and_gives_back_at_the_end(kind, monkeypatch, tmp_path):
    said = []
    for name, real in (
        ("keep_freed_memory", keep_freed_memory),
        ("give_back_freed_memory", give_back_freed_memory),
    ):
        heard = lambda name=name, real=real: (said.append(name), real())[1]  # noqa: E731
        monkeypatch.setattr(f"muscletransfer.{kind}.record.{name}", heard)
    if kind == "pretext":
        task: LightningModule = create_pretext("rotation", encoder="timm/resnet10t")
    else:
        task = SegmentationFineTuner("timm/resnet10t")
    sample = {"image": torch.rand(1, 64, 64), "mask": torch.ones(64, 64, dtype=torch.long)}
    Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    ).fit(task, DataLoader([sample] * 4, batch_size=4))
    assert said == ["keep_freed_memory", "give_back_freed_memory"]
