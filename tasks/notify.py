"""Telling the team."""

from prefect import task

from housing.notify import Message, send_all
from housing.records import NightResult
from housing.steps.night import Night, step
from tasks.options import PLAIN


@task(name="notify", **PLAIN)
def notify(night: Night, result: NightResult) -> None:
    """Say how the night ended on every channel that is set; a channel that fails fails nothing."""
    with step(night, "notify") as (_, settings):
        send_all(Message(result.outcome, result.sentence, f"r{night.run}"), settings.notify)
