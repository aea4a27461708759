"""Fresh rows in, the rest into quarantine."""

from prefect import task

from housing.records import IntakeSummary
from housing.steps import intake
from housing.steps.night import Night, step
from tasks.options import PLAIN


@task(name="ingest", retries=2, retry_delay_seconds=5, **PLAIN)
def ingest(night: Night, at_most: int | None = None) -> IntakeSummary:
    """Bring in what the sources have that is not in yet."""
    with step(night, "ingest") as (store, settings):
        return intake.bring_in(store, settings, run=night.run, at_most=at_most)
