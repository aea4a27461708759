"""Alerts about runs and overdue requests; `housing.store.runs.outbox` delivers them."""

from datetime import UTC, datetime

from housing.notify import Message
from housing.records import Event, RunOutcome, RunResult
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import approvals
from housing.store.runs import outbox, runs

_REPORTED_BEFORE = (RunOutcome.PROMOTED, RunOutcome.AWAITING_APPROVAL)
"""Outcomes whose alert belongs to the promotion or the request, before the run ends."""


def report_dead_runs(store: Store) -> list[int]:
    """Mark dead runs as crashed and deliver what is due; returns the crashed runs.

    Every run at its start and the watchdog call it: also a killed run is reported.
    """
    dead = [int(row.id) for row in runs.mark_dead(store)]
    outbox.deliver(store)
    return dead


def message_of(result: RunResult) -> Message | None:
    """How a run ended; None if the team need not know."""
    event = next((event for event in Event if event.value == result.outcome.value), None)
    return None if event is None else Message(event, result.message, f"r{result.run}")


def alert_of(result: RunResult) -> Message | None:
    """The alert that the end of a run adds; None if there is none, or its cause was reported."""
    return None if result.outcome in _REPORTED_BEFORE else message_of(result)


def expire_approvals(store: Store) -> list[int]:
    """Expire requests for approval that are overdue, with their alerts; returns the runs.

    The watchdog calls it every few seconds, and every run at its start.
    """
    with store.write() as connection:
        expired = approvals.expire(connection, utc_now())
        for row in expired:
            message = f"Approval request of r{row.run} expired: the champion stays."
            runs.note_in(connection, row.run, outcome=RunOutcome.KEPT, message=message)
            alert = Message(Event.KEPT, message, f"r{row.run}")
            outbox.add(connection, store, alert, f"approval {row.id}")
    return [int(row.run) for row in expired]


def report_missed(store: Store, due: datetime, next_step: str) -> None:
    """Record that a scheduled run did not start, with its alert, unless it was reported before."""
    about = f"nightly {due.astimezone(UTC).isoformat()}"
    message = f"The nightly run due at {due:%Y-%m-%d %H:%M %Z} has not started. {next_step}"
    # The watchdog asks every few seconds: no lock for that.
    if store.query(outbox.is_open, Event.MISSED, about):
        return
    with store.write() as connection:
        if outbox.is_open(connection, Event.MISSED, about):
            return
        run = runs.record_not_begun(
            connection, "nightly", {"due": due.isoformat()}, "missed", message
        )
        outbox.add(connection, store, Message(Event.MISSED, message, f"r{run}"), about)
