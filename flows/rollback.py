"""Back to a former champion, by hand from the UI; at a terminal `housing rollback` does it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict, Field

from housing.store.registry import Change
from tasks.promote import roll_back


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


@flow(name="rollback", description=__doc__, persist_result=False)
def rollback(parameters: RollbackParameters) -> State[Change]:
    """Load the former champion, see that it still gives its golden predictions, and switch."""
    change = roll_back(parameters.model, parameters.reason)
    sentence = f"m{change.to_model} is champion again instead of m{change.expected}"
    return Completed(name="Rolled back", message=sentence, data=change)
