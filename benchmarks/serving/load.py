"""`python -m benchmarks serving-load`: requests a second and latency, beside a plain server.

Both with two workers, the same model, the same questions, the same client in a process of its own,
one after the other on an otherwise quiet machine. The client shares the two cores with the server.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.serving import homes
from housing import schema

WORKERS = 2
CASES = ((1, 1), (1, 4), (1, 16), (1_000, 2))
"""Districts a request, connections."""


def main() -> None:
    """Print a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="kept between runs; a temporary one if left out")
    parser.add_argument("--seconds", type=float, default=8.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (chosen.home or Path(folder) / "home").resolve()
        homes.make(home)
        bodies = _bodies(home, Path(folder))
        found = {}
        for name, command in (("housing", homes.housing_server), ("plain", homes.plain_server)):
            port = homes.free_port()
            ready = "/ready" if name == "housing" else "/openapi.json"
            os.environ["PLAIN_MODEL"] = str(home / "model.joblib")
            with homes.server(command(port, WORKERS), port, ready):
                for rows, connections in CASES:
                    found[name, rows, connections] = _measure(
                        port, bodies[rows], chosen.seconds, connections
                    )
    _show(found)


def _bodies(home: Path, folder: Path) -> dict[int, Path]:
    frame = pd.read_csv(home / "landing" / "b.csv")[list(schema.FEATURES)].dropna()
    found = {}
    for rows in {rows for rows, _ in CASES}:
        path = folder / f"{rows}.json"
        districts = frame.iloc[:rows].to_dict(orient="records")
        path.write_text(json.dumps({"districts": districts}))
        found[rows] = path
    return found


def _measure(port: int, body: Path, seconds: float, connections: int) -> dict[str, float]:
    command = [
        sys.executable, "-m", "benchmarks.serving.client", f"http://127.0.0.1:{port}", "/predict",
        str(body), str(seconds), str(connections),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _show(found: dict[tuple[str, int, int], dict[str, float]]) -> None:
    print(f"{WORKERS} workers, client on the same cores")
    print("rows  connections  server    requests/s   rows/s     p50 ms   p99 ms  failed")
    for rows, connections in CASES:
        for name in ("housing", "plain"):
            m = found[name, rows, connections]
            rate = m["requests_per_second"]
            print(
                f"{rows:>4}  {connections:>11}  {name:<8} {rate:>11,.1f} {rate * rows:>9,.0f} "
                f"{m['p50_ms']:>9.2f} {m['p99_ms']:>8.2f} {m['failed']:>7,.0f}"
            )
        ours, theirs = (found[n, rows, connections] for n in ("housing", "plain"))
        ratio = ours["requests_per_second"] / theirs["requests_per_second"]
        print(f"      ratio of requests/s: {ratio:.1f}")


if __name__ == "__main__":
    main()
