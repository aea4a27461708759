"""A run that is cancelled in the UI in the middle of each of its tasks: nothing is half done.

Tasks take milliseconds. A run is held in one by the store's write lock, for which its next write
waits; once the orchestrator says that the task runs, its process is halted (SIGSTOP) until the
cancellation has come to it, so that it can go no further by itself.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from housing.operations.doctor import examine
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.tables import models
from housing.store.models import promotion_log
from housing.store.runs import lease, runs
from tests.browser.ui import Ui
from tests.fixtures.housing_up import until
from tests.fixtures.small_settings import landing_rows

pytestmark = [
    pytest.mark.slow,  # tests/flows/test_cancelled_run.py cancels without a browser
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
]

STEPS = (
    *(
        "ingest",
        "freeze",
        "split",
        "check readiness",
        "check for work",
        "preprocess",
        "search",
        "fit",
        "evaluate",
    ),
    *("back up", "promote", "report", "finish"),
)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(("promote",), id="promote", marks=pytest.mark.timeout(600)),
        pytest.param(STEPS, id="all", marks=pytest.mark.timeout(1800)),
    ],
)
def test_a_run_cancelled_in_a_task_leaves_nothing_half_done(
    ui: Ui, store: Store, steps: tuple[str, ...]
) -> None:
    for number, step in enumerate(steps):
        landing_rows(20 + number, 100).to_csv(
            ui.up.home / "landing" / f"{step}-{len(steps)}.csv", index=False
        )
        before = _champion(store)
        run = _halted_in(ui, store, step)
        _cancel(ui, run)
        _whole(store, run, before, step)
    run = ui.up.ended(ui.up.run(families=["forest"]))
    assert run["state"]["type"] == "COMPLETED", run["state"]
    assert not examine(store, load_settings()).damaged
    with store.read() as connection:
        row = runs.newest_of(connection, run["id"])
        taken = [step.name for step in runs.steps(connection, row.id)] if row else []
    assert set(taken) <= set(STEPS), "a new task: it is to be cancelled as well"


def _halted_in(ui: Ui, store: Store, step: str) -> dict[str, Any]:
    """A run whose process stands still in the middle of a task; too quick a task: once more."""
    for attempt in range(10):
        run = ui.up.run(families=["forest"], seed=attempt)
        if _halt(ui, store, run, step):
            return run
        ui.up.ended(run)
        landing_rows(60 + attempt, 100).to_csv(
            ui.up.home / "landing" / f"again-{step}-{time.time()}.csv", index=False
        )
    pytest.fail(f"the task {step} was never hit")


def _halt(ui: Ui, store: Store, run: dict[str, Any], step: str) -> bool:
    position = STEPS.index(step)
    deadline = time.monotonic() + 120
    while _noted(store, run) < position:  # hard on its heels: the next task is there in no time
        if _over(store, run):
            return False
        assert time.monotonic() < deadline, f"the run never came to {step}"
        time.sleep(0.001)
    for _ in range(50):
        with store.write() as connection:  # the run's next write waits for this block's end
            if _noted(store, run, connection) != position:
                return False
            if _runs(ui, run, step):
                [pid] = ui.up.pids("flow", run)
                os.kill(pid, signal.SIGSTOP)
                return True
        time.sleep(0.05)  # it was between two tasks: its turn
    return False


def _noted(store: Store, run: dict[str, Any], connection: sa.Connection | None = None) -> int:
    """How many steps a run has behind it; -1 before it has a row."""
    if connection is None:
        with store.read() as opened:
            return _noted(store, run, opened)
    row = runs.newest_of(connection, run["id"])
    return -1 if row is None or row.status != "running" else len(runs.steps(connection, row.id))


def _over(store: Store, run: dict[str, Any]) -> bool:
    with store.read() as connection:
        row = runs.newest_of(connection, run["id"])
    return row is not None and row.status != "running"


def _runs(ui: Ui, run: dict[str, Any], step: str) -> bool:
    """Whether the orchestrator says, within two seconds, that the task is at work."""
    wanted = {
        "flow_runs": {"id": {"any_": [run["id"]]}},
        "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
    }
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        if any(t["name"].startswith(step) for t in ui.up.ask("task_runs/filter", wanted)):
            return True
        time.sleep(0.1)
    return False


def _cancel(ui: Ui, run: dict[str, Any]) -> None:
    """By the UI's own buttons; the run goes on once it has been told."""
    [pid] = ui.up.pids("flow", run)
    ui.go(f"runs/flow-run/{run['id']}")
    ui.cancel()
    until(lambda: _told_to_end(pid), 60, "the run was never told to end")
    os.kill(pid, signal.SIGCONT)
    done = ui.ended(run, "Cancelled")
    assert done["state"]["type"] == "CANCELLED"
    ui.rest()
    until(lambda: not ui.up.pids("flow", run), 30, "its process stayed")


def _told_to_end(pid: int) -> bool:
    """Whether SIGTERM waits for a process that stands still."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("SigPnd", "ShdPnd")) and int(line.split()[1], 16) >> 14 & 1:
            return True
    return False


def _champion(store: Store) -> int | None:
    with store.read() as connection:
        return promotion_log.champion(connection)


def _whole(store: Store, run: dict[str, Any], before: int | None, step: str) -> None:
    """Both stores say the same, nobody holds the run, and the champion is the old or the new."""
    with store.read() as connection:
        row, holder = runs.newest_of(connection, run["id"]), lease.holder(connection)
    assert row is not None
    assert row.status == "cancelled", step
    assert row.error.startswith("stopped by a signal;")
    assert holder is not None
    assert not holder.held, f"cancelled in {step}, it still holds the lease"
    assert not examine(store, load_settings()).damaged, step
    after = _champion(store)
    if step not in ("promote", "report", "finish"):
        assert after == before, step
    else:
        with store.read() as connection:
            newest = connection.execute(sa.select(sa.func.max(models.c.id))).scalar_one()
        assert after in (before, newest), step
