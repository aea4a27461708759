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
from housing.pipeline.run_context import NightlyParameters
from housing.records import RunResult
from housing.settings import Settings
from housing.store import queries
from housing.store.database.open import open_store
from housing.store.models import promotion_log
from tests.fixtures.small_settings import landing_rows

pytestmark = pytest.mark.prefect


def land(settings: Settings, name: str) -> None:
    folder = settings.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    landing_rows().to_csv(folder / name, index=False)


def run(**parameters: Any) -> tuple[Any, RunResult]:
    state = nightly(NightlyParameters(**parameters), return_state=True)
    return state, state.result()


def test_a_first_run_promotes_and_an_idle_run_changes_nothing(small: Settings) -> None:
    land(small, "a.csv")
    state, result = run()
    assert (state.name, state.message) == ("Promoted", result.message)
    assert result.champion == result.challenger == 1
    assert result.report is not None
    assert Path(result.report).is_file()
    with open_store(small) as store, store.read() as connection:
        shown = queries.show_run(connection, result.run)
    assert [step["step"] for step in shown["steps"]] == [
        "ingest",
        "freeze",
        "split",
        "check readiness",
        "check for work",
        "preprocess",
        "search",
        "fit",
        "evaluate",
        "back up",
        "promote",
        "report",
        "finish",
    ]
    idle, again = run()
    assert (idle.name, again.outcome) == ("Nothing new", "nothing new")
    with open_store(small) as store, store.read() as connection:
        assert len(queries.list_models(connection)) == 1


def test_a_dry_run_promotes_nothing_and_the_next_run_does(small: Settings) -> None:
    land(small, "a.csv")
    _, dry = run(dry_run=True)
    assert (dry.outcome, dry.champion) == ("dry run", None)
    _, real = run()
    assert (real.outcome, real.champion, real.challenger) == ("promoted", 1, 1)


def test_a_run_without_rows_fails_with_the_next_step(small: Settings) -> None:
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
    assert by_key["search-progress"].data == 100
    assert "/reports/report-r1.html" in by_key["report"].data
    assert "challenger m1 (forest)" in by_key["models"].data
    assert "logs__log_income" in by_key["preprocessing"].data
    for key in ("decision", "search", "predicted-vs-actual", "error-map"):
        assert by_key[key].data == f"/reports/r1-{key}.svg"
        assert (small.home / "reports" / f"r1-{key}.svg").read_text().startswith("<svg")
    assert {task.name for task in tasks} >= {
        "ingest r1",
        "preprocess v1",
        "search on v1",
        "fit the best of search 1",
        "evaluate m1 on v1",
        "promote m1",
        "report r1",
    }


def test_an_expected_error_has_no_stack_trace_and_is_reported(
    small: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    state = nightly(return_state=True)
    assert state.is_failed()
    assert str(state.message) == str(state.result(raise_on_failure=False))
    assert "There is nothing to train on" in str(state.message)
    assert "Traceback" not in caplog.text
    assert "r1 failed: " in caplog.text


def test_an_unexpected_error_keeps_its_stack_trace(
    small: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("tasks.run_steps.datasets.freeze", broken)
    state = nightly(return_state=True)
    assert state.is_failed()
    assert "Traceback" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text


def test_a_file_that_cannot_be_read_is_reported(
    small: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    land(small, "a.csv")
    assert small.sources.landing_dir is not None
    (small.sources.landing_dir / "b.csv").write_text("no,table\n1,2\n")
    _, result = run(dry_run=True)
    expected = f"r{result.run} quarantined: A file cannot be read. b.csv: line 1 is not the header"
    assert expected in caplog.text


def test_parameters_are_checked_before_anything_runs(small: Settings) -> None:
    with pytest.raises(ParameterTypeError, match="greater than or equal to 1"):
        nightly({"n_trials": 0})
    with open_store(small) as store, store.read() as connection:
        assert queries.list_runs(connection) == []
        assert promotion_log.champion(connection) is None
