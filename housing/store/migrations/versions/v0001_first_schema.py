"""The first schema: runs, batches, versions, split, searches, models, evaluations, ledger.

Spelled out rather than taken from `tables`, which moves on: a released migration never changes.
"""

import sqlalchemy as sa
from alembic import op

from housing.store.migrations.append_only import refuse_changes

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

APPEND_ONLY = (
    "ledger", "split_ledger", "split_parts", "split_counts", "dataset_versions", "trials",
)  # fmt: skip

VIEWS = {
    "champion_now": """
        SELECT l.to_model AS model, l.at AS since, l.operation, l.actor, l.reason
        FROM ledger l WHERE l.seq = (SELECT MAX(seq) FROM ledger)""",
    "dataset_now": """
        SELECT v.id AS version, v.operation, v.reason, v.created_at, p.rows, p.train_rows,
               p.test_rows, p.digest
        FROM dataset_versions v LEFT JOIN dataset_profiles p ON p.version = v.id
        WHERE v.id = (SELECT MAX(id) FROM dataset_versions)""",
    "nights": """
        SELECT r.id AS run, r.started_at, r.finished_at, r.status, r.outcome, r.sentence,
               r.version, r.challenger, r.champion
        FROM runs r WHERE r.kind = 'nightly'""",
}


def upgrade() -> None:
    _tables()
    for table in APPEND_ONLY:
        refuse_changes(table)
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")


def _tables() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("suffix", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("process_started", sa.Float(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("acquired_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "runs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("not_taken", sa.JSON(), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("flow_run", sa.String(length=64), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("search", sa.BigInteger(), nullable=True),
        sa.Column("challenger", sa.BigInteger(), nullable=True),
        sa.Column("evaluation", sa.BigInteger(), nullable=True),
        sa.Column("champion", sa.BigInteger(), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "split_ledger",
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "key", name=op.f("pk_split_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "backup_copies",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=500), nullable=False),
        sa.Column("verified_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["blobs.digest"], name=op.f("fk_backup_copies_digest"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("digest", "place", name=op.f("pk_backup_copies")),
    )
    op.create_table(
        "batches",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("read_rows", sa.BigInteger(), nullable=False),
        sa.Column("accepted_rows", sa.BigInteger(), nullable=False),
        sa.Column("rejected_rows", sa.BigInteger(), nullable=False),
        sa.Column("rejections", sa.JSON(), nullable=False),
        sa.Column("segment", sa.String(length=64), nullable=True),
        sa.Column("rejected", sa.String(length=64), nullable=True),
        sa.Column("watermark", sa.Text(), nullable=True),
        sa.Column("run", ID, nullable=True),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["rejected"], ["blobs.digest"], name=op.f("fk_batches_rejected"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_batches_run"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["segment"], ["blobs.digest"], name=op.f("fk_batches_segment"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("digest", name=op.f("uq_batches_digest")),
    )
    op.create_index("ix_batches_run", "batches", ["run"], unique=False)
    op.create_table(
        "dataset_versions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("parent", ID, nullable=True),
        sa.Column("operation", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"],
            ["dataset_versions.id"],
            name=op.f("fk_dataset_versions_parent"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_dataset_versions_run"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_versions")),
    )
    op.create_table(
        "run_steps",
        sa.Column("run", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_run_steps_run"), ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("run", "position", name=op.f("uq_run_steps_run")),
    )
    op.create_table(
        "dataset_profiles",
        sa.Column("version", ID, autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("train_rows", sa.BigInteger(), nullable=False),
        sa.Column("test_rows", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("measured_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["version"], ["dataset_versions.id"], name=op.f("fk_dataset_profiles_version")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_dataset_profiles")),
    )
    op.create_table(
        "searches",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("run", ID, nullable=True),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_searches_run"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["dataset_versions.id"],
            name=op.f("fk_searches_version"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_searches")),
        sa.UniqueConstraint("key", name=op.f("uq_searches_key")),
    )
    op.create_table(
        "split_counts",
        sa.Column("batch", ID, autoincrement=False, nullable=False),
        sa.Column("stratum", sa.String(length=200), nullable=False),
        sa.Column("districts", sa.BigInteger(), nullable=False),
        sa.Column("test_districts", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name=op.f("fk_split_counts_batch")),
        sa.PrimaryKeyConstraint("batch", "stratum", name=op.f("pk_split_counts")),
    )
    op.create_table(
        "split_parts",
        sa.Column("batch", ID, autoincrement=False, nullable=False),
        sa.Column("sides", sa.String(length=64), nullable=False),
        sa.Column("new_keys", sa.BigInteger(), nullable=False),
        sa.Column("known_keys", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name=op.f("fk_split_parts_batch")),
        sa.ForeignKeyConstraint(
            ["sides"], ["blobs.digest"], name=op.f("fk_split_parts_sides"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_split_parts")),
    )
    op.create_table(
        "version_batches",
        sa.Column("batch", ID, nullable=False),
        sa.Column("first_version", ID, nullable=False),
        sa.Column("last_version", ID, nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch"], ["batches.id"], name=op.f("fk_version_batches_batch"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["first_version"],
            ["dataset_versions.id"],
            name=op.f("fk_version_batches_first_version"),
        ),
        sa.ForeignKeyConstraint(
            ["last_version"], ["dataset_versions.id"], name=op.f("fk_version_batches_last_version")
        ),
        sa.PrimaryKeyConstraint("batch", "first_version", name=op.f("pk_version_batches")),
    )
    op.create_index("ix_version_batches_last", "version_batches", ["last_version"], unique=False)
    op.create_table(
        "models",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("search", ID, nullable=False),
        sa.Column("bag", sa.Integer(), nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.Column("draw", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(length=40), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("cv_rmse", sa.Float(), nullable=False),
        sa.Column("train_rows", sa.BigInteger(), nullable=False),
        sa.Column("train_keys", sa.String(length=64), nullable=False),
        sa.Column("artifact", sa.String(length=64), nullable=False),
        sa.Column("golden", sa.String(length=64), nullable=False),
        sa.Column("importances", sa.JSON(), nullable=False),
        sa.Column("libraries", sa.JSON(), nullable=False),
        sa.Column("fit_seconds", sa.Float(), nullable=False),
        sa.Column("run", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact"], ["blobs.digest"], name=op.f("fk_models_artifact"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["golden"], ["blobs.digest"], name=op.f("fk_models_golden"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_models_run"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.id"], name=op.f("fk_models_search"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["dataset_versions.id"],
            name=op.f("fk_models_version"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("search", "bag", name=op.f("uq_models_search")),
    )
    op.create_index("ix_models_version", "models", ["version"], unique=False)
    op.create_table(
        "trials",
        sa.Column("search", ID, autoincrement=False, nullable=False),
        sa.Column("draw", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("family", sa.String(length=40), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("fold_rmse", sa.JSON(), nullable=False),
        sa.Column("rmse", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["search"], ["searches.id"], name=op.f("fk_trials_search")),
        sa.PrimaryKeyConstraint("search", "draw", name=op.f("pk_trials")),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.Column("challenger", ID, nullable=False),
        sa.Column("champion", ID, nullable=True),
        sa.Column("predictions", sa.String(length=64), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("run", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["challenger"],
            ["models.id"],
            name=op.f("fk_evaluations_challenger"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["champion"], ["models.id"], name=op.f("fk_evaluations_champion"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["predictions"],
            ["blobs.digest"],
            name=op.f("fk_evaluations_predictions"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_evaluations_run"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["dataset_versions.id"],
            name=op.f("fk_evaluations_version"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint("key", name=op.f("uq_evaluations_key")),
    )
    op.create_table(
        "ledger",
        sa.Column("seq", ID, autoincrement=False, nullable=False),
        sa.Column("operation", sa.String(length=20), nullable=False),
        sa.Column("from_model", ID, nullable=True),
        sa.Column("to_model", ID, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evaluation", ID, nullable=True),
        sa.Column("run", ID, nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation"],
            ["evaluations.id"],
            name=op.f("fk_ledger_evaluation"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["from_model"], ["models.id"], name=op.f("fk_ledger_from_model"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.id"], name=op.f("fk_ledger_run"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["to_model"], ["models.id"], name=op.f("fk_ledger_to_model"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
    )
