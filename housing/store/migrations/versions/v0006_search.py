"""Scores fold by fold, stopped draws, the search's choice, out-of-fold predictions."""

import sqlalchemy as sa
from alembic import op

from housing.store.migrations.append_only import refuse_changes

revision = "0006"
down_revision = "0005"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "scores",
        sa.Column("search", ID, autoincrement=False, nullable=False),
        sa.Column("draw", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fold", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rmse", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["search"], ["searches.id"], name=op.f("fk_scores_search")),
        sa.PrimaryKeyConstraint("search", "draw", "fold", name=op.f("pk_scores")),
    )
    refuse_changes("scores")
    op.add_column("searches", sa.Column("warm", sa.JSON(), nullable=True))
    op.add_column("searches", sa.Column("models", sa.JSON(), nullable=True))
    op.add_column("searches", sa.Column("cv_rmse", sa.Float(), nullable=True))
    op.add_column(
        "trials", sa.Column("stopped", sa.Boolean(create_constraint=False), nullable=True)
    )
    op.add_column("models", sa.Column("members", sa.JSON(), nullable=True))
    op.add_column("models", sa.Column("groups", sa.JSON(), nullable=True))
    _link_to_blob("searches")
    _link_to_blob("models")


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")


def _link_to_blob(table: str) -> None:
    """A nullable foreign key. Spelled in SQL: SQLite takes one only with its column."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    name = "" if sqlite else f"CONSTRAINT fk_{table}_oof "
    op.execute(f"ALTER TABLE {table} ADD COLUMN oof VARCHAR(64) {name}REFERENCES blobs (digest)")
