"""The model behind docs/scaling.md, against what can be counted by hand, and the page itself."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "benchmarks"))

import scaling  # noqa: E402
from scaling_parts.model import BACKWARD, BUCKET, Exchange, Network, study_seconds  # noqa: E402
from scaling_parts.page import told_of_exchange  # noqa: E402

NETWORK = Network("test", inside=10.0, between=1.0, latency_us=0.0)
SLOW = Network("test", inside=10.0, between=1.0, latency_us=50.0)


def ring(ranks: int, size: float, seconds_a_byte: float) -> float:
    """Play the ring: in each of two times n - 1 rounds every rank sends one n-th at once."""
    chunk = size / ranks
    return sum(chunk * seconds_a_byte for _ in range(2 * (ranks - 1)))


@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_exchange_inside_a_node_is_a_ring(ranks: int) -> None:
    found = Exchange(NETWORK, ranks, ranks).seconds(8e6)
    assert found == pytest.approx(ring(ranks, 8e6, 1 / 10e9))


def test_nodes_exchange_what_a_node_has_summed_over_its_one_connection() -> None:
    inside = ring(8, 8e6, 1 / 10e9)
    assert Exchange(NETWORK, 32, 8).seconds(8e6) == pytest.approx(inside + ring(4, 8e6, 1 / 1e9))
    messages = 2 * 7 + 2 * 3
    later = Exchange(SLOW, 32, 8).seconds(8e6) - Exchange(NETWORK, 32, 8).seconds(8e6)
    assert later == pytest.approx(messages * 50e-6)


def test_what_is_waited_for_is_what_the_backward_pass_does_not_hide() -> None:
    exchange, size = Exchange(NETWORK, 16, 8), 100e6
    whole, last = exchange.seconds(size), exchange.seconds(BUCKET)
    assert exchange.exposed(size, step=10.0) == pytest.approx(last)
    assert exchange.exposed(size, step=0.0) == pytest.approx(whole)
    step = (whole - 2 * last) / BACKWARD
    assert exchange.exposed(size, step) == pytest.approx(2 * last)
    assert Exchange(NETWORK, 1, 1).exposed(size, step=0.1) == 0


def study(devices: int, **changes: float) -> float:
    settings = {"runs": 30, "pretexts": 2, "run_s": 10.0, "pretext_s": 60.0, "overhead_s": 0.5}
    return study_seconds(devices=devices, **(settings | changes))  # type: ignore[arg-type]


def test_a_study_takes_all_its_work_on_one_device_and_its_longest_chain_on_many() -> None:
    assert study(1) == pytest.approx(30 * 10.5 + 2 * 60.5)
    assert study(1000) == pytest.approx(60.5 + 10.5)
    spent = [study(devices) for devices in range(1, 40)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(spent))


def test_a_study_cannot_beat_its_work_or_its_longest_chain() -> None:
    for devices in (2, 3, 7, 16):
        least = max((30 * 10.5 + 2 * 60.5) / devices, 71.0)
        assert least <= study(devices) <= least + 60.5  # a list schedule wastes one job at most


def test_the_page_shows_nothing_that_is_no_number() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    assert text.count("|---|") >= 5
    assert not re.search(r"\b(nan|inf|None)\b", text)
    assert "python examples/benchmarks/two_processes.py" in text


def test_what_the_exchange_costs_is_said_as_it_was_measured() -> None:
    assert "took 90 ms more than one apart: all of the exchange and 54 ms more. Nothing of it" in (
        told_of_exchange(apart=350, ddp=440, exchange=36)
    )
    hidden = told_of_exchange(apart=350, ddp=359, exchange=36)
    assert "took 9 ms more than one apart: 25% of the exchange. The rest hid" in hidden


def test_the_page_is_what_the_figures_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "scaling.md"
    monkeypatch.setattr(sys, "argv", ["scaling.py", str(ROOT / "docs" / "performance"), str(page)])
    scaling.main()
    assert page.read_text() == (ROOT / "docs" / "scaling.md").read_text()
