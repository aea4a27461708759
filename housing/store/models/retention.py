"""Retention queries: models to keep for rollback, blobs that can be deleted.

`operations.prune` deletes them.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.retention import RetentionPolicy
from housing.store.data import profiles
from housing.store.database.tables import (
    approvals,
    backup_copies,
    batch_splits,
    batches,
    blobs,
    calibrations,
    dataset_versions,
    evaluations,
    metadata,
    models,
    onnx_copies,
    packed_batches,
    promotion_log,
    readiness_checks,
    searches,
    utc_now,
)
from housing.store.models import blocks
from housing.store.models.promotion_log import CHAMPION_CHANGES


def champions(connection: Connection, policy: RetentionPolicy, days: int) -> tuple[int, ...]:
    """Champions to keep: champion at any time of the last `days`, and the latest few.

    Newest first, without those whose bytes were pruned.
    """
    since = utc_now() - timedelta(days=max(days, policy.horizon_days))
    query = sa.select(promotion_log.c.to_model, promotion_log.c.at).where(
        promotion_log.c.operation.in_(CHAMPION_CHANGES)
    )
    kept: dict[int, None] = {}
    champion_until: datetime | None = None
    for model, at in connection.execute(query.order_by(promotion_log.c.seq.desc())):
        young = champion_until is None or champion_until >= since
        if young or len(kept) < policy.champions:
            kept.setdefault(model)
        champion_until = at
    return with_artifacts(connection, tuple(kept))


def with_artifacts(connection: Connection, wanted: Sequence[int]) -> tuple[int, ...]:
    """Those of the models whose bytes have not been pruned, in the same order."""
    query = (
        sa.select(models.c.id)
        .join(blobs, blobs.c.digest.in_((models.c.artifact, models.c.golden)))
        .where(models.c.id.in_(wanted), blobs.c.pruned_at.is_not(None))
    )
    gone = set(connection.scalars(query))
    return tuple(model for model in wanted if model not in gone)


def readiness_by_model(connection: Connection) -> dict[int, Row[Any]]:
    """The last readiness check of each model, by model."""
    last = sa.select(sa.func.max(readiness_checks.c.id)).group_by(readiness_checks.c.model)
    rows = connection.execute(sa.select(readiness_checks).where(readiness_checks.c.id.in_(last)))
    return {row.model: row for row in rows}


def prunable_digests(
    connection: Connection, policy: RetentionPolicy, days: int, backup_url: str
) -> tuple[str, ...]:
    """Digests of blobs that nothing kept refers to.

    Those of models, their searches, evaluations and calibrations that are past their age, and what
    batches had before they were packed, once every pack has a verified copy at `backup_url`.
    """
    before = utc_now() - timedelta(days=max(days, policy.horizon_days))
    packed = sa.select(packed_batches.c.batch)
    conditions = _of_kept_models(_kept(connection, policy, days), before)
    old, replaced = blobs.c.created_at < before, blobs.c.kind.in_(PACKED)
    if _packing_is_over(connection, policy, backup_url):
        conditions |= {
            batches.c.segment: batches.c.id.not_in(packed),
            batch_splits.c.sides: batch_splits.c.batch.not_in(packed),
        }
        old = sa.or_(old, replaced)
    else:
        old = sa.and_(old, sa.not_(replaced))
    wanted: set[str] = set()
    for table, column in _links():
        query = sa.select(column).where(column.is_not(None)).distinct()
        query = query.where(conditions.get(column, conditions.get(table, sa.true())))
        wanted |= set(connection.scalars(query))
    live = sa.select(blobs.c.digest).where(blobs.c.pruned_at.is_(None), old)
    found = connection.scalars(live.order_by(blobs.c.digest))
    return tuple(digest for digest in found if digest not in wanted)


PACKED = ("segment", "sides", "pack")
"""Kinds of blobs that packing replaces: a row refers to each that was not replaced."""

Conditions = dict[Any, sa.ColumnElement[bool]]
"""By table, or by one of its columns: which rows keep what they refer to."""


def _of_kept_models(kept: set[int], before: datetime) -> Conditions:
    searched = sa.select(models.c.search).where(models.c.id.in_(kept))
    return {
        models: (models.c.created_at >= before) | models.c.id.in_(kept),
        evaluations: (evaluations.c.created_at >= before) | evaluations.c.challenger.in_(kept),
        calibrations: (calibrations.c.created_at >= before) | calibrations.c.model.in_(kept),
        onnx_copies: (onnx_copies.c.created_at >= before) | onnx_copies.c.model.in_(kept),
        searches: (searches.c.started_at >= before)
        | searches.c.id.in_(searched)
        | _is_active(searches.c.version),
    }


def _packing_is_over(connection: Connection, policy: RetentionPolicy, backup_url: str) -> bool:
    """Whether readers that listed the parts of a version before the last packing have ended, and
    the backup has a copy of each pack: those of what it replaces are deleted as well."""
    newest = connection.scalar(sa.select(sa.func.max(packed_batches.c.packed_at)))
    if newest is None or newest >= utc_now() - timedelta(hours=policy.orphan_hours):
        return False
    copied = sa.select(backup_copies.c.digest).where(backup_copies.c.url == backup_url)
    alone = sa.select(packed_batches.c.pack).where(packed_batches.c.pack.not_in(copied)).limit(1)
    return connection.scalar(alone) is None


def outdated_checks(before: datetime) -> sa.ColumnElement[bool]:
    """SQL condition: readiness checks before an instant that are not the last of their model."""
    last = sa.select(sa.func.max(readiness_checks.c.id)).group_by(readiness_checks.c.model)
    return (readiness_checks.c.checked_at < before) & readiness_checks.c.id.not_in(last)


def referenced(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of the digests that some row refers to."""
    found: set[str] = set()
    for _, column in _links():
        found |= set(connection.scalars(sa.select(column).where(column.in_(digests))))
    return found


def _kept(connection: Connection, policy: RetentionPolicy, days: int) -> set[int]:
    """Rollback targets, and models that a later run may still promote, however old.

    The latter are models of the active rows, blocked ones, and those with a pending approval.
    """
    active = sa.select(models.c.id).where(_is_active(models.c.version))
    awaiting_approval = (
        sa.select(evaluations.c.challenger)
        .join(approvals, approvals.c.evaluation == evaluations.c.id)
        .where(approvals.c.status == "pending")
    )
    return {
        *champions(connection, policy, days),
        *blocks.current(connection).models,
        *connection.scalars(active),
        *connection.scalars(awaiting_approval),
    }


def _is_active(version: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """SQL condition: the version is the newest, or has the same content."""
    newest = sa.select(sa.func.max(dataset_versions.c.id)).scalar_subquery()
    return sa.or_(version == newest, version.in_(profiles.alike(newest)))


def _links() -> Iterator[tuple[sa.Table, sa.Column[str]]]:
    """Every column that refers to a blob, except the record of its backup copy."""
    for table in metadata.sorted_tables:
        if table is backup_copies:
            continue
        for column in table.columns:
            if any(key.column is blobs.c.digest for key in column.foreign_keys):
                yield table, column
