"""A copy of the whole store, restored once to see that it is good."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.states import refusals_named
from housing.steps.backup import Verified
from tasks.run import dated
from tasks.upkeep import copy_store, try_copy


@flow(
    name="backup",
    description=__doc__,
    flow_run_name=lambda: dated("backup"),
    persist_result=False,
)
@refusals_named
def backup() -> State[Verified]:
    """Copy what is new since the last time, then restore and replay all of it."""
    found = try_copy(copy_store().id)
    sentence = f"{found.id} is good: {found.rows:,} rows, {found.blobs:,} objects."
    return Completed(name="Verified", message=sentence, data=found)
