"""Warnings that `housing status`, every report and every run's summary show first.

Imports nothing that computes, so that `housing status` answers at once.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import HousingError
from housing.formatting import percent
from housing.gate import evidence as records
from housing.monitoring.staleness import CLOCK_SLACK
from housing.settings import Settings
from housing.store import queries
from housing.store.database.tables import (
    batches,
    blobs,
    models,
    promotion_log,
    runs,
    utc_now,
)
from housing.store.models import registry
from housing.store.objects.blobs import BlobStore
from housing.store.runs import outbox

TEST_SET_REUSE_WARNING = 60
"""Decisions on one test set from which on its reuse is warned about: then, and each time their
number has doubled, until it has grown by a tenth. The bias of the lowest of N errors grows
with the root of the logarithm of N, so a store of years has no new reason each night."""


def notices(connection: Connection, settings: Settings) -> Iterator[str]:
    """Sentences about simulated data, reuse of the test set, alerts, wrong dates and the backup."""
    yield from queries.simulated(connection)
    yield from _test_set_reuse(connection)
    yield from shadow_faults(connection, settings)
    yield from outbox.undelivered(connection)
    for what in dates_in_the_future(connection):
        yield f"{what}: set the clock that is wrong; ages that are computed from it are wrong too."
    if fault := settings.backup_fault:
        yield (
            f"The backup at {settings.backup_url} cannot be used: {fault}. No model is promoted "
            "until it can. Make the folder writable, or set HOUSING_BACKUP_URL to another."
        )
    elif settings.backup_on_same_disk:
        yield (
            "The backup is on the same disk as the store and is lost with it. "
            "Set HOUSING_BACKUP_URL to another disk."
        )


def dates_in_the_future(connection: Connection) -> Iterator[str]:
    """The newest run, batch, model and promotion that is dated in the future, one text each."""
    for table, column, text in _DATED:
        newest = connection.execute(sa.select(sa.func.max(table.c[column]))).scalar()
        if newest is not None and newest > utc_now() + CLOCK_SLACK:
            yield f"{text} lies in the future ({newest:%Y-%m-%d %H:%M} UTC)"


_DATED = (
    (runs, "started_at", "A run's start time"),
    (batches, "recorded_at", "A batch's time of ingestion"),
    (models, "created_at", "A model's time of training"),
    (promotion_log, "at", "A time in the promotion log"),
)


def shadow_faults(connection: Connection, settings: Settings) -> Iterator[str]:
    """Why the model that HOUSING_SERVE__SHADOW names cannot be loaded, by SQL and its file."""
    name = settings.serve.shadow
    if not name.removeprefix("m").isdigit():
        return  # none, or `kept`
    try:
        model = registry.model(connection, int(name.removeprefix("m")))
        registry.must_have_bytes(connection, model)
        artifact = sa.select(blobs.c.digest, blobs.c.suffix).where(blobs.c.digest == model.artifact)
        BlobStore(settings.blob_url).get(*connection.execute(artifact).one())
    except HousingError as error:
        yield f"The shadow {name} cannot be loaded: {error} HOUSING_SERVE__SHADOW names it."


def reuse_warning_is_due(decisions: int) -> bool:
    """Whether reuse of the test set is warned about after this number of decisions."""
    times = decisions // TEST_SET_REUSE_WARNING
    last = TEST_SET_REUSE_WARNING << max(times.bit_length() - 1, 0)
    return last <= decisions < 1.1 * last


def _test_set_reuse(connection: Connection) -> Iterator[str]:
    """What the newest evaluation found about repeated use of the test set."""
    newest = registry.newest_evaluations(connection, 1)
    reuse = records.read(newest[0].evidence).holdout_reuse if newest else None
    if reuse is None:
        return
    if reuse.difference is not None and reuse.difference.lower > 0:
        yield (
            f"Test-set overfitting: on {reuse.fresh_rows:,} rows that no decision has used, the "
            f"champion's error is {percent(reuse.difference.value)} higher than on the others, "
            "beyond chance."
        )
    if reuse_warning_is_due(reuse.decisions):
        yield (
            f"The test set has served {reuse.decisions:,} decisions; models chosen by it again "
            "and again fit it. Fresh rows are the remedy."
        )
