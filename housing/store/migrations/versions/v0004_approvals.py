"""Promotions that wait for a person."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("evaluation", ID, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("repeated", ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_approvals_run"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["evaluation"],
            ["evaluations.id"],
            name=op.f("fk_approvals_evaluation"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["repeated"],
            ["evaluations.id"],
            name=op.f("fk_approvals_repeated"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("evaluation", name=op.f("uq_approvals_evaluation")),
    )


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")
