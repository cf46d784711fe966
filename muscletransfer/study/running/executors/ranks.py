"""A job trains in one process, whatever launched its driver: nothing may make it one of many."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["forget_ranks", "without_ranks"]

# By these Lightning takes a process for one of several: all but the first then write no logs, and
# wait for the others. SLURM_NTASKS alone stands for a job of SLURM.
_NAMES = {"RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} | {
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "TORCHELASTIC_RUN_ID",
}
_BEGINNINGS = ("SLURM_NTASKS", "JSM_NAMESPACE_")


def without_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what `srun`, `torchrun` and `jsrun` say of ranks.

    Args:
        environment: Names to values.

    Example:
        >>> without_ranks({"SLURM_PROCID": "1", "SLURM_NTASKS_PER_NODE": "4", "SLURM_JOB_ID": "7"})
        {'SLURM_JOB_ID': '7'}
    """
    return {name: value for name, value in environment.items() if not _is_rank(name)}


def forget_ranks() -> None:
    """Remove the same from the environment of this process; call it before Lightning is imported.

    Example:
        >>> os.environ["GROUP_RANK"] = "3"
        >>> forget_ranks()
        >>> "GROUP_RANK" in os.environ
        False
    """
    for name in [name for name in os.environ if _is_rank(name)]:
        del os.environ[name]


def _is_rank(name: str) -> bool:
    return name in _NAMES or name.startswith(_BEGINNINGS)
