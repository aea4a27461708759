"""Telling the team."""

from prefect import task

from housing import progress
from housing.notify import Message, send_all
from housing.pipeline.run_context import RunContext, step
from housing.records import Event, RunResult
from tasks.events import emit
from tasks.options import PLAIN


@task(name="notify", task_run_name="notify r{run.id}", **PLAIN)
def notify(run: RunContext, result: RunResult) -> None:
    """Say how the night ended on every channel that is set; a channel that fails fails nothing."""
    message = Message(Event(result.outcome), result.message, f"r{run.id}")
    with step(run, "notify") as (_, settings):
        failed = send_all(message, settings.notify)
        said = f"not delivered: {', '.join(failed)}" if failed else "delivered"
        progress.report("notify", 1, 1, said)
    emit(message)
