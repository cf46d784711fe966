"""The executor ``ray``: tasks of a Ray cluster, an existing one or one started on this machine."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import Any

from muscletransfer.errors import MissingDependencyError, SettingError, StudyError
from muscletransfer.study.running.executors.base import Executor, Report, Task
from muscletransfer.study.running.executors.ranks import forget_ranks
from muscletransfer.study.running.jobs import Job
from muscletransfer.study.running.performing import pass_over_imports, perform

__all__ = ["RayExecutor"]

_LOOK = 2.0  # seconds between two looks at what the cluster has
_PATIENCE = 10.0  # seconds for cancelled tasks to end
_ROUNDING = 1e-6


class RayExecutor(Executor):
    """Runs jobs as Ray tasks; Ray keeps their processes for the next ones.

    The study folder must be on a file system that all nodes share under one path, or be a URL of
    fsspec; ``muscletransfer`` must be installed on every node.

    Args:
        address: Of an existing cluster (``"auto"``, ``"host:6379"``, ``"ray://host:10001"``); by
            default that of ``RAY_ADDRESS``, else a cluster is started here and ended with the
            study. A Ray that the calling program has started is used as it is.
        workers: How many jobs at a time; by default as many as the cluster has room for.
        cpus_per_run: Processors that one job takes.
        runs_per_device: How many jobs of share 1 one GPU holds (see `Job.device_share`).
        devices: Whether jobs take GPUs; ``"auto"`` when the cluster has any.
        runtime_env: Ray's environment of the workers (packages, variables).

    Raises:
        MissingDependencyError: Ray is not installed.
        SettingError: A number is out of range.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        cpus_per_run: float = 1.0,
        runs_per_device: int = 1,
        devices: bool | str = "auto",
        runtime_env: dict[str, Any] | None = None,
    ) -> None:
        for name, value in (("workers", workers), ("runs_per_device", runs_per_device)):
            if value is not None and value < 1:
                raise SettingError(f"{name}={value!r}; wanted at least 1.")
        if cpus_per_run <= 0:
            raise SettingError(f"cpus_per_run={cpus_per_run!r}; wanted more than 0.")
        if devices not in (True, False, "auto"):
            raise SettingError(f"devices={devices!r}; wanted True, False or 'auto'.")
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError(
                "the executor 'ray' needs Ray, which is not installed. Install it with: "
                "pip install 'muscletransfer[ray]'"
            ) from error
        self._ray: Any = ray
        self.address = address
        self.workers = workers
        self.cpus_per_run = cpus_per_run
        self.runs_per_device = runs_per_device
        self.devices = devices
        self.runtime_env = runtime_env
        self._connected = False
        self._flying: dict[Any, Task] = {}  # by reference of the result
        self._resources: dict[str, float] = {}
        self._looked = float("-inf")

    def start(self) -> None:
        """Connect to the cluster, or start one."""
        ray = self._ray
        if not ray.is_initialized():
            # Nobody wants a study on patients to report home.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            here = self.address is None and not os.environ.get("RAY_ADDRESS")
            options: dict[str, Any] = {"include_dashboard": False} if here else {}
            try:
                ray.init(
                    address=self.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env=self.runtime_env,
                    **options,
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise StudyError(
                    f"no Ray cluster at address={self.address!r} ({error}). Start one with "
                    "'ray start --head', or leave the address out to have one started here."
                ) from error
            self._connected = True
        # One attempt a task: whether it begins anew is the driver's to say, who has the claim.
        self._function = ray.remote(max_retries=0)(_perform)

    def room(self, job: Job) -> bool:
        """Tell whether the cluster has room; what it lacks with nothing running may yet join."""
        if not self._flying:
            return True
        if self.workers is not None and len(self._flying) >= self.workers:
            return False
        total = self._cluster()
        cpus = (len(self._flying) + 1) * self.cpus_per_run
        gpus = sum(self._gpus(task.job) for task in self._flying.values()) + self._gpus(job)
        enough = cpus <= total.get("CPU", 0) + _ROUNDING
        return enough and gpus <= total.get("GPU", 0) + _ROUNDING

    def submit(self, task: Task) -> None:
        """Hand a task to Ray."""
        function = self._function.options(
            num_cpus=self.cpus_per_run, num_gpus=self._gpus(task.job), name=task.job.label
        )
        self._flying[function.remote(task.plain(), sys.path)] = task

    def wait(self, timeout: float) -> list[Report]:
        """Return the reports that have come, and one for each task whose worker or node died."""
        references = list(self._flying)
        ended, _ = self._ray.wait(references, num_returns=1, timeout=timeout)
        if ended:
            ended, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return [self._report(reference) for reference in ended]

    def stop(self) -> None:
        """Cancel what runs, and leave the cluster; one that was started here ends."""
        if self._flying:
            for reference in self._flying:
                self._ray.cancel(reference, force=True)
            self._ray.wait(list(self._flying), num_returns=len(self._flying), timeout=_PATIENCE)
            self._flying.clear()
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def _report(self, reference: Any) -> Report:
        task = self._flying.pop(reference)
        errors = self._ray.exceptions
        try:
            return Report(**self._ray.get(reference))
        except (errors.RayTaskError, errors.RuntimeEnvSetupError) as error:
            # Bodies that raise are reported; this is a node that cannot run the engine at all.
            raise StudyError(
                f"a Ray worker cannot run jobs: {error}. Wanted muscletransfer, in the version of "
                "this driver, on every node."
            ) from error
        except errors.RayError as error:
            self._looked = float("-inf")  # a node may have gone
            return Report(task.working, "lost", f"{type(error).__name__} of Ray")

    def _gpus(self, job: Job) -> float:
        wanted = self._cluster().get("GPU", 0) > 0 if self.devices == "auto" else self.devices
        return job.device_share / self.runs_per_device if wanted else 0.0

    def _cluster(self) -> dict[str, float]:
        if time.monotonic() - self._looked > _LOOK:
            self._resources = self._ray.cluster_resources()
            self._looked = time.monotonic()
        return self._resources


def _perform(task: dict[str, Any], path: list[str]) -> dict[str, Any]:
    # What the driver can import, its workers can, as far as their machine has it.
    sys.path += [entry for entry in path if entry not in sys.path]
    forget_ranks()  # of the srun that started the node; bodies import Lightning after this
    report = perform(Task.from_plain(task))
    pass_over_imports()
    return asdict(report)
