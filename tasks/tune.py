"""Random search and the challenger that comes of it."""

from prefect import task

from housing.steps import tune as steps
from housing.steps.night import Night, step
from tasks.options import PLAIN
from tasks.progress import shown_in_ui


@task(name="tune", **PLAIN)
def tune(night: Night, version: int) -> int:
    """Search, or go on with a search that was interrupted; returns its id."""
    with step(night, "tune") as (store, settings), shown_in_ui("tune", settings.search.n_iter):
        return steps.tune(store, night, version, settings)


@task(name="fit", **PLAIN)
def fit(night: Night, search: int) -> int:
    """Fit the best draw on all training rows and register it; returns the model's id."""
    with step(night, "fit") as (store, settings):
        return steps.fit_challenger(store, night, search, settings)
