"""The other scheduled flows: monitor, backup, prune and mirror."""

from prefect.client.schemas.objects import State

from flows.decorator import completed, housing_flow
from flows.nightly import nightly
from housing.operations.backup import VerificationResult
from housing.operations.mirror.drain import MirrorResult
from housing.operations.monitor import MonitorRun
from housing.operations.prune import PruneResult
from tasks.maintenance import create_backup, prune_store, run_mirror, run_monitor, verify_backup


@housing_flow
def monitor() -> State[MonitorRun]:
    """Measure drift, live error and staleness of the champion since the last monitoring run."""
    seen = run_monitor()
    if seen.retrain:  # by the policy of HOUSING_MONITOR__...
        nightly()
    message = " ".join(seen.alerts) or f"m{seen.model}: nothing needs attention."
    return completed("Alarm" if seen.alerts else "Quiet", message, seen)


@housing_flow
def backup() -> State[VerificationResult]:
    """Back up the whole store, then verify the backup by restoring it and replaying predictions."""
    found = verify_backup(create_backup().id)
    message = f"{found.id} is verified: {found.rows:,} rows, {found.blobs:,} objects."
    return completed("Verified", message, found)


@housing_flow
def prune() -> State[PruneResult]:
    """Delete what HOUSING_RETENTION__... no longer keeps, never what a rollback may need."""
    done = prune_store()
    message = f"{done.blobs:,} objects and {done.backups:,} backups: {done.bytes:,} bytes."
    return completed("Pruned", message, done)


@housing_flow
def mirror() -> State[MirrorResult]:
    """Copy runs, models and promotions that were not sent yet to HOUSING_MIRROR__URL (MLflow)."""
    done = run_mirror()
    name = "Paused" if done.paused else "Behind" if done.errors else "Mirrored"
    return completed(name, " ".join([done.summary, *done.errors]), done)
