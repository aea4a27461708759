"""`python -m benchmarks serving-load`: requests a second and latency, beside a plain server.

Both with two workers, the same model, the same questions, the same client in a process of its own
(`client`: its two ways of asking), one after the other. Client and server share the cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import serving_pages
from benchmarks.memory import family
from benchmarks.results import Row, load, show
from benchmarks.serving import servers
from deployments.processes.prefect_server import free_port
from housing import schema

WORKERS = 2
CASES: tuple[tuple[int, int, float | None], ...] = (
    (1, 1, None), (1, 4, None), (1, 16, None), (1, 16, 1_000.0), (1_000, 2, None),
)  # fmt: skip
"""Districts a request, connections, offered requests a second (None: a closed loop)."""
GOAL_RATE, GOAL_P99_MS, GOAL_CONNECTIONS = 1_000, 5.0, 4


def main() -> None:
    """Measure both, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="kept between runs; a temporary one if left out")
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (chosen.home or Path(folder) / "home").resolve()
        servers.make(home)
        os.environ["PLAIN_MODEL"] = str(home / "model.joblib")
        bodies = _bodies(home, Path(folder))
        cases = [_case(bodies, case, chosen.seconds) for case in CASES]
    figures = {
        "workers": WORKERS, "seconds": chosen.seconds,
        "census": bool(os.environ.get("HOUSING_CENSUS")),
        "goal_rate": GOAL_RATE, "goal_p99_ms": GOAL_P99_MS, "cases": cases,
    }  # fmt: skip
    what = f"requests a second and 99th percentiles, {WORKERS} workers"
    show("serving-load", _rows(cases), what, **figures)
    print(serving_pages.load(load("serving-load")))


def _rows(cases: list[dict[str, Any]]) -> list[Row]:
    """Both servers for the table of `bench`; the goal is of single districts."""
    rows = []
    for case in cases:
        ours, theirs = case["housing"], case["plain"]
        rate = ours["requests_per_second"]
        met = None
        if case["rows"] == 1 and case["rate"] is None and case["connections"] == GOAL_CONNECTIONS:
            met = rate >= GOAL_RATE and ours["p99_ms"] <= GOAL_P99_MS
        offered = f", {case['rate']:,.0f} a second" if case["rate"] else ""
        name = f"{case['rows']:,} on {case['connections']}{offered}"
        goal = f"{GOAL_RATE:,}/s, p99 {GOAL_P99_MS:g} ms" if met is not None else ""
        rows.append(Row(name, rate, theirs["requests_per_second"], "req/s", met, goal))
        rows.append(Row(f"{name}: p99", ours["p99_ms"], theirs["p99_ms"], "ms"))
    return rows


def _case(
    bodies: dict[int, Path], case: tuple[int, int, float | None], seconds: float
) -> dict[str, Any]:
    """One case against both servers, each started for it."""
    rows, connections, rate = case
    found: dict[str, Any] = {"rows": rows, "connections": connections, "rate": rate}
    for name, command, ready in (
        ("housing", servers.housing_server, "/ready"),
        ("plain", servers.plain_server, "/openapi.json"),
    ):
        port = free_port()
        with servers.server(command(port, WORKERS), port, ready) as process:
            before = _cpu(process.pid)
            measured = _measure(port, bodies[rows], seconds, connections, rate)
            asked = measured["requests"] * (1 + 1.5 / seconds)  # with those of the warm-up
            measured["server_us"] = 1e6 * (_cpu(process.pid) - before) / asked
        found[name] = measured
        print(f"{rows} rows, {connections} connections, {rate or 'no'} rate, {name}: {measured}")
    return found


def _cpu(pid: int) -> float:
    """Processor seconds of a server and its workers."""
    return sum(sum(one.cpu_times()[:2]) for one in family(pid))


def _bodies(home: Path, folder: Path) -> dict[int, Path]:
    frame = pd.read_csv(home / "landing" / "b.csv")[list(schema.FEATURES)].dropna()
    found = {}
    for rows in {rows for rows, *_ in CASES}:
        path = folder / f"{rows}.json"
        districts = frame.iloc[:rows].to_dict(orient="records")
        path.write_text(json.dumps({"districts": districts}))
        found[rows] = path
    return found


def _measure(
    port: int, body: Path, seconds: float, connections: int, rate: float | None
) -> dict[str, float]:
    command = [
        sys.executable, "-m", "benchmarks.serving.client", f"http://127.0.0.1:{port}/predict",
        str(body), str(seconds), str(connections), *([] if rate is None else [str(rate)]),
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
