"""Dropping what retention no longer needs: marked in SQL, deleted, recorded; in that order.

Killed anywhere it is simply run again: what is marked and not deleted is deleted then. Neither a
night nor a backup is at work meanwhile. Nothing inside the rollback horizon is ever dropped.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

import sqlalchemy as sa

from housing import progress
from housing.errors import Corrupt, NotPossible
from housing.records import RunOutcome
from housing.settings import Settings
from housing.store import cuts, lease, retained, runs
from housing.store.blobs import name_of
from housing.store.engine import NIGHT, UPKEEP, Store
from housing.store.place import DOOMED, Place
from housing.store.runs import actor
from housing.store.tables import backup_copies, backups, blobs, utc_now

BLOB_NAME = re.compile(r"[0-9a-f]{2}/(?P<digest>[0-9a-f]{64})\.[a-z0-9.]+")
SCRATCH_NAME = re.compile(r"(.*/)?\.writing-[^/]*")


@dataclass(frozen=True)
class Pruned:
    """What was dropped, or would be."""

    blobs: int  # objects that nothing kept refers to
    bytes: int
    orphans: int  # files that SQL does not know
    backups: int  # cuts outside of retention, and unfinished ones
    copies: int  # objects in the backup place that no kept cut refers to


def prune(
    store: Store, settings: Settings, *, days: int | None = None, dry_run: bool = False
) -> Pruned:
    """Drop what is older than `days` (the policy's for None) and not kept; returns what was.

    NotPossible inside the rollback horizon, AnotherNightRuns while a night or a backup is at work.
    """
    policy = settings.retention
    age = policy.days if days is None else days
    if age < policy.horizon_days:
        raise NotPossible(
            what=f"Pruning what is older than {age} days",
            why=f"the rollback horizon is {policy.horizon_days} days; "
            "HOUSING_RETENTION__HORIZON_DAYS moves it.",
        )
    owner = f"the prune of {actor()}"
    with (
        lease.holding(store, owner=owner, name=NIGHT) as fenced,
        lease.holding(store, owner=owner, name=UPKEEP),
    ):
        if dry_run:
            return _Sweep(fenced, settings, age).look()
        return _recorded(fenced, _Sweep(fenced, settings, age))


def _recorded(store: Store, sweep: "_Sweep") -> Pruned:
    with store.write() as connection:
        run = runs.start(connection, "prune", {"days": sweep.age})
    try:
        done = sweep.act()
    except BaseException as error:
        runs.finish(store, run, "failed", error=str(error) or type(error).__name__)
        raise
    said = ", ".join(f"{count:,} {name}" for name, count in asdict(done).items())
    runs.finish(store, run, "completed", outcome=RunOutcome.DONE, sentence=f"Dropped: {said}")
    return done


class _Sweep:
    """One pass over both places."""

    def __init__(self, store: Store, settings: Settings, age: int) -> None:
        self.store, self.policy, self.age = store, settings.retention, age
        self.old = utc_now() - timedelta(hours=self.policy.orphan_hours)

    def look(self) -> Pruned:
        """What would be dropped; nothing is changed."""
        with self.store.read() as connection:
            digests = retained.droppable(connection, self.policy, self.age)
            sizes = _sizes(connection, digests)
        orphans = [n for n in self._orphans(self.store.blobs) if self._is_old(self.store.blobs, n)]
        kept, dropped = self._cuts()
        copies = [n for n in self._copies(kept, digests) if self._is_old(self.store.backup, n)]
        return Pruned(len(digests), sum(sizes), len(orphans), len(dropped), len(copies))

    def act(self) -> Pruned:
        """Drop it."""
        _unrename(self.store.blobs)
        _unrename(self.store.backup)
        self._mark()
        deleted, size = self._delete_marked()
        orphans = sum(
            self.store.blobs.sweep(n, self.old) for n in list(self._orphans(self.store.blobs))
        )
        kept, dropped = self._cuts()
        for id_ in dropped:
            self._drop_cut(id_)
        copies = self._sweep_copies(list(self._copies(kept, ())))
        return Pruned(deleted, size, orphans, len(dropped), copies)

    def _sweep_copies(self, names: Sequence[str]) -> int:
        swept = [name for name in names if self.store.backup.sweep(name, self.old)]
        digests = [name.rpartition("/")[2].partition(".")[0] for name in swept]
        with self.store.write() as connection:
            for part in _parts(digests):
                here = backup_copies.c.place == self.store.backup.url
                this = here & backup_copies.c.digest.in_(part)
                connection.execute(backup_copies.delete().where(this))
        return len(swept)

    def _mark(self) -> None:
        """In one transaction with the look at the ledger: a rollback comes before or after it."""
        with self.store.write() as connection:
            digests = retained.droppable(connection, self.policy, self.age)
            for part in _parts(digests):
                this = blobs.c.digest.in_(part)
                connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))

    def _delete_marked(self) -> tuple[int, int]:
        marked = sa.select(blobs).where(
            blobs.c.pruned_at.is_not(None), blobs.c.deleted_at.is_(None)
        )
        with self.store.read() as connection:
            rows = connection.execute(marked).all()
        for number, row in enumerate(rows, start=1):
            self.store.blobs.remove(name_of(row.digest, row.suffix))
            progress.report("prune", number, len(rows), f"{row.size:,} bytes")
        with self.store.write() as connection:
            for part in _parts([row.digest for row in rows]):
                this = blobs.c.digest.in_(part)
                connection.execute(blobs.update().where(this).values(deleted_at=utc_now()))
        return len(rows), sum(row.size for row in rows)

    def _orphans(self, place: Place) -> Iterator[str]:
        """Files of ours that SQL does not know: written, and never recorded."""
        with self.store.read() as connection:
            known = set(connection.execute(sa.select(blobs.c.digest)).scalars())
        for name in place.names():
            found = BLOB_NAME.fullmatch(name)
            if SCRATCH_NAME.fullmatch(name) or (found and found["digest"] not in known):
                yield name

    def _cuts(self) -> tuple[list[str], list[str]]:
        """Backups to keep, and those to drop: the old ones and the unfinished ones."""
        place, horizon = self.store.backup, utc_now() - timedelta(days=self.policy.horizon_days)
        whole = cuts.ids(place)
        with self.store.read() as connection:
            query = sa.select(backups.c.cut).where(backups.c.verified.is_(True))
            good = [id_ for id_ in sorted(connection.execute(query).scalars()) if id_ in whole]
        safe = {*whole[-self.policy.backups :], *good[-1:]}
        kept = [id_ for id_ in whole if id_ in safe or cuts.taken_at(id_) >= horizon]
        unfinished = [id_ for id_ in cuts.unfinished(place) if cuts.taken_at(id_) < self.old]
        return kept, [*(id_ for id_ in whole if id_ not in kept), *unfinished]

    def _drop_cut(self, id_: str) -> None:
        this = (backups.c.cut == id_) & (backups.c.place == self.store.backup.url)
        with self.store.write() as connection:
            connection.execute(backups.update().where(this).values(pruned_at=utc_now()))
        cuts.remove(self.store.backup, id_)

    def _copies(self, kept: Sequence[str], going: Sequence[str]) -> Iterator[str]:
        """Objects in the backup place that neither a kept cut nor the live store refers to."""
        place = self.store.backup
        with self.store.read() as connection:
            live = sa.select(blobs.c.digest).where(blobs.c.pruned_at.is_(None))
            wanted = set(connection.execute(live).scalars()) - set(going)
        for id_ in kept:
            try:
                wanted |= {blob.digest for blob in cuts.read(place, id_).blobs}
            except Corrupt:
                return  # what it refers to is not known, so nothing is swept away
        for name in place.names():
            found = BLOB_NAME.fullmatch(name)
            if SCRATCH_NAME.fullmatch(name) or (found and found["digest"] not in wanted):
                yield name

    def _is_old(self, place: Place, name: str) -> bool:
        try:
            return place.modified(name) < self.old
        except FileNotFoundError:
            return False


def _unrename(place: Place) -> None:
    """Undo what a sweep that was killed between its two steps has left."""
    for name in list(place.names(raw=True)):
        if name.endswith(DOOMED):
            place.raw().rename(name, name.removesuffix(DOOMED))


def _sizes(connection: sa.Connection, digests: Sequence[str]) -> list[int]:
    found: list[int] = []
    for part in _parts(digests):
        query = sa.select(blobs.c.size).where(blobs.c.digest.in_(part))
        found += connection.execute(query).scalars().all()
    return found


def _parts(digests: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), size):
        yield digests[start : start + size]
