"""The frame of a night as flows use it: lease and run row, and how it is concluded."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task
from prefect.runtime import flow_run

from housing.records import NightResult
from housing.steps import night as steps
from housing.steps.evaluate import Judged
from housing.steps.night import Night, NightlyParameters
from housing.steps.settled import settled
from tasks.options import PLAIN


@contextmanager
def night_run(kind: str, parameters: NightlyParameters) -> Iterator[Night]:
    """Hold the lease while the flow runs; the run's row names the flow run."""
    with steps.night_run(kind, parameters, flow_run.get_id()) as night:
        yield night


@task(name="look for work", **PLAIN)
def standing_verdict(night: Night, version: int) -> Judged | None:
    """The verdict that stands on this version, or None where there is work to do."""
    with steps.step(night, "look for work") as (store, settings):
        return settled(store, version, settings)


@task(name="conclude", **PLAIN)
def conclude(night: Night, result: NightResult) -> NightResult:
    """Record how the night ended."""
    with steps.step(night, "conclude") as (store, _):
        return steps.conclude(store, night, result)
