"""What happens beside the nights: a look at what was answered, a backup, a prune."""

from prefect import task
from prefect.logging import get_run_logger

from housing.errors import Corrupt
from housing.notify import Message, send_all
from housing.operations import backup
from housing.operations.backup import Snapshot, VerificationResult
from housing.operations.monitor import MonitorRun
from housing.operations.monitor import monitor as look_once
from housing.operations.prune import PruneResult, prune
from housing.records import Event
from housing.settings import load_settings
from housing.store.database.open import open_store
from tasks.events import emit
from tasks.options import PLAIN


@task(name="look", **PLAIN)
def run_monitor() -> MonitorRun:
    """Drift, live error and staleness since the last look."""
    settings = load_settings()
    with open_store(settings) as store:
        seen = look_once(store, settings)
    emit(*seen.messages)
    rows = sum(window.rows for window in seen.windows)
    get_run_logger().info("m%d: %d rows seen, %d alarms", seen.model, rows, len(seen.told))
    return seen


@task(name="copy the store", **PLAIN)
def create_backup() -> Snapshot:
    """A cut of the whole store in the backup place."""
    settings = load_settings()
    with open_store(settings) as store:
        cut = backup.create(store, settings)
    get_run_logger().info("%s: %d objects, %d bytes new", cut.id, cut.blobs, cut.copied)
    return cut


@task(name="try the copy", **PLAIN)
def verify_backup(cut: str) -> VerificationResult:
    """Restore a cut into a scratch folder; Corrupt, and the team is told, where it is not good."""
    settings = load_settings()
    with open_store(settings) as store:
        found = backup.verify(store, settings, cut)
    if not found.good:
        said = f"The backup {found.id} is not good: {'; '.join(found.problems)}"
        send_all(message := Message(Event.BACKUP_NOT_VERIFIED, said, found.id), settings.notify)
        emit(message)
        raise Corrupt(what=f"the backup {found.id}", why="; ".join(found.problems))
    return found


@task(name="drop what is old", **PLAIN)
def prune_store() -> PruneResult:
    """What retention no longer needs."""
    settings = load_settings()
    with open_store(settings) as store:
        return prune(store, settings)
