"""Drops what retention no longer needs; never what somebody may have to go back to."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.states import refusals_named
from housing.steps.prune import Pruned
from tasks.run import dated
from tasks.upkeep import drop_old


@flow(
    name="prune",
    description=__doc__,
    flow_run_name=lambda: dated("prune"),
    persist_result=False,
)
@refusals_named
def prune() -> State[Pruned]:
    """By the policy of HOUSING_RETENTION__..."""
    done = drop_old()
    sentence = f"{done.blobs:,} objects and {done.backups:,} backups: {done.bytes:,} bytes."
    return Completed(name="Pruned", message=sentence, data=done)
