"""Many landing files at once, each a dataset version of its own."""

from prefect.client.schemas.objects import State

from flows.decorator import completed, housing_flow
from flows.nightly import DEFAULTS, nightly
from housing.pipeline.approval import ApprovalDecision
from housing.pipeline.run_context import NightlyParameters
from housing.records import RunOutcome, RunResult
from tasks.run_steps import finish_run, freeze, ingest, split, start_run


@housing_flow
def backfill(parameters: NightlyParameters = DEFAULTS) -> State[RunResult | ApprovalDecision]:
    """Ingest one batch at a time, each into a dataset version that can be withdrawn by itself;
    then run `nightly` once."""
    with start_run("backfill", parameters) as run:
        while ingest(run, at_most=1).stored:
            freeze(run)
            split(run)
        finish_run(run, RunResult(run.id, RunOutcome.DONE, "All waiting batches are ingested."))
    judged: RunResult = nightly(parameters)  # type: ignore[assignment]  # the state's data
    return completed(judged.outcome, judged.message, judged)
