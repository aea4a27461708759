"""Companions of models, and alerts that are sent once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "companions",
        sa.Column("model", ID, autoincrement=False, nullable=False),
        sa.Column("places", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["model"], ["models.id"], name=op.f("fk_companions_model")),
        sa.ForeignKeyConstraint(
            ["places"], ["blobs.digest"], name=op.f("fk_companions_places"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_companions")),
    )
    op.create_table(
        "alerts",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_alerts")),
    )
