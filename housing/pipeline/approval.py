"""Approval of a promotion: requested by a run, decided by a person, or expired.

A request is a row in SQL; it holds no lease and no process. Where the champion has changed since,
the challenger is compared with the new one before anything is promoted.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection, Row

from housing import progress
from housing.errors import NotPossible
from housing.notify import Message
from housing.pipeline import notifications
from housing.pipeline.evaluate import JudgedEvaluation, from_row, judge_against
from housing.pipeline.promote import back_up, promote, promotion
from housing.pipeline.run_context import RunContext
from housing.records import Event, RunOutcome, RunResult
from housing.settings import Settings
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import approvals, promotion_log, registry
from housing.store.runs import outbox, runs


@dataclass(frozen=True)
class ApprovalDecision:
    """Outcome of a request for approval."""

    run: int
    outcome: str  # approved, rejected, superseded or expired
    challenger: int
    champion: int | None  # after the decision
    message: str

    def notification(self) -> Message:
        """The decision as a notification."""
        event = Event.PROMOTED if self.outcome == "approved" else Event.KEPT
        return Message(event, self.message, f"r{self.run}")


def promote_or_request(
    store: Store, run: RunContext, judged: JudgedEvaluation, settings: Settings
) -> JudgedEvaluation:
    """Promote the challenger or, where the policy requires approval, request it."""
    if settings.gate.approval:
        judged = request_approval(store, run.id, judged, settings)
        done = judged.message
    else:
        line = promote(store, run, judged)
        done = f"m{judged.challenger} is champion (entry {line} of the promotion log)"
    progress.report("promote", 1, 1, done)
    return judged


def request_approval(
    store: Store, run: int, judged: JudgedEvaluation, settings: Settings
) -> JudgedEvaluation:
    """Request approval; returns the evaluation with the outcome "awaiting approval"."""
    with store.write() as connection:
        row = approvals.request(
            connection, run=run, evaluation=judged.evaluation, hours=settings.gate.approval_hours
        )
        message = (
            f"Awaiting approval until {row.expires_at:%Y-%m-%d %H:%M} UTC: `housing approve "
            f"r{row.run}` promotes m{judged.challenger}, `housing reject r{row.run}` keeps the "
            f"champion. {judged.message}"
        )
        alert = Message(Event.AWAITING_APPROVAL, message, f"r{row.run}")
        outbox.add(connection, store, alert, f"approval {row.id}")
    return replace(judged, outcome=RunOutcome.AWAITING_APPROVAL, message=message)


def result_of_flow_run(store: Store, flow_run: str) -> RunResult | None:
    """The result with which a flow run requested approval; None where it did not.

    The outcome stays "awaiting approval" after a decision: `decision_of` returns that.
    """
    with store.read() as connection:
        row = runs.newest_of(connection, flow_run)
        if row is None or row.status != "completed" or not approvals.of_run(connection, row.id):
            return None
    return RunResult(
        row.id, RunOutcome.AWAITING_APPROVAL, row.message,
        row.version, row.challenger, row.champion, row.report,
    )  # fmt: skip


def decision_of(store: Store, run: int) -> ApprovalDecision | None:
    """The decision on a run's request; None where there was no request, or it is undecided."""
    with store.read() as connection:
        row = approvals.of_run(connection, run)
        champion = promotion_log.champion(connection)
    if row is None or (row.status == "pending" and row.expires_at > utc_now()):
        return None
    outcome = "expired" if row.status == "pending" else str(row.status)
    by = f" by {row.decided_by}: {row.reason}" if row.decided_by else ": no decision in time"
    done = "is promoted" if outcome == "approved" else "is not promoted"
    message = f"m{row.challenger} {done}, {outcome}{by}."
    return ApprovalDecision(run, outcome, row.challenger, champion, message)


def approve(store: Store, settings: Settings, run: int, reason: str) -> ApprovalDecision:
    """Promote a run's challenger; compared again where the champion has changed since.

    NotPossible where the run requested nothing, the request was decided or expired, or no reason
    is given. The request stays open where the model cannot be promoted: NotPossible where a batch
    of its rows has left the dataset since, ModelBlocked, Pruned, ChampionChanged. The decision and
    the promotion are one transaction.
    """
    row = _open(store, run, reason)
    model = row.challenger
    with store.read() as connection:
        champion = promotion_log.champion(connection)
        judged = from_row(registry.evaluation(connection, row.evaluation))
    if champion == model:
        message = f"m{model} is the champion already; r{run} changes nothing."
        return _close(store, row, "superseded", f"{reason} (it is the champion already)", message)
    _must_have_its_rows(store, row)
    reevaluation = None
    if champion != judged.champion:
        judged = judge_against(store, run, row.version, model, settings)
        reevaluation = judged.evaluation
    if judged.outcome != "promote":
        message = (
            f"m{model} is not promoted: the champion has changed since, and the comparison with it "
            f"says: {judged.message}"
        )
        reason += f" (compared again: {judged.outcome})"
        return _close(store, row, "superseded", reason, message, reevaluation)
    change = promotion(judged, run, f"approved: {reason}. {judged.message}")
    registry.check_eligible(store, change)  # the request of a blocked model stays open
    back_up(store, model)
    message = f"m{model} is promoted, approved by {runs.actor()}: {reason}."
    done = ApprovalDecision(run, "approved", model, model, message)
    with store.write() as connection:
        _decide(connection, row, "approved", reason, reevaluation)
        registry.change_champion_in(connection, change)
        approvals.approve_all(connection, model, runs.actor(), f"with r{run}: {reason}")
        _report(connection, store, row, done)
    ownership.renew(store)
    outbox.deliver(store)
    return done


def reject(store: Store, settings: Settings, run: int, reason: str) -> ApprovalDecision:
    """Keep the champion. NotPossible as for `approve`."""
    row = _open(store, run, reason)
    message = f"m{row.challenger} is not promoted, rejected by {runs.actor()}: {reason}."
    return _close(store, row, "rejected", reason, message)


def _open(store: Store, run: int, reason: str) -> Row[Any]:
    """The request of a run, if it may still be decided."""
    what = f"Deciding on r{run}"
    if not reason.strip():
        raise NotPossible(what=what, why="it needs a reason, which is recorded permanently.")
    notifications.expire_approvals(store)
    with store.read() as connection:
        runs.get(connection, run)
        row = approvals.of_run(connection, run)
    if row is None:
        why = "it requested no approval; `housing status` lists open requests."
        raise NotPossible(what=what, why=why)
    if row.status != "pending":
        by = f" by {row.decided_by}" if row.decided_by else ""
        why = f"it was {row.status}{by} at {row.decided_at:%Y-%m-%d %H:%M} UTC ({row.reason})."
        raise NotPossible(what=what, why=why)
    return row


def _must_have_its_rows(store: Store, row: Row[Any]) -> None:
    gone = store.query(approvals.removed_batches, row)
    if gone:
        names = ", ".join(f"b{batch}" for batch in gone)
        raise NotPossible(
            what=f"Promoting m{row.challenger}",
            why=f"it was trained on {names}, taken out of the dataset since. `housing dataset "
            f"restore b{gone[0]} --reason TEXT` brings b{gone[0]} back, `housing reject "
            f"r{row.run} --reason TEXT` keeps the champion, `housing promote m{row.challenger} "
            "--reason TEXT` judges the model on the current rows.",
        )


def _decide(
    connection: Connection, row: Row[Any], status: str, reason: str, reevaluation: int | None
) -> None:
    if not approvals.decide(
        connection, row.id, status,
        by=runs.actor(), reason=reason, reevaluation=reevaluation,
    ):  # fmt: skip
        raise NotPossible(what=f"Deciding on r{row.run}", why="another decision came first.")


def _close(
    store: Store,
    row: Row[Any],
    status: str,
    reason: str,
    message: str,
    reevaluation: int | None = None,
) -> ApprovalDecision:
    """Record a decision by which the champion stays."""
    with store.write() as connection:
        _decide(connection, row, status, reason, reevaluation)
        champion = promotion_log.champion(connection)
        done = ApprovalDecision(row.run, status, row.challenger, champion, message)
        _report(connection, store, row, done)
    outbox.deliver(store)
    return done


def _report(connection: Connection, store: Store, row: Row[Any], done: ApprovalDecision) -> None:
    """Record a decision with its run, and the alert about it."""
    alert, facts = done.notification(), {"message": done.message, "champion": done.champion}
    runs.note_in(connection, row.run, outcome=alert.event, **facts)
    outbox.add(connection, store, alert, f"approval {row.id}")
