"""What a person decides on a night that asked; at a terminal `housing approve|reject` do it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict, Field

from flows.decorator import expected_errors_as_states
from housing.pipeline.approval import ApprovalDecision
from tasks.approval import Decision, Reason, decide
from tasks.run_labels import append_to_run_name, dated_run_name


class ApprovalParameters(BaseModel):
    """Which night asked, and the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: int = Field(
        ge=1, title="Run", description="Number of the night that asked (12 for r12); see its state."
    )
    decision: Decision
    reason: Reason


@flow(
    name="approval",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("approval"),
    persist_result=False,
)
@expected_errors_as_states
def approval(parameters: ApprovalParameters) -> State[ApprovalDecision]:
    """Carry the decision out."""
    done = decide(parameters.run, parameters.decision, parameters.reason)
    append_to_run_name(
        f"r{parameters.run} {done.status}", [f"r{parameters.run}", f"m{done.challenger}"]
    )
    return Completed(name=done.status.capitalize(), message=done.message, data=done)
