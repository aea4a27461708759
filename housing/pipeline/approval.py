"""A promotion that waits for a person: asked by the night, decided at any front end, or expired.

Waiting holds no lease and no process: it is a row in SQL. Where the champion has changed since,
the comparison is made again before anything is promoted.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Row

from housing import progress
from housing.errors import NotPossible
from housing.notify import Message, send_all
from housing.pipeline import notifications
from housing.pipeline.evaluate import JudgedEvaluation, from_row, judge_against
from housing.pipeline.promote import back_up, promote, promotion
from housing.pipeline.run_context import RunContext
from housing.records import Event, RunOutcome, RunResult
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import approvals, registry
from housing.store.runs import runs
from housing.store.runs.runs import actor
from housing.store.runs.runs import get as get_run


@dataclass(frozen=True)
class ApprovalDecision:
    """What became of a promotion that waited."""

    run: int
    outcome: str  # approved, rejected, superseded or expired
    challenger: int
    champion: int | None  # in force after the decision
    message: str

    def notification(self) -> Message:
        """The same, for the team."""
        event = Event.PROMOTED if self.outcome == "approved" else Event.KEPT
        return Message(event, self.message, f"r{self.run}")


def ask(store: Store, run: int, judged: JudgedEvaluation, settings: Settings) -> JudgedEvaluation:
    """Have a verdict wait for a person; the same verdict, as one that waits."""
    with store.write() as connection:
        row = approvals.ask(
            connection, run=run, evaluation=judged.evaluation, hours=settings.gate.approval_hours
        )
    until = row.expires_at.strftime("%Y-%m-%d %H:%M")
    message = (
        f"Awaiting approval until {until} UTC: `housing approve r{row.run}` promotes "
        f"m{judged.challenger}, `housing reject r{row.run}` keeps the champion. {judged.message}"
    )
    return replace(judged, outcome=RunOutcome.AWAITING_APPROVAL, message=message)


def promote_or_ask(
    store: Store, run: RunContext, judged: JudgedEvaluation, settings: Settings
) -> JudgedEvaluation:
    """Promote the challenger or, where the policy requires approval, request it."""
    if settings.gate.approval:
        judged = ask(store, run.id, judged, settings)
        done = judged.message
    else:
        line = promote(store, run, judged)
        done = f"m{judged.challenger} is champion (line {line} of the promotion log)"
    progress.report("promote", 1, 1, done)
    return judged


def result_of_flow_run(store: Store, flow_run: str) -> RunResult | None:
    """The result with which a flow run requested approval; None where it did not.

    A later decision changes neither: the flow run then ends with the decision.
    """
    with store.read() as connection:
        row = runs.newest_of(connection, flow_run)
        if row is None or row.status != "completed" or not approvals.of_run(connection, row.id):
            return None
    return RunResult(
        row.id, RunOutcome.AWAITING_APPROVAL, row.message,
        row.version, row.challenger, row.champion, row.report,
    )  # fmt: skip


def approve(store: Store, settings: Settings, run: int, reason: str) -> ApprovalDecision:
    """Promote what a run asked for; compared again where the champion has changed since.

    NotPossible where the run asked for nothing, it was decided or expired before, no reason is
    given, or a batch of the model's rows was taken out of the dataset since; ModelBlocked and
    Pruned where it could not be promoted. In the last three cases it goes on waiting. A decision
    whose promotion was cut off is finished by approving again.
    """
    row = _open(store, settings, run, reason, unfinished="approved")
    if _is_champion(store, row.challenger):
        _decide(store, row, "superseded", f"{reason} (it is the champion already)", None)
        message = f"m{row.challenger} is the champion already; r{run} changes nothing."
        return _told(store, settings, row, "superseded", message)
    _must_have_its_rows(store, row)
    judged, reevaluation = _reevaluate_if_stale(store, settings, row)
    if judged.outcome != "promote":
        _decide(
            store, row, "superseded", f"{reason} (compared again: {judged.outcome})", reevaluation
        )
        message = (
            f"m{row.challenger} is not promoted: the champion has changed since, and the "
            f"comparison with it says: {judged.message}"
        )
        return _told(store, settings, row, "superseded", message)
    change = promotion(judged, run, f"approved: {reason}. {judged.message}")
    registry.check_eligible(store, change)  # what is blocked goes on waiting for its release
    back_up(store, row.challenger)
    _decide(store, row, "approved", reason, reevaluation)
    registry.change_champion(store, change)
    with store.write() as connection:
        approvals.answer_all(connection, row.challenger, actor(), f"with r{run}: {reason}")
    message = f"m{row.challenger} is promoted, approved by {actor()}: {reason}."
    return _told(store, settings, row, "approved", message)


def reject(store: Store, settings: Settings, run: int, reason: str) -> ApprovalDecision:
    """Keep the champion. NotPossible where the run asked for nothing, it was decided before, or no
    reason is given.
    """
    row = _open(store, settings, run, reason)
    _decide(store, row, "rejected", reason, None)
    message = f"m{row.challenger} is not promoted, rejected by {actor()}: {reason}."
    return _told(store, settings, row, "rejected", message)


def decision_of(store: Store, run: int) -> ApprovalDecision | None:
    """What became of what a run asked; None where it asked nothing, or may still be decided.

    An approval whose promotion was cut off may still be, by approving again.
    """
    with store.read() as connection:
        row = approvals.of_run(connection, run)
        champion = registry.champion(connection)
        promoted = row is not None and row.challenger in registry.former_champions(connection)
    if row is None or (row.status == "approved" and not promoted):
        return None
    if row.status == "pending" and row.expires_at > utc_now():
        return None
    status = "expired" if row.status == "pending" else str(row.status)
    by = f" by {row.decided_by}: {row.reason}" if row.decided_by else ": nobody decided in time"
    done = "is promoted" if status == "approved" else "is not promoted"
    return ApprovalDecision(
        run, status, row.challenger, champion, f"m{row.challenger} {done}, {status}{by}."
    )


def _open(
    store: Store, settings: Settings, run: int, reason: str, unfinished: str | None = None
) -> Row[Any]:
    """What the run asked, if it may still be decided."""
    if not reason.strip():
        why = "it takes a reason, which is kept for ever."
        raise NotPossible(what=f"Deciding on r{run}", why=why)
    notifications.expire_approvals(store, settings)
    with store.read() as connection:
        get_run(connection, run)
        row = approvals.of_run(connection, run)
        promoted = row is not None and row.challenger in registry.former_champions(connection)
    if row is None:
        raise NotPossible(
            what=f"Deciding on r{run}",
            why="it asked for no approval; `housing status` lists what waits.",
        )
    if row.status == unfinished and not promoted:
        return row
    if row.status != "pending":
        by = f" by {row.decided_by}" if row.decided_by else ""
        raise NotPossible(
            what=f"Deciding on r{run}",
            why=f"it was {row.status}{by} at {row.decided_at:%Y-%m-%d %H:%M} UTC ({row.reason}).",
        )
    return row


def _is_champion(store: Store, model: int) -> bool:
    with store.read() as connection:
        return registry.champion(connection) == model


def _must_have_its_rows(store: Store, row: Row[Any]) -> None:
    with store.read() as connection:
        active = datasets.active(connection)
        now = () if active is None else active.batches
        then = datasets.get(connection, row.version).batches
    gone = sorted(set(then) - set(now))
    if gone:
        names = ", ".join(f"b{batch}" for batch in gone)
        raise NotPossible(
            what=f"Promoting m{row.challenger}",
            why=f"it was trained on {names}, taken out of the dataset since. `housing dataset "
            f"restore b{gone[0]} --reason TEXT` brings b{gone[0]} back, `housing reject "
            f"r{row.run} --reason TEXT` keeps the champion, `housing promote m{row.challenger} "
            "--reason TEXT` judges the model on the rows of now.",
        )


def _reevaluate_if_stale(
    store: Store, settings: Settings, row: Row[Any]
) -> tuple[JudgedEvaluation, int | None]:
    """The verdict against the champion of now, and the evaluation that repeated it, if any."""
    with store.read() as connection:
        champion = registry.champion(connection)
        asked = registry.evaluation(connection, row.evaluation)
    if champion == asked.champion:
        return from_row(asked), None
    again = judge_against(store, row.run, row.version, row.challenger, settings)
    return again, again.evaluation


def _decide(
    store: Store, row: Row[Any], status: str, reason: str, reevaluation: int | None
) -> None:
    with store.write() as connection:
        changed = approvals.decide(
            connection,
            row.id,
            status,
            by=actor(),
            reason=reason,
            reevaluation=reevaluation,
            expected=row.status,
        )
    if not changed:
        raise NotPossible(what=f"Deciding on r{row.run}", why="somebody else was first.")


def _told(
    store: Store, settings: Settings, row: Row[Any], status: str, message: str
) -> ApprovalDecision:
    with store.read() as connection:
        champion = registry.champion(connection)
    decided = ApprovalDecision(row.run, status, row.challenger, champion, message)
    notification = decided.notification()
    runs.note(store, row.run, outcome=notification.event, message=message, champion=champion)
    send_all(notification, settings.notify)
    return decided
