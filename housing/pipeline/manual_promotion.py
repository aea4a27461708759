"""Judge a stored model again, or promote it by hand.

Both are runs with the lease and take the steps of the pipeline: the gate's checks, the verified
backup, and a compare-and-swap on the champion against which the model was judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from housing.errors import NotPossible
from housing.gate.check import COMPARISONS
from housing.notify import Message
from housing.pipeline import promote
from housing.pipeline.evaluate import JudgedEvaluation, judge_against
from housing.pipeline.result import of_verdict
from housing.pipeline.run_context import NightlyParameters, RunContext, finish_run, start_run, step
from housing.pipeline.skip_check import what_next
from housing.records import CheckResult, Event, RunOutcome, RunResult, Verdict
from housing.settings import load_settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import approvals, promotion_log, registry
from housing.store.runs import runs


@dataclass(frozen=True)
class ManualRun:
    """The result of `housing judge` or `housing promote`, with the verdict of the gate."""

    result: RunResult
    verdict: Verdict
    overridden: tuple[str, ...] = ()  # checks against which the model was made champion


def judge(model: int) -> ManualRun:
    """Judge a stored model again, against the present champion on the active rows.

    The verdict is shown and has no effect: no later run uses it. It counts as a use of the test
    rows for promotions by hand only.

    UnknownId where there is no such model, NotPossible where it is the champion, Pruned where its
    bytes are gone.
    """
    with open_store(load_settings(), create=False) as store:
        _must_be_judgeable(store, model)
    with start_run("judge", NightlyParameters()) as run:
        judged, verdict, version = _evaluate(run, model)
        result = of_verdict(run.id, version, judged, dry_run=judged.promotes)
        return ManualRun(_finish(run, result), verdict)


def promote_model(model: int, reason: str, *, override: bool = False) -> ManualRun:
    """Make a stored model champion if it passes the gate.

    With `override` the gate's comparisons may fail, which the promotion log records; every other
    check must pass.

    Raises as `judge` does, and ModelBlocked where the model's lineage is blocked.
    """
    settings = load_settings()
    with open_store(settings, create=False) as store:
        _must_be_judgeable(store, model)
        registry.check_eligible(
            store, registry.Change("promote", model, None, runs.actor(), reason)
        )
    with start_run("promote", NightlyParameters()) as run:
        judged, verdict, version = _evaluate(run, model)
        failed = ("failed", "inconclusive", "error")
        passes = judged.outcome == "promote"
        against = () if passes else tuple(c for c in verdict.checks if c.outcome in failed)
        overridden = tuple(check.name for check in against)
        if refused := _refusal(model, against, override=override):
            kept = of_verdict(run.id, version, judged, dry_run=False)
            with step(run, "look ahead") as (store, _):
                message = f"{refused} {judged.message} {what_next(store, settings)}"
            return ManualRun(_finish(run, replace(kept, message=message)), verdict)
        message = _promote(run, judged, reason, overridden)
        result = RunResult(run.id, RunOutcome.PROMOTED, message, version, model)
        return ManualRun(_finish(run, result), verdict, overridden)


def _must_be_judgeable(store: Store, model: int) -> None:
    with store.read() as connection:
        registry.must_have_bytes(connection, registry.model(connection, model))
        if promotion_log.champion(connection) == model:
            raise NotPossible(what=f"Judging m{model}", why="it is the champion; name another.")
        datasets.must_have_active(connection)


def _evaluate(run: RunContext, model: int) -> tuple[JudgedEvaluation, Verdict, int]:
    with step(run, "evaluate") as (store, settings):
        version = store.query(datasets.must_have_active).id
        judged = judge_against(store, run.id, version, model, settings, again=True)
        runs.note(store, run.id, evaluation=judged.evaluation)
        row = store.query(registry.evaluation, judged.evaluation)
    return judged, TypeAdapter(Verdict).validate_python(row.verdict), version


def _refusal(model: int, against: Sequence[CheckResult], *, override: bool) -> str:
    """Why the model is not promoted; "" if it may be."""
    vetoes = [check for check in against if check.name not in COMPARISONS]
    if vetoes:
        named = ", ".join(check.name for check in vetoes)
        return f"m{model} is not promoted: {named} cannot be overridden. {vetoes[0].message}"
    if against and not override:
        named = ", ".join(check.name for check in against)
        return f"m{model} is not promoted: {named} did not pass, and `--override` was not given."
    return ""


def _promote(
    run: RunContext, judged: JudgedEvaluation, reason: str, overridden: tuple[str, ...]
) -> str:
    """Back the model up and change the champion; returns the message."""
    with step(run, "back up") as (store, _):
        promote.back_up(store, judged.challenger)
    against = f", against {', '.join(overridden)}" if overridden else ""
    reason = reason.rstrip(".")
    why = f"by hand{against}: {reason}. {judged.message}"
    message = f"m{judged.challenger} is promoted by {runs.actor()}{against}: {reason}."
    change = promote.promotion(judged, run.id, why, overridden)
    with step(run, "promote") as (store, _):
        alert = Message(Event.PROMOTED, message, f"r{run.id}")
        registry.change_champion(store, change, promote.reported(store, alert))
        with store.write() as connection:
            approvals.approve_all(connection, judged.challenger, runs.actor(), f"by hand: {reason}")
    return message


def _finish(run: RunContext, result: RunResult) -> RunResult:
    with step(run, "finish") as (store, _):
        return finish_run(store, run, result)
