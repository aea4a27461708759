"""Drops what retention no longer needs; never what somebody may have to go back to."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.decorator import expected_errors_as_states
from housing.operations.prune import PruneResult
from tasks.maintenance import prune_store
from tasks.run_labels import dated_run_name


@flow(
    name="prune",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("prune"),
    persist_result=False,
)
@expected_errors_as_states
def prune() -> State[PruneResult]:
    """By the policy of HOUSING_RETENTION__..."""
    done = prune_store()
    message = f"{done.blobs:,} objects and {done.backups:,} backups: {done.bytes:,} bytes."
    return Completed(name="Pruned", message=message, data=done)
