"""Back to a former champion, by hand from the UI; at a terminal `housing rollback` does it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict, Field

from flows.decorator import expected_errors_as_states
from housing.pipeline.promote import RolledBack
from tasks.promote import roll_back
from tasks.run_labels import append_to_run_name, dated_run_name


class RollbackParameters(BaseModel):
    """Where to go back to, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field(
        min_length=3, title="Reason", description="Why; it is kept in the ledger for ever."
    )
    model: int | None = Field(
        None,
        ge=1,
        title="Model",
        description="Number of a former champion (7 for m7); empty goes back to the previous one.",
    )
    batch: int | None = Field(
        None,
        ge=1,
        title="Batch",
        description="Number of a batch that caused it (5 for b5): it is blocked as well.",
    )


@flow(
    name="rollback",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("rollback"),
    persist_result=False,
)
@expected_errors_as_states
def rollback(parameters: RollbackParameters) -> State[RolledBack]:
    """Load the former champion, see that it still gives its golden predictions, and switch."""
    done = roll_back(parameters.model, parameters.reason, parameters.batch)
    append_to_run_name(f"m{done.to_model} instead of m{done.from_model}", [f"m{done.to_model}"])
    return Completed(name="Rolled back", message=done.notification().text, data=done)
