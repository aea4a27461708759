"""Answers that were given, labels that came later, and the looks of the monitor."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DIGEST = sa.String(length=64)


def upgrade() -> None:
    op.create_table(
        "prediction_batches",
        sa.Column("id", ID, nullable=False),
        sa.Column("segment", DIGEST, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("has_inputs", sa.Boolean(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        _blob("prediction_batches", "segment"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_batches")),
    )
    op.create_index("ix_prediction_batches_last", "prediction_batches", ["last_at"])
    op.create_table(
        "label_batches",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=40), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rejected_rows", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("segment", DIGEST, nullable=True),
        sa.Column("run", ID, nullable=True),
        sa.Column("recorded_at", TIME, nullable=False),
        _blob("label_batches", "segment"),
        _run("label_batches"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_batches")),
        sa.UniqueConstraint("digest", name=op.f("uq_label_batches_digest")),
    )
    op.create_table(
        "monitor_windows",
        sa.Column("id", ID, nullable=False),
        sa.Column("model", ID, nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.JSON(), nullable=False),
        sa.Column("signals", sa.JSON(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("run", ID, nullable=True),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["model"], ["models.id"], name=op.f("fk_monitor_windows_model"), ondelete="RESTRICT"
        ),
        _run("monitor_windows"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor_windows")),
    )


def _blob(table: str, column: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], ["blobs.digest"], name=name, ondelete="RESTRICT")


def _run(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_run")
    return sa.ForeignKeyConstraint(["run"], ["runs.id"], name=name, ondelete="RESTRICT")
