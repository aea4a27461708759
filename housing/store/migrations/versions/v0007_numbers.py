"""On SQLite, a batch of answers never takes the number of one that has expired.

The monitor remembers up to which number it has looked; PostgreSQL's sequences never go back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TABLE = "prediction_batches"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    options = {"sqlite_autoincrement": True}
    with op.batch_alter_table(TABLE, recreate="always", table_kwargs=options):
        pass
    _go_on_after(_looked_at())


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")


def _looked_at() -> int:
    """The highest number that the monitor has looked at; it may have expired since."""
    windows = sa.table("monitor_windows", sa.column("cursor", sa.JSON), sa.column("source"))
    query = sa.select(windows.c.cursor).where(windows.c.source == "answers")
    cursors = op.get_bind().execute(query).scalars()
    return max((int(cursor.get("batch", 0)) for cursor in cursors), default=0)


def _go_on_after(number: int) -> None:
    counter = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    connection = op.get_bind()
    where = counter.c.name == TABLE
    given = connection.execute(sa.select(counter.c.seq).where(where)).scalar() or 0
    connection.execute(counter.delete().where(where))
    connection.execute(counter.insert().values(name=TABLE, seq=max(given, number)))
