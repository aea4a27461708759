"""The nightly flow against a real Prefect server: outcomes, state names, artifacts, tasks."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.exceptions import ParameterTypeError

from flows.nightly import nightly
from housing.errors import NothingToTrainOn
from housing.records import NightResult
from housing.settings import Settings
from housing.steps.night import NightlyParameters
from housing.store import listings, registry
from housing.store.opening import open_store
from tests.nights import landing_rows

pytestmark = pytest.mark.prefect


def land(settings: Settings, name: str) -> None:
    folder = settings.landing_dir
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    landing_rows().to_csv(folder / name, index=False)


def run(**parameters: Any) -> tuple[Any, NightResult]:
    state = nightly(NightlyParameters(**parameters), return_state=True)
    return state, state.result()


def test_a_first_night_and_an_idle_one(small: Settings) -> None:
    land(small, "a.csv")
    state, result = run()
    assert (state.name, state.message) == ("Promoted", result.sentence)
    assert result.champion == result.challenger == 1
    assert result.report is not None
    assert Path(result.report).is_file()
    with open_store(small) as store, store.read() as connection:
        shown = listings.show_run(connection, result.run)
    assert [step["step"] for step in shown["steps"]] == [
        "ingest",
        "freeze",
        "split",
        "look for work",
        "tune",
        "fit",
        "evaluate",
        "back up",
        "promote",
        "report",
        "notify",
        "conclude",
    ]
    idle, again = run()
    assert (idle.name, again.outcome) == ("Nothing new", "nothing new")
    with open_store(small) as store, store.read() as connection:
        assert len(listings.list_models(connection)) == 1


def test_a_dry_run_promotes_nothing_and_the_next_night_does(small: Settings) -> None:
    land(small, "a.csv")
    _, dry = run(dry_run=True)
    assert (dry.outcome, dry.champion) == ("dry run", None)
    _, real = run()
    assert (real.outcome, real.champion, real.challenger) == ("promoted", 1, 1)


def test_without_rows_the_run_fails_with_the_next_step(small: Settings) -> None:
    state = nightly(return_state=True)
    assert state.is_failed()
    with pytest.raises(NothingToTrainOn, match="landing folder"):
        state.result()


def test_the_ui_gets_an_artifact_and_a_row_a_task(small: Settings) -> None:
    land(small, "a.csv")
    state, _ = run()
    run_id = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        )
    by_key = {artifact.key: artifact for artifact in artifacts}
    assert "RMSE" in by_key["verdict"].data
    assert by_key["tune-progress"].data == 100
    assert {task.name.rsplit("-", 1)[0] for task in tasks} >= {"ingest", "tune", "evaluate"}


def test_parameters_are_checked_before_anything_runs(small: Settings) -> None:
    with pytest.raises(ParameterTypeError, match="greater than or equal to 1"):
        nightly({"n_iter": 0})
    with open_store(small) as store, store.read() as connection:
        assert listings.list_runs(connection) == []
        assert registry.champion(connection) is None
