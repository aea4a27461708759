"""Marks zombie runs as crashed in both stores.

When worker and flow die together, Prefect leaves the run `Running` and cancels the next one. The
lease decides here: a run that holds it is alive, one that should hold it and does not is dead.
Suspended runs wait for a person and are not touched.
"""

from datetime import datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Completed, Crashed
from sqlalchemy.engine import Row

from housing.pipeline import approval
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import approvals
from housing.store.runs import runs
from tasks.run_labels import rename_run

UNFINISHED = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)

STARTING = timedelta(minutes=5)
"""Time that a run may take to record its row in our store: imports, a slow disk."""

ENDING = timedelta(seconds=30)
"""Time between the end of a run in our store and its end in Prefect."""

GONE = timedelta(0)
"""A process that is known to be gone will not finish the run."""

WITHOUT_ROW = timedelta(hours=6)
"""Age from which a run without a row (rollback, backup, ...) counts as dead."""


def reconcile(client: SyncPrefectClient, store: Store) -> list[str]:
    """Mark dead runs as crashed in both stores; returns messages for those without an alert.

    Idempotent.
    """
    said = [
        f"The {row.kind} run r{row.id} is crashed: its process is gone"
        for row in runs.mark_dead(store)
        if row.kind not in runs.REPORTED
    ]
    for run in _in_state(client, *UNFINISHED):
        why = death(store, run, utc_now())
        if why is not None:
            # Forced: Prefect's rules would not release the concurrency slot.
            client.set_flow_run_state(run.id, Crashed(message=why), force=True)
            row = _newest_row(store, run)
            if row is not None and row.status != "crashed":
                said.append(f"The run {run.name} is crashed: {why}")
    return said


def end_decided(client: SyncPrefectClient, store: Store) -> list[str]:
    """End suspended runs whose approval request was decided at a terminal or expired."""
    said = []
    for run in _in_state(client, StateType.PAUSED):
        row = _newest_row(store, run)
        done = None if row is None else approval.decision_of(store, int(row.id))
        if done is not None:
            ended: State[None] = Completed(name=done.outcome.capitalize(), message=done.message)
            client.set_flow_run_state(run.id, ended, force=True)
            rename_run(client, run, done.outcome, [done.outcome])
            said.append(f"The run {run.name} waits no longer: {done.message}")
    return said


def _in_state(client: SyncPrefectClient, *types: StateType) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": types}}})
    return client.read_flow_runs(flow_run_filter=wanted, limit=200)


def death(store: Store, run: FlowRun, now: datetime) -> str | None:
    """Why an unfinished run of Prefect's is dead, or None where it may be alive."""
    began = now if run.state is None else run.state.timestamp
    newest = _newest_row(store, run)
    if newest is None:
        patience = WITHOUT_ROW if run.state_type is StateType.RUNNING else STARTING
        since = now - began
        return f"it has given no sign of life for {since}" if since > patience else None
    if newest.status == "running":
        return None  # or `died` would have marked it
    # Either it is about to end in Prefect's store too, or it is on its way up again.
    ended = newest.finished_at
    patience = STARTING if began > ended else GONE if newest.status == "crashed" else ENDING
    with store.read() as connection:
        if began > ended and approvals.of_run(connection, newest.id) is not None:
            patience = WITHOUT_ROW  # it carries out what a person answered, which has no row
    return f"r{newest.id} is {newest.status}" if now - max(began, ended) >= patience else None


def _newest_row(store: Store, run: FlowRun) -> Row[tuple[object, ...]] | None:
    with store.read() as connection:
        return runs.newest_of(connection, str(run.id))
