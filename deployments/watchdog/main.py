"""The watchdog: `housing watchdog`, a service of `housing up`, systemd and Docker Compose.

Marks dead runs as crashed and starts runs that the scheduler missed, without trusting Prefect's run
states.
"""

import logging
import signal
import threading
from datetime import timedelta
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from sqlalchemy.exc import SQLAlchemyError

from deployments.automations import install
from deployments.processes.child_process import exit_with_parent
from deployments.watchdog.failure_alerts import report_failed_flow_runs
from deployments.watchdog.missed_runs import report_without_server, skip_older, start_missed_run
from deployments.watchdog.zombie_runs import end_decided, reconcile
from housing.errors import HousingError
from housing.pipeline import notifications
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.runs import outbox

ROUND_SECONDS = 10.0

log = logging.getLogger("housing")


def one_round(client: SyncPrefectClient, store: Store, settings: Settings) -> list[str]:
    """Check everything once, and deliver alerts; returns messages for the repairs without one."""
    try:
        done = reconcile(client, store)
        done += skip_older(client)
        done += start_missed_run(client, store, settings)
        notifications.expire_approvals(store)
        done += end_decided(client, store)
        report_failed_flow_runs(client, store)
        return done
    finally:
        outbox.deliver(store)


def watch(stopped: threading.Event, beat: Path | None = None, *, once: bool = False) -> bool:
    """Check again and again; an unreachable server or database is retried in the next round.

    `beat` is touched after each round that found both, for a health check. Returns whether the
    last round did.
    """
    settings = load_settings()
    installed = away = False
    while not stopped.is_set():
        try:
            with open_store(settings) as store:
                installed = _one_round(store, settings, installed)
            away = False
            if beat is not None:
                beat.touch()
        except (HousingError, SQLAlchemyError, PrefectException, httpx.HTTPError, OSError) as error:
            if not away:
                log.warning("Cannot watch now: %s", error)
            away = True
        if once:
            break
        stopped.wait(ROUND_SECONDS)
    return not away


def _one_round(store: Store, settings: Settings, installed: bool) -> bool:
    """One round; returns whether the automations are installed."""
    try:
        with get_client(sync_client=True) as client:
            installed = installed or _install(client, settings)
            done = one_round(client, store, settings)
    except (PrefectException, httpx.HTTPError):
        report_without_server(store, settings)
        notifications.report_dead_runs(store)
        raise
    for message in done:
        log.info(message)
    return installed


def _install(client: SyncPrefectClient, settings: Settings) -> bool:
    """Install the automations, once the deployment that one of them starts is registered."""
    try:
        search = client.read_deployment_by_name("nightly/search")
    except ObjectNotFound:
        return False
    silence = timedelta(minutes=settings.notify.silent_after_minutes)
    install(client, {"search": search.id}, silence)
    return True


def run(beat: Path | None = None, *, once: bool = False) -> bool:
    """Watch until SIGTERM, or for one round; returns whether the last one found all it asked."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%F %T")
    log.setLevel(logging.INFO)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if not once:
        log.info("Watching the runs, every %.0f s, until SIGTERM.", ROUND_SECONDS)
    return watch(stopped, beat, once=once)


if __name__ == "__main__":
    exit_with_parent()
    run()
