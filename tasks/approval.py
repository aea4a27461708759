"""Approval of a promotion by a person: the request as a form in the UI, and the decision."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Annotated, Literal, ParamSpec

from prefect import suspend_flow_run, task
from prefect.context import FlowRunContext
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from housing.pipeline import approval
from housing.pipeline.approval import ApprovalDecision
from housing.records import RunResult
from housing.settings import load_settings
from housing.store.database.open import open_store
from tasks import PLAIN
from tasks.reporting import emit
from tasks.run_labels import TERMINAL, append_to_run_name

P = ParamSpec("P")

TIMEOUT_MARGIN = timedelta(days=1)
"""Prefect's timeout exceeds ours: we end an expired run first, with the right state."""

Decision = Annotated[
    Literal["approve", "reject"],
    Field(
        title="Decision",
        description="approve promotes the challenger, compared again where the champion has "
        "changed since; reject keeps the champion.",
    ),
]
Reason = Annotated[
    str, Field(min_length=3, title="Reason", description="Why; it is recorded permanently.")
]


class ApprovalInput(RunInput):
    """The form that a person fills in."""

    decision: Decision
    reason: Reason


def once_per_flow_run(pipeline: Callable[P, RunResult]) -> Callable[P, RunResult]:
    """Return the recorded result where this flow run requested approval before.

    A suspended flow run restarts from the top when it is resumed.
    """

    @wraps(pipeline)
    def run(*args: P.args, **kwargs: P.kwargs) -> RunResult:
        recorded = None
        if known := flow_run.get_id():
            with open_store(load_settings()) as store:
                recorded = approval.result_of_flow_run(store, known)
        return recorded or pipeline(*args, **kwargs)

    return run


def wait_for_decision(result: RunResult) -> RunResult | ApprovalDecision:
    """The decision on a request for approval. This flow run is suspended until there is one.

    A worker resumes a deployment's run; for any other, and for one that began at a terminal, the
    result is returned.
    """
    settings = load_settings()
    with open_store(settings) as store:
        decision = approval.decision_of(store, result.run)
    if decision is None:
        context = FlowRunContext.get()
        run = context and context.flow_run
        if not run or not run.deployment_id or run.parent_task_run_id or TERMINAL in run.tags:
            return result
        timeout = timedelta(hours=settings.gate.approval_hours) + TIMEOUT_MARGIN
        given = suspend_flow_run(
            wait_for_input=ApprovalInput.with_initial_data(description=result.message),
            timeout=int(timeout.total_seconds()),
            key=f"r{result.run}",
        )
        decision = decide(result.run, given.decision, given.reason)
    append_to_run_name(decision.outcome, [decision.outcome])
    return decision


@task(name="decide", task_run_name="{decision} r{run}", **PLAIN)
def decide(run: int, decision: str, reason: str) -> ApprovalDecision:
    """Promote the challenger of a run, or keep the champion."""
    settings = load_settings()
    with open_store(settings) as store:
        act = approval.approve if decision == "approve" else approval.reject
        done = act(store, settings, run, reason)
    emit(done.notification())
    return done
