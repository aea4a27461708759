"""The frame of a night as flows use it: lease and run row, and how it is concluded."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task
from prefect.runtime import flow_run

from housing import progress
from housing.notify import say_alive
from housing.records import NightResult
from housing.steps import night as steps
from housing.steps.evaluate import Judged
from housing.steps.night import Night, NightlyParameters
from housing.steps.settled import settled
from tasks import run
from tasks.ending import told_once_more
from tasks.options import PLAIN


@contextmanager
def night_run(kind: str, parameters: NightlyParameters) -> Iterator[Night]:
    """Hold the lease while the flow runs; the run's row names the flow run."""
    with told_once_more(), steps.night_run(kind, parameters, flow_run.get_id()) as night:
        yield night


@task(name="look for work", task_run_name="look for work on v{version}", **PLAIN)
def standing_verdict(night: Night, version: int) -> Judged | None:
    """The verdict that stands on this version, or None where there is work to do."""
    with steps.step(night, "look for work") as (store, settings):
        judged = settled(store, version, settings)
        found = "there is work to do" if judged is None else f"v{version} was judged before"
        progress.report("look for work", 1, 1, found)
    return judged


@task(name="conclude", task_run_name="conclude r{night.run}", **PLAIN)
def conclude(night: Night, result: NightResult) -> NightResult:
    """Record how the night ended."""
    with steps.step(night, "conclude") as (store, settings):
        final = steps.conclude(store, night, result)
        champion = "none" if final.champion is None else f"m{final.champion}"
        progress.report("conclude", 1, 1, f"{final.outcome}; champion {champion}")
    say_alive(settings.notify)
    run.say(final.outcome, [final.outcome])
    return final
