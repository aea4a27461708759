"""What a person decides on a night that asked; at a terminal `housing approve|reject` do it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict, Field

from flows.states import refusals_named
from housing.steps.approval import Decided
from tasks.approval import Decision, Reason, decide
from tasks.run import dated, say


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
    flow_run_name=lambda: dated("approval"),
    persist_result=False,
)
@refusals_named
def approval(parameters: ApprovalParameters) -> State[Decided]:
    """Carry the decision out."""
    done = decide(parameters.run, parameters.decision, parameters.reason)
    say(f"r{parameters.run} {done.status}", [f"r{parameters.run}", f"m{done.challenger}"])
    return Completed(name=done.status.capitalize(), message=done.sentence, data=done)
