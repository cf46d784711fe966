"""Is a manifest fit to be trained on?"""

from __future__ import annotations

from muscletransfer.data.checking.checking import FoldCount, ManifestCheck, check_manifest
from muscletransfer.data.checking.findings import Finding
from muscletransfer.data.checking.likeness import Pair

__all__ = ["Finding", "FoldCount", "ManifestCheck", "Pair", "check_manifest"]
