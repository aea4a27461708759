"""Notifications: one function per situation, for flows, command line and watchdog alike.

The channels belong to `housing.notify`.
"""

from datetime import UTC, datetime, timedelta

from housing import progress
from housing.notify import Message, send_all
from housing.records import Event, IntakeSummary, RunOutcome, RunResult
from housing.settings import Settings
from housing.store.database.engine import Store, database_now
from housing.store.database.tables import utc_now
from housing.store.models import approvals, promotion_log
from housing.store.runs import runs, sent_alerts

MEMORY = timedelta(days=1)
"""Older failures are not reported any more: an outage of the watchdog is shorter."""


def failures(store: Store, settings: Settings) -> list[int]:
    """Send an alert for each failed or crashed run and rollback without one; marks dead runs first.

    Returns the crashed runs. The failing run, the next run and the watchdog call it: also a killed
    run is reported; the alert's key lets only one of them send it.
    """
    dead = [int(row.id) for row in runs.mark_dead(store)]
    rollbacks(store, settings)
    with store.read() as connection:
        rows = runs.without_alert(connection, database_now(connection) - MEMORY)
    for row in rows:
        message = row.error
        if row.status == "crashed":
            message = (
                f"The {row.kind} run r{row.id} was interrupted: its process is gone. "
                "The next run resumes from the last completed step."
            )
        key, subject = runs.alert_key(row.id), f"r{row.id}"
        if sent_alerts.first(store, key, Event.FAILED, message, subject):
            send_all(Message(Event.FAILED, message, subject), settings.notify)
    return dead


def rollbacks(store: Store, settings: Settings) -> None:
    """Send the alert of each rollback whose process was killed before it sent it.

    The next run, the monitor and the watchdog call it.
    """
    with store.read() as connection:
        lines = promotion_log.without_alert(connection, database_now(connection) - MEMORY)
    for line in lines:
        text = f"m{line.to_model} is champion again instead of m{line.from_model}: {line.reason}"
        message = Message(Event.ROLLED_BACK, text, f"m{line.to_model}")
        notify_rollback(store, settings, line.seq, message)


def notify_rollback(store: Store, settings: Settings, seq: int, message: Message) -> None:
    """Send the alert of a rollback, the entry `seq` of the promotion log, unless it was sent."""
    key = promotion_log.alert_key(seq)
    if sent_alerts.first(store, key, message.event, message.text, message.subject):
        send_all(message, settings.notify)


def notify_flow_run_failed(
    store: Store, settings: Settings, *, flow_run: str, end: str, name: str, why: str
) -> str | None:
    """Send an alert for a failed flow run without a row in our store; returns the message.

    None where `failures` reports it, or an alert for this `end` (its state's id) was sent.
    """
    with store.read() as connection:
        if runs.has_row(connection, flow_run):
            return None
    message = f"The run {name} failed. {why}"
    if not sent_alerts.first(store, f"ended-{end}", Event.FAILED, message, name[:40]):
        return None
    send_all(Message(Event.FAILED, message, name), settings.notify)
    return message


def notify(settings: Settings, result: RunResult) -> Message:
    """Send the outcome of a run over every configured channel; a failed channel fails nothing."""
    message = Message(Event(result.outcome), result.message, f"r{result.run}")
    failed = send_all(message, settings.notify)
    sent = f"not delivered: {', '.join(failed)}" if failed else "delivered"
    progress.report("notify", 1, 1, sent)
    return message


def expire_approvals(store: Store, settings: Settings) -> list[int]:
    """Expire requests for approval that are overdue, and notify; returns the runs.

    The watchdog calls it every few seconds, and every run at its start.
    """
    with store.write() as connection:
        expired = approvals.expire(connection, utc_now())
    for row in expired:
        message = f"Approval request of r{row.run} expired: the champion stays."
        runs.note(store, row.run, outcome=RunOutcome.KEPT, message=message)
        send_all(Message(Event.KEPT, message, f"r{row.run}"), settings.notify)
    return [int(row.run) for row in expired]


def notify_quarantine(settings: Settings, run: int, summary: IntakeSummary) -> Message | None:
    """Report rows and files that were not ingested; None where all were."""

    def listed(status: str, text: str) -> str:
        found = (b for b in summary.batches if b.status == status)
        return "; ".join(
            text.format(name=b.name, id=b.id, why=b.message.removesuffix(".")) for b in found
        )

    rows = sum(b.rejected for b in summary.batches if b.status in ("accepted", "unchanged"))
    parts = [f"{rows:,} rows were rejected"] if rows else []
    for label, found in (
        ("every row rejected", listed("rejected", "{name} (b{id}): {why}")),
        ("quarantined as a whole", listed("quarantined", "{name} (b{id})")),
        ("without a row", listed("empty", "{name} (b{id})")),
        ("unreadable", listed("unreadable", "{why}")),
    ):
        parts += [f"{label}: {found}"] if found else []
    if not parts:
        return None
    text = "; ".join(parts)
    message = Message(Event.QUARANTINED, f"{text[0].upper()}{text[1:]}.", f"r{run}")
    send_all(message, settings.notify)
    return message


def notify_missed(store: Store, settings: Settings, due: datetime, next_step: str) -> str | None:
    """Report and record that a scheduled run did not start; returns the message.

    None where it was reported before.
    """
    key = f"missed-{due.astimezone(UTC).isoformat()}"
    message = f"The nightly run due at {due:%Y-%m-%d %H:%M %Z} has not started. {next_step}"
    if not sent_alerts.first(store, key, Event.MISSED, message, "nightly"):
        return None
    with store.write() as connection:
        run = runs.miss(connection, "nightly", {"due": due.isoformat()}, message)
    send_all(Message(Event.MISSED, message, f"r{run}"), settings.notify)
    return message
