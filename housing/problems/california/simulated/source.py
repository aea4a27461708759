"""Simulated districts as a source: a first table, then a delivery of fresh rows each time.

For trying the system out, for replays, and where the reference table cannot be fetched; always
marked as simulated. How rows are drawn belongs in `districts` and `scenarios`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from housing.errors import SourceUnavailable
from housing.problems.california.options import SimulatedOptions
from housing.problems.california.simulated.scenarios import SCENARIOS, simulate
from housing.quality.table import table_of
from housing.records import BatchSummary
from housing.sources.base import Delivery, IngestHistory, SourceOptions


@dataclass(frozen=True)
class Simulated:
    """One delivery a run; the watermark is the day of the last one."""

    options: SourceOptions
    name: str = "simulated"

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """The first table (day 0) if there is no reference table, else the next day's rows."""
        scenario = self.options.own("simulated", SimulatedOptions).scenario
        if scenario not in SCENARIOS:
            raise SourceUnavailable(
                source=self.name,
                why=f"there is no scenario {scenario!r}",
                next_step=f"These exist: {', '.join(SCENARIOS)}.",
            )
        last = seen.watermark(self.name)
        if last is None and not seen.has_batch_of("census"):
            yield bootstrap(self.options, self.name, "simulated districts")
            return
        day = int(last or 0) + 1
        frame = _rows(self.options, day)
        yield _delivery(self.name, f"simulated districts, day {day}", frame, str(day))


def bootstrap(options: SourceOptions, source: str, name: str) -> Delivery:
    """The first simulated table, as a delivery of `source` called `name`."""
    return _delivery(source, name, _rows(options, 0), "0")


def _rows(options: SourceOptions, day: int) -> pd.DataFrame:
    own = options.own("simulated", SimulatedOptions)
    rows = own.day_rows if day else own.rows
    return simulate(rows, options.seed, day=day, **vars(SCENARIOS[own.scenario]))


def _delivery(source: str, name: str, frame: pd.DataFrame, watermark: str) -> Delivery:
    content = frame.to_csv(index=False).encode()
    return Delivery(
        source=source,
        name=name,
        digest=hashlib.sha256(content).hexdigest(),
        size=len(content),
        simulated=True,
        watermark=watermark,
        read=partial(table_of, frame),
    )
