"""The frame of a night as flows use it: lease and run row, and how it is concluded."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task
from prefect.runtime import flow_run

from housing import progress
from housing.notify import say_alive
from housing.pipeline import run_context as steps
from housing.pipeline.evaluate import JudgedEvaluation
from housing.pipeline.run_context import NightlyParameters, RunContext
from housing.pipeline.skip_check import existing_verdict
from housing.records import RunResult
from tasks import run_labels
from tasks.options import PLAIN
from tasks.termination import reraise_sigterm


@contextmanager
def night_run(kind: str, parameters: NightlyParameters) -> Iterator[RunContext]:
    """Hold the lease while the flow runs; the run's row names the flow run."""
    with reraise_sigterm(), steps.start_run(kind, parameters, flow_run.get_id()) as run:
        yield run


@task(name="look for work", task_run_name="look for work on v{version}", **PLAIN)
def skip_check(run: RunContext, version: int) -> JudgedEvaluation | None:
    """The verdict that stands on this version, or None where there is work to do."""
    with steps.step(run, "look for work") as (store, settings):
        judged = existing_verdict(store, version, settings)
        found = "there is work to do" if judged is None else f"v{version} was judged before"
        progress.report("look for work", 1, 1, found)
    return judged


@task(name="conclude", task_run_name="conclude r{run.id}", **PLAIN)
def conclude(run: RunContext, result: RunResult) -> RunResult:
    """Record how the night ended."""
    with steps.step(run, "conclude") as (store, settings):
        final = steps.finish_run(store, run, result)
        champion = "none" if final.champion is None else f"m{final.champion}"
        progress.report("conclude", 1, 1, f"{final.outcome}; champion {champion}")
    say_alive(settings.notify)
    run_labels.append_to_run_name(final.outcome, [final.outcome])
    return final
