"""The run under way as people see it in the UI: its name and its tags."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run

from housing.records import RunOutcome
from housing.settings import load_settings

WAITS = RunOutcome.AWAITING_APPROVAL.value


def dated_run_name(kind: str) -> str:
    """`nightly 2026-11-25`: the day for which a run was meant, where the schedule is at home."""
    meant: datetime = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    name = f"{kind} {meant.astimezone(ZoneInfo(load_settings().schedules.timezone)):%Y-%m-%d}"
    before = flow_run.get_name() or ""  # of a run that is resumed, with what was said already
    return before if before.startswith(f"{name}: ") else name


def append_to_run_name(text: str, tags: Iterable[str] = ()) -> None:
    """Add to the name of the run, and to the tags by which it is found; nothing outside a run."""
    run = flow_run.id and UUID(flow_run.id)
    if not run:
        return
    with get_client(sync_client=True) as client:
        rename_run(client, client.read_flow_run(run), text, tags)


def rename_run(client: SyncPrefectClient, run: FlowRun, text: str, tags: Iterable[str]) -> None:
    """The same for any run; of one that is answered it is no longer said that it waits."""
    before = run.name.removesuffix(f", {WAITS}")
    said = f"{before}{', ' if ':' in before else ': '}{text}"
    kept = {*run.tags} if text == WAITS else {*run.tags} - {WAITS}
    client.update_flow_run(run.id, name=said, tags=sorted({*kept, *tags}))
