"""Name and tags of the current flow run in the UI."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run

from housing.records import RunOutcome
from housing.settings import load_settings

TAG = "housing"
"""Tag of every deployment's runs: the watchdog looks after these, on a server with others too."""

TERMINAL = "terminal"
"""Tag of a deployment's run that `housing retrain` started: no worker can resume it."""

AWAITING = RunOutcome.AWAITING_APPROVAL.value


def dated_run_name(kind: str) -> str:
    """`nightly 2026-11-25`: the scheduled day, in the time zone of the schedule."""
    due: datetime = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    name = f"{kind} {due.astimezone(ZoneInfo(load_settings().schedules.timezone)):%Y-%m-%d}"
    before = flow_run.get_name() or ""  # a resumed run keeps what was appended
    return before if before.startswith(f"{name}: ") else name


def append_to_run_name(text: str, tags: Iterable[str] = ()) -> None:
    """Append to the name of the current flow run, and add tags; does nothing outside a run."""
    if flow_run.id:
        with get_client(sync_client=True) as client:
            rename_run(client, client.read_flow_run(UUID(flow_run.id)), text, tags)


def rename_run(client: SyncPrefectClient, run: FlowRun, text: str, tags: Iterable[str]) -> None:
    """Append to any run's name; drops the suffix and tag "awaiting approval" once decided."""
    before = run.name.removesuffix(f", {AWAITING}")
    name = f"{before}{', ' if ':' in before else ': '}{text}"
    kept = {*run.tags} if text == AWAITING else {*run.tags} - {AWAITING}
    client.update_flow_run(run.id, name=name, tags=sorted({*kept, *tags}))
