"""The outbox: alerts in SQL, delivered at least once by the process that comes first.

An alert is recorded in the transaction of what it reports, one row a channel. A process claims the
row before it sends, so that no two send it at once; if it is killed, the alert is sent again when
the claim ends. An alert about a state (a model that cannot be loaded, a file that cannot be
read) is sent once until `resolve` says that the state has ended.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import SQLAlchemyError

from housing.errors import HousingError
from housing.notify import Message, channels, send
from housing.records import Event
from housing.store.database.engine import Store, database_now
from housing.store.database.tables import alerts, utc_now

log = logging.getLogger("housing")

GIVE_UP_AFTER = timedelta(days=3)
"""Age from which a failed attempt is the last one."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=10)
"""Between two attempts over a channel that fails; doubled each time."""
CLAIM = timedelta(seconds=60)
"""Duration of an attempt after which its process counts as killed; or 12 timeouts, if longer."""
LATE = timedelta(minutes=10)
"""Age from which an alert names the time at which it was recorded, and counts as waiting."""
GIVEN_UP_SHOWN = timedelta(days=7)


def add(
    connection: Connection, store: Store, message: Message, about: str, cause: str = ""
) -> bool:
    """Record an alert in a write transaction; False if it is open already.

    `about` and `cause` identify by content what it reports.
    """
    if is_open(connection, message.event, about, cause):
        return False
    now, wanted = database_now(connection), message.event in store.notify.events
    facts = {
        "event": message.event, "about": about, "cause": cause, "message": message.text,
        "subject": message.subject, "recorded_at": now, "attempts": 0, "next_at": now, "error": "",
    }  # fmt: skip
    used = channels(store.notify) if wanted else ("log",)
    connection.execute(alerts.insert(), [{**facts, "channel": channel} for channel in used])
    return True


def record(store: Store, message: Message, about: str) -> bool:
    """As `add`, in a transaction of its own: for what another database or process decided."""
    # The watchdog asks every few seconds: no lock for that.
    if store.query(is_open, message.event, about):
        return False
    with store.unfenced().write() as connection:
        return add(connection, store, message, about)


def is_open(
    connection: Connection, event: Event, about: str | None = None, cause: str | None = ""
) -> bool:
    """Whether such an alert is recorded and not resolved; None matches any."""
    query = sa.select(alerts.c.id).where(*_open_alerts(event, about))
    if cause is not None:
        query = query.where(alerts.c.cause == cause)
    return connection.execute(query.limit(1)).first() is not None


def resolve(connection: Connection, event: Event, about: str | None = None) -> None:
    """Record that the states that such alerts report have ended; None matches any."""
    ended = alerts.update().where(*_open_alerts(event, about))
    connection.execute(ended.values(resolved_at=database_now(connection)))


def _open_alerts(event: Event, about: str | None) -> list[sa.ColumnElement[bool]]:
    found = [alerts.c.event == event, alerts.c.resolved_at.is_(None)]
    return found if about is None else [*found, alerts.c.about == about]


def deliver(store: Store) -> None:
    """Send what is due over the channels of this process; what fails fails nothing else."""
    try:
        while (row := _claim(store)) is not None:
            late = utc_now() - row.recorded_at > LATE
            when = f" (recorded at {row.recorded_at:%Y-%m-%d %H:%M} UTC)" if late else ""
            message = Message(Event(row.event), row.message + when, row.subject)
            error = send(row.channel, message, store.notify)
            _end_attempt(store.unfenced(), row, error)
    except (HousingError, SQLAlchemyError) as error:
        log.warning("Alerts wait to be sent: %s", error)


def _claim(store: Store) -> Row[Any] | None:
    """The next alert that is due, which only this process sends until `next_at`; or None.

    Those with fewer attempts are first: one that a receiver refuses does not hold up the others.
    """
    mine = alerts.c.channel.in_(channels(store.notify))

    def due(now: datetime) -> sa.Select[Any]:
        found = sa.select(alerts).where(alerts.c.ended_at.is_(None), alerts.c.next_at <= now)
        return found.where(mine | (alerts.c.recorded_at <= now - GIVE_UP_AFTER))

    with store.read() as connection:
        if connection.execute(due(database_now(connection)).limit(1)).first() is None:
            return None
    with store.unfenced().write() as connection:
        now = database_now(connection)
        unset = ~mine & (alerts.c.recorded_at <= now - GIVE_UP_AFTER) & alerts.c.ended_at.is_(None)
        values = {"ended_at": now, "error": "its address is not set here"}
        connection.execute(alerts.update().where(unset).values(**values))
        query = due(now).order_by(alerts.c.attempts, alerts.c.id).limit(1)
        row = connection.execute(query).one_or_none()
        if row is not None:
            until = now + max(CLAIM, timedelta(seconds=12 * store.notify.timeout_seconds))
            claimed = alerts.update().where(alerts.c.id == row.id)
            connection.execute(claimed.values(attempts=row.attempts + 1, next_at=until))
        return row


def _end_attempt(store: Store, row: Row[Any], error: str) -> None:
    """Record a delivery or a failure; after a failure the whole channel pauses."""
    with store.write() as connection:
        now, this = database_now(connection), alerts.c.id == row.id
        if not error or now - row.recorded_at >= GIVE_UP_AFTER:
            connection.execute(alerts.update().where(this).values(ended_at=now, error=error))
            return
        until = now + min(FIRST_PAUSE * 2 ** min(row.attempts, 10), LONGEST_PAUSE)
        connection.execute(alerts.update().where(this).values(next_at=until, error=error))
        earlier = (alerts.c.channel == row.channel) & (alerts.c.next_at < until)
        waiting = alerts.update().where(earlier, alerts.c.ended_at.is_(None))
        connection.execute(waiting.values(next_at=until))


def undelivered(connection: Connection) -> Iterator[str]:
    """Sentences about channels with alerts that wait, or were given up in the last week."""
    now = database_now(connection)
    failed = (alerts.c.error != "") | (alerts.c.recorded_at < now - LATE)
    shown = alerts.c.ended_at.is_(None) | (alerts.c.ended_at > now - GIVEN_UP_SHOWN)
    query = (
        sa.select(
            alerts.c.channel,
            alerts.c.ended_at.is_not(None).label("given_up"),
            sa.func.count().label("count"),
            sa.func.min(alerts.c.recorded_at, type_=alerts.c.recorded_at.type).label("since"),
            sa.func.max(alerts.c.error).label("error"),
        )
        .where(failed, shown, alerts.c.ended_at.is_(None) | (alerts.c.error != ""))
        .group_by(alerts.c.channel, sa.text("given_up"))
        .order_by(alerts.c.channel)
    )
    for row in connection.execute(query):
        state = f"given up after {GIVE_UP_AFTER.days} days" if row.given_up else "tried again"
        why = f", last error {row.error}" if row.error else ""
        yield (
            f"Alerts not delivered over {row.channel}, {state}: {row.count}, the oldest of "
            f"{row.since:%Y-%m-%d %H:%M} UTC{why}."
        )
