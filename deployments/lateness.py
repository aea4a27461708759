"""Nights that are late: the newest runs, older ones are skipped, and one that never began is told.

An outage may leave several nights waiting, or none where the run was cancelled or never made.
Either way one night is enough: it does the work of all that were missed.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from cronsim import CronSim
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from housing.settings import Settings
from housing.steps import tell
from housing.store import runs
from housing.store.engine import Store
from housing.store.tables import runs as run_rows
from housing.store.tables import utc_now

NIGHTLY = "nightly"
DEPLOYMENT = f"{NIGHTLY}/{NIGHTLY}"

PATIENCE = timedelta(minutes=2)
"""So long after its time a night may begin by itself, before it is taken up."""

ON_ITS_WAY = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)


def last_due(settings: Settings, now: datetime) -> datetime:
    """The newest time of the schedule before `now`, in the schedule's time zone."""
    local = now.astimezone(ZoneInfo(settings.timezone))
    return next(CronSim(settings.schedule, local.replace(microsecond=0), reverse=True))


def skip_older(client: SyncPrefectClient) -> Iterator[str]:
    """Of several nights of the schedule that wait, leave the newest; says which are skipped."""
    waiting = _due(client, utc_now(), StateType.SCHEDULED)
    # One that has run before waited for a person's answer, and is being resumed.
    scheduled = [run for run in waiting if run.auto_scheduled and run.run_count == 0]
    for run in scheduled[:-1]:
        newest = scheduled[-1].expected_start_time
        why = f"It is late, and the night of {newest:%Y-%m-%d %H:%M} UTC does its work"
        skipped: State[None] = Completed(name="Skipped", message=why)
        client.set_flow_run_state(run.id, skipped, force=True)
        yield f"The run {run.name} is skipped: {why}"


def make_up(client: SyncPrefectClient, store: Store, settings: Settings) -> Iterator[str]:
    """Start the night that was due and did not begin; tell the team where that took too long."""
    now = utc_now()
    due = last_due(settings, now)
    deployment = _deployment(client)
    if deployment is None or deployment.created is None or due < deployment.created:
        return  # it was not there yet
    if now - due < PATIENCE or _since(store, due, "completed", "failed"):
        return
    active = not deployment.paused and any(s.active for s in deployment.schedules)
    if active and not _due(client, now, *ON_ITS_WAY) and not _called_off(client, due, now):
        # Once a due time: one that kills its machine must not do so all day.
        run = client.create_flow_run_from_deployment(
            deployment.id,
            tags=["housing", "made up for"],
            idempotency_key=f"made-up-for-{due.isoformat()}",
        )
        if run.state_type is StateType.SCHEDULED:  # and not one that ended already
            yield f"The night due at {due:%Y-%m-%d %H:%M %Z} came to no end; it is begun now"
    if not _since(store, due, "crashed", "cancelled"):
        yield from _tell_missed(store, settings, due, now, paused=not active)


def _tell_missed(
    store: Store, settings: Settings, due: datetime, now: datetime, *, paused: bool
) -> Iterator[str]:
    minutes = settings.notify.missed_after_minutes
    if minutes == 0 or now - due < timedelta(minutes=minutes) or _told(store, due):
        return
    next_step = (
        "Its schedule is paused: switch it on in the UI (Deployments, nightly)."
        if paused
        else "See whether a runner is at work: `housing up`, or the service `worker`."
    )
    yield tell.missed(store, settings, due, next_step)


def _deployment(client: SyncPrefectClient) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return None


def _due(client: SyncPrefectClient, now: datetime, *types: StateType) -> list[FlowRun]:
    """Nightly runs whose time has come, in these states, oldest first."""
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[NIGHTLY])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=200,
    )


def _called_off(client: SyncPrefectClient, due: datetime, now: datetime) -> bool:
    """Whether a person cancelled or halted a night since it was due: it is not begun again."""
    found = _due(client, now, StateType.CANCELLED, StateType.CANCELLING, StateType.PAUSED)
    return any(run.start_time is not None and run.start_time >= due for run in found)


def _since(store: Store, due: datetime, *statuses: str) -> bool:
    """Whether a night since `due` is in one of these states, or one runs now."""
    since = sa.and_(run_rows.c.started_at >= due, run_rows.c.status.in_(statuses))
    return _any(
        store,
        run_rows.c.kind.in_(runs.LEASED),
        sa.or_(since, run_rows.c.status == "running"),
    )


def _told(store: Store, due: datetime) -> bool:
    return _any(store, run_rows.c.status == "missed", run_rows.c.started_at >= due)


def _any(store: Store, *conditions: sa.ColumnElement[bool]) -> bool:
    with store.read() as connection:
        query = sa.select(run_rows.c.id).where(*conditions).limit(1)
        return connection.execute(query).first() is not None
