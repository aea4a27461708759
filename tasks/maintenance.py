"""Tasks outside the pipeline: monitor, backup, prune, mirror and rollback."""

import logging

from prefect import task
from prefect.runtime import flow_run

from housing.errors import Corrupt
from housing.notify import Message
from housing.operations import backup, monitor, prune
from housing.operations.backup import Snapshot, VerificationResult
from housing.operations.mirror import drain
from housing.operations.mirror.drain import MirrorResult
from housing.operations.monitor import MonitorRun
from housing.operations.prune import PruneResult
from housing.pipeline import promote
from housing.pipeline.promote import RolledBack
from housing.pipeline.skip_check import what_next
from housing.records import Event
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.runs import outbox
from tasks import PLAIN
from tasks.reporting import emit

log = logging.getLogger("housing")


@task(name="monitor", **PLAIN)
def run_monitor() -> MonitorRun:
    """Measure drift, live error and staleness since the last monitoring run."""
    settings = load_settings()
    with open_store(settings) as store:
        seen = monitor.monitor(store, settings)
    emit(*seen.messages)
    rows = sum(window.rows for window in seen.windows)
    log.info("m%d: %d rows seen, %d alarms", seen.model, rows, len(seen.alerts))
    return seen


@task(name="create backup", **PLAIN)
def create_backup() -> Snapshot:
    """Create a snapshot of the whole store in the backup."""
    settings = load_settings()
    with open_store(settings) as store:
        snapshot = backup.create(store, settings)
    log.info("%s: %d objects, %d bytes new", snapshot.id, snapshot.blobs, snapshot.copied)
    return snapshot


@task(name="verify backup", **PLAIN)
def verify_backup(snapshot: str) -> VerificationResult:
    """Restore a snapshot into a temporary folder; Corrupt where that fails."""
    settings = load_settings()
    with open_store(settings) as store:
        found = backup.verify(store, snapshot)
    if not found.good:
        why = "; ".join(found.problems)
        text = f"The backup {found.id} cannot be restored: {why}"
        emit(Message(Event.BACKUP_NOT_VERIFIED, text, found.id))
        raise Corrupt(what=f"the backup {found.id}", why=why)
    return found


@task(name="prune", **PLAIN)
def prune_store() -> PruneResult:
    """Delete what the retention policy no longer keeps."""
    settings = load_settings()
    with open_store(settings) as store:
        return prune.prune(store, settings, flow_run=flow_run.get_id())


@task(name="mirror", **PLAIN)
def run_mirror() -> MirrorResult:
    """Send what was not sent to the other system; a failure is counted; the next run continues."""
    settings = load_settings()
    with open_store(settings) as store:
        return drain.mirror(store, settings, scheduled=True)


@task(name="roll back", **PLAIN)
def roll_back(model: int | None, reason: str, batch: int | None) -> RolledBack:
    """Make a former champion the champion again, and block what is undone."""
    settings = load_settings()
    with open_store(settings) as store:
        if model is None:
            promote.refuse_repeated(store)
        done = promote.roll_back(store, model, reason, batch=batch)
        outbox.deliver(store)
        log.info(what_next(store, settings))
    emit(done.notification())
    return done
