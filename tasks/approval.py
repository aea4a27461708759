"""A promotion that waits for a person: the question as a form in the UI, and the decision."""

from datetime import timedelta
from typing import Annotated, Literal

from prefect import suspend_flow_run, task
from prefect.context import FlowRunContext
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from housing.pipeline import approval
from housing.pipeline.approval import ApprovalDecision
from housing.records import RunOutcome, RunResult
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.runs import runs
from tasks.events import emit
from tasks.options import PLAIN

LONGER = timedelta(days=1)
"""After the question has run out we end the run, by name; the orchestrator, a day later, would."""


Decision = Annotated[
    Literal["approve", "reject"],
    Field(
        title="Decision",
        description="approve promotes the challenger, compared again where the champion has "
        "changed since; reject keeps the champion.",
    ),
]
Reason = Annotated[
    str, Field(min_length=3, title="Reason", description="Why; it is kept in the ledger for ever.")
]


class Answer(RunInput):
    """What a person answers in the UI."""

    decision: Decision
    reason: Reason


def asked_before() -> RunResult | None:
    """The night that this run has been already: one that waited begins again when it is resumed."""
    known = flow_run.get_id()
    with open_store(load_settings()) as store, store.read() as connection:
        row = known and runs.newest_of(connection, known)
    if not row or row.outcome != RunOutcome.AWAITING_APPROVAL:
        return None
    return RunResult(
        row.id,
        RunOutcome(row.outcome),
        row.message,
        row.version,
        row.challenger,
        row.champion,
        row.report,
    )


def may_wait(result: RunResult) -> bool:
    """Whether there is a question, and a run that somebody could resume: one of a deployment."""
    context = FlowRunContext.get()
    run = context and context.flow_run
    resumable = bool(run and run.deployment_id and not run.parent_task_run_id)
    return resumable and result.outcome is RunOutcome.AWAITING_APPROVAL


def wait_for_answer(result: RunResult) -> Answer:
    """Suspend this run with a form; it has no process until it is resumed, and then is answered."""
    hours = load_settings().gate.approval_hours
    return suspend_flow_run(
        wait_for_input=Answer.with_initial_data(description=result.message),
        timeout=int((timedelta(hours=hours) + LONGER).total_seconds()),
        key=f"r{result.run}",
    )


@task(name="decide", task_run_name="{decision} r{run}", **PLAIN)
def decide(run: int, decision: str, reason: str) -> ApprovalDecision:
    """Promote what a night asked for, or keep the champion."""
    settings = load_settings()
    with open_store(settings) as store:
        act = approval.approve if decision == "approve" else approval.reject
        done = act(store, settings, run, reason)
    emit(done.notification())
    return done


@task(name="was it decided", task_run_name="was r{run} decided", **PLAIN)
def decided_elsewhere(run: int) -> ApprovalDecision | None:
    """What somebody else decided while this run waited, or that nobody did in time."""
    with open_store(load_settings()) as store:
        return approval.decision_of(store, run)
