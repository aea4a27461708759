"""Whether former champions could be gone back to."""

from prefect import task

from housing.pipeline import rollback_readiness as steps
from housing.pipeline.rollback_readiness import RollbackReadiness
from housing.pipeline.run_context import RunContext, step
from tasks.events import emit
from tasks.options import PLAIN


@task(name="readiness", task_run_name="readiness r{run.id}", **PLAIN)
def readiness(run: RunContext) -> RollbackReadiness:
    """Load every retained champion in a fresh process, once a day; a red one fails nothing."""
    with step(run, "readiness") as (store, settings):
        found = steps.check_and_tell(store, settings)
    emit(*(one.notification() for one in found.red))
    return found
