"""The night's report: one HTML file, and a short artifact in the UI."""

from prefect import task
from prefect.artifacts import create_markdown_artifact

from housing.records import NightResult
from housing.steps import report as steps
from housing.steps.night import Night, step
from tasks.options import PLAIN


@task(name="report", **PLAIN)
def report(night: Night, result: NightResult) -> NightResult:
    """Write the report and show its summary; returns the result with the file's path."""
    with step(night, "report") as (store, settings):
        written = steps.write(store, settings, night, result)
    create_markdown_artifact(key="verdict", markdown=written.summary, description=result.sentence)
    return written.result
