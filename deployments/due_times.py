"""When a deployment was due, computed by the orchestrator's own schedules.

Two libraries may disagree on the days of clock changes, and then a run starts twice.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.server.schemas import schedules as server
from pydantic import TypeAdapter

_FIRST_SEARCH = timedelta(days=1)
_LONGEST_SEARCH = timedelta(days=5 * 366)  # 29 February
_LONGEST_SHIFT = timedelta(hours=25)
"""More than any change of a zone's clocks: due times need not be computed in their order."""


def newest_due_time(
    deployment: DeploymentResponse, now: datetime, watched_since: datetime
) -> datetime | None:
    """The newest time at which a deployment was due, in UTC; None if there was none yet.

    Only active schedules count, or all of them if none is active. A time before the deployment was
    created counts if the watchdog ran then: Prefect has lost its database.
    """
    on = [schedule for schedule in deployment.schedules if schedule.active]
    counted, created = on or deployment.schedules, deployment.created
    due = max(filter(None, (last_due(each.schedule, now) for each in counted)), default=None)
    if due is not None and created is not None and due < created <= now:
        return due if watched_since < due else None
    return max(filter(None, (_due_time(each, now) for each in counted)), default=None)


def _due_time(deployed: DeploymentSchedule, now: datetime) -> datetime | None:
    due, changed = last_due(deployed.schedule, now), deployed.updated
    if due is not None and changed is not None and due < changed <= now:
        # Before the schedule was changed: a run of the former schedule counts for this time. Only a
        # run that is absent for a whole round of the new schedule is missed.
        return last_due(deployed.schedule, due - timedelta(seconds=1))
    return due


def last_due(schedule: SCHEDULE_TYPES, now: datetime) -> datetime | None:
    """The newest time of a schedule up to `now`, in UTC; None where there was none for years."""
    try:
        return asyncio.run(_last_due(schedule, now))
    except ValueError:  # of croniter: set in the UI, and its time never comes (30 February)
        return None


async def _last_due(schedule: SCHEDULE_TYPES, now: datetime) -> datetime | None:
    of_the_server = TypeAdapter(server.SCHEDULE_TYPES)  # the client's cannot compute
    dates = of_the_server.validate_python(schedule.model_dump(mode="json")).get_dates
    newest, look = None, _FIRST_SEARCH
    while look < _LONGEST_SEARCH:
        start = now - look if newest is None else newest + timedelta(seconds=1)
        # Prefect returns at most a thousand dates: the next request starts at the newest.
        found = await dates(start=start, end=now + _LONGEST_SHIFT)
        passed = [date for date in found if date <= now and (newest is None or date > newest)]
        if passed:
            newest = max(passed)
        elif newest is not None:
            return datetime.fromtimestamp(newest.timestamp(), UTC)
        else:
            look *= 2
    return None
