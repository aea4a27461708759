"""Many landing files at once, as if each had come in a night of its own; then one real night."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.nightly import DEFAULTS, nightly
from flows.states import named, refusals_named
from housing.records import NightResult, RunOutcome
from housing.steps.approval import Decided
from housing.steps.night import NightlyParameters
from tasks.datasets import freeze, split
from tasks.ingest import ingest
from tasks.night import conclude, night_run
from tasks.run import dated


@flow(
    name="backfill",
    description=__doc__,
    flow_run_name=lambda: dated("backfill"),
    persist_result=False,
)
@refusals_named
def backfill(parameters: NightlyParameters = DEFAULTS) -> State[NightResult | Decided]:
    """One dataset version a batch, oldest first, so that each can be taken back by itself."""
    with night_run("backfill", parameters) as night:
        while ingest(night, at_most=1).stored:
            freeze(night)
            split(night)
        conclude(night, NightResult(night.run, RunOutcome.DONE, "All batches that wait are in."))
    judged: NightResult = nightly(parameters)  # type: ignore[assignment]  # the state's data
    return named(judged)
