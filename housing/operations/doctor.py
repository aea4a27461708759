"""The doctor looks at everything and mends nothing: findings, each with what mends it."""

import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from housing import progress
from housing.errors import Corrupt, HousingError, UnknownId
from housing.operations.prune import BLOB_NAME
from housing.pipeline import rollback_readiness
from housing.pipeline.evaluate import assert_no_leakage
from housing.settings import Settings
from housing.store.backups import snapshots
from housing.store.data import datasets
from housing.store.data.datasets import SIDE_COLUMN
from housing.store.data.segments import KEY_COLUMN
from housing.store.database.engine import NIGHT, UPKEEP, Store, database_now
from housing.store.database.integrity import unsound
from housing.store.database.open import HEAD, schema_version
from housing.store.database.tables import backups, blobs, ledger, runs, utc_now
from housing.store.models import artifacts, registry, retention
from housing.store.objects import deletion
from housing.store.objects.filesystem import is_scratch
from housing.store.runs import lease

CLOCK_SLACK = timedelta(minutes=2)
BACKUP_AGE = timedelta(days=2)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    `broken`: what was stored is damaged or contradicts itself. `care`: nothing is lost yet.
    """

    area: str
    severity: Literal["broken", "care"]
    what: str
    mend: str  # a command, or what a person has to do


@dataclass(frozen=True)
class HealthReport:
    """What was looked at, and what was found."""

    looked_at: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> bool:
        """Whether something is damaged."""
        return any(finding.severity == "broken" for finding in self.findings)


def examine(store: Store, settings: Settings) -> HealthReport:
    """Look at all of it; the examinations are independent, so one that fails is a finding too."""
    findings: list[Finding] = []
    for number, (area, look) in enumerate(EXAMINATIONS.items()):
        progress.report("doctor", number, len(EXAMINATIONS), area)
        try:
            findings += look(store, settings)
        except HousingError as error:
            findings.append(Finding(area, "broken", str(error), "mend what this names, then again"))
    progress.report("doctor", len(EXAMINATIONS), len(EXAMINATIONS))
    return HealthReport(tuple(EXAMINATIONS), tuple(findings))


def _database(store: Store, settings: Settings) -> Iterator[Finding]:
    for problem in unsound(store):
        yield Finding("database", "broken", problem, "`housing backup restore` in an empty HOME")
    with store.read() as connection:
        found = schema_version(connection)
    if found != HEAD:
        yield Finding(
            "database", "care", f"the schema is at {found}, not {HEAD}", "`housing migrate`"
        )


def _objects(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        live = sa.select(blobs).where(blobs.c.pruned_at.is_(None)).order_by(blobs.c.digest)
        rows = connection.execute(live).all()
        half = sa.select(sa.func.count()).where(
            blobs.c.pruned_at.is_not(None), blobs.c.deleted_at.is_(None)
        )
        marked = connection.execute(half).scalar_one()
    for number, row in enumerate(rows, start=1):
        progress.report("objects", number, len(rows))
        try:
            store.blobs.get(row.digest, row.suffix)
        except Corrupt as error:
            if not deletion.is_dropped(store, row.digest):  # by a prune, since it was listed
                yield Finding("objects", "broken", f"{row.kind} {error}", _cure(store, row))
    if marked:
        what = f"{marked} objects were marked by a prune that did not come to its end"
        yield Finding("objects", "care", what, "`housing prune`")


def _cure(store: Store, row: sa.Row[tuple[object, ...]]) -> str:
    try:
        store.backup.get(row.digest, row.suffix)
    except HousingError:
        if row.kind == "model":
            return "no whole copy in the backup: `housing reproduce` trains a model again"
        return "no whole copy in the backup: restore an older backup, or bring the file in again"
    return "`housing heal` (the backup has a whole copy)"


def _strays(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        known = deletion.present(connection)
    old = utc_now() - timedelta(hours=settings.retention.orphan_hours)
    strays = [
        name
        for name in store.blobs.names()
        if (is_scratch(name) or _digest(name) not in {None, *known})
        and store.blobs.modified(name) < old
    ]
    if strays:
        what = f"{len(strays)} files that nothing names, e.g. {strays[0]}"
        yield Finding("strays", "care", what, "`housing prune`")


def _digest(name: str) -> str | None:
    found = BLOB_NAME.fullmatch(name)
    return found["digest"] if found else None


def _signatures(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        query = sa.select(blobs).where(blobs.c.kind == "model", blobs.c.pruned_at.is_(None))
        rows = connection.execute(query).all()
    for row in rows:
        try:
            artifacts.check_signature(store, row)
        except HousingError as error:
            yield Finding("signatures", "broken", str(error), "what the message says")


def _private(store: Store, settings: Settings) -> Iterator[Finding]:
    """Files for their owner alone: models carry training rows, the key vouches for them."""
    places = [settings.home / "keys", Path(store.engine.url.database or "")]
    places += [Path(p.url.removeprefix("file://")) for p in (store.blobs, store.backup) if p.local]
    open_ = [path for place in places for path in _open_to_others(place)]
    if open_:
        what = f"{len(open_)} files or folders can be read by others, e.g. {open_[0]}"
        yield Finding("permissions", "care", what, f"`chmod -R go= {open_[0]}`")


def _open_to_others(place: Path) -> Iterator[Path]:
    if not place.exists() or os.name != "posix":
        return
    for path in (place, *(place.rglob("*") if place.is_dir() else ())):
        if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not path.is_symlink():
            yield path


def _runs(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        for name in (NIGHT, UPKEEP):
            holder = lease.holder(connection, name)
            if holder is not None and holder.held and not holder.alive:
                what = f"the lease `{name}` is held by {holder.owner}, which is gone"
                yield Finding("leases", "care", what, "nothing: whoever needs it takes it over")
        holder = lease.holder(connection)
        living = holder.run if holder is not None and holder.alive else None
        query = sa.select(runs.c.id).where(runs.c.status == "running")
        dead = [run for run in connection.execute(query).scalars() if run != living]
    if dead and living is None:
        what = f"{', '.join(f'r{run}' for run in dead)} say that they run, and nobody does"
        yield Finding("leases", "care", what, "`housing retrain` marks them and goes on")


def _clock(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        newest = connection.execute(sa.select(sa.func.max(runs.c.started_at))).scalar()
        lines = connection.execute(
            sa.select(ledger.c.seq, ledger.c.at).order_by(ledger.c.seq)
        ).all()
        skew = abs(database_now(connection) - utc_now())
    if skew > CLOCK_SLACK:
        what = f"this clock and the database server's differ by {skew}"
        yield Finding("clock", "care", what, "set the clocks (the watch compares times of both)")
    if newest is not None and newest > utc_now() + CLOCK_SLACK:
        what = f"a run began at {newest:%Y-%m-%d %H:%M} UTC, which is to come"
        yield Finding("clock", "care", what, "set this machine's clock")
    for before, line in itertools.pairwise(lines):
        if line.at < before.at - CLOCK_SLACK:
            what = f"line {line.seq} of the ledger is older than line {before.seq}"
            yield Finding("clock", "care", what, "set the clocks of the machines that write here")


def _backup(store: Store, settings: Settings) -> Iterator[Finding]:
    whole = snapshots.ids(store.backup)
    if not whole:
        yield Finding(
            "backup", "care", "there is none of the whole store", "`housing backup create`"
        )
        return
    if utc_now() - snapshots.taken_at(whole[-1]) > BACKUP_AGE:
        what = f"the newest, {whole[-1]}, is older than {BACKUP_AGE.days} days"
        yield Finding("backup", "care", what, "`housing backup create`")
    with store.read() as connection:
        query = sa.select(backups).where(backups.c.cut == whole[-1])
        row = connection.execute(query).first()
    if row is None or row.verified is None:
        yield Finding("backup", "care", f"{whole[-1]} was never tried", "`housing backup verify`")
    elif not row.verified:
        what = f"{whole[-1]} is not good: {row.detail}"
        yield Finding("backup", "broken", what, "`housing backup create`, then verify")
    yield from _damaged_backups(store, whole)
    if settings.backup_on_same_disk:
        what = "it is on the same disk as the original"
        yield Finding("backup", "care", what, "set HOUSING_BACKUP_URL to another one")


def _damaged_backups(store: Store, whole: list[str]) -> Iterator[Finding]:
    """Every byte of every backup; an object that several refer to is read once."""
    objects: dict[snapshots.BlobRef, str] = {}
    for number, id_ in enumerate(whole, start=1):
        progress.report("backups", number, len(whole))
        again = f"`housing backup create`; then delete the folder {store.backup.at(f'cuts/{id_}')}"
        try:
            manifest = snapshots.read(store.backup, id_)
        except UnknownId:
            continue  # a prune dropped it meanwhile
        except HousingError as error:
            yield Finding("backup", "broken", str(error), again)
            continue
        for problem in snapshots.damage(store.backup, manifest):
            yield Finding("backup", "broken", problem, again)
        objects |= dict.fromkeys(manifest.blobs, id_)
    for blob, problem in snapshots.damaged_copies(store.backup, objects):
        cure = f"`housing backup verify {objects[blob]}`, then `housing backup create`"
        yield Finding("backup", "broken", problem, cure)


def _readiness(store: Store, settings: Settings) -> Iterator[Finding]:
    for one in rollback_readiness.check(store, settings, force=True).red:
        what = f"m{one.model} could not be gone back to: {one.detail}"
        yield Finding("readiness", "broken", what, "`housing heal`, or what the message says")


def _split(store: Store, settings: Settings) -> Iterator[Finding]:
    """The leak proof, for every champion that may be gone back to, on the active test set."""
    with store.read() as connection:
        policy, active = settings.retention, datasets.active(connection)
        models = [
            registry.model(connection, id_)
            for id_ in retention.champions(connection, policy, policy.days)
        ]
    if active is None or not models:
        return
    frame = datasets.read(store, active.id, columns=())
    keys = frame.loc[frame[SIDE_COLUMN], KEY_COLUMN].to_numpy()
    for model in models:
        try:
            assert_no_leakage(store, model, keys, active.id)
        except HousingError as error:
            yield Finding("split", "broken", str(error), "restore a backup from before")


EXAMINATIONS = {
    "database": _database,
    "objects": _objects,
    "strays": _strays,
    "signatures": _signatures,
    "permissions": _private,
    "leases": _runs,
    "clock": _clock,
    "backup": _backup,
    "split": _split,
    "readiness": _readiness,
}
