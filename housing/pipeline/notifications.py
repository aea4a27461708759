"""What the team is told beside the verdict of a night: one function a situation.

What a message says is decided here, once for the flows, the command line and the watch; over which
channels it goes belongs to `housing.notify`.
"""

from datetime import UTC, datetime, timedelta

from housing import progress
from housing.notify import Message, send_all
from housing.records import Event, IntakeSummary, RunOutcome, RunResult
from housing.settings import Settings
from housing.store.database.engine import Store, database_now
from housing.store.database.tables import utc_now
from housing.store.models import approvals
from housing.store.runs import runs, sent_alerts

MEMORY = timedelta(days=1)
"""Failures that are older are not reported any more: an outage of the watch is shorter."""


def failures(store: Store, settings: Settings) -> list[int]:
    """Send an alert for each run that failed or crashed and has none; marks dead runs first.

    Returns the runs found dead. The failing run calls it, and so do the next run and the watch, so
    that a run that was killed is reported too; the alert's key lets one of them send it.
    """
    dead = [int(row.id) for row in runs.mark_dead(store)]
    with store.read() as connection:
        rows = runs.untold(connection, database_now(connection) - MEMORY)
    for row in rows:
        message = row.error
        if row.status == "crashed":
            message = (
                f"The {row.kind} run r{row.id} was cut short: its process is gone. "
                "The next one goes on where it was."
            )
        key, subject = runs.alert_key(row.id), f"r{row.id}"
        if sent_alerts.first(store, key, Event.FAILED, message, subject):
            send_all(Message(Event.FAILED, message, subject), settings.notify)
    return dead


def notify_flow_run_failed(
    store: Store, settings: Settings, *, flow_run: str, end: str, name: str, why: str
) -> str | None:
    """Send an alert for a failed flow run without a row in our store; returns its sentence.

    None where `failures` reports it, or an alert for this `end` (its state's id) was sent.
    """
    with store.read() as connection:
        if runs.has_row(connection, flow_run):
            return None
    said = f"The run {name} did not come to its end. {why}"
    if not sent_alerts.first(store, f"ended-{end}", Event.FAILED, said, name[:40]):
        return None
    send_all(Message(Event.FAILED, said, name), settings.notify)
    return said


def notify(settings: Settings, result: RunResult) -> Message:
    """Send the outcome of a run over every configured channel; a failed channel fails nothing."""
    message = Message(Event(result.outcome), result.message, f"r{result.run}")
    failed = send_all(message, settings.notify)
    sent = f"not delivered: {', '.join(failed)}" if failed else "delivered"
    progress.report("notify", 1, 1, sent)
    return message


def expire_approvals(store: Store, settings: Settings) -> list[int]:
    """Drop promotions on which nobody decided in time, and say so; returns the runs that asked.

    The watch does it every few seconds and every night at its start, whoever started it.
    """
    with store.write() as connection:
        late = approvals.expire(connection, utc_now())
    for row in late:
        message = f"Nobody approved in time what r{row.run} would promote: the champion stays."
        runs.note(store, row.run, outcome=RunOutcome.KEPT, message=message)
        send_all(Message(Event.KEPT, message, f"r{row.run}"), settings.notify)
    return [int(row.run) for row in late]


def notify_quarantine(settings: Settings, run: int, summary: IntakeSummary) -> Message | None:
    """Rows or files that did not come in; None, and no message, where all did."""
    rows = sum(b.rejected for b in summary.batches if b.status in ("accepted", "unchanged"))
    quarantined = [f"{b.name} (b{b.id})" for b in summary.batches if b.status == "quarantined"]
    rejected = [
        f"{b.name} (b{b.id}): {b.message}" for b in summary.batches if b.status == "rejected"
    ]
    unreadable = [
        batch.message.removesuffix(".") for batch in summary.batches if batch.status == "unreadable"
    ]
    empty = [f"{b.name} (b{b.id})" for b in summary.batches if b.status == "empty"]
    parts = [f"{rows:,} rows were rejected"] if rows else []
    parts += [f"every row rejected: {'; '.join(rejected)}"] if rejected else []
    parts += [f"quarantined as a whole: {', '.join(quarantined)}"] if quarantined else []
    parts += [f"without a row: {', '.join(empty)}"] if empty else []
    parts += [f"not to be read: {'; '.join(unreadable)}"] if unreadable else []
    if not parts:
        return None
    text = "; ".join(parts)
    text = f"{text[0].upper()}{text[1:]}".removesuffix(".")
    message = Message(Event.QUARANTINED, f"{text}.", f"r{run}")
    send_all(message, settings.notify)
    return message


def notify_missed(store: Store, settings: Settings, due: datetime, next_step: str) -> str | None:
    """No night began at its time: kept among the runs, told, and returned as a sentence.

    None where it has been told.
    """
    key = f"missed-{due.astimezone(UTC).isoformat()}"
    message = f"The night due at {due:%Y-%m-%d %H:%M %Z} has not begun. {next_step}"
    if not sent_alerts.first(store, key, Event.MISSED, message, "nightly"):
        return None
    with store.write() as connection:
        run = runs.miss(connection, "nightly", {"due": due.isoformat()}, message)
    send_all(Message(Event.MISSED, message, f"r{run}"), settings.notify)
    return message
