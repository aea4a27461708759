"""Random search and the challenger that comes of it."""

from prefect import task

from housing import progress
from housing.pipeline import train as steps
from housing.pipeline.run_context import RunContext, step
from tasks.options import PLAIN
from tasks.progress import shown_in_ui


@task(name="tune", task_run_name="tune on v{version}", **PLAIN)
def tune(run: RunContext, version: int) -> int:
    """Search, or go on with a search that was interrupted; returns its id."""
    with step(run, "tune") as (store, settings), shown_in_ui("tune"):
        return steps.tune(store, run, version, settings)


@task(name="fit", task_run_name="fit the best of search {search}", **PLAIN)
def fit(run: RunContext, search: int) -> int:
    """Fit the best draw on all training rows and register it; returns the model's id."""
    with step(run, "fit") as (store, settings):
        model = steps.fit_challenger(store, run, search, settings)
        progress.report("fit", 1, 1, f"m{model}")
    return model
