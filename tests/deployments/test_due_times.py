"""The watchdog and Prefect's scheduler agree about when a run is due, on any day of any zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo, available_timezones

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.server.schemas import schedules as server

from deployments.due_times import last_due
from housing.errors import SettingsInvalid
from housing.settings import load_settings

QUARTER = timedelta(minutes=15)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def offset(zone: str, at: datetime) -> timedelta:
    return at.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()


def changes(zone: str) -> Iterator[tuple[datetime, str]]:
    """When a zone's clocks are set within the year, and the rule: at what time, by how much."""
    for step in range(365):
        before, after = YEAR + step * DAY, YEAR + (step + 1) * DAY
        shift = offset(zone, after) - offset(zone, before)
        if shift:
            while after - before > QUARTER:
                middle = before + (after - before) // QUARTER // 2 * QUARTER
                same = offset(zone, middle) == offset(zone, before)
                before, after = (middle, after) if same else (before, middle)
            wall = after + offset(zone, before)
            yield after, f"{wall:%H:%M} {shift.total_seconds() / 60:+.0f} minutes"


def all_changes() -> dict[str, tuple[str, datetime]]:
    """One zone and instant for each rule by which clocks are set anywhere in the year."""
    return {
        rule: (zone, at) for zone in sorted(available_timezones()) for at, rule in changes(zone)
    }


def scheduled(schedule: server.CronSchedule, now: datetime) -> set[datetime]:
    """What Prefect's scheduler makes runs for when it looks at `now`."""
    made: set[datetime] = set()
    for at in schedule._get_dates_generator(n=100, start=now, end=now + 100 * DAY):
        made.add(datetime.fromtimestamp(at.timestamp(), UTC))
        if len(made) >= 3 and at >= now + HOUR:
            break
    return made


CHANGES = all_changes()


def looks(at: datetime) -> Iterator[datetime]:
    """Every quarter of an hour about a change, and every three hours on the days beside it."""
    for step in range(-DAY // QUARTER, DAY // QUARTER):
        if abs(step) <= 12 or step % 12 == 0:
            yield at + step * QUARTER


def test_the_sampled_days_include_every_kind_of_clock_change() -> None:
    assert len(CHANGES) >= 10
    assert {rule.partition(" ")[2] for rule in CHANGES} >= {
        "+60 minutes",
        "-60 minutes",
        "+30 minutes",  # Lord Howe Island
        "+120 minutes",  # Troll
    }


@pytest.mark.system
@pytest.mark.parametrize("rule", sorted(CHANGES))
def test_the_watchdog_and_the_scheduler_agree_whatever_clocks_do(rule: str) -> None:
    zone, at = CHANGES[rule]
    for cron in ("0 0 * * *", "0 2 * * *", "30 2 * * *", "0 3 * * *"):
        schedule = server.CronSchedule(cron=cron, timezone=zone)
        runs = scheduled(schedule, at - 3 * DAY)
        for now in looks(at):
            runs |= scheduled(schedule, now)
            due = max(run for run in runs if run <= now)
            assert last_due(CronSchedule(cron=cron, timezone=zone), now) == due, (zone, now)
        begun = sorted(run for run in runs if run <= at + DAY)
        gaps = [later - earlier for earlier, later in pairwise(begun)]
        assert len(gaps) >= 2
        assert all(20 * HOUR < gap < 28 * HOUR for gap in gaps), f"not once a day: {begun}"


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-25T01:59:59+01:00", "2026-11-24T02:00:00+01:00"),
        ("2026-11-25T02:00:00+01:00", "2026-11-25T02:00:00+01:00"),
        ("2026-11-24T23:30:00+00:00", "2026-11-24T02:00:00+01:00"),
        ("2026-03-29T12:00:00+02:00", "2026-03-29T01:00:00+01:00"),  # there is no two o'clock
        ("2026-10-25T12:00:00+01:00", "2026-10-25T02:00:00+02:00"),  # the first of two
    ],
)
def test_the_last_due_time_of_a_schedule_is_computed(now: str, due: str) -> None:
    schedule = CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")
    assert last_due(schedule, datetime.fromisoformat(now)) == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("* * * * 1", "2026-11-23T23:59:00+00:00"),  # more times than Prefect computes at once
        ("0 2 29 2 *", "2024-02-29T02:00:00+00:00"),
        ("0 2 30 2 *", None),
    ],
)
def test_a_rare_or_crowded_or_impossible_time_is_found_too(cron: str, due: str | None) -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    found = last_due(CronSchedule(cron=cron, timezone="UTC"), now)
    assert (found and found.isoformat()) == due


def test_a_schedule_of_another_kind_set_in_the_ui_is_followed() -> None:
    every = IntervalSchedule(interval=timedelta(hours=8), anchor_date=YEAR, timezone="UTC")  # type: ignore[arg-type]
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert last_due(every, now) == datetime(2026, 11, 25, 8, tzinfo=UTC)


@pytest.mark.system
def test_the_orchestrator_computes_whatever_the_settings_accept() -> None:
    days = ("*", "?", "L", "LW", "1W", "1-31/2", "31", "*/2", "0", "1,15")
    months = ("*", "1-12", "JAN", "jan-mar", "13")
    weekdays = ("*", "?", "7", "0-7", "MON", "1#2", "MON#5", "5L", "L", "mon-fri", "SUN-MON", "8")
    accepted = 0
    for fields in product(("0 2", "*/7 0-23", "5/15 2"), days, months, weekdays):
        cron = " ".join(fields)
        try:
            load_settings(schedules={"retrain": cron})
        except SettingsInvalid:
            continue
        accepted += 1
        schedule = server.CronSchedule(cron=cron, timezone="UTC")
        assert next(schedule._get_dates_generator(n=1, start=YEAR)), cron
    assert accepted > 100
