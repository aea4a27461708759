"""Fresh rows in, the rest into quarantine."""

from prefect import task

from housing import progress
from housing.records import IntakeSummary
from housing.steps import intake, tell
from housing.steps.night import Night, step
from tasks.events import emit
from tasks.options import PLAIN


@task(
    name="ingest",
    task_run_name="ingest r{night.run}",
    retries=2,
    retry_delay_seconds=5,
    **PLAIN,
)
def ingest(night: Night, at_most: int | None = None) -> IntakeSummary:
    """Bring in what the sources have that is not in yet."""
    with step(night, "ingest") as (store, settings):
        summary = intake.bring_in(store, settings, run=night.run, at_most=at_most)
        progress.report("ingest", 1, 1, summary.sentence)
        emit(tell.quarantined(settings, night.run, summary))
    return summary
