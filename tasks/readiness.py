"""Whether former champions could be gone back to."""

from prefect import task

from housing.steps import readiness as steps
from housing.steps.night import Night, step
from housing.steps.readiness import Ready
from tasks.events import emit
from tasks.options import PLAIN


@task(name="readiness", task_run_name="readiness r{night.run}", **PLAIN)
def readiness(night: Night) -> Ready:
    """Load every retained champion in a fresh process, once a day; a red one fails nothing."""
    with step(night, "readiness") as (store, settings):
        found = steps.check_and_tell(store, settings)
    emit(*(one.message() for one in found.red))
    return found
