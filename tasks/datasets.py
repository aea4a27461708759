"""Dataset version and split."""

from prefect import task

from housing import progress
from housing.pipeline import datasets
from housing.pipeline.run_context import RunContext, step
from tasks.options import PLAIN


@task(name="freeze", task_run_name="freeze r{run.id}", **PLAIN)
def freeze(run: RunContext) -> int:
    """A new dataset version of what came in; returns the id of the active one."""
    with step(run, "freeze") as (store, _):
        version = datasets.freeze(store, run)
        progress.report("freeze", 1, 1, f"v{version.id}, of {len(version.batches)} batches")
    return version.id


@task(name="split", task_run_name="split r{run.id}", **PLAIN)
def split(run: RunContext) -> int:
    """Give each new district its side for ever; returns how many there were."""
    with step(run, "split") as (store, settings):
        new = datasets.assign_sides(store, settings)
        progress.report("split", 1, 1, f"{new:,} new districts got their side")
    return new
