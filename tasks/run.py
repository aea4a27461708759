"""The run under way as people see it in the UI: its name and its tags."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from housing.settings import load_settings


def dated(kind: str) -> str:
    """`nightly 2026-11-25`: the day for which a run was meant, where the schedule is at home."""
    meant: datetime = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    return f"{kind} {meant.astimezone(ZoneInfo(load_settings().timezone)):%Y-%m-%d}"


def say(text: str, tags: Iterable[str] = ()) -> None:
    """Add to the name of the run, and to the tags by which it is found; nothing outside a run."""
    run = flow_run.id and UUID(flow_run.id)
    if not run:
        return
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run)
        said = f"{found.name}{', ' if ':' in found.name else ': '}{text}"
        client.update_flow_run(run, name=said, tags=sorted({*found.tags, *tags}))
