"""Ends runs in Prefect that have no process any more, with the end that our store recorded.

When worker and flow die together, Prefect leaves the run `Running` and cancels the next one. The
lease decides here: a run that holds it is alive, one that should hold it and does not is dead.
Suspended runs wait for a person and are not touched. A run that a person cancelled and that goes on
is sent SIGTERM.
"""

import os
import signal
from datetime import datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed
from sqlalchemy.engine import Row

from deployments.watchdog.missed_runs import NIGHTLY
from housing.pipeline import approval
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import approvals
from housing.store.runs import lease, runs, watchdog_marks
from tasks.run_labels import TAG, rename_run

UNFINISHED = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)

START_GRACE = timedelta(minutes=5)
"""Time that a run may take to record its row in our store: imports, a slow disk."""

END_GRACE = timedelta(seconds=30)
"""Time between the end of a run in our store and its end in Prefect."""

ROWLESS_GRACE = timedelta(hours=6)
"""Age from which a run without a row (rollback, backup, ...) counts as dead."""

STOP_GRACE = timedelta(seconds=45)
"""Time that Prefect's worker takes to stop a cancelled run: SIGTERM, and SIGKILL 30 s later."""


def reconcile(client: SyncPrefectClient, store: Store) -> list[str]:
    """End dead runs in both stores; returns messages for those without an alert. Idempotent."""
    dead = runs.mark_dead(store)
    messages = [
        f"The {row.kind} run r{row.id} is crashed: its process is gone"
        for row in dead
        if row.kind not in runs.REPORTED
    ]
    for run in _find(client, state=_types(*UNFINISHED)):
        why = why_dead(store, run, utc_now())
        if why is None:
            messages += _stop(store, run, utc_now())
        elif not _find(client, parent_flow_run_id={"any_": [run.id]}, state=_types(*UNFINISHED)):
            messages += _end(client, store, run, why)
    ids = [row.flow_run for row in dead if row.flow_run]
    # The worker has reported these, and does not know what happens next.
    for run in _find(client, id={"any_": ids}, state=_types(StateType.CRASHED)) if ids else ():
        _end(client, store, run, "its process is gone")
    return messages


def _end(client: SyncPrefectClient, store: Store, run: FlowRun, why: str) -> list[str]:
    row = _newest_row(store, run)
    end = end_state(run, row, why)
    # Forced: Prefect's rules would not release the concurrency slot.
    client.set_flow_run_state(run.id, end, force=True)
    if end.is_crashed() and (row is None or row.status == "crashed"):
        return []  # there is an alert
    return [f"The run {run.name} is {str(end.name).lower()}: {end.message}"]


def end_state(run: FlowRun, row: Row[Any] | None, why: str) -> State[None]:
    """The state of a run whose process is gone: the end in its row, if it recorded one."""
    if row is not None and row.status == "completed":
        return Completed(name=str(row.outcome or row.status).capitalize(), message=row.message)
    if row is not None and row.status == "failed":
        return Failed(message=row.error)
    if run.state_type is StateType.CANCELLING:
        return Cancelled(message=why)
    next_step = (
        "The watchdog starts the run again."
        if run.auto_scheduled and NIGHTLY in run.tags
        else "Nothing starts it again: start it again if it is still wanted. A nightly run resumes "
        "from the last completed step."
    )
    return Crashed(message=f"{why}. {next_step}")


def _stop(store: Store, run: FlowRun, now: datetime) -> list[str]:
    """Send SIGTERM, once, to a run of this host that was cancelled and not stopped."""
    if run.state is None or not run.state.is_cancelling() or now - run.state.timestamp < STOP_GRACE:
        return []
    row, key = _newest_row(store, run), f"flow run {run.id} was cancelled"
    with store.read() as connection:
        holder = lease.holder(connection)
        sent = watchdog_marks.set_at(connection, key)
    if row is None or holder is None or holder.run != row.id or sent:
        return []
    if not (holder.is_local and holder.alive):
        return []
    watchdog_marks.mark(store, key)
    os.kill(holder.pid, signal.SIGTERM)
    return [f"The run {run.name} was cancelled and goes on: it is sent SIGTERM"]


def end_decided(client: SyncPrefectClient, store: Store) -> list[str]:
    """End suspended runs whose approval request was decided at a terminal or expired."""
    messages = []
    for run in _find(client, state=_types(StateType.PAUSED)):
        row = _newest_row(store, run)
        done = None if row is None else approval.decision_of(store, int(row.id))
        if done is not None:
            ended: State[None] = Completed(name=done.outcome.capitalize(), message=done.message)
            client.set_flow_run_state(run.id, ended, force=True)
            rename_run(client, run, done.outcome, [done.outcome])
            messages.append(f"The run {run.name} waits no longer: {done.message}")
    return messages


def _types(*types: StateType) -> dict[str, Any]:
    return {"type": {"any_": types}}


def _find(client: SyncPrefectClient, **wanted: Any) -> list[FlowRun]:
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted), limit=200)


def why_dead(store: Store, run: FlowRun, now: datetime) -> str | None:
    """Why an unfinished run of Prefect's is dead, or None where it may be alive."""
    began = now if run.state is None else run.state.timestamp
    newest = _newest_row(store, run)
    if newest is None:
        if TAG not in run.tags:
            return None  # another program's, on a server that it shares
        grace = ROWLESS_GRACE if run.state_type is StateType.RUNNING else START_GRACE
        since = now - began
        return f"it has given no sign of life for {since}" if since > grace else None
    if newest.status == "running":
        return None  # or `mark_dead` would have marked it
    # Either it is about to end in Prefect's store too, or it is on its way up again.
    ended = newest.finished_at
    end_grace = timedelta(0) if newest.status == "crashed" else END_GRACE  # its process is gone
    grace = START_GRACE if began > ended else end_grace
    with store.read() as connection:
        if began > ended and approvals.of_run(connection, newest.id) is not None:
            grace = ROWLESS_GRACE  # it carries out a decision, which has no row
    return f"r{newest.id} is {newest.status}" if now - max(began, ended) >= grace else None


def _newest_row(store: Store, run: FlowRun) -> Row[Any] | None:
    with store.read() as connection:
        return runs.newest_of(connection, str(run.id))
