"""Whether a database is sound in itself: what no state of it may ever show."""

import sqlalchemy as sa

from housing.store.database.engine import Store
from housing.store.database.tables import promotion_log


def unsound(store: Store) -> list[str]:
    """What is wrong with the database, in words; nothing where it is sound."""
    problems = []
    with store.read() as connection:
        if connection.dialect.name == "sqlite":
            said = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            problems += [] if said == ["ok"] else [f"The database file: {line}" for line in said]
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
            problems.append(f"The ledger goes from line {number - 1} to line {line.seq}.")
            break
        if line.from_model != before:
            problems.append(
                f"Line {line.seq} of the ledger replaces m{line.from_model}, and the champion "
                f"was m{before}."
            )
        before = line.to_model
    return problems
