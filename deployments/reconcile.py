"""The orchestrator's records brought in line with who is really alive.

Prefect leaves a run `Running` for ever when runner and flow die together, and the next night is
cancelled for it. Here the lease on the night is asked, not Prefect: a run that holds it is alive,
one that should and does not is dead. Suspended runs wait for a person and are never touched.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed
from sqlalchemy.engine import Row

from housing.settings import Settings
from housing.steps import tell
from housing.store import lease, runs
from housing.store.engine import Store
from housing.store.tables import runs as run_rows
from housing.store.tables import utc_now

UNFINISHED = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)

STARTING = timedelta(minutes=5)
"""So long a run may take until it has its row in our store: imports, a slow disk."""

ENDING = timedelta(seconds=30)
"""So long a run may take from its end in our store to its end in Prefect's."""

GONE = timedelta(0)
"""A process of which it is known that it is gone will not end anything."""

WITHOUT_ROW = timedelta(hours=6)
"""After so long, a run of a kind that has no row (rollback, backup, ...) counts as dead."""


def reconcile(client: SyncPrefectClient, store: Store, settings: Settings) -> list[str]:
    """Mark the dead in both stores; says what was done. A second call does nothing."""
    said = [f"r{run} is crashed: its process is gone" for run in tell.died(store, settings)]
    for run in _unfinished(client):
        why = death(store, run, utc_now())
        if why is not None:
            # By force: the usual rules would leave the concurrency slot with the dead.
            client.set_flow_run_state(run.id, Crashed(message=why), force=True)
            said.append(f"The run {run.name} is crashed: {why}")
    return said


def _unfinished(client: SyncPrefectClient) -> list[FlowRun]:
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(UNFINISHED)))
    )
    return client.read_flow_runs(flow_run_filter=wanted, limit=200)


def death(store: Store, run: FlowRun, now: datetime) -> str | None:
    """Why an unfinished run of Prefect's is dead, or None where it may be alive."""
    began = now if run.state is None else run.state.timestamp
    newest = _newest_row(store, run)
    if newest is None:
        patience = WITHOUT_ROW if run.state_type is StateType.RUNNING else STARTING
        since = now - began
        return f"nothing was heard of it for {since}" if since > patience else None
    if newest.status == "running":
        return None if _holds_the_lease(store, newest, now) else "its process is gone"
    # Either it is about to end in Prefect's store too, or it is on its way up again.
    ended = newest.finished_at
    patience = STARTING if began > ended else GONE if newest.status == "crashed" else ENDING
    return f"r{newest.id} is {newest.status}" if now - max(began, ended) >= patience else None


def _newest_row(store: Store, run: FlowRun) -> Row[tuple[object, ...]] | None:
    query = sa.select(run_rows).where(run_rows.c.flow_run == str(run.id))
    with store.read() as connection:
        return connection.execute(query.order_by(run_rows.c.id.desc()).limit(1)).one_or_none()


def _holds_the_lease(store: Store, row: Row[tuple[object, ...]], now: datetime) -> bool:
    if row.kind not in runs.LEASED:
        return True  # it needs none; its own row says that it runs
    with store.read() as connection:
        holder = lease.holder(connection)
    return holder is not None and holder.run == row.id and holder.alive(now)
