"""Read-only health checks of store and backups. Each finding names the command that fixes it."""

import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from housing import progress
from housing.errors import Corrupt, HousingError, UnknownId
from housing.keys import KEY_COLUMN
from housing.monitoring.staleness import CLOCK_SLACK
from housing.operations.heal import missing_reports
from housing.operations.prune import old_files
from housing.pipeline import rollback_readiness
from housing.pipeline.evaluate import assert_no_leakage
from housing.pipeline.notices import dates_in_the_future
from housing.settings import Settings
from housing.store.backups import replication, snapshots
from housing.store.data import datasets
from housing.store.database import ownership
from housing.store.database.engine import LEASES, Store, database_now
from housing.store.database.integrity import unsound
from housing.store.database.open import HEAD, schema_version
from housing.store.database.tables import backups, promotion_log, utc_now
from housing.store.models import artifacts, registry, retention
from housing.store.objects import deletion
from housing.store.objects.pages import page_storage
from housing.store.objects.recording import live_rows
from housing.store.runs import lease, outbox
from housing.store.runs import runs as run_rows

BACKUP_AGE = timedelta(days=2)


@dataclass(frozen=True)
class Finding:
    """A problem that a check found: `damaged` if stored data is, `warning` if nothing is lost."""

    what: str
    fix: str  # a command, or what a person has to do
    severity: Literal["damaged", "warning"] = "warning"
    area: str = ""  # the name of the check

    @classmethod
    def damage(cls, what: str, fix: str) -> "Finding":
        """A finding about damaged data."""
        return cls(what, fix, "damaged")


@dataclass(frozen=True)
class HealthReport:
    """The checks that ran, and their findings."""

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> bool:
        """Whether stored data is damaged."""
        return any(finding.severity == "damaged" for finding in self.findings)


def examine(store: Store, settings: Settings) -> HealthReport:
    """Run all checks; one that fails is a finding and stops no other."""
    findings: list[Finding] = []
    for number, (area, check) in enumerate(CHECKS.items()):
        progress.report("doctor", number, len(CHECKS), area)
        try:
            findings += [replace(finding, area=area) for finding in check(store, settings)]
        except HousingError as error:
            fix = "Fix the problem above and rerun `housing doctor`"
            findings.append(Finding(str(error), fix, "damaged", area))
    progress.report("doctor", len(CHECKS), len(CHECKS))
    return HealthReport(tuple(CHECKS), tuple(findings))


def _database(store: Store, settings: Settings) -> Iterator[Finding]:
    for problem in unsound(store):
        yield Finding.damage(problem, "`housing backup restore` in an empty HOME")
    found = store.query(schema_version)
    if found != HEAD:
        yield Finding(f"the schema is at {found}, not {HEAD}", "`housing migrate`")


def _ownership(store: Store, settings: Settings) -> Iterator[Finding]:
    yield from _refused((store.blobs, store.backup), partial(ownership.must_own, store))


def _refused(
    things: Iterable[Any], check: Callable[[Any], object], fix: str = "see the message"
) -> Iterator[Finding]:
    """A finding for each thing that the check refuses."""
    for thing in things:
        try:
            check(thing)
        except HousingError as error:
            yield Finding.damage(str(error), fix)


def _objects(store: Store, settings: Settings) -> Iterator[Finding]:
    rows, marked = store.query(live_rows), store.query(deletion.marked)
    for number, row in enumerate(rows, start=1):
        progress.report("objects", number, len(rows))
        try:
            store.blobs.get(row.digest, row.suffix)
        except Corrupt as error:
            if not deletion.is_dropped(store, row.digest):  # by a prune, since it was listed
                yield Finding.damage(f"{row.kind} {error}", _fix(store, row))
    if marked:
        yield Finding(
            f"an interrupted prune left {len(marked)} objects to delete", "`housing prune`"
        )


def _fix(store: Store, row: sa.Row[Any]) -> str:
    try:
        store.backup.get(row.digest, row.suffix)
    except HousingError:
        return f"no whole copy in the backup: {replication.without_a_copy(store, row)}"
    return "`housing heal` (the backup has a whole copy)"


def _orphans(store: Store, settings: Settings) -> Iterator[Finding]:
    known = store.query(deletion.present)
    if orphans := old_files(store.blobs, known, settings.retention):
        yield Finding(f"{len(orphans)} unreferenced files, e.g. {orphans[0]}", "`housing prune`")


def _signatures(store: Store, settings: Settings) -> Iterator[Finding]:
    rows = store.query(live_rows, artifacts.SIGNED)
    yield from _refused(rows, partial(artifacts.check_signature, store))


def _permissions(store: Store, settings: Settings) -> Iterator[Finding]:
    """Only the owner may read: models contain training rows, and the key signs them."""
    paths = [settings.home / "keys", Path(store.engine.url.database or "")]
    folders = (store.blobs, store.backup, page_storage(settings))
    paths += [Path(p.url.removeprefix("file://")) for p in folders if p.local]
    readable = [path for root in paths for path in _readable_by_others(root)]
    if readable:
        what = f"{len(readable)} files or folders can be read by others, e.g. {readable[0]}"
        yield Finding(what, f"`chmod -R go= {readable[0]}`")


def _readable_by_others(root: Path) -> Iterator[Path]:
    if not root.exists() or os.name != "posix":
        return
    for path in (root, *(root.rglob("*") if root.is_dir() else ())):
        if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not path.is_symlink():
            yield path


def _leases(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        holders = {name: lease.holder(connection, name) for name in LEASES}
        dead = run_rows.dead_runs(connection)
    for name, holder in holders.items():
        if holder is not None and holder.held and not holder.alive:
            what = f"the lease `{name}` is held by {holder.owner}, which has ended"
            yield Finding(what, "nothing: the next process that needs it takes it over")
    if dead:
        what = f"{', '.join(f'r{run}' for run in dead)}: marked running, without a process"
        yield Finding(what, "`housing retrain` marks them crashed and continues")


def _clock(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        future = [*dates_in_the_future(connection)]
        query = sa.select(promotion_log.c.seq, promotion_log.c.at).order_by(promotion_log.c.seq)
        lines = connection.execute(query).all()
        skew = abs(database_now(connection) - utc_now())
    if skew > CLOCK_SLACK:
        what = f"this clock and the database server's differ by {skew}"
        yield Finding(what, "set the clocks (the watchdog compares times of both)")
    for what in future:
        yield Finding(what, "set this machine's clock, or that of the machine that wrote it")
    for previous, line in itertools.pairwise(lines):
        if line.at < previous.at - CLOCK_SLACK:
            what = f"entry {line.seq} of the promotion log is older than entry {previous.seq}"
            yield Finding(what, "set the clocks of the machines that write here")


def _reports(store: Store, settings: Settings) -> Iterator[Finding]:
    """Each run within the rollback horizon that recorded a report still has it."""
    if missing := missing_reports(store, settings):
        what = f"missing reports: {len(missing)}, e.g. report-r{missing[0]}.html"
        yield Finding(what, "`housing heal`, if a backup has them; the figures are in SQL")


def _backup(store: Store, settings: Settings) -> Iterator[Finding]:
    complete = snapshots.ids(store.backup)
    if complete:
        yield from _newest_backup(store, complete[-1])
    else:
        yield Finding("there is no backup of the whole store", "`housing backup create`")
    yield from _damaged_backups(store, complete)
    if complete and settings.backup_on_same_disk:
        yield Finding("it is on the same disk as the original", "set HOUSING_BACKUP_URL to another")


def _newest_backup(store: Store, newest: str) -> Iterator[Finding]:
    try:
        created = snapshots.read(store.backup, newest).created_at
    except HousingError:
        created = snapshots.taken_at(newest)  # it is damaged, which is a finding of its own
    if created > utc_now() + CLOCK_SLACK:
        what = f"the newest, {newest}, was created in the future ({created:%Y-%m-%d %H:%M} UTC)"
        yield Finding(what, "set the clock that is wrong, then `housing backup create`")
    if utc_now() - created > BACKUP_AGE:
        what = f"the newest, {newest}, is older than {BACKUP_AGE.days} days"
        yield Finding(what, "`housing backup create`")
    with store.read() as connection:
        row = connection.execute(sa.select(backups).where(backups.c.snapshot == newest)).first()
    if row is None or row.verified is None:
        yield Finding(f"{newest} is not verified", "`housing backup verify`")
    elif not row.verified:
        what = f"{newest} cannot be restored: {row.detail}"
        yield Finding.damage(what, "`housing backup create`, then verify")


def _damaged_backups(store: Store, complete: list[str]) -> Iterator[Finding]:
    """Read every byte of every backup, and the copies that only promotions made, each once."""
    objects = dict.fromkeys(store.query(snapshots.copied_blobs, store.backup.url), "")
    for number, id_ in enumerate(complete, start=1):
        progress.report("backups", number, len(complete))
        replace_it = f"`housing backup create`; then delete {store.backup.at(f'snapshots/{id_}')}"
        try:
            manifest = snapshots.read(store.backup, id_)
        except UnknownId:
            continue  # a prune dropped it meanwhile
        except HousingError as error:
            yield Finding.damage(str(error), replace_it)
            continue
        for problem in snapshots.damage(store.backup, manifest):
            yield Finding.damage(problem, replace_it)
        objects |= dict.fromkeys(manifest.objects, id_)
    for blob, problem in snapshots.damaged_copies(store.backup, objects):
        if not objects[blob] and deletion.is_dropped(store, blob.digest):
            continue  # by a prune, since it was listed
        verify = f"`housing backup verify {objects[blob]}`, then " if objects[blob] else ""
        fix = f"{verify}`housing backup create`"
        yield Finding.damage(problem, fix)


def _split(store: Store, settings: Settings) -> Iterator[Finding]:
    """No champion that retention keeps was trained on a row of the active test set."""
    with store.read() as connection:
        policy, active = settings.retention, datasets.active(connection)
        models = [
            registry.model(connection, id_)
            for id_ in retention.champions(connection, policy, policy.days)
        ]
    if active is None or not models:
        return
    rows = datasets.read(store, active.id, columns=())
    keys = rows.loc[rows[datasets.SIDE_COLUMN], KEY_COLUMN].to_numpy()
    check = partial(assert_no_leakage, store, test_keys=keys, version=active.id)
    yield from _refused(models, check, "restore an earlier backup")


def _readiness(store: Store, settings: Settings) -> Iterator[Finding]:
    for check in rollback_readiness.check(store, settings, force=True):
        if not check.ready and check.onnx_ready:
            fix = "the libraries that it was trained with, or `housing retrain` for a new champion"
            yield Finding(check.message, fix)
        elif not check.ready:
            yield Finding.damage(check.message, "`housing heal`, or see the message")
        elif check.onnx_ready is False:
            what = f"The ONNX copy of m{check.model} cannot be used: {check.onnx_detail}"
            yield Finding(what, "`housing heal`, or see the message")


def _alerts(store: Store, settings: Settings) -> Iterator[Finding]:
    with store.read() as connection:
        problems = [*outbox.undelivered(connection)]
    for problem in problems:
        yield Finding(problem, "see the addresses in HOUSING_NOTIFY__ and their receivers")


CHECKS = {
    "database": _database,
    "ownership": _ownership,
    "objects": _objects,
    "orphans": _orphans,
    "signatures": _signatures,
    "reports": _reports,
    "permissions": _permissions,
    "leases": _leases,
    "clock": _clock,
    "backup": _backup,
    "split": _split,
    "readiness": _readiness,
    "alerts": _alerts,
}
