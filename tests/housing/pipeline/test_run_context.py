"""The frame of a run: run row, lease, and what is recorded when a run does not end well."""

import signal

import pytest
from prefect.exceptions import TerminationSignal

from housing.errors import LeaseLost, NothingToTrainOn, RunInProgress, SettingsInvalid
from housing.pipeline.run_context import NightlyParameters, finish_run, start_run, step
from housing.records import RunResult
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.runs import lease, runs
from housing.training.candidates import FAMILIES


def test_a_second_run_is_refused_and_named(store: Store, small: Settings) -> None:
    with start_run("nightly", NightlyParameters()) as first:
        again = start_run("nightly", NightlyParameters())
        with pytest.raises(RunInProgress, match="the nightly run of"), again:
            pytest.fail("two runs at once")
        with store.read() as connection:
            assert runs.get(connection, first.id).status == "running"
            assert runs.get(connection, first.id + 1).status == "refused"


def test_a_failed_run_records_its_error_and_releases_the_lease(
    store: Store, small: Settings
) -> None:
    with pytest.raises(NothingToTrainOn), start_run("nightly", NightlyParameters()) as run:
        raise NothingToTrainOn(why="no rows", next_step="Bring some.")
    with store.read() as connection:
        row = runs.get(connection, run.id)
        assert (row.status, row.error) == (
            "failed",
            "There is nothing to train on: no rows. Bring some.",
        )
        assert row.finished_at is not None
    with start_run("nightly", NightlyParameters()):
        pass


@pytest.mark.parametrize(
    ("error", "how"),
    [(KeyboardInterrupt, "interrupted with Ctrl-C"), (TerminationSignal, "stopped by a signal")],
)
def test_a_run_that_is_interrupted_is_cancelled(
    store: Store, small: Settings, error: type[BaseException], how: str
) -> None:
    with pytest.raises(error), start_run("nightly", NightlyParameters()) as run:
        raise error(signal.SIGTERM)
    with store.read() as connection:
        row = runs.get(connection, run.id)
    assert row.status == "cancelled"
    assert row.error == f"{how}; the next run resumes where this one stopped"


def test_a_run_that_lost_its_lease_writes_nothing_more(store: Store, small: Settings) -> None:
    with pytest.raises(LeaseLost), start_run("nightly", NightlyParameters()) as run:  # noqa: PT012
        lease.release(store, run.token)
        lease.acquire(store, owner="another host")
        with step(run, "freeze"):
            pass
    with store.read() as connection:
        assert runs.get(connection, run.id).status == "failed"
        current = lease.holder(connection)
        assert current is not None
        assert (current.held, current.owner) == (True, "another host")


def test_steps_are_timed_and_concluded(store: Store, small: Settings) -> None:
    with start_run("nightly", NightlyParameters(), "flow-run-id") as run:
        with step(run, "one") as (_, settings):
            assert settings.search.families == ("forest",)
        result = finish_run(store, run, RunResult(run.id, "done", "All done."))
    assert result.champion is None
    with store.read() as connection:
        assert [s.name for s in runs.steps(connection, run.id)] == ["one"]
        row = runs.get(connection, run.id)
        assert (row.status, row.outcome, row.flow_run) == ("completed", "done", "flow-run-id")


def test_parameters_change_one_run_only(small: Settings) -> None:
    changed = NightlyParameters(n_trials=7, source="census", seed=3).settings()
    assert (changed.search.n_trials, changed.search.seed) == (7, 3)
    assert changed.sources.names == ("census",)
    assert changed.search.families == small.search.families
    assert load_settings().search.n_trials == 2


def test_an_impossible_parameter_is_named(small: Settings) -> None:
    with pytest.raises(SettingsInvalid, match="no model family quantum"):
        NightlyParameters(families=("quantum",)).settings()
    with pytest.raises(SettingsInvalid, match="nowhere"):
        NightlyParameters(source="nowhere").settings()


def test_a_parameter_that_is_none_follows_the_settings() -> None:
    none = dict.fromkeys(("source", "n_trials", "families", "seed"))
    assert NightlyParameters(**none) == NightlyParameters()


def test_all_families_are_every_installed_one_unless_the_settings_name_some(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = NightlyParameters(families=("all",))
    monkeypatch.delenv("HOUSING_SEARCH__FAMILIES", raising=False)
    installed = {name for name, family in FAMILIES.items() if family.installed}
    assert set(every.settings().search.families) == installed
    monkeypatch.setenv("HOUSING_SEARCH__FAMILIES", "linear,tree")
    assert every.settings().search.families == ("linear", "tree")
