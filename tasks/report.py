"""The night's report: one HTML file, and its parts as artifacts in the UI."""

from prefect import task

from housing import progress
from housing.records import NightResult
from housing.steps import report as steps
from housing.steps.night import Night, step
from tasks.artifacts import show
from tasks.options import PLAIN


@task(name="report", task_run_name="report r{night.run}", **PLAIN)
def report(night: Night, result: NightResult) -> NightResult:
    """Write the report and show its parts in the UI; returns the result with the file's path."""
    with step(night, "report") as (store, settings):
        written = steps.write(store, settings, night, result)
        progress.report("report", 1, 1, written.result.report or "")
    show(written)
    return written.result
