"""A run that is cancelled in Prefect ends by itself, whatever became of the worker's signal."""

import logging
import uuid
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from deployments.processes.prefect_server import free_port
from flows.backfill import backfill
from flows.nightly import nightly
from housing import progress
from housing.settings import Settings
from housing.store.database.open import open_store
from housing.store.database.tables import runs
from housing.store.models import promotion_log
from housing.store.runs import lease
from tasks.termination import stop_when_cancelled
from tests.flows.test_nightly import land

pytestmark = pytest.mark.prefect


class Canceller:
    """Cancels the flow run in Prefect, which nobody passes on, when a step reports once more."""

    def __init__(self, step: str, reports: int) -> None:
        self.step, self.left = step, reports

    def __call__(self, step: str, done: int, total: int, message: str) -> None:
        if step == self.step and done == total == 0:
            self.left -= 1
            if self.left == 0:
                with get_client(sync_client=True) as client:
                    client.set_flow_run_state(UUID(flow_run.get_id()), Cancelling(), force=True)


@pytest.mark.parametrize(
    ("flow", "step", "reports"),
    [
        pytest.param(nightly, "search", 1, id="where a step begins"),
        pytest.param(nightly, "promote", 2, id="just before the promotion's transaction"),
        pytest.param(backfill, "search", 1, id="in a run within another one"),
    ],
)
def test_a_cancelled_run_promotes_nothing(
    small: Settings, flow: Any, step: str, reports: int
) -> None:
    land(small, "a.csv")
    with progress.listening(Canceller(step, reports)):
        state = flow(return_state=True)
    assert (state.type.value, state.name) == ("CANCELLED", "Cancelled"), state
    with open_store(small) as store, store.read() as connection:
        assert promotion_log.champion(connection) is None
        row = connection.execute(sa.select(runs).order_by(runs.c.id.desc())).first()
        holder = lease.holder(connection)
    assert row is not None
    assert (row.status, "stopped by a signal" in row.error) == ("cancelled", True)
    assert holder is not None
    assert not holder.held
    assert nightly(return_state=True).name == "Promoted"


def test_a_run_goes_on_where_prefect_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid.uuid4()))
    caplog.set_level(logging.WARNING, "housing")
    address = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(address), stop_when_cancelled() as is_cancelled:
        progress.report("search", 0, 0)
        progress.report("fit", 0, 0)
        assert not is_cancelled()
    assert len(caplog.messages) == 1
    assert "does not answer whether the run is cancelled" in caplog.messages[0]
