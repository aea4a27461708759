"""The settings group SCHEDULES: when the deployments run."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator

from housing.records import SettingsGroup

OFF = "off"
EVERY_QUARTER = "*/15 * * * *"


class Schedules(SettingsGroup):
    """Cron expressions of the deployments; all but the nightly run may be `off`."""

    retrain: str = "0 2 * * *"
    """Cron expression of the nightly run."""
    search: str = "0 4 * * 0"
    """Cron expression of the full search, or off."""
    full_search_trials: int = Field(60, ge=1, le=10_000)
    """Trials of the full search."""
    monitor: str = "30 * * * *"
    """Cron expression of the monitor, or off."""
    backup: str = "0 6 * * *"
    """Cron expression of the backup and its test restore, or off."""
    prune: str = "0 7 * * 0"
    """Cron expression of the prune, or off."""
    mirror: str = OFF  # every 15 minutes where HOUSING_MIRROR__URL is set
    timezone: str = "UTC"
    """Time zone of the schedules, e.g. Europe/Berlin."""
    missed_after_minutes: int = Field(60, ge=0, le=1440)
    """A nightly run that has not begun this long after its time is reported as missed and started;
    0 starts it without a report."""

    @field_validator("retrain")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not _is_cron(value):
            raise ValueError("it is not a cron expression such as 0 2 * * * (at 2:00 every day)")
        return value

    @field_validator("search", "monitor", "backup", "prune")
    @classmethod
    def _cron_or_off(cls, value: str) -> str:
        return value if value == OFF else cls._cron(value)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from error
        return value


def _is_cron(text: str) -> bool:
    """Whether a text is a cron expression of five fields that is due at some time.

    Prefect runs the schedules and cannot be asked here. It reads neither 5L (the last Friday)
    nor LW (the last weekday), nor 1#2 (the second Monday) beside a day of the month.
    """
    fields = text.split()
    if len(fields) != 5 or re.search(r"\dL|LW", text, re.IGNORECASE):
        return False
    if "#" in fields[4] and fields[2] not in ("*", "?"):
        return False
    try:
        next(CronSim(text, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration):
        return False
    return True
