"""The nightly run, from new rows to a promoted model."""

from prefect.client.schemas.objects import State

from flows.decorator import completed, housing_flow
from housing.pipeline.approval import ApprovalDecision
from housing.pipeline.result import nothing_new, of_verdict
from housing.pipeline.run_context import NightlyParameters
from housing.records import RunResult
from tasks.approval import once_per_flow_run, wait_for_decision
from tasks.run_steps import (
    back_up,
    check_readiness,
    evaluate,
    existing_verdict,
    finish_run,
    fit,
    freeze,
    ingest,
    preprocess,
    promote,
    search,
    split,
    start_run,
    write_report,
)  # fmt: skip

DEFAULTS = NightlyParameters()


@housing_flow
def nightly(parameters: NightlyParameters = DEFAULTS) -> State[RunResult | ApprovalDecision]:
    """Ingest new rows, search for a better model, and promote it if it does not regress."""
    result = run_pipeline(parameters)
    end = wait_for_decision(result) if result.awaits_approval else result
    return completed(end.outcome, end.message, end)


@once_per_flow_run
def run_pipeline(parameters: NightlyParameters) -> RunResult:
    """One run, from ingestion to its report and alert, under the lease."""
    with start_run("nightly", parameters) as run:
        ingest(run)
        version = freeze(run)
        split(run)
        check_readiness(run)
        judged = existing_verdict(run, version)
        if judged is not None:
            return finish_run(run, nothing_new(run.id, version, judged))
        preprocess(run, version)
        challenger = fit(run, search(run, version))
        judged = evaluate(run, version, challenger)
        if judged.promotes and not parameters.dry_run:
            back_up(run, challenger)
            judged = promote(run, judged)
        result = of_verdict(run.id, version, judged, dry_run=parameters.dry_run)
        return finish_run(run, write_report(run, result))
