"""Alerts that several processes could send, recorded so that one of them does."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from housing.store.database.engine import Store
from housing.store.database.tables import sent_alerts, utc_now


def known(connection: Connection, key: str) -> bool:
    """Whether an alert with this key is recorded."""
    query = sa.select(sent_alerts.c.key).where(sent_alerts.c.key == key)
    return connection.execute(query).first() is not None


def first(store: Store, key: str, event: str, message: str, subject: str) -> bool:
    """Record an alert; False if any process already recorded this key."""
    with store.read() as connection:  # the watch asks every few seconds: no lock for that
        if known(connection, key):
            return False
    try:
        with store.unfenced().write() as connection:
            if known(connection, key):
                return False
            connection.execute(
                sent_alerts.insert().values(
                    key=key, event=event, message=message, subject=subject, at=utc_now()
                )
            )
    except IntegrityError:
        return False
    return True
