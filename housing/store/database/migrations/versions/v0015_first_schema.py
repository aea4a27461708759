"""The first schema: every table of `tables`, its append-only triggers and the views.

Nothing is released yet, so the tables are taken as they stand. With the first release they are
spelled out here, and each later change becomes a migration of its own.
"""

from alembic import op

from housing.store.database.migrations.append_only import refuse_changes
from housing.store.database.tables import APPEND_ONLY, metadata

revision = "0015"
down_revision = None

VIEWS = {
    "current_champion": """
        SELECT l.to_model AS model, l.at AS since, l.operation, l.actor, l.reason
        FROM promotion_log l WHERE l.seq = (
            SELECT MAX(seq) FROM promotion_log WHERE operation IN ('promote', 'rollback'))""",
    "current_blocks": """
        SELECT h.blocked_model AS model, h.blocked_batch AS batch, h.at AS since, h.actor, h.reason
        FROM promotion_log h WHERE h.operation = 'block' AND NOT EXISTS (
            SELECT 1 FROM promotion_log r WHERE r.operation = 'unblock' AND r.seq > h.seq
            AND (r.blocked_model = h.blocked_model OR r.blocked_batch = h.blocked_batch))""",
    "current_dataset": """
        SELECT v.id AS version, v.operation, v.reason, v.created_at, p.rows, p.train_rows,
               p.test_rows, p.digest
        FROM dataset_versions v LEFT JOIN dataset_profiles p ON p.version = v.id
        WHERE v.id = (SELECT MAX(id) FROM dataset_versions)""",
    "nightly_runs": """
        SELECT r.id AS run, r.started_at, r.finished_at, r.status, r.outcome, r.message,
               r.version, r.challenger, r.champion
        FROM runs r WHERE r.kind = 'nightly'""",
}


def upgrade() -> None:
    metadata.create_all(op.get_bind(), checkfirst=False)
    for table in APPEND_ONLY:
        refuse_changes(table.name)
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    raise NotImplementedError("history is not thrown away; restore a backup instead")
