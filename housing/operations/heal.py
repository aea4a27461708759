"""Restores damaged or missing objects from the backup, on request."""

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from housing import progress
from housing.errors import Corrupt
from housing.records import RunOutcome
from housing.settings import Settings
from housing.store.backups import replication, snapshots
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.tables import runs as runs_table
from housing.store.database.tables import utc_now
from housing.store.objects.pages import page_storage
from housing.store.objects.recording import live_rows
from housing.store.runs import runs


@dataclass(frozen=True)
class Healed:
    """Digests of restored objects, and messages about those that are lost."""

    healed: tuple[str, ...]
    lost: tuple[str, ...]


def missing_reports(store: Store, settings: Settings) -> tuple[int, ...]:
    """Runs within the rollback horizon that recorded a report which is not there."""
    since = utc_now() - timedelta(days=settings.retention.horizon_days)
    with store.read() as connection:
        query = sa.select(runs_table.c.id).where(runs_table.c.report.is_not(None))
        query = query.where(runs_table.c.started_at > since).order_by(runs_table.c.id)
        young = connection.scalars(query).all()
    there = set(page_storage(settings).names())
    return tuple(run for run in young if f"report-r{run}.html" not in there)


def heal_pages(store: Store, settings: Settings) -> tuple[str, ...]:
    """Copy missing pages back: those of the newest backup, and missing reports from older ones,
    as a backup that was made since lacks them. Returns their names; Corrupt if it cannot.
    """
    pages, healed = page_storage(settings), list[str]()
    for age, id_ in enumerate(reversed(snapshots.ids(store.backup))):
        missing = missing_reports(store, settings)
        if age and not missing:
            break
        of_them = tuple(part for run in missing for part in (f"report-r{run}.", f"r{run}-"))
        there = set(pages.names())
        for page in snapshots.read(store.backup, id_).pages:
            if page.name not in there and (age == 0 or page.name.startswith(of_them)):
                pages.write(page.name, store.backup.get(page.copy.digest, page.copy.suffix))
                healed.append(page.name)
    return tuple(healed)


def heal(store: Store, *, take_over: bool = False) -> Healed:
    """Read every object, and copy damaged ones back from the backup.

    First repair the marks of blob storage and backup: NotOwned where one may have the files of
    another database; `take_over` claims it.
    """
    for storage in (store.blobs, store.backup):
        ownership.repair(store, storage, take_over=take_over)
    if take_over:
        with runs.recorded(store, "take over", {}) as run:
            runs.finish(store, run, "completed", outcome=RunOutcome.DONE)
        for storage in (store.blobs, store.backup):  # the former database lacks this run
            ownership.claim(store, storage)
    digests = [row.digest for row in store.query(live_rows)]
    healed: list[str] = []
    lost: list[str] = []
    for number, digest in enumerate(digests, start=1):
        try:
            healed += replication.heal(store, [digest])
        except Corrupt as error:
            lost.append(str(error))
        progress.report("heal", number, len(digests))
    return Healed(tuple(healed), tuple(lost))
