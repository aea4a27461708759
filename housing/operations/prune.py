"""Dropping what retention no longer needs: planned, marked in SQL, deleted, in that order.

Killed anywhere it is simply run again: what is marked and not deleted is deleted then. Neither a
night nor a backup is at work meanwhile; whatever else stores bytes is safe by `store.deletion`.
Nothing inside the rollback horizon is ever dropped.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

import sqlalchemy as sa

from housing.errors import Corrupt, HousingError, NotPossible
from housing.pipeline import notifications
from housing.records import RunOutcome
from housing.settings import Settings
from housing.store.backups import snapshots
from housing.store.database.engine import NIGHT, UPKEEP, Store
from housing.store.database.tables import backups, blobs, utc_now
from housing.store.models import retention
from housing.store.objects import deletion
from housing.store.objects.filesystem import DurableFileSystem, is_scratch
from housing.store.runs import lease, runs
from housing.store.runs.runs import actor

BLOB_NAME = re.compile(r"[0-9a-f]{2}/(?P<digest>[0-9a-f]{64})\.[a-z0-9.]+")


@dataclass(frozen=True)
class PruneResult:
    """What was dropped, or would be."""

    blobs: int  # objects that nothing kept refers to
    bytes: int
    orphans: int  # files that SQL does not know
    backups: int  # snapshots outside of retention, and unfinished ones
    copies: int  # objects in the backup place that no kept snapshot refers to
    notice: str = ""  # what a person has to look at


def prune(
    store: Store,
    settings: Settings,
    *,
    days: int | None = None,
    dry_run: bool = False,
    flow_run: str | None = None,
) -> PruneResult:
    """Drop what is older than `days` (the policy's for None) and not kept; returns what was.

    NotPossible inside the rollback horizon, RunInProgress while a night or a backup is at work.
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
        lease.held_lease(store, owner=owner, name=NIGHT) as fenced,
        lease.held_lease(store, owner=owner, name=UPKEEP) as upkeep,
    ):
        sweep = _Pruner(fenced, upkeep, settings, age)
        return sweep.plan().counts() if dry_run else _recorded(fenced, sweep, flow_run)


def _recorded(store: Store, sweep: "_Pruner", flow_run: str | None) -> PruneResult:
    with store.write() as connection:
        run = runs.start(connection, "prune", {"days": sweep.age}, flow_run)
        lease.set_run(connection, run)
    notifications.failures(
        store, sweep.settings
    )  # a killed one says that it runs: we hold what it would need
    try:
        done = sweep.act(sweep.plan())
    except BaseException as error:
        why = str(error) if isinstance(error, HousingError) else f"{type(error).__name__}: {error}"
        said = f"{why} Nothing that is needed was dropped; `housing prune` goes on from here."
        runs.finish(store.unfenced(), run, "failed", error=said)
        raise
    counts = {name: count for name, count in asdict(done).items() if name != "notice"}
    said = f"Dropped: {', '.join(f'{count:,} {name}' for name, count in counts.items())}"
    said += f". {done.notice}" if done.notice else ""
    runs.finish(store, run, "completed", outcome=RunOutcome.DONE, message=said)
    return done


@dataclass(frozen=True)
class _Plan:
    """What a prune drops, by name; a dry run is its counts."""

    blobs: dict[str, int]  # digest: bytes
    orphans: tuple[str, ...]
    snapshots: tuple[str, ...]
    copies: tuple[str, ...]
    notice: str

    def counts(self) -> PruneResult:
        return PruneResult(
            blobs=len(self.blobs),
            bytes=sum(self.blobs.values()),
            orphans=len(self.orphans),
            backups=len(self.snapshots),
            copies=len(self.copies),
            notice=self.notice,
        )


class _Pruner:
    """One pass over both places; `upkeep` is the store fenced by the lease of backups."""

    def __init__(self, store: Store, upkeep: Store, settings: Settings, age: int) -> None:
        self.store, self.upkeep = store, upkeep
        self.settings, self.policy, self.age = settings, settings.retention, age
        self.old = utc_now() - timedelta(hours=self.policy.orphan_hours)

    def plan(self) -> _Plan:
        """What is to go; nothing is changed."""
        with self.store.read() as connection:
            digests = retention.prunable_digests(connection, self.policy, self.age)
            going = deletion.marked(connection) | _sizes(connection, digests)
            known = deletion.present(connection)
            live = set(connection.execute(_live()).scalars()) - set(going)
        orphans = self._old_files(self.store.blobs, known)
        kept, dropped = self._snapshots()
        wanted, notice = self._wanted(kept)
        copies = [] if notice else self._old_files(self.store.backup, live | wanted)
        return _Plan(going, tuple(orphans), tuple(dropped), tuple(copies), notice)

    def act(self, plan: _Plan) -> PruneResult:
        """Drop it; what has come into use since the plan was made stays."""
        deleted, size = deletion.delete_marked(self.store, self._mark())
        orphans = deletion.delete_unnamed(self.store, plan.orphans)
        for id_ in plan.snapshots:
            self._drop_snapshot(id_)
        copies = deletion.delete_copies(self.upkeep, plan.copies)
        return PruneResult(deleted, size, orphans, len(plan.snapshots), copies, plan.notice)

    def _mark(self) -> list[str]:
        """In one transaction with the look at the ledger: a rollback comes before or after it."""
        with self.store.write() as connection:
            digests = retention.prunable_digests(connection, self.policy, self.age)
            for part in deletion.batched(digests):
                this = blobs.c.digest.in_(part)
                connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
            return sorted(deletion.marked(connection))

    def _snapshots(self) -> tuple[list[str], list[str]]:
        """Backups to keep, and those to drop: the old ones, and those without a manifest.

        Nobody writes one of the latter, whatever its age: we hold the lease of backups.
        """
        place, horizon = self.store.backup, utc_now() - timedelta(days=self.policy.horizon_days)
        whole = snapshots.ids(place)
        with self.store.read() as connection:
            query = sa.select(backups.c.snapshot).where(backups.c.verified.is_(True))
            good = [id_ for id_ in sorted(connection.execute(query).scalars()) if id_ in whole]
        safe = {*whole[-self.policy.backups :], *good[-1:]}
        kept = [id_ for id_ in whole if id_ in safe or snapshots.taken_at(id_) >= horizon]
        return kept, [*(id_ for id_ in whole if id_ not in kept), *snapshots.unfinished(place)]

    def _drop_snapshot(self, id_: str) -> None:
        """While the lease of backups is seen to be ours: no backup relies on it as whole."""
        this = (backups.c.snapshot == id_) & (backups.c.url == self.store.backup.url)
        with self.upkeep.write() as connection:
            connection.execute(backups.update().where(this).values(pruned_at=utc_now()))
            snapshots.disown(self.store.backup, id_)
        snapshots.remove(self.store.backup, id_)

    def _wanted(self, kept: Sequence[str]) -> tuple[set[str], str]:
        """What kept snapshots refer to; and a notice where one of them cannot be read."""
        wanted: set[str] = set()
        for id_ in kept:
            try:
                wanted |= {blob.digest for blob in snapshots.read(self.store.backup, id_).blobs}
            except Corrupt as error:
                return (
                    set(),
                    f"No copies were dropped, as it is not known which are needed: {error}",
                )
        return wanted, ""

    def _old_files(self, place: DurableFileSystem, wanted: set[str]) -> list[str]:
        """Files of ours of some age that are not wanted: written, and never recorded.

        The age is no matter of safety (`store.deletion` is): it spares a living writer the work of
        storing its bytes again.
        """
        return [name for name in unreferenced(place, wanted) if self._is_old(place, name)]

    def _is_old(self, place: DurableFileSystem, name: str) -> bool:
        try:
            return place.modified(name) < self.old
        except FileNotFoundError:
            return False


def unreferenced(place: DurableFileSystem, wanted: Collection[str]) -> Iterator[str]:
    """Names of temporary files, and of blobs whose digest is not wanted."""
    for name in place.names():
        found = BLOB_NAME.fullmatch(name)
        if is_scratch(name) or (found and found["digest"] not in wanted):
            yield name


def _live() -> sa.Select[tuple[str]]:
    return sa.select(blobs.c.digest).where(blobs.c.pruned_at.is_(None))


def _sizes(connection: sa.Connection, digests: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in deletion.batched(digests):
        query = sa.select(blobs.c.digest, blobs.c.size).where(blobs.c.digest.in_(part))
        found |= {row.digest: row.size for row in connection.execute(query)}
    return found
