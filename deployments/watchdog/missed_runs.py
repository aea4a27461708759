"""Late runs: the newest one runs, older ones are skipped; a missed run is started and reported.

An outage may leave several runs waiting, or none where the run was cancelled or never made.
Either way one run is enough: it does the work of all that were missed. When a run was due is
computed in `due_times`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from deployments.due_times import last_due, newest_due_time
from housing.pipeline import notifications
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import runs as run_rows
from housing.store.database.tables import utc_now
from housing.store.runs import lease, runs, watchdog_marks
from tasks.run_labels import TAG

NIGHTLY = "nightly"
DEPLOYMENT = f"{NIGHTLY}/{NIGHTLY}"

START_GRACE = timedelta(minutes=2)
"""Grace period before a due run is started by the watchdog."""

SKEW = timedelta(minutes=2)
"""Largest assumed clock difference between this process and one that runs the pipeline."""

FIRST_WATCHED = "nightly watched for the first time"
"""The mark of a store's first watchdog: runs that were due before it are not started."""

ACTIVE = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)


def skip_older(client: SyncPrefectClient) -> Iterator[str]:
    """Skip all but the newest of the scheduled runs that are late; yields a message for each."""
    waiting = _due_runs(client, utc_now(), StateType.SCHEDULED)
    # One that has run before waited for a decision, and is being resumed.
    scheduled = [run for run in waiting if run.auto_scheduled and run.run_count == 0]
    for run in scheduled[1:]:
        newest = scheduled[0].expected_start_time
        why = f"It is late, and the run of {newest:%Y-%m-%d %H:%M} UTC does its work"
        skipped: State[None] = Completed(name="Skipped", message=why)
        client.set_flow_run_state(run.id, skipped, force=True)
        yield f"The run {run.name} is skipped: {why}"


def start_missed_run(client: SyncPrefectClient, store: Store, settings: Settings) -> Iterator[str]:
    """Start the run that was due and did not begin; alert the team if it is very late."""
    now = utc_now()
    deployment = _deployment(client, settings)
    due = (
        None
        if deployment is None
        else newest_due_time(deployment, now, watchdog_marks.mark(store, FIRST_WATCHED))
    )
    if deployment is None or due is None or now - due < START_GRACE:
        return
    if _ran_since(store, due, now, "completed", "failed") or _run_in_progress(store):
        return
    if _cancelled_by_user(client, store, due, now):
        return
    local = due.astimezone(ZoneInfo(settings.schedules.timezone))
    next_step = _obstacle(store, deployment, due)
    if next_step is None and _start(client, store, deployment, due):
        next_step = "It is started now."
        yield f"The run due at {local:%Y-%m-%d %H:%M %Z} did not complete; it is started now"
    if not _ran_since(store, due, now, "crashed", "cancelled"):
        look = "See whether a runner is at work: `housing up`, or the service `worker`."
        _report_missed(store, settings, local, next_step or look)


def report_without_server(store: Store, settings: Settings) -> None:
    """Alert the team about a missed run while the Prefect server does not answer."""
    now = utc_now()
    due = last_due(_schedule(settings), now)
    if due is None or _run_in_progress(store) or not _exists(store, run_rows.c.started_at < due):
        return  # or nothing has run here yet
    if not _ran_since(store, due, now, "completed", "failed", "crashed", "cancelled"):
        local = due.astimezone(ZoneInfo(settings.schedules.timezone))
        next_step = "The Prefect server does not answer: see its log, or start `housing up`."
        _report_missed(store, settings, local, next_step)


def _obstacle(store: Store, deployment: DeploymentResponse, due: datetime) -> str | None:
    """What prevents the start, as advice to a person; None if nothing does."""
    off = f"nightly due {due.isoformat()} while switched off"
    if deployment.paused or not any(schedule.active for schedule in deployment.schedules):
        watchdog_marks.mark(store, off)
        return "Its schedule is off: switch it on in the UI (Deployments, nightly)."
    with store.read() as connection:
        if watchdog_marks.set_at(connection, off):
            return "Its schedule was off. Start it by hand where it is wanted."
        holder = lease.holder(connection)
    # A run that holds the lease has a row; this lease is another command's, e.g. a prune's.
    return f"It waits for {holder.owner}." if holder is not None and holder.alive else None


def _start(
    client: SyncPrefectClient, store: Store, deployment: DeploymentResponse, due: datetime
) -> bool:
    """Start the run unless one is queued; False if it was started before.

    A run that kills its machine must not do so all day: there is one start for a due time, and
    another after each refusal, as a run that met another has done nothing.
    """
    refused = _began_since(due, utc_now()), run_rows.c.status == "refused"
    count = sa.select(sa.func.count()).select_from(run_rows).where(*refused)
    with store.read() as connection:
        key = f"made-up-for-{due.isoformat()}-{connection.execute(count).scalar_one()}"
        if watchdog_marks.set_at(connection, key) or _due_runs(client, utc_now(), *ACTIVE):
            return False
    run = client.create_flow_run_from_deployment(
        deployment.id, tags=[TAG, "made up for"], idempotency_key=key
    )
    watchdog_marks.mark(store, key)
    return run.state_type is StateType.SCHEDULED


def _report_missed(store: Store, settings: Settings, due: datetime, next_step: str) -> None:
    minutes = settings.schedules.missed_after_minutes
    if minutes and utc_now() - due >= timedelta(minutes=minutes):
        notifications.report_missed(store, due, next_step)


def _deployment(client: SyncPrefectClient, settings: Settings) -> DeploymentResponse | None:
    try:
        found = client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return None
    if not found.schedules:  # deleted in the UI: counts as switched off
        found.schedules = [DeploymentSchedule(schedule=_schedule(settings), active=False)]
    return found


def _schedule(settings: Settings) -> CronSchedule:
    return CronSchedule(cron=settings.schedules.retrain, timezone=settings.schedules.timezone)


def _due_runs(client: SyncPrefectClient, now: datetime, *types: StateType) -> list[FlowRun]:
    """Nightly runs whose time has come, in these states: the newest 200, newest first."""
    waiting = {"state": {"type": {"any_": types}}, "expected_start_time": {"before_": now}}
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter.model_validate({"name": {"any_": [NIGHTLY]}}),
        flow_run_filter=FlowRunFilter.model_validate(waiting),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=200,
    )


def _cancelled_by_user(
    client: SyncPrefectClient, store: Store, due: datetime, now: datetime
) -> bool:
    """Whether a person cancelled or halted the run that was due, or one since.

    Also before it began: Prefect makes runs ahead of their time. Our store remembers it, as
    Prefect's database may be lost.
    """
    key = f"nightly due {due.isoformat()} was cancelled"
    found = _due_runs(client, now, StateType.CANCELLED, StateType.CANCELLING, StateType.PAUSED)
    if any(run.expected_start_time and run.expected_start_time >= due for run in found):
        watchdog_marks.mark(store, key)
        return True
    with store.read() as connection:
        return watchdog_marks.set_at(connection, key) is not None


def _ran_since(store: Store, due: datetime, now: datetime, *statuses: str) -> bool:
    """Whether a run since `due` is in one of these states."""
    return _exists(store, _began_since(due, now), run_rows.c.status.in_(statuses))


def _run_in_progress(store: Store) -> bool:
    """Whether a run is in progress, whenever it began."""
    return _exists(store, run_rows.c.kind.in_(runs.LEASED), run_rows.c.status == "running")


def _began_since(due: datetime, now: datetime) -> sa.ColumnElement[bool]:
    """SQL condition: a retraining run that began since `due`, but for clock differences.

    One that began in the future ran while a clock was wrong: it does not count.
    """
    began = run_rows.c.started_at
    return sa.and_(run_rows.c.kind.in_(runs.RETRAINING), began >= due - SKEW, began <= now + SKEW)


def _exists(store: Store, *conditions: sa.ColumnElement[bool]) -> bool:
    with store.read() as connection:
        query = sa.select(run_rows.c.id).where(*conditions).limit(1)
        return connection.execute(query).first() is not None
