"""The steps of a run as Prefect tasks, in the order in which `flows.nightly` calls them."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task
from prefect.runtime import flow_run

from housing import progress
from housing.notify import send_heartbeat
from housing.pipeline import (
    approval,
    datasets,
    notifications,
    report,
    rollback_readiness,
    run_context,
    skip_check,
    train,
)  # fmt: skip
from housing.pipeline import evaluate as evaluation
from housing.pipeline import ingest as ingestion
from housing.pipeline import promote as promotion
from housing.pipeline.evaluate import JudgedEvaluation
from housing.pipeline.rollback_readiness import ReadinessCheck
from housing.pipeline.run_context import NightlyParameters, RunContext, step
from housing.records import IntakeSummary, RunResult
from housing.schema import WORDING
from housing.store.data import batches
from tasks import PLAIN
from tasks.reporting import emit, show_columns, show_progress, show_report
from tasks.run_labels import append_to_run_name
from tasks.termination import reraise_sigterm


@contextmanager
def start_run(kind: str, parameters: NightlyParameters) -> Iterator[RunContext]:
    """Hold the lease and a run row, which names the flow run, while the block runs."""
    with reraise_sigterm(), run_context.start_run(kind, parameters, flow_run.get_id()) as run:
        yield run


@task(name="ingest", task_run_name="ingest r{run.id}", retries=2, retry_delay_seconds=5, **PLAIN)
def ingest(run: RunContext, at_most: int | None = None) -> IntakeSummary:
    """Ingest new deliveries of the sources, at most `at_most`; bad rows go to quarantine."""
    with step(run, "ingest") as (store, settings):
        summary = ingestion.ingest(store, settings, run=run.id, at_most=at_most)
        progress.report("ingest", 1, 1, summary.message)
        emit(*(batches.alert_of(batch, run.id) for batch in summary.batches))
    return summary


@task(name="freeze", task_run_name="freeze r{run.id}", **PLAIN)
def freeze(run: RunContext) -> int:
    """Freeze a dataset version that holds the new batches; returns the id of the active one."""
    with step(run, "freeze") as (store, _):
        version = datasets.freeze(store, run)
        progress.report("freeze", 1, 1, f"v{version.id}, batches: {len(version.batches)}")
    return version.id


@task(name="split", task_run_name="split r{run.id}", **PLAIN)
def split(run: RunContext) -> int:
    """Assign each new row to the training or the test side; returns how many there were."""
    with step(run, "split") as (store, settings):
        new = datasets.split(store, settings)
        progress.report("split", 1, 1, f"{new:,} new {WORDING.rows} assigned to a side")
    return new


@task(name="check readiness", task_run_name="check readiness r{run.id}", **PLAIN)
def check_readiness(run: RunContext) -> tuple[ReadinessCheck, ...]:
    """Load every retained champion in a fresh process, once a day; a failure is only reported."""
    with step(run, "check readiness") as (store, settings):
        found = rollback_readiness.check_readiness(store, settings)
    emit(*(one.notification() for one in found if not one.ready))
    return found


@task(name="check for work", task_run_name="check for work on v{version}", **PLAIN)
def existing_verdict(run: RunContext, version: int) -> JudgedEvaluation | None:
    """The verdict that stands on this version, or None where there is work to do."""
    with step(run, "check for work") as (store, settings):
        judged = skip_check.existing_verdict(store, version, settings)
        found = "there is work to do" if judged is None else f"v{version} was judged before"
        progress.report("check for work", 1, 1, found)
    return judged


@task(name="preprocess", task_run_name="preprocess v{version}", **PLAIN)
def preprocess(run: RunContext, version: int) -> int:
    """Check the columns that the model families compute, and show them; returns their number.

    A column that is constant, a copy or a sign of leakage is an error that names it.
    """
    with step(run, "preprocess") as (store, settings):
        columns = train.preprocess(store, run, version, settings)
        progress.report("preprocess", 1, 1, f"{len(columns)} columns of features, none refused")
    show_columns(columns)
    return len(columns)


@task(name="search", task_run_name="search on v{version}", **PLAIN)
def search(run: RunContext, version: int) -> int:
    """Search for the best candidates, or resume an interrupted search; returns the search's id."""
    with step(run, "search") as (store, settings), show_progress("search"):
        return train.search(store, run, version, settings)


@task(name="fit", task_run_name="fit the best of search {search}", **PLAIN)
def fit(run: RunContext, search: int) -> int:
    """Fit the best candidates on all training rows; returns the challenger's id."""
    with step(run, "fit") as (store, settings):
        model = train.fit(store, run, search, settings)
        progress.report("fit", 1, 1, f"m{model}")
    return model


@task(name="evaluate", task_run_name="evaluate m{challenger} on v{version}", **PLAIN)
def evaluate(run: RunContext, version: int, challenger: int) -> JudgedEvaluation:
    """Score challenger and champion on the same test rows, and judge."""
    with step(run, "evaluate") as (store, settings):
        judged = evaluation.evaluate(store, run, version, challenger, settings)
        progress.report("evaluate", 1, 1, judged.message)
    champion = "the baselines" if judged.champion is None else f"m{judged.champion}"
    append_to_run_name(
        f"v{version}, m{challenger} against {champion}", [f"v{version}", f"m{challenger}"]
    )
    return judged


@task(name="back up", task_run_name="back up m{model}", retries=2, retry_delay_seconds=5, **PLAIN)
def back_up(run: RunContext, model: int) -> int:
    """Copy the model and its data to the backup and verify the copies; returns bytes."""
    with step(run, "back up") as (store, _):
        copied = promotion.back_up(store, model)
        progress.report("back up", 1, 1, f"m{model} and its data: {copied / 1e6:,.1f} MB verified")
    return copied


@task(name="promote", task_run_name="promote m{judged.challenger}", **PLAIN)
def promote(run: RunContext, judged: JudgedEvaluation) -> JudgedEvaluation:
    """Make the challenger champion in one transaction, or request approval if the policy does."""
    with step(run, "promote") as (store, settings):
        return approval.promote_or_request(store, run, judged, settings)


@task(name="report", task_run_name="report r{run.id}", **PLAIN)
def write_report(run: RunContext, result: RunResult) -> RunResult:
    """Write the report and show its parts in the UI; returns the result with the file's path."""
    with step(run, "report") as (store, settings):
        written = report.write_report(store, settings, run, result)
        progress.report("report", 1, 1, written.result.report or "")
    show_report(written)
    return written.result


@task(name="finish", task_run_name="finish r{run.id}", **PLAIN)
def finish_run(run: RunContext, result: RunResult) -> RunResult:
    """Record the outcome with its alert, deliver it, and send the heartbeat of a finished run."""
    with step(run, "finish") as (store, settings):
        final = run_context.finish_run(store, run, result, notifications.alert_of(result))
    emit(notifications.message_of(result))
    send_heartbeat(settings.notify)
    append_to_run_name(final.outcome, [final.outcome])
    return final
