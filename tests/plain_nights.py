"""A night without the orchestrator: the same steps in the same order as `flows.nightly`.

For tests that need hundreds of nights. A test of the flow holds the two orders equal.
"""

from dataclasses import replace

from housing.notify import Message, send_all
from housing.records import NightResult
from housing.steps import datasets, evaluate, intake, promote, readiness, report, tune
from housing.steps.night import Night, NightlyParameters, conclude, night_run, step
from housing.steps.outcome import nothing_new, of_verdict
from housing.steps.settled import settled


def plain_night(parameters: NightlyParameters | None = None) -> NightResult:
    """Run one night to its end."""
    with night_run("nightly", parameters or NightlyParameters()) as night:
        return _finish(night, _work(night))


def _work(night: Night) -> NightResult:
    with step(night, "ingest") as (store, settings):
        intake.bring_in(store, settings, run=night.run)
    with step(night, "freeze") as (store, _):
        version = datasets.freeze(store, night).id
    with step(night, "split") as (store, settings):
        datasets.assign_sides(store, settings)
    with step(night, "readiness") as (store, settings):
        readiness.check_and_tell(store, settings)
    with step(night, "look for work") as (store, settings):
        judged = settled(store, version, settings)
    if judged is not None:
        return nothing_new(night.run, version, judged)
    with step(night, "tune") as (store, settings):
        search = tune.tune(store, night, version, settings)
    with step(night, "fit") as (store, settings):
        challenger = tune.fit_challenger(store, night, search, settings)
    with step(night, "evaluate") as (store, settings):
        judged = evaluate.evaluate(store, night, version, challenger, settings)
    dry_run = night.parameters.dry_run
    if judged.promotes and not dry_run:
        with step(night, "back up") as (store, _):
            promote.back_up(store, challenger)
        with step(night, "promote") as (store, _):
            promote.promote(store, night, judged)
    return of_verdict(night.run, version, judged, dry_run=dry_run)


def _finish(night: Night, result: NightResult) -> NightResult:
    if result.outcome != "nothing new":
        with step(night, "report") as (store, settings):
            result = replace(
                result, report=report.write(store, settings, night, result).result.report
            )
        with step(night, "notify") as (_, settings):
            send_all(Message(result.outcome, result.sentence, f"r{night.run}"), settings.notify)
    with step(night, "conclude") as (store, _):
        return conclude(store, night, result)
