"""`housing up`: a real server, runner and watch; deaths of its parts; the way down."""

import re
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.processes.prediction_api import PortTaken
from deployments.processes.prefect_server import free_port
from deployments.processes.supervisor import Service, ServiceNotStarted
from deployments.processes.supervisor import up as supervise
from tests.fixtures.housing_up import PROGRAMS, Up, until
from tests.fixtures.small_settings import landing_rows

pytestmark = [
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("up"),
]

LONG = {"families": ["forest"], "n_trials": 25}
"""A run long enough to be hit in the middle."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    # Often, for the test of what is deleted; more often it would hold up all that is asked.
    often = {"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "15"}
    running = Up(tmp_path_factory.mktemp("up") / "home", often)
    landing_rows(0, 600).to_csv(running.home / "landing" / "a.csv", index=False)
    try:
        until(lambda: "rollback" in running.deployments(), 180, "the deployments never appeared")
        yield running
    finally:
        running.stop()
        print(running.output())


def test_the_schedule_makes_runs(up: Up) -> None:
    nightly = up.deployments()["nightly"]
    schedule = nightly["schedules"][0]["schedule"]
    assert (schedule["cron"], schedule["timezone"]) == ("0 2 * * *", "Europe/Berlin")
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    until(lambda: up.ask("flow_runs/count", scheduled) > 0, 60, "the scheduler made no run at all")


def test_a_run_started_by_hand_shows_its_steps(up: Up) -> None:
    done = up.ended(up.run())
    assert done["state"]["type"] == "COMPLETED", done["state"]
    assert done["state"]["name"] in ("Promoted", "Kept", "Inconclusive")
    outcome = done["state"]["name"].lower()
    assert re.fullmatch(
        rf"nightly \d{{4}}-\d\d-\d\d: v1, m1 against the baselines, {outcome}", done["name"]
    )
    assert {"housing", "nightly", "v1", "m1", outcome} <= set(done["tags"])

    def lines() -> list[str]:
        found = up.ask(
            "logs/filter",
            {"logs": {"flow_run_id": {"any_": [done["id"]]}}, "sort": "TIMESTAMP_ASC"},
        )
        said = [entry["message"] for entry in found if entry["message"].endswith(" s)")]
        return said if said and said[-1].startswith("finish: ") else []

    said = until(lines, 30, "the log never came")
    assert re.fullmatch(r"ingest: 1 accepted; 600 rows accepted, 0 rejected \(\d+\.\d s\)", said[0])
    assert any(re.match(r"search: best error so far \$[\d,]+", line) for line in said)
    steps = [line.partition(":")[0] for line in said]
    assert len(steps) == len(set(steps)), "one line a step"


def test_prefect_deletes_ended_runs_after_30_days(up: Up) -> None:
    flow = up.ask("flows/", {"name": "of long ago"})["id"]
    old, young = (up.ask("flow_runs/", {"flow_id": flow})["id"] for _ in range(2))
    for run, days in ((old, 31), (young, 29)):
        up.ask(f"flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
        at = f"{datetime.now(UTC) - timedelta(days=days):%F %T.%f}"
        with closing(sqlite3.connect(up.home / "prefect" / "prefect.db", timeout=60)) as database:
            done = database.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (at, run))
            assert done.rowcount == 1
            database.commit()
    ids = {"flow_runs": {"id": {"any_": [old, young]}}}
    until(lambda: up.ask("flow_runs/count", ids) < 2, 60, "the old run is still there")
    assert [run["id"] for run in up.ask("flow_runs/filter", ids)] == [young]


def test_the_report_of_a_run_is_linked_and_served_beside_the_ui(up: Up) -> None:
    artifacts = up.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["report"]}}})
    link = re.search(r"\]\((/reports/[^)]+)\)", artifacts[0]["data"])
    assert link is not None
    base = f"http://127.0.0.1:{up.port}"
    with _opened(up, base + link[1]) as response:
        report = response.read().decode()
        assert "<html" in report
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    for page, heading in ((r"card-m\d+", b"Model card of m"), (r"data-v\d+", b"Dataset v")):
        linked = re.search(rf'href="({page}\.html)"', report)
        assert linked is not None, page
        with _opened(up, f"{base}/reports/{linked[1]}") as response:
            assert heading in response.read()
    [picture] = up.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["decision"]}}})
    with _opened(up, base + picture["data"]) as response:
        assert response.headers["Content-Type"] == "image/svg+xml"
        assert b"<svg" in response.read()
    [progress] = up.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["search-progress"]}}})
    assert float(progress["data"]) == 100
    assert progress["description"] == "search: complete"
    for path in (
        "report-r99.html",
        "card-m99.html",
        "r99-decision.svg",
        "r1-nothing.svg",
        "..%2fhousing.db",
        "../housing.db",
        "report-r1.html.txt",
    ):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            _opened(up, f"http://127.0.0.1:{up.port}/reports/{path}")


def _opened(up: Up, address: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(address, headers=up.headers()), timeout=20)


def test_a_value_out_of_range_is_refused_before_a_run_exists(up: Up) -> None:
    before = up.ask("flow_runs/count", {})
    for deployment, bad in (
        ("nightly", {"n_trials": 0}),
        ("nightly", {"n_trials": "many"}),
        ("nightly", {"colour": "red"}),
        ("rollback", {"reason": "x"}),
        ("rollback", {"model": 1}),
    ):
        with pytest.raises(urllib.error.HTTPError, match=r"409|422"):
            up.run(deployment, **bad)
    assert up.ask("flow_runs/count", {}) == before


def test_a_refusal_is_a_sentence_and_no_stack_trace(up: Up) -> None:
    done = up.ended(up.run("rollback", reason="there is none to go back to"))
    assert done["state"]["type"] == "FAILED"
    assert "There is nothing to roll back to" in done["state"]["message"]
    found = up.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [done["id"]]}}})
    assert not [entry for entry in found if "Traceback" in entry["message"]]


def _second(up: Up, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deployments.cli.__main__", "up", "--port", str(up.port)],
        env={**up.environment, "COLUMNS": "200", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_one_is_refused(up: Up, tmp_path: Path) -> None:
    same = _second(up)
    assert same.returncode == 1
    assert f"runs on {up.home} already" in same.stderr.replace("\n", "")
    other = _second(up, HOUSING_HOME=str(tmp_path / "other"))
    assert other.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{up.port}" in other.stderr


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    port = free_port()
    with pytest.raises(PortTaken, match=r"Cannot listen on.*`housing up --api-port N`"):
        supervise(tmp_path, port, port, print)


def test_a_part_that_cannot_begin_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prefect").mkdir()
    words = Service(
        "server", ("sh", "-c", "echo no room; exit 3"), tmp_path / "log", is_healthy=bool
    )
    monkeypatch.setattr("deployments.processes.supervisor.services", lambda *_: (words,))
    monkeypatch.setattr("deployments.processes.child_process.LEAST_FREE", 2**62)
    monkeypatch.setattr("deployments.processes.supervisor._catch_signals", lambda: lambda: 0)
    with pytest.raises(ServiceNotStarted, match=r"server .*code 3; the disk is full; .*: no room"):
        supervise(tmp_path, free_port(), free_port(), print)


@pytest.mark.parametrize("part", ["watchdog", "prediction API"])
def test_a_killed_service_is_restarted(up: Up, part: str) -> None:
    before = up.pids(part)
    up.kill(part)
    until(lambda: f"The {part} ended (signal SIGKILL" in up.output(), 5, "nothing was said")
    until(lambda: f"The {part} is started again." in up.output(), 9, "it never came back")
    assert up.pids(part) != before


def test_a_run_survives_the_server_and_a_second_one_is_skipped(up: Up) -> None:
    landing_rows(2, 100).to_csv(up.home / "landing" / "server-dies.csv", index=False)
    first = up.run(**LONG)
    up.searching(first)
    second = up.run()
    up.kill("server")
    assert up.pids("flow"), "the run ended with the server"
    until(lambda: "The server is started again." in up.output(), 15, "it never came back")
    second = up.ended(second)
    assert (second["state"]["type"], second["state"]["name"]) == ("COMPLETED", "Skipped")
    assert "has been running since" in second["state"]["message"]
    done = up.ended(first)
    assert done["state"]["type"] == "COMPLETED", done["state"]


@pytest.mark.slow
def test_the_next_run_completes_after_worker_and_flow_died(up: Up) -> None:
    landing_rows(5, 100).to_csv(up.home / "landing" / "both-die.csv", index=False)
    run = up.run(**LONG)
    up.searching(run)
    up.kill("worker")
    up.kill("flow")
    until(lambda: "The worker ended (signal SIGKILL" in up.output(), 9, "nothing was said")
    done = up.ended(run, 60)
    assert done["state"]["type"] == "CRASHED"
    assert up.housing("runs")[0]["status"] == "crashed"
    next_one = up.ended(until(up.run, 60, "no run could be asked for"))
    assert next_one["state"]["type"] == "COMPLETED", next_one["state"]


def test_a_killed_up_leaves_no_process_and_starts_again(up: Up) -> None:
    """What a person had switched off is off when it is up again."""
    before = up.deployments()["nightly"]
    schedule = f"deployments/{before['id']}/schedules/{before['schedules'][0]['id']}"
    up.ask(schedule, {"active": False}, "PATCH")
    up.process.kill()
    up.process.wait()
    until(lambda: not any(up.pids(part) for part in PROGRAMS), 60, "a part outlived `housing up`")
    up.start()
    until(lambda: "nightly" in up.deployments(), 90, "it did not come up again")
    until(lambda: up.pids("worker") and up.pids("watchdog"), 30, "not all parts came up")

    def registered() -> Any:
        found = up.deployments()["nightly"]
        return found if found["updated"] != before["updated"] else None

    after = until(registered, 60, "the worker registered nothing")
    assert [each["active"] for each in after["schedules"]] == [False]


@pytest.mark.slow
def test_a_closed_terminal_stops_up_in_order_and_the_current_run_safely(
    up: Up,
) -> None:
    assert (up.home / "prefect" / "server.json").exists()
    landing_rows(7, 100).to_csv(up.home / "landing" / "stopped.csv", index=False)
    run = until(lambda: up.run(**LONG), 60, "no run could be asked for")
    up.searching(run)
    up.process.send_signal(signal.SIGHUP)  # its terminal is closed
    assert up.process.wait(60) == 0, up.output()
    assert up.output().rstrip().endswith("Stopped.")
    assert not (up.home / "prefect" / "server.json").exists()
    for part in PROGRAMS:
        assert not up.pids(part), f"the {part} stayed behind"
    newest = up.housing("runs")[0]
    assert newest["status"] == "cancelled"
    assert "stopped by a signal;" in up.housing("show", newest["run"])["error"]
