"""Many landing files at once, as if each had come in a night of its own; then one real night."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.decorator import completed, expected_errors_as_states
from flows.nightly import DEFAULTS, nightly
from housing.pipeline.approval import ApprovalDecision
from housing.pipeline.run_context import NightlyParameters
from housing.records import RunOutcome, RunResult
from tasks.datasets import freeze, split
from tasks.ingest import ingest
from tasks.night import conclude, night_run
from tasks.run_labels import dated_run_name


@flow(
    name="backfill",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("backfill"),
    persist_result=False,
)
@expected_errors_as_states
def backfill(parameters: NightlyParameters = DEFAULTS) -> State[RunResult | ApprovalDecision]:
    """One dataset version a batch, oldest first, so that each can be taken back by itself."""
    with night_run("backfill", parameters) as run:
        while ingest(run, at_most=1).stored:
            freeze(run)
            split(run)
        conclude(run, RunResult(run.id, RunOutcome.DONE, "All batches that wait are in."))
    judged: RunResult = nightly(parameters)  # type: ignore[assignment]  # the state's data
    return completed(judged)
