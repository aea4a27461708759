"""Alerts for failed flow runs that have no row in our store: rollback, backup, monitor, ...

Prefect delivers events on a best-effort basis, so the watchdog reads the states instead. Runs with
a row are reported by `housing.pipeline.notifications.failures`, also without the Prefect server.
"""

from collections.abc import Iterator

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

from housing.pipeline import notifications
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now

FAILED = [StateType.FAILED, StateType.CRASHED]


def tell_untold(client: SyncPrefectClient, store: Store, settings: Settings) -> Iterator[str]:
    """Send one alert per such run; yields the messages."""
    ended = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=FAILED)),
            end_time=FlowRunFilterEndTime(after_=utc_now() - notifications.MEMORY),
            tags=FlowRunFilterTags(all_=["housing"]),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=200,
    )
    for run in ended:
        if run.state is None:
            continue
        message = notifications.notify_flow_run_failed(
            store, settings, flow_run=str(run.id), end=str(run.state.id), name=run.name,
            why=f"{run.state.name}: {run.state.message}",
        )  # fmt: skip
        if message:
            yield message
