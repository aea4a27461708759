"""The worker, which runs all deployments: `python -m deployments.processes.worker`."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Self
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner.runner import Runner

from deployments.definitions import DEPLOYMENTS, HEARTBEAT, HEARTBEAT_SECONDS
from deployments.processes.child_process import exit_with_parent
from deployments.watchdog.failure_alerts import stop_mark
from deployments.watchdog.missed_runs import skip_older
from deployments.watchdog.zombie_runs import reconcile
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.runs import watchdog_marks

MAX_RUNS = 4  # runs; the lease lets only one of them retrain
STOP_SECONDS = 45.0  # for runs to stop safely, of the 60 that the supervisor waits
MARK_SECONDS = 5.0  # for the marks that they were stopped
REPORT_SECONDS = 1.0  # for the final state of a run to reach the server
SUBMIT_SECONDS = 5.0  # for the process of a submitted run to start

log = logging.getLogger("housing")


class GracefulRunner(Runner):
    """A runner that lets its runs stop safely, where Prefect's own kills them on SIGTERM.

    When the server is away for half a minute, Prefect's stops observing cancellations for good.
    This one then ends as soon as it has no runs, and its supervisor starts it again. Until then,
    runs poll whether they are cancelled (`tasks.termination`).
    """

    leaving = False

    async def __aenter__(self) -> Self:
        """Enter it, and end the process if the observer of cancellations fails."""
        await super().__aenter__()
        if self._cancelling_observer is None:
            raise RuntimeError("this release of Prefect observes cancellations in another way")
        self._cancelling_observer.on_failure = lambda _: threading.Thread(
            target=self._leave_when_idle, daemon=True
        ).start()
        return self

    def _leave_when_idle(self) -> None:
        log.warning("Cancellations are not observed any more: leaving once no run is at work.")
        while True:
            self._scheduled_run_poller.stopping = not children()
            time.sleep(SUBMIT_SECONDS)
            if self._scheduled_run_poller.stopping and not children():
                logging.shutdown()
                os._exit(1)

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """Pass the signal on to the runs; leave once they have ended."""
        if not self.leaving:
            self.leaving = True
            threading.Thread(target=_stop_runs_and_leave, daemon=True).start()


def _stop_runs_and_leave() -> None:
    signalled: set[int] = set()
    deadline = time.monotonic() + STOP_SECONDS
    while (left := children()) and time.monotonic() < deadline:
        if new := left - signalled:  # one that began meanwhile as well
            marking = threading.Thread(target=mark_stops, args=(new,), daemon=True)
            marking.start()
            marking.join(MARK_SECONDS)
        for pid in new:
            os.kill(pid, signal.SIGTERM)
        signalled |= left
        time.sleep(0.1)
    if signalled:
        time.sleep(REPORT_SECONDS)
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    logging.shutdown()
    os._exit(0)  # leaving through Prefect's event loop prints a stack trace


def mark_stops(pids: Iterable[int]) -> None:
    """Note in our store that a worker stops the flow runs of these processes: none has failed."""
    try:
        with open_store(load_settings()) as store, get_client(sync_client=True) as client:
            for pid in pids:
                with suppress(psutil.Error):  # it has ended meanwhile
                    if id_ := psutil.Process(pid).environ().get("PREFECT__FLOW_RUN_ID"):
                        watchdog_marks.mark(store, stop_mark(client.read_flow_run(UUID(id_))))
    except Exception as error:  # noqa: BLE001 - they are stopped all the same
        log.warning("The runs that stop now will be reported as failed: %s", error)


def children() -> set[int]:
    """Living processes that this one started."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found


def main() -> None:
    """End the runs that the last worker left, register the deployments, run what is due."""
    exit_with_parent()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%F %T")
    log.setLevel(logging.INFO)
    settings = load_settings()
    os.environ.setdefault(HEARTBEAT, HEARTBEAT_SECONDS)
    os.environ["HOUSING_HOME"] = str(settings.home)  # runs may have another working folder
    with open_store(settings) as store, get_client(sync_client=True) as client:
        for message in (*reconcile(client, store), *skip_older(client)):
            log.info(message)
    # Built outside of the loop: inside of it this method of Prefect's is another one.
    asyncio.run(serve([deployment.build(settings.schedules) for deployment in DEPLOYMENTS]))


async def serve(built: Sequence[RunnerDeployment]) -> None:
    """Serve until SIGTERM. Schedules stay active through a restart, so an upgrade loses no run."""
    runner = GracefulRunner(name="housing", pause_on_shutdown=False, limit=MAX_RUNS)
    with get_client(sync_client=True) as client:
        for deployment in built:
            keep_schedules(client, deployment)
    for deployment in built:
        await runner.aadd_deployment(deployment)
    print(f"Serving {', '.join(d.name for d in built)}.", flush=True)  # noqa: T201 - its log
    await runner.start()


def keep_schedules(client: SyncPrefectClient, deployment: RunnerDeployment) -> None:
    """Have the registration keep which schedules are active, and equal ones as they are.

    Prefect's own deploy activates all schedules and recreates them, which loses their start.
    """
    try:
        found = client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return
    deployment.paused = found.paused
    for wanted in deployment.schedules or []:
        if any(there.schedule == wanted.schedule for there in found.schedules):
            deployment.schedules = None
            deployment.model_fields_set.discard("schedules")  # or it would be sent as none
        elif found.schedules:
            wanted.active = any(there.active for there in found.schedules)


if __name__ == "__main__":
    main()
