"""What the watchdog remembers of a due run, as Prefect's database may be lost: each key once."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.store.database.engine import Store
from housing.store.database.tables import utc_now, watchdog_marks


def set_at(connection: Connection, key: str) -> datetime | None:
    """When a mark was set, or None if it is not."""
    query = sa.select(watchdog_marks.c.at).where(watchdog_marks.c.key == key)
    return connection.scalar(query)


def mark(store: Store, key: str) -> datetime:
    """Set a mark, unless it is set; returns when it was."""
    found = store.query(set_at, key)  # asked every few seconds: no lock for that
    if found is not None:
        return found
    with store.unfenced().write() as connection:
        found = set_at(connection, key)
        if found is None:
            found = utc_now()
            connection.execute(watchdog_marks.insert().values(key=key, at=found))
        return found
