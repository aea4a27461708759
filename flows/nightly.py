"""One night: fresh rows, a new version, a better model if there is one, and a record of it all."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.asking import settled
from flows.states import refusals_named
from housing.records import NightResult
from housing.steps.approval import Decided
from housing.steps.night import NightlyParameters
from housing.steps.outcome import nothing_new, of_verdict
from tasks.approval import asked_before
from tasks.datasets import freeze, split
from tasks.evaluate import evaluate
from tasks.ingest import ingest
from tasks.night import conclude, night_run, standing_verdict
from tasks.notify import notify
from tasks.promote import back_up, promote
from tasks.readiness import readiness
from tasks.report import report
from tasks.run import dated
from tasks.tune import fit, tune

DEFAULTS = NightlyParameters()


@flow(
    name="nightly",
    description=__doc__,
    flow_run_name=lambda: dated("nightly"),
    persist_result=False,
)
@refusals_named
def nightly(parameters: NightlyParameters = DEFAULTS) -> State[NightResult | Decided]:
    """One night and, where the policy asks a person, the wait for the answer, with no process."""
    return settled(asked_before() or one_night(parameters))


def one_night(parameters: NightlyParameters) -> NightResult:
    """Bring in rows, freeze and split them, search, compare, promote without regression, report."""
    with night_run("nightly", parameters) as night:
        ingest(night)
        version = freeze(night)
        split(night)
        readiness(night)
        judged = standing_verdict(night, version)
        if judged is not None:
            return conclude(night, nothing_new(night.run, version, judged))
        search = tune(night, version)
        challenger = fit(night, search)
        judged = evaluate(night, version, challenger)
        if judged.promotes and not parameters.dry_run:
            back_up(night, challenger)
            judged = promote(night, judged)
        result = report(night, of_verdict(night.run, version, judged, dry_run=parameters.dry_run))
        notify(night, result)
        return conclude(night, result)
