"""What a person decides in the UI; `housing approve|reject|rollback` do the same in a terminal."""

from typing import Annotated

from prefect.client.schemas.objects import State
from pydantic import BaseModel, ConfigDict, Field

from flows.decorator import completed, housing_flow
from housing.pipeline.approval import ApprovalDecision
from housing.pipeline.promote import RolledBack
from housing.pipeline.run_context import Unset, without_default
from tasks.approval import Decision, Reason, decide
from tasks.maintenance import roll_back
from tasks.run_labels import append_to_run_name


class ApprovalParameters(BaseModel):
    """A decision on a run that requested approval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: int = Field(
        ge=1,
        title="Run",
        description="Number of the run that requested approval (12 for r12); its state names it.",
    )
    decision: Decision
    reason: Reason


class RollbackParameters(BaseModel):
    """Which former champion to restore, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason
    model: Annotated[int, Field(ge=1)] | Unset = Field(
        None,
        json_schema_extra=without_default,
        title="Model",
        description="Number of a former champion (7 for m7); empty restores the previous one.",
    )
    batch: Annotated[int, Field(ge=1)] | Unset = Field(
        None,
        json_schema_extra=without_default,
        title="Batch",
        description="Number of a batch that caused the regression (5 for b5): it is blocked.",
    )


@housing_flow
def approval(parameters: ApprovalParameters) -> State[ApprovalDecision]:
    """Approve or reject the promotion for which a run requested approval."""
    done = decide(parameters.run, parameters.decision, parameters.reason)
    append_to_run_name(
        f"r{parameters.run} {done.outcome}", [f"r{parameters.run}", f"m{done.challenger}"]
    )
    return completed(done.outcome, done.message, done)


@housing_flow
def rollback(parameters: RollbackParameters) -> State[RolledBack]:
    """Restore a former champion, after it reproduced its golden predictions."""
    done = roll_back(parameters.model, parameters.reason, parameters.batch)
    append_to_run_name(f"m{done.to_model} instead of m{done.from_model}", [f"m{done.to_model}"])
    return completed("Rolled back", done.notification().text, done)
