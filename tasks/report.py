"""The night's report: one HTML file, and its parts as artifacts in the UI."""

from prefect import task

from housing import progress
from housing.pipeline import report as steps
from housing.pipeline.run_context import RunContext, step
from housing.records import RunResult
from tasks.artifacts import show
from tasks.options import PLAIN


@task(name="report", task_run_name="report r{run.id}", **PLAIN)
def report(run: RunContext, result: RunResult) -> RunResult:
    """Write the report and show its parts in the UI; returns the result with the file's path."""
    with step(run, "report") as (store, settings):
        written = steps.write(store, settings, run, result)
        progress.report("report", 1, 1, written.result.report or "")
    show(written)
    return written.result
