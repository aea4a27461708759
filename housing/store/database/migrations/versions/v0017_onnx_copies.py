"""ONNX copies of promoted models, and what readiness checks find of them.

The first schema takes the tables as they stand, so a new database has them already.
"""

import sqlalchemy as sa
from alembic import op

from housing.store.database.tables import onnx_copies, readiness_checks

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    connection = op.get_bind()
    onnx_copies.create(connection, checkfirst=True)
    there = {column["name"] for column in sa.inspect(connection).get_columns(readiness_checks.name)}
    for column in (readiness_checks.c.onnx_ready, readiness_checks.c.onnx_detail):
        if column.name not in there:
            op.add_column(readiness_checks.name, sa.Column(column.name, column.type))


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")
