"""Claims: one owner each, and the burial of drivers that died."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from small_study import job

from muscletransfer.errors import StudyError
from muscletransfer.study.running import run_jobs
from muscletransfer.study.running.claims import Claims
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.owners import is_dead, this_process
from muscletransfer.study.running.store import Store

# A driver that claims jobs, leaves one of them whole and one half done, and dies on the spot.
DYING = """
import json, os, sys
from muscletransfer.study.running.claims import Claims
from muscletransfer.study.running.opening import open_store
store = open_store(sys.argv[1])
claims = Claims(store)
claims.open()
for name in ("whole", "half"):
    assert claims.take(name)
    working = f"working/{name}.{claims.token}.1"
    store.make_folder(working)
    store.write(f"{working}/result.txt", name.encode())
store.write(f"working/whole.{claims.token}.1/job.json", b'{"folder": "runs/whole"}')
for token in sys.argv[2:]:
    assert claims.take(f"bury.{token}")
print(claims.token, flush=True)
os._exit(9)
"""


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    prefix = "" if request.param == "folder" else "file://"
    return open_store(f"{prefix}{tmp_path}/study")


def dead_driver(store: Store, *burying: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", DYING, store.url, *burying],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 9, done.stderr
    return done.stdout.strip()


def test_each_name_has_one_owner(store: Store) -> None:
    drivers = [Claims(store) for _ in range(4)]
    for driver in drivers:
        driver.open()
    names = [f"job{i}" for i in range(30)]
    with ThreadPoolExecutor(len(drivers)) as pool:
        taken = list(pool.map(lambda d: [n for n in names if d.take(n)], drivers))
    assert sorted(n for mine in taken for n in mine) == sorted(names)
    for driver, mine in zip(drivers, taken, strict=True):
        for name in mine:
            assert json.loads(store.read(f"claims/{name}"))["driver"] == driver.token
        driver.close()
    assert not store.names("claims") + store.names("drivers")


def test_the_work_of_a_dead_driver_is_kept_or_freed(store: Store) -> None:
    token = dead_driver(store)
    assert store.names("drivers") == [token]
    claims = Claims(store)
    claims.open()
    assert store.read("runs/whole/result.txt") == b"whole"
    assert store.names("drivers") == [claims.token]
    assert not store.names("working") + store.names("claims")
    assert claims.take("half")
    claims.close()


def test_a_driver_that_died_while_burying_another(store: Store) -> None:
    first = dead_driver(store)
    # The second buries the first on its way; the claim to bury somebody is left as by its death.
    second = dead_driver(store, "somebody.1.00")
    assert first not in store.names("drivers")
    store.write(f"drivers/{first}", store.read(f"drivers/{second}"))
    store.take(f"claims/bury.{first}", f"drivers/{second}")
    claims = Claims(store)
    claims.open()
    claims.bury_dead()
    assert store.names("drivers") == [claims.token]
    assert not store.names("working") + store.names("claims")
    claims.close()


def test_claims_without_a_driver_are_freed(store: Store) -> None:
    token = dead_driver(store)
    store.remove(f"drivers/{token}")  # the one who buried it died between this and the rest
    claims = Claims(store)
    claims.open()
    assert not store.names("working") + store.names("claims")
    claims.close()


def test_the_living_keep_what_they_have(store: Store) -> None:
    first, second = Claims(store), Claims(store)
    first.open()
    assert first.take("a")
    working = f"working/a.{first.token}.1"
    store.make_folder(working)
    store.write(f"{working}/result.txt", b"")
    second.open()
    assert not second.take("a")
    assert store.exists(working)
    second.close()
    assert store.exists(working)
    assert second.is_taken("a")
    first.close()
    assert not store.exists(working)


def test_a_driver_of_another_machine_is_dead_after_a_while_without_beats(store: Store) -> None:
    other = Claims(store)
    other.open()
    assert other.take("a")
    values = json.loads(store.read(f"drivers/{other.token}"))
    store.write(f"drivers/{other.token}", json.dumps({**values, "machine": "elsewhere"}).encode())
    claims = Claims(store, stale_after=0)
    claims.open()  # the first look
    store.beat(f"drivers/{other.token}")
    claims.bury_dead()  # a beat since
    assert not claims.take("a")
    other.check()
    claims.bury_dead()  # none since
    assert claims.take("a")
    with pytest.raises(StudyError, match="another one has taken over"):
        other.check()
    with pytest.raises(StudyError, match="another one has taken over"):
        other.take("b")
    other.close()
    assert claims.is_taken("a")
    claims.close()


def test_a_number_used_again_is_another_process() -> None:
    me = this_process()
    assert is_dead(me) is False
    assert is_dead(replace(me, started="1")) is True
    assert is_dead(replace(me, machine="elsewhere")) is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(timeout=60)
    assert is_dead(replace(me, pid=child.pid)) is True
    assert set(asdict(me)) == {"host", "machine", "pid", "started"}


class AwayError(Exception):
    """As of a package whose errors are no `OSError`."""


@pytest.mark.parametrize("error", [OSError, AwayError])
def test_a_server_that_is_away_for_a_while_does_not_end_the_beats(store, monkeypatch, error):
    claims, beats, real = Claims(store, beat_every=0.01), [], store.beat

    def beat(name):
        beats.append(name)
        if len(beats) < 3:
            raise error("the server is away")
        real(name)

    monkeypatch.setattr(store, "beat", beat)
    claims.open()
    until = time.monotonic() + 30
    while len(beats) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    claims.check()
    claims.close()
    assert len(beats) >= 5


def test_whom_a_living_driver_buries_is_left_to_it(store):
    living = Claims(store)
    living.open()
    token = dead_driver(store)
    assert living.take(f"bury.{token}")
    claims = Claims(store)
    claims.open()
    assert sorted(store.names("drivers")) == sorted([token, living.token, claims.token])
    assert store.names("working")
    living.check()
    living.release(f"bury.{token}")
    claims.bury_dead()
    assert sorted(store.names("drivers")) == sorted([living.token, claims.token])
    living.close()
    claims.close()


def test_the_last_words_of_a_worker_whose_driver_is_gone(store):
    store.make_folder("working/a.host.1.0011.1")
    claims = Claims(store)
    claims.open()
    assert store.names("working") == []
    claims.close()


def test_work_without_a_claim_is_not_put_in_place(store):
    dead_driver(store)
    store.remove("claims/whole")
    claims = Claims(store)
    claims.open()
    assert not store.is_finished("runs/whole")
    assert not store.names("working")
    claims.close()


@pytest.mark.timeout(60)
def test_a_driver_that_dies_after_the_start_of_another_is_buried_on_the_way(tmp_path, monkeypatch):
    """`open` buries those that are dead by then; the loop has to look again while it waits."""
    study, opened = tmp_path / "study", Claims.open

    def open_and_let_one_die(self):
        opened(self)
        monkeypatch.setattr(Claims, "open", opened)
        dead_driver(self.store)  # it has claimed the job "half"

    monkeypatch.setattr(Claims, "open", open_and_let_one_die)
    outcome = run_jobs([job(study, "half")], study, "local", workers=1, progress=False)
    assert outcome.ran == ("half",)
