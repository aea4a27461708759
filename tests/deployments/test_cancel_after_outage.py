"""A run that is cancelled after the Prefect server was away ends, and promotes nothing."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from benchmarks.results import save_if_asked
from tests.fixtures.housing_up import Up, until
from tests.fixtures.small_settings import landing_rows

pytestmark = [pytest.mark.system, pytest.mark.prefect, pytest.mark.xdist_group("up")]

LOST = "Cancellations are not observed any more"
LONG = {"families": ["forest"], "n_trials": 400}


@pytest.fixture
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The worker asks every second, so that it gives up after seconds and not half a minute."""
    running = Up(tmp_path_factory.mktemp("up") / "home", {"PREFECT_RUNNER_POLL_FREQUENCY": "1"})
    try:
        until(lambda: "nightly" in running.deployments(), 600, "the deployments never appeared")
        yield running
    finally:
        os.kill(running.process.pid, signal.SIGCONT)
        running.stop()
        print(running.output())


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(1, marks=pytest.mark.timeout(1800)),
        pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
    ],
)
def test_a_run_cancelled_after_the_server_was_killed_ends_as_cancelled(up: Up, times: int) -> None:
    seconds = []
    for number in range(times):
        landing_rows(number, 400).to_csv(up.home / "landing" / f"{number}.csv", index=False)
        seconds.append(_cancel_after_outage(up, number))
        runs = [run for run in up.housing("runs", "--limit", "1000") if run["kind"] == "nightly"]
        ended, promoted = Counter(run["status"] for run in runs), len(up.housing("history"))
        figures = {"ended": ended, "promotions": promoted, "seconds": seconds}
        save_if_asked("cancel", {"times": number + 1, **figures})
        assert (ended, promoted) == ({"cancelled": number + 1}, 0)
    done = up.ended(until(lambda: up.run(families=["forest"]), 600, "no run"), 1200)
    assert done["state"]["name"] == "Promoted", done["state"]


def _cancel_after_outage(up: Up, outages: int) -> float:
    """Seconds from the request until the run had ended."""
    run = until(lambda: up.run(**LONG), 600, "no run could be asked for")
    up.searching(run)
    _take_the_server_away(up, outages + 1)
    cancelling = {"state": {"type": "CANCELLING"}}
    until(lambda: up.ask(f"flow_runs/{run['id']}/set_state", cancelling), 600, "no server")
    asked = time.monotonic()
    done = up.ended(run, 600)
    seconds = time.monotonic() - asked
    assert done["state"]["type"] == "CANCELLED", done["state"]
    until(lambda: not up.pids("flow", run), 600, "its process stayed")
    shown = up.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert not [line for line in shown if "unexpected exception" in line["message"]]
    assert up.housing("runs")[0]["status"] == "cancelled"
    assert up.housing("status")["champion"] is None
    again = f"The worker ended (code 1; {up.home / 'prefect' / 'worker.log'}"
    until(lambda: up.output().count(again) > outages, 600, "the worker did not end")
    until(lambda: up.pids("worker"), 600, "the worker did not come back")
    return round(seconds, 1)


def _take_the_server_away(up: Up, failures: int) -> None:
    """Until the worker's observer of cancellations has failed, for this many times in all."""
    log = up.home / "prefect" / "worker.log"
    os.kill(up.process.pid, signal.SIGSTOP)  # or it would start the server again after 5 s
    up.kill("server")
    until(lambda: log.read_text().count(LOST) >= failures, 600, "the observer never failed")
    os.kill(up.process.pid, signal.SIGCONT)
