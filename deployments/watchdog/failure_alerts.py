"""Alerts for failed flow runs that have no row in our store: rollback, backup, monitor, ...

Prefect delivers events on a best-effort basis, so the watchdog reads the states instead. The alert
about a run with a row is recorded with its end, also without the Prefect server.
"""

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from housing.notify import Message
from housing.records import Event
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.runs import outbox, runs, watchdog_marks
from tasks.run_labels import TAG

FAILED = [StateType.FAILED, StateType.CRASHED]

MEMORY = timedelta(days=1)
"""Older failures are not reported any more: an outage of the watchdog is shorter."""


def stop_mark(run: FlowRun) -> str:
    """The mark that a worker sets before it stops this attempt of a run, whose end is no failure.

    Prefect's state would not show who sent the signal.
    """
    return f"flow run {run.id} stopped in attempt {run.run_count}"


def report_failed_flow_runs(client: SyncPrefectClient, store: Store) -> None:
    """Record one alert for each failed end of a run without a row."""
    wanted = {"state": {"type": {"any_": FAILED}}, "tags": {"all_": [TAG]}}
    since = {"end_time": {"after_": utc_now() - MEMORY}}
    ended = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(wanted | since),
        sort=FlowRunSort.END_TIME_DESC,
        limit=200,
    )
    for run in ended:
        with store.read() as connection:
            if run.state is None or runs.newest_of(connection, str(run.id)):
                continue
            if watchdog_marks.set_at(connection, stop_mark(run)) is not None:
                continue
        flow, due = client.read_flow(run.flow_id).name, run.expected_start_time
        when = f", due {due:%Y-%m-%d %H:%M} UTC," if due else ""
        why = f"{run.state.name}: {(run.state.message or '').removesuffix('.')}."
        text = (
            f"The {flow} run {run.name}{when} failed. {why} Its log is in the Prefect UI under "
            f"Runs; to run it again: Deployments, {flow}."
        )
        outbox.record(store, Message(Event.FAILED, text, run.name), f"state {run.state.id}")
