"""Runs that came to grief and of which nobody was told.

The automation tells of most within seconds. But events of the orchestrator are delivered at best:
under load they come twice, or after some tries never, and the run that tells may itself fail.
"""

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
from prefect.client.schemas.sorting import FlowRunSort

from housing.settings import Settings
from housing.store.engine import Store
from housing.store.tables import utc_now
from tasks.run import FALLEN, tell_of_end

PATIENCE = timedelta(minutes=1)
"""So long the automation has."""

MEMORY = timedelta(days=1)
"""What ended before that is not looked at any more: an outage of the watch is shorter."""


def tell_untold(client: SyncPrefectClient, store: Store, settings: Settings) -> Iterator[str]:
    """Tell of each such run, once; yields what was said."""
    now = utc_now()
    ended = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(FALLEN))),
            end_time=FlowRunFilterEndTime(after_=now - MEMORY, before_=now - PATIENCE),
            tags=FlowRunFilterTags(all_=["housing"]),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=200,
    )
    for run in ended:
        if said := tell_of_end(store, settings, run):
            yield said
