"""The executor ``ray``, on a cluster of several nodes on this machine."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_study import (
    TIMEOUT,
    gated_job,
    job,
    ledger,
    leftovers,
    open_gate,
    results,
    small_jobs,
    start_driver,
    wait_begun,
)

from muscletransfer.errors import MissingDependencyError, SettingError
from muscletransfer.study.running import create_executor, run_jobs


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'muscletransfer\[ray\]'"):
        create_executor("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors, so that jobs run on the nodes that tests add."""
    pytest.importorskip("ray", reason="the executor 'ray' needs the extra of this name")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        yield cluster
        cluster.shutdown()


@pytest.mark.parametrize(
    "option", [{"workers": 0}, {"cpus_per_run": 0}, {"runs_per_device": 0}, {"devices": "0"}]
)
def test_options_out_of_range(option: dict[str, Any]) -> None:
    pytest.importorskip("ray", reason="the executor 'ray' needs the extra of this name")
    with pytest.raises(SettingError, match="wanted"):
        create_executor("ray", **option)


@pytest.mark.slow
def test_a_node_dies_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet" / "study"
    quiet.parent.mkdir()
    run_jobs(small_jobs(quiet), quiet, workers=1, progress=False)

    study = tmp_path / "study"
    node = cluster.add_node(num_cpus=1)
    driver = start_driver(study, "gated", f"ray={cluster.address}")
    wait_begun(study)
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=2)
    wait_begun(study)  # on the new node
    assert not (study / "runs" / "gated").exists()
    open_gate(study)
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == 0, output
    found = results(study)
    assert found.pop("runs/gated/result.txt")
    assert found.pop("runs/gated/parts/table.csv")
    assert found == results(quiet)
    began = [line["id"] for line in ledger(study) if line["word"] == "start"]
    assert sorted(began) == sorted(["gated", "gated", *(j.id for j in small_jobs(study))])
    assert not leftovers(study)


@pytest.mark.slow
def test_on_a_remote_store_with_a_kill_and_a_failure(cluster: Any, tmp_path: Path) -> None:
    """The driver is killed; the next one goes on, and Ray has stopped what it had begun."""
    study = tmp_path / "study"
    cluster.add_node(num_cpus=2)
    killed = start_driver(study, "gated", "url", f"ray={cluster.address}")
    wait_begun(study)
    killed.kill()
    killed.communicate(timeout=TIMEOUT)
    assert killed.returncode == -signal.SIGKILL

    url = f"file://{study}"
    bad = job(study, "bad", body="stubborn", trouble=str(tmp_path))
    jobs = [bad, job(study, "after", needs=("bad",)), *small_jobs(study)]
    outcome = run_jobs(jobs, url, "ray", address=cluster.address, workers=2, progress=False)
    assert outcome.failed == {"bad": "ValueError: there is trouble"}
    assert outcome.skipped == {"after": "bad"}
    assert sorted(outcome.done) == sorted(j.id for j in small_jobs(study))
    assert "a word before the end" in (study / "failed" / "bad" / "log.txt").read_text()
    record = json.loads((study / "runs" / "run0" / "job.json").read_text())
    assert record["needs"] == ["pretext0"]
    assert gated_job(study).id not in outcome.done
    assert not [line for line in ledger(study) if line.get("in_place")]
    assert not leftovers(study)
