"""Fresh rows in, the rest into quarantine."""

from prefect import task

from housing import progress
from housing.pipeline import notifications
from housing.pipeline.ingest import ingest_all
from housing.pipeline.run_context import RunContext, step
from housing.records import IntakeSummary
from tasks.events import emit
from tasks.options import PLAIN


@task(
    name="ingest",
    task_run_name="ingest r{run.id}",
    retries=2,
    retry_delay_seconds=5,
    **PLAIN,
)
def ingest(run: RunContext, at_most: int | None = None) -> IntakeSummary:
    """Bring in what the sources have that is not in yet."""
    with step(run, "ingest") as (store, settings):
        summary = ingest_all(store, settings, run=run.id, at_most=at_most)
        progress.report("ingest", 1, 1, summary.message)
        emit(notifications.notify_quarantine(settings, run.id, summary))
    return summary
