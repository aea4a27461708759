"""Champion against challenger."""

from prefect import task

from housing.steps import evaluate as steps
from housing.steps.evaluate import Judged
from housing.steps.night import Night, step
from tasks.options import PLAIN


@task(name="evaluate", **PLAIN)
def evaluate(night: Night, version: int, challenger: int) -> Judged:
    """Score both on tonight's test set and judge."""
    with step(night, "evaluate") as (store, settings):
        return steps.evaluate(store, night, version, challenger, settings)
