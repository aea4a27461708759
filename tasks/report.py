"""The night's report: one HTML file, and its parts as artifacts in the UI."""

from prefect import task

from housing import progress
from housing.pipeline import report as steps
from housing.pipeline.run_context import RunContext, step
from housing.records import RunResult
from tasks.artifacts import show
from tasks.options import PLAIN


@task(name="report", task_run_name="report r{night.run}", **PLAIN)
def report(night: RunContext, result: RunResult) -> RunResult:
    """Write the report and show its parts in the UI; returns the result with the file's path."""
    with step(night, "report") as (store, settings):
        written = steps.write(store, settings, night, result)
        progress.report("report", 1, 1, written.result.report or "")
    show(written)
    return written.result
