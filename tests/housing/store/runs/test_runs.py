"""Runs with their steps, and searches with their trials, as they are recorded and read again."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from housing.errors import UnknownId
from housing.records import Candidate, Score, StepTime, Trial
from housing.store.data import datasets
from housing.store.data.segments import put_frame
from housing.store.database import engine
from housing.store.database.tables import searches as searches_table
from housing.store.database.tables import utc_now
from housing.store.models import searches
from housing.store.runs import runs


def start(store, kind="nightly", **parameters):
    with store.write() as connection:
        return runs.start(connection, kind, parameters, flow_run="abc")


def get(store, run):
    with store.read() as connection:
        return runs.get(connection, run)


def test_a_run_is_recorded_from_its_beginning_to_its_end(store):
    run = start(store, n_trials=3)
    row = get(store, run)
    assert (row.status, row.parameters, row.flow_run) == ("running", {"n_trials": 3}, "abc")
    assert "@" in row.actor
    runs.note(store, run, version=2)
    runs.note_step(store, run, StepTime("ingest", 1.5, "3 rows"))
    runs.note_step(store, run, StepTime("search", 20.0))
    runs.finish(store, run, "completed", outcome="kept", message="Not better.")
    row = get(store, run)
    assert (row.status, row.outcome, row.version) == ("completed", "kept", 2)
    assert row.finished_at >= row.started_at
    with store.read() as connection:
        assert runs.steps(connection, run) == (
            StepTime("ingest", 1.5, "3 rows"),
            StepTime("search", 20.0),
        )


def host_clock_is_off(monkeypatch, by):
    """This host's clock, as one that is off by some time: a second host beside the database."""
    for module in (engine, runs):
        monkeypatch.setattr(module, "utc_now", lambda: utc_now() + by, raising=False)


@pytest.mark.parametrize("by", [timedelta(hours=-1), timedelta(hours=1)])
@pytest.mark.parametrize("end", ["finished", "dead"])
def test_a_run_that_another_host_ends_did_not_end_before_it_began(store, monkeypatch, end, by):
    run = start(store)
    host_clock_is_off(monkeypatch, by)
    if end == "finished":
        runs.finish(store, run, "completed")
    else:
        assert [row.id for row in runs.mark_dead(store)] == [run]
    row = get(store, run)
    assert row.finished_at >= row.started_at
    if store.engine.dialect.name == "postgresql":  # SQLite has no clock of its own, and one host
        assert row.finished_at - row.started_at < timedelta(minutes=30)


@pytest.mark.parametrize(
    ("error", "how"),
    [(KeyboardInterrupt, "interrupted with Ctrl-C."), (SystemExit, "stopped by a signal.")],
)
def test_an_interrupted_command_is_recorded_in_words(store, error, how):
    with pytest.raises(error), runs.recorded(store, "ingest", {}) as run:
        raise error
    with store.read() as connection:
        row = runs.get(connection, run)
    assert (row.status, row.error) == ("cancelled", how)


def test_a_run_that_was_refused_is_recorded_too(store):
    with store.write() as connection:
        run = runs.record_not_begun(connection, "nightly", {}, "refused", "another one runs")
    row = get(store, run)
    assert (row.status, row.error) == ("refused", "another one runs")
    assert row.started_at == row.finished_at, "it took no time"
    assert row.finished_at is not None


def test_the_last_completed_retraining_is_the_newest(store):
    with store.read() as connection:
        assert runs.last_completed_retraining(connection) is None
    done, later, other = start(store), start(store), start(store, "ingest")
    runs.finish(store, done, "completed")
    runs.finish(store, other, "completed")
    runs.finish(store, later, "failed", error="x")
    with store.read() as connection:
        assert runs.last_completed_retraining(connection).id == done


def test_an_unknown_run_is_named(store):
    with pytest.raises(UnknownId, match="r7"):
        get(store, 7)
    with store.read() as connection, pytest.raises(UnknownId, match="s7"):
        searches.get(connection, 7)


@pytest.fixture
def search(store, districts, add_batch):
    add_batch(store, districts([1]))
    version = datasets.append_waiting(store, reason="test", run=None).id
    return searches.begin(store, key="a" * 64, version=version, plan={"n": 1}, run=start(store))


def test_a_search_is_begun_once(store, search):
    again = searches.begin(store, key="a" * 64, version=1, plan={}, run=start(store))
    other = searches.begin(store, key="b" * 64, version=1, plan={}, run=start(store))
    assert again == search
    assert other != search
    with store.read() as connection:
        assert searches.find(connection, "a" * 64).plan == {"n": 1}
        assert searches.find(connection, "c" * 64) is None


def test_trials_come_back_as_they_were_in_order_of_their_candidates(store, search):
    exact = 1 / 3 * 1e5
    good = Trial(Candidate(1, "forest", {"depth": 3, "rate": 0.1 + 0.2}), (exact, 2.0), 0.5)
    bad = Trial(Candidate(0, "forest", {"depth": None}), (), 0.1, error="it did not fit")
    for trial in (good, bad):
        searches.record(store, search, trial)
    with store.read() as connection:
        assert list(searches.trials_of(connection, search)) == [bad, good]
    with pytest.raises(sa.exc.IntegrityError):
        searches.record(store, search, good)


def test_scores_come_back_as_they_were_and_are_written_once(store, search):
    scores = [Score(0, 0, 1 / 3, 0.5), Score(0, 1, float("inf"), 0.1, "it did not fit")]
    for score in reversed(scores):
        searches.record_score(store, search, score)
    with store.read() as connection:
        assert list(searches.scores_of(connection, search)) == scores
    with pytest.raises(sa.exc.IntegrityError):
        searches.record_score(store, search, scores[0])


def test_a_stopped_trial_is_no_winner(store, search):
    stopped = Trial(Candidate(0, "forest", {"depth": 1}), (1.0,), 0.1, stopped=True)
    searches.record(store, search, stopped)
    with store.read() as connection:
        (back,) = searches.trials_of(connection, search)
    assert back == stopped
    assert back.cv_error == float("inf")
    assert back.so_far == 1.0


def test_a_search_ends_once(store, search):
    out_of_fold = put_frame(store, pd.DataFrame({"#key": [1], "#predicted": [2.0]}))
    searches.finish(store, search, {"models": [[0, 3]], "cv_error": 1.5}, out_of_fold)
    with store.read() as connection:
        first = searches.get(connection, search)
    searches.finish(store, search, {"models": [[1, 3]], "cv_error": 9.0}, out_of_fold)
    with store.read() as connection:
        assert searches.get(connection, search) == first
        assert (first.models, first.cv_error, first.out_of_fold) == (
            [[0, 3]],
            1.5,
            out_of_fold.digest,
        )
        assert connection.execute(sa.select(searches_table)).one().id == search


def test_the_best_of_other_runs_are_those_of_finished_searches(store, search):
    for candidate, rmse in ((0, 3.0), (1, 2.0)):
        searches.record(
            store, search, Trial(Candidate(candidate, "forest", {"depth": candidate}), (rmse,), 0.1)
        )
    with store.read() as connection:
        version = searches.get(connection, search).version
        assert searches.best_of_others(connection, version + 1, 5) == []  # not finished
    out_of_fold = put_frame(store, pd.DataFrame({"#key": [1], "#predicted": [2.0]}))
    searches.finish(store, search, {"models": [[1, 1]], "cv_error": 2.0}, out_of_fold)
    with store.read() as connection:
        assert searches.best_of_others(connection, version, 5) == []  # not of another run
        warm_starts = searches.best_of_others(connection, version + 1, 5)
        assert warm_starts == [Candidate(1, "forest", {"depth": 1})]
    again = searches.begin(
        store, key="c" * 64, version=version, plan={}, run=start(store), warm_starts=warm_starts
    )
    with store.read() as connection:
        assert searches.warm_starts_of(searches.get(connection, again)) == tuple(warm_starts)
        assert searches.warm_starts_of(searches.get(connection, search)) == ()


def test_numpy_parameters_are_refused_rather_than_changed(store, search):
    trial = Trial(Candidate(0, "forest", {"depth": np.int64(3)}), (1.0,), 0.1)
    with pytest.raises(TypeError):
        searches.record(store, search, trial)
