"""The search and fits on a real Dask scheduler with workers as processes of their own."""

import signal
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from housing.errors import ClusterDiffers, ClusterUnavailable
from housing.records import Candidate, Member
from housing.training.cluster import must_be_alike
from housing.training.fit import fit_members
from housing.training.search import run_search
from housing.training.search_config import SearchPlan
from housing.training.workers import in_parallel
from tests.fixtures.dask_cluster import (
    a_scheduler,
    free_port,
    scheduler_process,
    two_workers,
    worker,
    workers,
)
from tests.housing.training import families

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of distributed's own
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def scheduler() -> Iterator[str]:
    with a_scheduler() as address:
        yield address


def test_one_worker_is_killed_in_the_middle_and_the_result_is_the_same(scheduler, census_path):
    X, y, X_test, _ = families.reference_split(census_path)
    X, y = X[:600], y[:600]
    plan = SearchPlan(
        families=("boosting", "tree"), n_trials=6, n_jobs=1, prune_margin=0, ensemble_size=2
    )
    here = run_search(X, y, plan, families=families.SMALL)
    with worker(scheduler) as victim, worker(scheduler):
        two_workers(scheduler)
        scored = []

        def strike(score):
            scored.append(score)
            if len(scored) == 4:
                victim.send_signal(signal.SIGKILL)

        there = run_search(X, y, plan, families=families.SMALL, dask=scheduler, on_score=strike)
        assert victim.wait(10) == -signal.SIGKILL
        assert len(scored) == 18
        members = [Member(Candidate(0, "boosting", {"model__max_iter": 9}), s) for s in range(2)]
        far = fit_members(X, y, members, dask=scheduler).model
    assert [t.fold_errors for t in there.trials] == [t.fold_errors for t in here.trials]
    np.testing.assert_array_equal(there.choice.predicted, here.choice.predicted)
    near = fit_members(X, y, members).model
    np.testing.assert_array_equal(far.predict(X_test), near.predict(X_test))


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("housing.training.cluster.CONNECT_SECONDS", 1)
    X, y = families.numbers(30)
    plan = SearchPlan(families=("linear",), n_trials=1, n_jobs=1)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterUnavailable, match=f"{address}.*HOUSING_DASK_ADDRESS"):
        run_search(X, y, plan, families=families.only(families.build_line), dask=address)


def test_a_scheduler_without_workers_is_named(scheduler, monkeypatch):
    time.sleep(3)
    monkeypatch.setattr("housing.training.cluster.CONNECT_SECONDS", 8)
    X, y = families.numbers(30)
    plan = SearchPlan(families=("linear",), n_trials=1, n_jobs=1)
    with pytest.raises(ClusterUnavailable, match="no workers"):
        run_search(X, y, plan, families=families.only(families.build_line), dask=scheduler)


def test_a_scheduler_that_is_lost_during_the_search_is_one_sentence(monkeypatch, capfd):
    monkeypatch.setenv("LINE_SECONDS", "0.1")
    X, y = families.numbers(60)
    plan = SearchPlan(families=("linear",), n_trials=200, n_jobs=1, prune_margin=0)
    slow = families.only(families.build_slow)
    with scheduler_process() as (address, process), worker(address), worker(address):
        two_workers(address)
        scored = []

        def strike(score):
            scored.append(score)
            if len(scored) == 4:
                process.send_signal(signal.SIGKILL)

        with pytest.raises(ClusterUnavailable, match=f"{address}.*lost during the run.*Start it"):
            run_search(X, y, plan, families=slow, dask=address, on_score=strike)
    assert len(scored) < 600
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_exception_in_a_task_is_no_loss_of_the_cluster(scheduler):
    frame = pd.DataFrame({"a": [1.0]})
    with worker(scheduler), pytest.raises(OSError, match="nowhere"):
        list(in_parallel(pd.DataFrame.to_csv, [(frame, "/nowhere/a.csv")], 1, scheduler))


def test_a_worker_with_another_library_is_named(scheduler, tmp_path):
    alike, other, empty = (tmp_path / name for name in ("alike", "other", "empty"))
    for folder in (alike, other, empty):
        folder.mkdir()
    metadata = other / "scikit_learn-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 0.1\n")
    (empty / "housing.py").write_text("")
    with worker(scheduler), worker(scheduler, alike):
        two_workers(scheduler)
        must_be_alike(scheduler, families.SMALL.values())
        with worker(scheduler, other):
            workers(scheduler, 3)
            with pytest.raises(
                ClusterDiffers, match=r"tcp://.* has scikit-learn 0\.1 \(1\..* here\)"
            ):
                must_be_alike(scheduler, families.SMALL.values())
    with worker(scheduler, empty), pytest.raises(ClusterDiffers, match=r"cannot run .* 'housing"):
        must_be_alike(scheduler, families.SMALL.values())
