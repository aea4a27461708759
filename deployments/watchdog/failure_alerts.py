"""Alerts for failed flow runs that have no row in our store: rollback, backup, monitor, ...

Prefect delivers events on a best-effort basis, so the watchdog reads the states instead. The alert
about a run with a row is recorded with its end, also without the Prefect server.
"""

import signal
from collections.abc import Iterator
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort

from housing.notify import Message
from housing.records import Event
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.runs import outbox, runs

FAILED = [StateType.FAILED, StateType.CRASHED]

_STOPPED = f"status code: {-signal.SIGTERM}."
"""In the state of a run that SIGTERM ended early, as when `housing up` stops."""

MEMORY = timedelta(days=1)
"""Older failures are not reported any more: an outage of the watchdog is shorter."""


def report_failed_flow_runs(client: SyncPrefectClient, store: Store) -> Iterator[str]:
    """Record one alert for each end of such a run; yields the messages."""
    ended = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=FAILED)),
            end_time=FlowRunFilterEndTime(after_=utc_now() - MEMORY),
            tags=FlowRunFilterTags(all_=["housing"]),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=200,
    )
    for run in ended:
        with store.read() as connection:
            if run.state is None or runs.has_row(connection, str(run.id)):
                continue
        if _STOPPED in (run.state.message or ""):
            continue
        flow, due = client.read_flow(run.flow_id).name, run.expected_start_time
        when = f", due {due:%Y-%m-%d %H:%M} UTC," if due else ""
        text = f"The {flow} run {run.name}{when} failed. {run.state.name}: {run.state.message}"
        if outbox.record(store, Message(Event.FAILED, text, run.name), f"state {run.state.id}"):
            yield text
