"""kill -9 of each process during a run, with a schedule of every minute and no operator.

Prints how the run that was hit ended, and the time until the next run ended. With a daily schedule
the watchdog restarts a run that was cut short.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.results import save
from tests.fixtures.housing_up import Up, until
from tests.fixtures.small_settings import landing_rows

SETTINGS = {
    "HOUSING_SCHEDULES__RETRAIN": "* * * * *",
    "HOUSING_SEARCH__FAMILIES": "forest",
    "HOUSING_SEARCH__N_TRIALS": "40",
}
KILLED = (("flow",), ("worker",), ("worker", "flow"), ("server",), ("watchdog",))


def _searching(up: Up) -> dict[str, Any] | None:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    for run in up.ask("flow_runs/filter", wanted):
        artifacts = up.ask("artifacts/filter", {"sort": "CREATED_DESC", "limit": 20})
        mine = [a for a in artifacts if a["flow_run_id"] == run["id"]]
        if any(a["key"] == "search-progress" and 0 < a["data"] < 90 for a in mine):
            found: dict[str, Any] = run
            return found
    return None


def one(up: Up, parts: tuple[str, ...], night: int) -> dict[str, Any]:
    """Kill the parts in mid-search; what became of the night, and when one had ended again."""
    name = f"{'-'.join(parts)}.csv"
    landing_rows(night, 300).to_csv(up.home / "landing" / name, index=False)
    run = until(lambda: _searching(up), 200, "no night was searching")
    before = {row["run"] for row in up.housing("runs") if row["status"] == "completed"}
    for part in parts:
        up.kill(part)
    died = time.monotonic()

    def done() -> list[dict[str, Any]]:
        rows = [r for r in up.housing("runs") if r["kind"] == "nightly"]
        return [r for r in rows if r["status"] == "completed" and r["run"] not in before]

    until(done, 300, "no night came to its end")
    seconds = time.monotonic() - died
    became = up.ended(run)["state"]["name"]
    return {"killed": " and ".join(parts), "night": became, "seconds": round(seconds)}


def main() -> None:
    """Print the table."""
    with TemporaryDirectory() as folder:
        up = Up(Path(folder) / "home", SETTINGS)
        landing_rows(0, 600).to_csv(up.home / "landing" / "first.csv", index=False)
        try:
            print("| killed in mid-night | the night | until a night had ended |\n|---|---|---:|")
            rows = []
            for night, parts in enumerate(KILLED, 1):
                rows.append(one(up, parts, night))
                print(f"| {' | '.join(map(str, rows[-1].values()))} s |", flush=True)
            save("kill-recovery", {"rows": rows})
        finally:
            up.stop()
