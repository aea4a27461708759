"""A copy of the whole store, restored once to see that it is good."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.decorator import expected_errors_as_states
from housing.operations.backup import VerificationResult
from tasks.maintenance import create_backup, verify_backup
from tasks.run_labels import dated_run_name


@flow(
    name="backup",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("backup"),
    persist_result=False,
)
@expected_errors_as_states
def backup() -> State[VerificationResult]:
    """Copy what is new since the last time, then restore and replay all of it."""
    found = verify_backup(create_backup().id)
    message = f"{found.id} is good: {found.rows:,} rows, {found.blobs:,} objects."
    return Completed(name="Verified", message=message, data=found)
