"""A whole run on a Dask cluster that loses a worker, beside the same run without one."""

import signal
from pathlib import Path

import pytest

from housing import progress
from housing.records import RunResult
from housing.settings import load_settings
from housing.store.database.open import open_store
from tests.fixtures.dask_cluster import a_scheduler, two_workers, worker
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, contents, landing_rows

pytestmark = [
    pytest.mark.slow,  # tests/housing/training/test_cluster.py searches on a cluster
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of distributed's own
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SMALL_RUN = {
    **SMALL,
    "HOUSING_SEARCH__FAMILIES": "boosting,tree",
    "HOUSING_SEARCH__N_TRIALS": "6",
    "HOUSING_SEARCH__ENSEMBLE_SIZE": "3",
    "HOUSING_GATE__LATENCY_BUDGET_MS": "60000",  # what a stopwatch says is no part of the result
}
SCORES_BEFORE_DEATH = 3


@pytest.fixture
def begin(home: Path, monkeypatch: pytest.MonkeyPatch):
    """A run in an empty home of its own: its result, and all that its store says."""
    for name, value in SMALL_RUN.items():
        monkeypatch.setenv(name, value)

    def run(name: str, address: str = "") -> tuple[RunResult, dict]:
        landing = home / name / "landing"
        landing.mkdir(parents=True)
        landing_rows(rows=800).to_csv(landing / "a.csv", index=False)
        monkeypatch.setenv("HOUSING_HOME", str(home / name))
        monkeypatch.setenv("HOUSING_DASK_ADDRESS", address)
        result = plain_run()
        with open_store(load_settings()) as store:
            return result, contents(store)

    return run


@pytest.mark.timeout(300)
def test_a_run_on_a_cluster_that_loses_a_worker_is_the_run_without_one(begin):
    near, here = begin("here")
    with a_scheduler() as address, worker(address) as victim, worker(address):
        two_workers(address)
        said: list[int] = []

        def strike(step: str, done: int, total: int, message: str) -> None:
            if step == "search" and done >= SCORES_BEFORE_DEATH and not said:
                said.append(total - done)
                victim.send_signal(signal.SIGKILL)

        with progress.listening(strike):
            far, there = begin("there", address)
        assert victim.wait(10) == -signal.SIGKILL
    assert said[0] > 0, "it was killed when all was done"
    assert (far.outcome, far.message) == (near.outcome, near.message)
    assert there.keys() == here.keys()
    for table in here:  # the digests of the models' files are among what is compared
        assert there[table] == here[table], table
