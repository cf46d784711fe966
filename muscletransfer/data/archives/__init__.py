"""Data sets and exports in the layouts that their publishers and programs give them."""

from __future__ import annotations

from muscletransfer.data.archives.planned import prepare_planned
from muscletransfer.data.archives.prepared import Prepared
from muscletransfer.data.archives.saros import prepare_saros
from muscletransfer.data.archives.totalsegmentator import prepare_totalsegmentator
from muscletransfer.data.manifest.sidecar import read_sidecar

__all__ = [
    "Prepared",
    "prepare_planned",
    "prepare_saros",
    "prepare_totalsegmentator",
    "read_sidecar",
]
