"""The table of what another system was sent.

The first schema is made from `tables` as it stands, so a new database has it already.
"""

from alembic import op

from housing.store.database.tables import mirrored

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    mirrored.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")
