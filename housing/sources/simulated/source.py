"""Simulated districts as a source: a first table, then fresh rows on every night that asks.

For trying the system out, for replays and where the reference table cannot be had; always marked
as simulated. How they are made belongs in `districts` and `scenarios`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from housing.errors import SourceUnavailable
from housing.quality.table import RawTable, row_numbers
from housing.records import BatchSummary
from housing.sources.base import Delivery, IngestHistory, SourceOptions
from housing.sources.simulated.scenarios import SCENARIOS, simulate


@dataclass(frozen=True)
class Simulated:
    """One batch a night; the watermark is the number of the last night delivered."""

    options: SourceOptions
    name: str = "simulated"

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """The first table (night 0) if no reference table is in, else the next night's rows."""
        if self.options.scenario not in SCENARIOS:
            raise SourceUnavailable(
                source=self.name,
                why=f"there is no scenario {self.options.scenario!r}",
                next_step=f"These exist: {', '.join(SCENARIOS)}.",
            )
        last = seen.watermark(self.name)
        if last is None and not seen.has_reference():
            yield bootstrap(self.options, self.name, "simulated districts")
            return
        night = int(last or 0) + 1
        frame = _night(self.options, night)
        yield _delivery(self.name, f"simulated districts, night {night}", frame, str(night))


def bootstrap(options: SourceOptions, source: str, name: str) -> Delivery:
    """The first simulated table, as a delivery of `source` called `name`."""
    return _delivery(source, name, _night(options, 0), "0")


def _night(options: SourceOptions, night: int) -> pd.DataFrame:
    story = SCENARIOS[options.scenario]
    rows = options.simulated_night_rows if night else options.simulated_rows
    return simulate(
        rows, options.seed, night=night,
        noise=story.noise, drift=story.drift, pollution=story.pollution,
    )  # fmt: skip


def _delivery(source: str, name: str, frame: pd.DataFrame, watermark: str) -> Delivery:
    content = frame.to_csv(index=False).encode()
    raw = RawTable(frame, row_numbers(len(frame)))
    return Delivery(
        source=source,
        name=name,
        digest=hashlib.sha256(content).hexdigest(),
        size=len(content),
        simulated=True,
        watermark=watermark,
        read=partial(_same, raw),
    )


def _same(raw: RawTable) -> RawTable:
    return raw
