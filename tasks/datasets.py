"""Dataset version and split."""

from prefect import task

from housing.steps import datasets
from housing.steps.night import Night, step
from tasks.options import PLAIN


@task(name="freeze", **PLAIN)
def freeze(night: Night) -> int:
    """A new dataset version of what came in; returns the id of the active one."""
    with step(night, "freeze") as (store, _):
        return datasets.freeze(store, night).id


@task(name="split", **PLAIN)
def split(night: Night) -> int:
    """Give each new district its side for ever; returns how many there were."""
    with step(night, "split") as (store, settings):
        return datasets.assign_sides(store, settings)
