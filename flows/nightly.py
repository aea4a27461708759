"""One night: fresh rows, a new version, a better model if there is one, and a record of it all."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.decorator import expected_errors_as_states
from flows.final_state import final_state
from housing.pipeline.approval import ApprovalDecision
from housing.pipeline.result import nothing_new, of_verdict
from housing.pipeline.run_context import NightlyParameters
from housing.records import RunResult
from tasks.approval import asked_before
from tasks.datasets import freeze, split
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.night import conclude, night_run, skip_check
from tasks.notify import notify
from tasks.promote import back_up, promote
from tasks.readiness import readiness
from tasks.report import report
from tasks.run_labels import dated_run_name
from tasks.tune import fit, tune

DEFAULTS = NightlyParameters()


@flow(
    name="nightly",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("nightly"),
    persist_result=False,
)
@expected_errors_as_states
def nightly(parameters: NightlyParameters = DEFAULTS) -> State[RunResult | ApprovalDecision]:
    """One night and, where the policy asks a person, the wait for the answer, with no process."""
    return final_state(asked_before() or one_night(parameters))


def one_night(parameters: NightlyParameters) -> RunResult:
    """Bring in rows, freeze and split them, search, compare, promote without regression, report."""
    with night_run("nightly", parameters) as run:
        ingest(run)
        version = freeze(run)
        split(run)
        readiness(run)
        judged = skip_check(run, version)
        if judged is not None:
            return conclude(run, nothing_new(run.id, version, judged))
        search = tune(run, version)
        challenger = fit(run, search)
        judged = evaluate(run, version, challenger)
        if judged.promotes and not parameters.dry_run:
            back_up(run, challenger)
            judged = promote(run, judged)
        result = report(run, of_verdict(run.id, version, judged, dry_run=parameters.dry_run))
        notify(run, result)
        return conclude(run, result)
