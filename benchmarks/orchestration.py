"""What the orchestrator costs a night: a flow against the same domain calls, side by side.

Goals: at most 3 s a night over its domain calls, at most 2 s for an uneventful night, both against
a running server; and `housing retrain` without one at most 5 s over its domain calls on a second
start. Prefect's own temporary server stands beside it.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from deployments import environment
from deployments.server import send_what_is_left, start
from housing.settings import load_settings
from housing.store import runs
from housing.store.opening import open_store
from tests.nights import SMALL, landing_rows
from tests.plain_nights import plain_night

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


def against_a_server(home: Path) -> None:
    """Nights in this process, by the flow and without it, alternately."""
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

    server = start(home)
    server.wait_until_ready()
    told = {PREFECT_API_URL: server.url, PREFECT_LOGGING_LEVEL: "CRITICAL"}
    with temporary_settings(told):
        from flows.nightly import nightly

        _land(home, "first", 0)
        nightly()  # imports and first connections are no night's
        night, idle, plain_idle = [], [], []
        for round_ in range(ROUNDS):
            _land(home, f"round-{round_}", round_ + 1)
            began = time.perf_counter()
            result = nightly()
            night.append(time.perf_counter() - began - _step_seconds(result.run))
            began = time.perf_counter()
            nightly()
            idle.append(time.perf_counter() - began)
            began = time.perf_counter()
            plain_night()
            plain_idle.append(time.perf_counter() - began)
        send_what_is_left()
    server.stop()
    print(f"a night over its domain calls    {_shown(night)}   goal: at most 3 s")
    print(f"an uneventful night              {_shown(idle)}   goal: at most 2 s")
    print(f"the same without the flow        {_shown(plain_idle)}")


def without_a_server(home: Path) -> None:
    """`housing retrain` as a process, and the flow on the temporary server of Prefect's own."""
    ours, theirs = [], []
    command = [sys.executable, "-m", "deployments.cli.entry", "retrain", "--json"]
    subprocess.run(command, capture_output=True, check=True)  # the first start makes a database
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        wall = time.perf_counter() - began
        ours.append(wall - sum(step["seconds"] for step in found["steps"]))
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", PREFECTS_OWN], capture_output=True, check=True)
        theirs.append(time.perf_counter() - began)
    print(f"housing retrain, second start    {_shown(ours)}   goal: at most 5 s over domain calls")
    print(f"on Prefect's temporary server    {_shown(theirs)}")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"ratio of the medians             {ratio:.2f}")


def _shown(seconds: list[float]) -> str:
    return (
        f"{statistics.median(seconds):5.2f} s (of {', '.join(f'{s:.2f}' for s in sorted(seconds))})"
    )


def main() -> None:
    """Print both sides."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for name in [n for n in os.environ if n.startswith(("HOUSING_", "PREFECT_"))]:
            del os.environ[name]
        os.environ.update({**SETTINGS, "HOUSING_HOME": str(home)})
        environment.prepare(home, quiet=True)
        os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
        against_a_server(home)
        without_a_server(home)


if __name__ == "__main__":
    main()
