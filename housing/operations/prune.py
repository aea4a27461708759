"""Deletes what the retention policy no longer keeps: planned, marked, then deleted; packs batches.

Safe to interrupt: the next prune deletes what is marked. Neither a run nor a backup is in progress
meanwhile; other writers are safe by `store.objects.deletion`. Nothing within the rollback horizon
is deleted.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import PurePath

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import Corrupt, HousingError, NotPossible
from housing.pipeline import notifications
from housing.records import RunOutcome
from housing.retention import RetentionPolicy
from housing.settings import Settings
from housing.store.backups import snapshots
from housing.store.data import packing
from housing.store.database import ownership
from housing.store.database.engine import MAINTENANCE, RUN, Store
from housing.store.database.tables import (
    backups,
    blobs,
    labelled_predictions,
    readiness_checks,
    utc_now,
)
from housing.store.database.tables import monitor_windows as monitor_windows_table
from housing.store.models import promotion_log, retention
from housing.store.objects import deletion
from housing.store.objects.blobs import BLOB_NAME
from housing.store.objects.filesystem import DurableFileSystem, is_scratch
from housing.store.objects.pages import page_storage
from housing.store.objects.recording import live_rows
from housing.store.runs import labelled, lease, monitor_windows, outbox, runs


@dataclass(frozen=True)
class PruneResult:
    """What was deleted, or would be."""

    blobs: int  # objects that no kept row refers to
    bytes: int
    orphans: int  # files that SQL does not know
    backups: int  # outside of retention, or incomplete
    copies: int  # objects in the backup location that no kept backup refers to
    records: int  # of the monitor, and checks of readiness
    pages: int  # reports, model cards and data pages
    packed: int  # batches whose rows were put together
    notice: str = ""  # what a person has to look at


def prune(
    store: Store,
    settings: Settings,
    *,
    days: int | None = None,
    dry_run: bool = False,
    flow_run: str | None = None,
) -> PruneResult:
    """Delete what is older than `days` (the policy's for None) and not kept.

    NotPossible within the rollback horizon, RunInProgress during a run or a backup.
    """
    policy = settings.retention
    age = policy.days if days is None else days
    if age < policy.horizon_days:
        raise NotPossible(
            what=f"Pruning what is older than {age} days",
            why=f"the rollback horizon is {policy.horizon_days} days; "
            "HOUSING_RETENTION__HORIZON_DAYS moves it.",
        )
    owner = f"the prune of {runs.actor()}"
    with (
        lease.held_lease(store, owner=owner, name=RUN) as fenced,
        lease.held_lease(store, owner=owner, name=MAINTENANCE) as maintenance,
    ):
        pruner = _Pruner(fenced, maintenance, settings, age)
        return pruner.plan().counts() if dry_run else _recorded(fenced, pruner, flow_run)


def _recorded(store: Store, pruner: "_Pruner", flow_run: str | None) -> PruneResult:
    with store.write() as connection:
        run = runs.start(connection, "prune", {"days": pruner.age}, flow_run)
        lease.set_run(connection, run)
    notifications.report_dead_runs(store)  # marks a prune that was killed
    rest = ""
    try:
        plan = pruner.plan()
        rest = " Only unneeded data were deleted; `housing prune` resumes."
        done = pruner.act(plan)
    except BaseException as error:
        why = str(error) if isinstance(error, HousingError) else f"{type(error).__name__}: {error}"
        runs.finish(store.unfenced(), run, "failed", error=f"{why}{rest}")
        outbox.deliver(store)
        raise
    counts = ", ".join(f"{n:,} {name}" for name, n in asdict(done).items() if name != "notice")
    message = f"Deleted: {counts}" + (f". {done.notice}" if done.notice else "")
    runs.finish(store, run, "completed", outcome=RunOutcome.DONE, message=message)
    return done


@dataclass(frozen=True)
class _Plan:
    """What a prune deletes; a dry run returns its counts."""

    blobs: dict[str, int]  # digest: bytes
    orphans: list[str]
    backups: list[str]
    copies: list[str]
    records: int
    pages: list[str]
    loose: int  # batches to pack
    notice: str

    def counts(self) -> PruneResult:
        size, old, copies = sum(self.blobs.values()), len(self.backups), len(self.copies)
        return PruneResult(
            len(self.blobs), size, len(self.orphans), old, copies, self.records, len(self.pages),
            self.loose, self.notice,
        )  # fmt: skip


class _Pruner:
    """One pass over both locations; `maintenance` is the store fenced by the lease of backups."""

    def __init__(self, store: Store, maintenance: Store, settings: Settings, age: int) -> None:
        self.store, self.maintenance = store, maintenance
        self.settings, self.policy, self.age = settings, settings.retention, age
        self.pages = page_storage(settings)

    def plan(self) -> _Plan:
        """Decide what to delete; changes nothing.

        StoreUnavailable where a storage has files of another database: they have no rows here.
        """
        for storage in (self.store.blobs, self.store.backup):
            ownership.must_own(self.store, storage)
        with self.store.read() as connection:
            digests = retention.prunable_digests(
                connection, self.policy, self.age, self.store.backup.url
            )
            prunable = deletion.marked(connection)
            sizes = sa.select(blobs.c.digest, blobs.c.size)
            for part in deletion.batched(digests):
                rows = connection.execute(sizes.where(blobs.c.digest.in_(part)))
                prunable |= {row.digest: row.size for row in rows}
            known = deletion.present(connection)
            kept_objects = {row.digest for row in live_rows(connection)} - set(prunable)
            counts = [
                connection.execute(sa.select(sa.func.count()).where(where)).scalar_one()
                for _, where in self._unread(connection)
            ]
            loose = packing.waiting(connection, self._packed_before())
        kept, dropped = self._backups()
        wanted, notice = self._wanted(kept)
        copies = [] if notice else old_files(self.store.backup, kept_objects | wanted, self.policy)
        orphans = old_files(self.store.blobs, known, self.policy)
        pages = self._old_pages()
        return _Plan(prunable, orphans, dropped, copies, sum(counts), pages, loose, notice)

    def _old_pages(self) -> list[str]:
        """Pages that were last written before the age, without the cards of kept champions, and
        what interrupted writers left."""
        kept = self.store.query(retention.champions, self.policy, self.age)
        cards = {f"card-m{model}" for model in kept}
        old, found = utc_now() - timedelta(days=self.age), []
        for name in self.pages.names():
            with suppress(FileNotFoundError):
                if PurePath(name).stem not in cards and self.pages.modified(name) < old:
                    found.append(name)
        return [*found, *_older(self.pages, self.pages.left_over(), self.policy)]

    def act(self, plan: _Plan) -> PruneResult:
        """Delete it, except what has come into use since the plan was made; then pack batches."""
        deleted, size = deletion.delete_marked(self.store, self._mark())
        orphans = deletion.delete_unreferenced(self.store, plan.orphans)
        for id_ in plan.backups:
            self._drop_backup(id_)
        copies = deletion.delete_copies(self.maintenance, plan.copies)
        with self.store.write() as connection:
            unread = self._unread(connection)
            records = sum(connection.execute(sa.delete(t).where(w)).rowcount for t, w in unread)
        for name in plan.pages:
            self.pages.remove(name)
        old, pages = len(plan.backups), len(plan.pages)
        packed = packing.pack(self.store, self._packed_before())
        return PruneResult(deleted, size, orphans, old, copies, records, pages, packed, plan.notice)

    def _packed_before(self) -> datetime:
        """Twice the time that readers of the last packing's parts are given (`retention`)."""
        return utc_now() - timedelta(hours=2 * self.policy.orphan_hours)

    def _unread(self, connection: Connection) -> list[tuple[sa.Table, sa.ColumnElement[bool]]]:
        """Old records that nothing reads any more: tables and conditions."""
        line, old = promotion_log.current(connection), utc_now() - timedelta(days=self.age)
        promotion = 0 if line is None else int(line.seq)
        windows = monitor_windows.unread(connection, old, promotion)
        return [
            (monitor_windows_table, windows),
            (labelled_predictions, labelled.unread(old, promotion)),
            (readiness_checks, retention.outdated_checks(old)),
        ]

    def _mark(self) -> list[str]:
        """Read the promotion log and mark in one transaction: a rollback is before or after it."""
        with self.store.write() as connection:
            digests = retention.prunable_digests(
                connection, self.policy, self.age, self.store.backup.url
            )
            for part in deletion.batched(digests):
                this = blobs.c.digest.in_(part)
                connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
            return sorted(deletion.marked(connection))

    def _backups(self) -> tuple[list[str], list[str]]:
        """Backups to keep, and those to delete: old ones, and those without a manifest.

        The lease of backups is held, so none of the latter is being written.
        """
        location, horizon = self.store.backup, utc_now() - timedelta(days=self.policy.horizon_days)
        complete = snapshots.ids(location)
        with self.store.read() as connection:
            query = sa.select(backups.c.snapshot).where(backups.c.verified.is_(True))
            verified = sorted(id_ for id_ in connection.execute(query).scalars() if id_ in complete)
        safe = {*complete[-self.policy.backups :], *verified[-1:]}
        kept = [id_ for id_ in complete if id_ in safe or snapshots.taken_at(id_) >= horizon]
        old = [id_ for id_ in complete if id_ not in kept]
        return kept, [*old, *snapshots.unfinished(location)]

    def _drop_backup(self, id_: str) -> None:
        """Fenced by the lease of backups: no backup relies on this one meanwhile."""
        this = (backups.c.snapshot == id_) & (backups.c.url == self.store.backup.url)
        with self.maintenance.write() as connection:
            connection.execute(backups.update().where(this).values(pruned_at=utc_now()))
            snapshots.remove_manifest(self.store.backup, id_)
        snapshots.remove(self.store.backup, id_)

    def _wanted(self, kept: Sequence[str]) -> tuple[set[str], str]:
        """Objects of kept backups; and a notice if one of these cannot be read."""
        wanted: set[str] = set()
        for id_ in kept:
            try:
                wanted |= {copy.digest for copy in snapshots.read(self.store.backup, id_).objects}
            except Corrupt as error:
                notice = "No copies were deleted, as it is not known which are needed"
                return set(), f"{notice}: {error}"
        return wanted, ""


def old_files(
    storage: DurableFileSystem, wanted: Collection[str], policy: RetentionPolicy
) -> list[str]:
    """Temporary files, and blobs whose digest is not wanted, older than `orphan_hours`.

    The age is not needed for safety: it saves a writer from storing its bytes again.
    """
    unreferenced = (
        name
        for name in storage.names()
        for blob in [BLOB_NAME.fullmatch(name)]
        if is_scratch(name) or (blob and blob["digest"] not in wanted)
    )
    return _older(storage, unreferenced, policy)


def _older(storage: DurableFileSystem, names: Iterable[str], policy: RetentionPolicy) -> list[str]:
    """Those of the files that were last written more than `orphan_hours` ago."""
    old, found = utc_now() - timedelta(hours=policy.orphan_hours), []
    for name in names:
        with suppress(FileNotFoundError):
            found += [name] if storage.modified(name) < old else []
    return found
