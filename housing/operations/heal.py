"""Restores damaged or missing objects from the backup, on request."""

from dataclasses import dataclass

import sqlalchemy as sa

from housing import progress
from housing.errors import Corrupt, UnknownId
from housing.records import RunOutcome
from housing.store.backups import replication, snapshots
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.tables import blobs
from housing.store.objects.pages import PageStorage
from housing.store.runs import runs


@dataclass(frozen=True)
class Healed:
    """Digests of restored objects, and messages about those that are lost."""

    healed: tuple[str, ...]
    lost: tuple[str, ...]


def heal_pages(store: Store, pages: PageStorage) -> tuple[str, ...]:
    """Copy missing pages back from the newest backup; returns their names. Corrupt if it cannot."""
    try:
        manifest = snapshots.read(store.backup, None)
    except UnknownId:  # there is no backup
        return ()
    there = set(pages.names())
    missing = [page for page in manifest.pages if page.name not in there]
    for page in missing:
        pages.write(page.name, store.backup.get(page.copy.digest, page.copy.suffix))
    return tuple(page.name for page in missing)


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
    with store.read() as connection:
        query = sa.select(blobs.c.digest).where(blobs.c.pruned_at.is_(None))
        digests = connection.execute(query.order_by(blobs.c.digest)).scalars().all()
    healed: list[str] = []
    lost = []
    for number, digest in enumerate(digests, start=1):
        try:
            healed += replication.heal(store, [digest])
        except Corrupt as error:
            lost.append(str(error))
        progress.report("heal", number, len(digests))
    return Healed(tuple(healed), tuple(lost))
