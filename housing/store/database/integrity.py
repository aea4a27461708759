"""Integrity check of the database: what no state of it may show."""

import sqlalchemy as sa

from housing.store.database.engine import Store
from housing.store.database.tables import promotion_log


def unsound(store: Store) -> list[str]:
    """One message per problem of the database; none if it is sound."""
    problems = []
    with store.read() as connection:
        if connection.dialect.name == "sqlite":
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            problems += [] if found == ["ok"] else [f"The database file: {line}" for line in found]
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            problems += [f"A row of {row[0]} refers to none of {row[2]}." for row in broken]
        lines = connection.execute(
            sa.select(
                promotion_log.c.seq, promotion_log.c.from_model, promotion_log.c.to_model
            ).order_by(promotion_log.c.seq)
        ).all()
    before = None
    for number, line in enumerate(lines, start=1):
        if line.seq != number:
            problems.append(f"The promotion log goes from entry {number - 1} to entry {line.seq}.")
            break
        if line.from_model != before:
            problems.append(
                f"Entry {line.seq} of the promotion log replaces m{line.from_model}, but the "
                f"champion was m{before}."
            )
        before = line.to_model
    return problems
