"""The first schema: runs, batches, versions, split, searches, models, evaluations, ledger."""

from alembic import op

from housing.store.migrations.append_only import refuse_changes
from housing.store.tables import APPEND_ONLY, metadata

revision = "0001"
down_revision = None

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
    bind = op.get_bind()
    metadata.create_all(bind, checkfirst=False)
    for table in APPEND_ONLY:
        refuse_changes(table.name)
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")
