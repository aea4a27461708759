"""Signatures of models, holds in the ledger, retention, readiness, backups as whole cuts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


VIEWS = {
    "champion_now": """
        SELECT l.to_model AS model, l.at AS since, l.operation, l.actor, l.reason
        FROM ledger l WHERE l.seq = (
            SELECT MAX(seq) FROM ledger WHERE operation IN ('promote', 'rollback'))""",
    "holds_now": """
        SELECT h.held_model AS model, h.held_batch AS batch, h.at AS since, h.actor, h.reason
        FROM ledger h WHERE h.operation = 'hold' AND NOT EXISTS (
            SELECT 1 FROM ledger r WHERE r.operation = 'release' AND r.seq > h.seq
            AND (r.held_model = h.held_model OR r.held_batch = h.held_batch))""",
}


def upgrade() -> None:
    op.add_column("blobs", sa.Column("signature", sa.String(length=80), nullable=True))
    op.add_column("blobs", sa.Column("pruned_at", TIME, nullable=True))
    op.add_column("blobs", sa.Column("deleted_at", TIME, nullable=True))
    _link("ledger", "held_model", "models")
    _link("ledger", "held_batch", "batches")
    op.execute("DROP VIEW champion_now")
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
    op.create_table(
        "readiness",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model", ID, nullable=False),
        sa.Column("ready", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("checked_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["model"], ["models.id"], name=op.f("fk_readiness_model"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_readiness")),
    )
    op.create_index("ix_readiness_model", "readiness", ["model"])
    op.create_table(
        "backups",
        sa.Column("cut", sa.String(length=60), nullable=False),
        sa.Column("place", sa.String(length=500), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("blobs", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("verified", sa.Boolean(create_constraint=False), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("pruned_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("cut", "place", name=op.f("pk_backups")),
    )


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")


def _link(table: str, column: str, target: str) -> None:
    """A nullable foreign key. Spelled in SQL: SQLite takes one only with its column."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    kind = "INTEGER" if sqlite else f"BIGINT CONSTRAINT fk_{table}_{column}"
    op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind} REFERENCES {target} (id)")
