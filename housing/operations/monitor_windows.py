"""What one run of the monitor gathers through the champion's eyes: three windows, judged.

Rows come from `steps.arrivals`, prices of answers from `steps.outcomes`; what is done about an
alarm belongs to `steps.monitor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Row

from housing import schema
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import LoadedModel
from housing.keys import KEY_COLUMN
from housing.monitoring.drift import Reference, drift_signals, upstream_signals
from housing.monitoring.live_error import (
    Counts,
    LabelledPredictions,
    error_signals,
    outside_and_above,
)
from housing.monitoring.options import MonitorOptions
from housing.monitoring.signals import Signal, judged
from housing.monitoring.staleness import age_signals, quarantined_signal, rejected_signal
from housing.operations import expected_rates, labelled_predictions, monitor_inputs
from housing.operations.labelled_predictions import ANSWERS_OF, LABEL, ORIGIN
from housing.operations.live_error_sums import lived_errors
from housing.store.data import datasets
from housing.store.data.batches import NEED_A_PERSON
from housing.store.database.engine import Store
from housing.store.database.tables import batches, utc_now
from housing.store.runs import monitor_windows
from housing.store.runs.monitor_windows import Prices
from housing.store.runs.predictions import MODEL

ANSWERS, BATCHES, CLOCK = "answers", "batches", "clock"
BROUGHT = ("accepted", "released")
"""Statuses of batches with rows that were new or changed."""
Cursor = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """What one source showed."""

    source: str
    rows: int
    signals: tuple[Signal, ...]
    counts: Mapping[str, int] = field(default_factory=dict)  # rows with a price, by origin
    known: frozenset[str] = frozenset()  # alarms of the window before it
    previous: int = 0  # id of the window before it

    @property
    def labelled(self) -> int:
        """Rows with a price."""
        return sum(self.counts.values())

    @property
    def alarms(self) -> tuple[Signal, ...]:
        """Signals that are alarms."""
        return tuple(signal for signal in self.signals if signal.alarm)

    @property
    def new_alarms(self) -> tuple[Signal, ...]:
        """Alarms that the window before it did not have."""
        return tuple(signal for signal in self.alarms if signal.name not in self.known)


class View:
    """What one run sees; `windows` gathers and judges it, the other attributes follow from it."""

    def __init__(self, store: Store, options: MonitorOptions, served: LoadedModel) -> None:
        self.store, self.options, self.served = store, options, served
        with store.read() as connection:
            self._standing = labelled_predictions.standing_batches(connection)
            self._before = {
                s: monitor_windows.last(connection, s) for s in (ANSWERS, BATCHES, CLOCK)
            }
        self._after: dict[str, Cursor] = {}
        self._prices: dict[str, Prices] = {}
        clock = self._cursor(CLOCK, {"batch": 0, "labels": {**labelled_predictions.START}})
        matched, self._labels = labelled_predictions.matched(store, clock["labels"])
        self._lived = lived_errors(clock.get("lived", ()), matched)
        waited = clock.get("late", ()) if clock.get("promotion") == served.seq else ()
        late = pd.concat([monitor_inputs.that_waited(waited), matched], ignore_index=True)
        late = late[late[MODEL] == served.model].drop_duplicates(KEY_COLUMN)
        stands = late[ORIGIN].map(self._stands).astype(bool)
        self._late, self._withdrawn = late[stands], late[~stands]

    @property
    def errors(self) -> tuple[dict[str, Any], ...]:
        """Live error by model, where there is more than one price."""
        return tuple({k: v for k, v in e.items() if k != "sums"}
                     for e in self._lived if e["rows"] > 1)  # fmt: skip

    def windows(self) -> list[Window]:
        """Those with enough to judge; the clock's is always there and the last."""
        found = (self._answers(), self._batches(), self._clock())
        return [window for window in found if window is not None]

    def rows(self) -> pd.DataFrame:
        """Every row with a price since the promotion, once each: `key`, features and price."""
        answers, districts = (self._priced(source) for source in (ANSWERS, BATCHES))
        found = [
            monitor_inputs.rows_of_answers(self.store, self.served.model, answers),
            monitor_inputs.rows_of_batches(self.store, districts),
        ]
        return pd.concat(found, ignore_index=True).drop_duplicates(KEY_COLUMN, ignore_index=True)

    def prices(self, source: str) -> Prices:
        """The rows with a price of a window of this run, as they are recorded."""
        return self._prices.get(source, {})

    def cursor(self, window: Window, again: bool, answers_again: bool) -> Cursor:
        """Where the next run goes on; before the window's rows where it is to judge them again."""
        row = self._before[window.source]
        if again:
            return {} if row is None else dict(row.cursor)
        if window.source != CLOCK:
            return self._after[window.source]
        judged_now = len(self._late) >= self.options.min_labels and not answers_again
        late = self._withdrawn if judged_now else pd.concat([self._late, self._withdrawn])
        kept = {"labels": self._labels, "lived": self._lived, "late": monitor_inputs.to_wait(late),
                "promotion": self.served.seq}  # fmt: skip
        return {**self._after[CLOCK], **kept}

    # --- the three sources ------------------------------------------------------------------

    def _answers(self) -> Window | None:
        """Answers logged with their inputs since the last window, and prices that came later."""
        before = self._cursor(ANSWERS, {"batch": 0})["batch"]
        logged = monitor_inputs.logged(self.store, self.served.model, before)
        enough = logged.rows >= self.options.drift.min_rows
        priced = len(self._late) >= self.options.min_labels
        if not enough and not priced:
            return None
        signals: list[Signal] = []
        if enough:
            frame = monitor_inputs.sample(self.store, self.served.model, logged)
            signals = self._inputs(frame, frame["predicted"].to_numpy(np.float64))
        self._after[ANSWERS] = {"batch": logged.newest if enough else before}
        self._prices[ANSWERS] = _by_origin(self._late) if priced else {}
        return self._window(ANSWERS, logged.rows if enough else 0, signals)

    def _batches(self) -> Window | None:
        """Districts of new batches: their prices are known, so the champion predicts each."""
        cursor = self._cursor(BATCHES, {"batch": self._newest_member(), "skipped": []})
        found = monitor_inputs.of_batches(self.store, self.served.version, cursor)
        frame = found.frame
        if len(frame) < self.options.drift.min_rows:
            return None
        said = self.served.predictions(columns_of_frame(frame))
        signals = self._inputs(frame[list(schema.FEATURES)], said.predicted)
        self._after[BATCHES] = found.cursor
        names = {LABEL: frame[schema.TARGET], ORIGIN: frame[ORIGIN], KEY_COLUMN: frame[KEY_COLUMN]}
        for name in ("predicted", "lower", "upper"):
            names[name] = pd.Series(getattr(said, name))
        self._prices[BATCHES] = _by_origin(pd.DataFrame(names))
        return self._window(BATCHES, len(frame), signals)

    def _clock(self) -> Window:
        """Ages, and what intake rejected or quarantined since the last run."""
        cursor = self._cursor(CLOCK, {"batch": 0})
        with self.store.read() as connection:
            rows = connection.execute(sa.select(batches).order_by(batches.c.id)).all()
        came = [row for row in rows if row.id > cursor["batch"] and self._counts(row)]
        times = [r.recorded_at for r in rows if r.id in self._standing and r.status in BROUGHT]
        read, rejected = (
            sum(getattr(row, f"{n}_rows") for row in came) for n in ("read", "rejected")
        )
        newest = max(times, default=None)
        signals = [
            *age_signals(utc_now(), self.served.trained_at, newest, self.options),
            *rejected_signal(read, rejected, self.options),
            quarantined_signal(tuple(f"b{row.id}" for row in rows if row.status in NEED_A_PERSON)),
        ]
        self._after[CLOCK] = {"batch": max((row.id for row in rows), default=0)}
        return self._window(CLOCK, 0, signals)

    def _counts(self, row: Row[Any]) -> bool:
        """Whether a batch counts: one that was withdrawn does not."""
        return row.id in self._standing or row.segment is None or row.status in NEED_A_PERSON

    # --- judging ----------------------------------------------------------------------------

    def _window(self, source: str, rows: int, signals: list[Signal]) -> Window:
        """A window with its alarms, beside the windows of this promotion whose batches stand."""
        with self.store.read() as connection:
            recent = monitor_windows.recent(connection, source, promotion=self.served.seq)
        prices = self.prices(source)
        if prices:
            priced = self._priced(source).groupby("window")
            every = [
                Counts(len(found), int(found["outside"].sum()), int(found["above"].sum()))
                for _, found in priced
            ]
            signals = [*signals, *error_signals(every, self._promise, self.options)]
        standing = [row for row in recent if all(map(self._stands, row.labelled_rows))]
        fired = [frozenset(s["name"] for s in row.signals if s["fired"])
                 for row in standing if source not in row.actions.get("failed", ())]  # fmt: skip
        last = standing[-1].signals if standing else ()
        return Window(
            source=source,
            rows=rows,
            signals=judged(signals, fired, self.options),
            counts={origin: len(found[KEY_COLUMN]) for origin, found in prices.items()},
            known=frozenset(s["name"] for s in last if s["alarm"]),
            previous=recent[-1].id if recent else 0,
        )

    def _priced(self, source: str) -> pd.DataFrame:
        """Prices of all windows of this promotion, each district once, none that was withdrawn.

        Columns: `window` from 0 on, `origin`, and those of `windows.Prices`.
        """
        with self.store.read() as connection:
            history = monitor_windows.prices(connection, source, self.served.seq)
        parts = [
            pd.DataFrame(columns).assign(window=number, **{ORIGIN: origin})
            for number, window in enumerate((*history, self.prices(source)))
            for origin, columns in window.items()
            if self._stands(origin)
        ]
        names = [KEY_COLUMN, "outside", "above", ANSWERS_OF, "window", ORIGIN]
        every = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)
        return every.drop_duplicates(KEY_COLUMN, ignore_index=True)

    def _stands(self, origin: str) -> bool:
        return origin[0] != "b" or int(origin[1:]) in self._standing

    def _inputs(self, frame: pd.DataFrame, predicted: Any) -> list[Signal]:
        features = list(schema.FEATURES)
        train, test = self._sides
        reference = Reference(
            train[features], self.served.predictions(columns_of_frame(test)).predicted
        )
        return [
            *drift_signals(reference, frame[features], predicted, self.options),
            *upstream_signals(train[features], frame[features], self.options),
        ]

    @cached_property
    def _promise(self) -> Counts:
        return expected_rates.of_test_rows(self.served, self._sides[1])

    @cached_property
    def _sides(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return expected_rates.sides(self.store, self.served.version)

    def _newest_member(self) -> int:
        with self.store.read() as connection:
            return max(datasets.get(connection, self.served.version).batches, default=0)

    def _cursor(self, source: str, start: Cursor) -> Cursor:
        row = self._before[source]
        return start if row is None else {**start, **row.cursor}


def _by_origin(rows: pd.DataFrame) -> Prices:
    """Rows with `key`, `label`, `predicted`, `lower`, `upper`, `origin`, perhaps `answers_of`."""
    values = (rows[n].to_numpy(np.float64) for n in (LABEL, "predicted", "lower", "upper"))
    outside, above = outside_and_above(LabelledPredictions(*values))
    kept = [KEY_COLUMN, "outside", "above", *rows.columns.intersection([ANSWERS_OF])]
    flagged = rows.assign(outside=outside, above=above).astype(dict.fromkeys(kept, "int64"))
    return {
        str(origin): {name: part[name].tolist() for name in kept}
        for origin, part in flagged.groupby(ORIGIN)
    }
