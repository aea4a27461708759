"""What the orchestrator costs a night: a flow against the same domain calls, side by side.

Goals: at most 3 s a night over its domain calls, at most 2 s for an uneventful night, both against
a running server; and `housing retrain` without one at most 5 s over its domain calls on a second
start. Prefect's own temporary server stands beside it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import results
from benchmarks.homes import HOUSING, timed
from benchmarks.results import Row
from deployments import environment
from deployments.processes.prefect_server import flush_logs_and_events, start
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.runs import runs
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, landing_rows

ROUNDS = 3
SETTINGS = {**SMALL, "HOUSING_SEARCH__FAMILIES": "linear"}
PREFECTS_OWN = """
import os, time
began = time.perf_counter()
from flows.nightly import nightly
nightly()
print(time.perf_counter() - began)
"""


def _land(home: Path, name: str, night: int) -> None:
    (home / "landing").mkdir(parents=True, exist_ok=True)
    landing_rows(night, 1200).to_csv(home / "landing" / f"{name}.csv", index=False)


def _step_seconds(run: int) -> float:
    with open_store(load_settings()) as store, store.read() as connection:
        return sum(step.seconds for step in runs.steps(connection, run))


def against_a_server(home: Path) -> list[Row]:
    """Nights in this process, by the flow and without it, alternately."""
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_LOGGING_LEVEL,
        temporary_settings,
    )

    server = start(home)
    server.wait_until_ready()
    connection = {
        PREFECT_API_AUTH_STRING: server.secret,
        PREFECT_API_URL: server.url,
        PREFECT_LOGGING_LEVEL: "CRITICAL",
    }
    with temporary_settings(connection):
        from flows.nightly import nightly

        _land(home, "first", 0)
        nightly()  # imports and first connections are no night's
        walls, domains, idle, plain_idle = [], [], [], []
        for round_ in range(ROUNDS):
            _land(home, f"round-{round_}", round_ + 1)
            seconds, result = timed(nightly)
            walls.append(seconds)
            domains.append(_step_seconds(result.run))
            idle.append(timed(nightly)[0])
            plain_idle.append(timed(plain_run)[0])
        flush_logs_and_events()
    server.stop()
    over = [wall - domain for wall, domain in zip(walls, domains, strict=True)]
    return [
        Row("night, beside its domain calls", median(walls), median(domains), "s"),
        Row("night, over its domain calls", median(over), 0, "s", median(over) <= 3, "3 s"),
        Row("uneventful night, beside none", median(idle), median(plain_idle), "s",
            median(idle) <= 2, "2 s"),
    ]  # fmt: skip


def without_a_server() -> list[Row]:
    """`housing retrain` as a process, and the flow on the temporary server of Prefect's own."""
    ours, theirs = [], []
    own = [sys.executable, "-c", PREFECTS_OWN]
    command = [*HOUSING, "retrain", "--json"]
    subprocess.run(command, capture_output=True, check=True)  # the first start makes a database
    for _ in range(ROUNDS):
        wall, done = timed(lambda: subprocess.run(command, capture_output=True, check=True))
        ours.append(wall - sum(step["seconds"] for step in json.loads(done.stdout)["steps"]))
        theirs.append(timed(lambda: subprocess.run(own, capture_output=True, check=True))[0])
    return [
        Row("retrain over its domain calls", median(ours), median(theirs), "s",
            median(ours) <= 5, "5 s"),
    ]  # fmt: skip


def main() -> None:
    """Print both sides, and keep them."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for name in [n for n in os.environ if n.startswith(("HOUSING_", "PREFECT_"))]:
            del os.environ[name]
        os.environ.update({**SETTINGS, "HOUSING_HOME": str(home)})
        environment.prepare(home, quiet=True)
        os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
        rows = [*against_a_server(home), *without_a_server()]
    what = f"medians of {ROUNDS}; beside retrain, the same night on Prefect's own temporary server"
    results.show("orchestration", rows, what)
