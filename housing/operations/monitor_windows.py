"""The windows of one monitoring run: what is new in each source, judged for the active model.

A window is recorded once; where there is too little to judge, rows accumulate until the next run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from housing import schema
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import LoadedModel
from housing.keys import KEY_COLUMN
from housing.monitoring.drift import drift_signals, upstream_signals
from housing.monitoring.live_error import (
    Counts,
    LabelledPredictions,
    error_signals,
    outside_and_above,
)
from housing.monitoring.options import MonitorOptions
from housing.monitoring.signals import Signal, judged
from housing.monitoring.staleness import age_signals, quarantined_signal, rejected_signal
from housing.operations import error_rates, labelled_predictions, monitor_inputs
from housing.store.data import datasets
from housing.store.data.batches import NEED_A_PERSON
from housing.store.database.engine import Store
from housing.store.database.tables import batches, utc_now
from housing.store.runs import labelled, monitor_windows
from housing.store.runs.labelled import ID, LABEL, ORIGIN
from housing.store.runs.monitor_windows import LABELS, LabelledRows
from housing.store.runs.predictions import LOWER, PREDICTED, UPPER

PREDICTIONS, BATCHES, CLOCK = "predictions", "batches", "clock"
WITH_ROWS = ("accepted", "released")
"""Statuses of batches whose rows were new or changed."""
Cursor = dict[str, Any]


@dataclass(frozen=True)
class MonitorWindow:
    """What one source showed."""

    source: str
    rows: int
    signals: tuple[Signal, ...]
    counts: Mapping[str, int] = field(default_factory=dict)  # labelled rows by batch of labels
    known: frozenset[str] = frozenset()  # alarms before it
    previous: int = 0  # id of the window before it

    @property
    def labelled(self) -> int:
        """Labelled rows."""
        return sum(self.counts.values())

    @property
    def alarms(self) -> tuple[Signal, ...]:
        """Signals that are alarms."""
        return tuple(signal for signal in self.signals if signal.alarm)

    @property
    def new_alarms(self) -> tuple[Signal, ...]:
        """Alarms that were none before."""
        return tuple(signal for signal in self.alarms if signal.name not in self.known)


class MonitorContext:
    """The data of one run. `windows` collects and judges it; then the cursors are known."""

    def __init__(self, store: Store, options: MonitorOptions, served: LoadedModel) -> None:
        self.store, self.options, self.served = store, options, served
        self._valid = store.query(labelled_predictions.valid_batches)
        self._record_matched()
        with store.read() as connection:
            self._last = {
                s: monitor_windows.last(connection, s) for s in (PREDICTIONS, BATCHES, CLOCK)
            }
            self._recent = {
                s: monitor_windows.recent(connection, s, promotion=served.seq) for s in self._last
            }
            self._history = {
                s: monitor_windows.labelled_rows(connection, s, served.seq) for s in self._last
            }
            all_labelled = labelled.of_promotion(connection, served.seq, served.model)
            withdrawn = [o for o in labelled.origins(connection) if not self._is_valid(o)]
            self.errors = error_rates.live_errors(connection, withdrawn, options.design_effect)
        valid = all_labelled[ORIGIN].map(self._is_valid).astype(bool)
        self._all_labelled = all_labelled
        self._labelled = all_labelled[valid].drop_duplicates(KEY_COLUMN)
        self._after: dict[str, Cursor] = {}
        self._new_labelled: dict[str, LabelledRows] = {}

    def _record_matched(self) -> None:
        """Match predictions with new labels, and record them and the cursor in one transaction."""
        last = self.store.query(monitor_windows.last, LABELS)
        cursor = {**labelled_predictions.START} if last is None else last.cursor
        found, after = labelled_predictions.matched(self.store, cursor)
        if after == cursor:
            return
        window = {
            "model": self.served.model, "promotion": self.served.seq, "source": LABELS,
            "rows": len(found), "labelled": len(found), "cursor": after, "labelled_rows": {},
            "signals": [], "errors": [], "actions": {},
        }  # fmt: skip
        rows = labelled_predictions.as_recorded(found)
        with self.store.write() as connection:
            labelled.add(connection, self.served.seq, rows)
            monitor_windows.add(connection, [window])

    def windows(self) -> list[MonitorWindow]:
        """Those with enough rows to judge; that of the clock is always there, and the last."""
        found = (self._of_predictions(), self._of_batches(), self._of_clock())
        return [window for window in found if window is not None]

    def rows(self) -> pd.DataFrame:
        """Every labelled row since the promotion, once each: key, features and target."""
        inputs = labelled_predictions.with_inputs(self.store, self._labelled, schema.FEATURES)
        found = [
            monitor_inputs.typed(inputs.rename(columns={LABEL: schema.TARGET})),
            monitor_inputs.rows_of_batches(self.store, self._counted(BATCHES)),
        ]
        return pd.concat(found, ignore_index=True).drop_duplicates(KEY_COLUMN, ignore_index=True)

    def labelled_rows(self, source: str) -> LabelledRows:
        """The labelled rows of a window of this run, as they are recorded."""
        return self._new_labelled.get(source, {})

    def cursor(self, window: MonitorWindow, again: bool) -> Cursor:
        """Where the next run continues; before the window's rows where it judges them again."""
        row = self._last[window.source]
        if again:
            return {} if row is None else dict(row.cursor)
        return {**self._after[window.source], "counted": self._counted_origins(window.source)}

    # --- the three sources ------------------------------------------------------------------

    def _of_predictions(self) -> MonitorWindow | None:
        """Predictions logged with their inputs since the last window, and new labels."""
        cursor = self._cursor(PREDICTIONS, {"batch": 0, "label": 0})
        logged = monitor_inputs.logged_since(self.store, self.served.model, cursor["batch"])
        after, signals = dict(cursor), []
        if enough := logged.rows >= self.options.drift.min_rows:
            frame = monitor_inputs.sample(self.store, self.served.model, logged)
            signals = self._drift(frame, frame[PREDICTED].to_numpy(np.float64))
            after["batch"] = logged.newest
        new = self._labelled[self._labelled[ID] > cursor["label"]]
        if len(new) >= self.options.min_labels:
            # Withdrawn rows are recorded too: they count once their batch is restored.
            new = self._all_labelled[self._all_labelled[ID] > cursor["label"]]
            self._new_labelled[PREDICTIONS] = _by_origin(new)
            after["label"] = int(new[ID].max())
        elif not enough and not self._is_outdated(PREDICTIONS):
            return None
        self._after[PREDICTIONS] = after
        return self._window(PREDICTIONS, logged.rows if enough else 0, signals)

    def _of_batches(self) -> MonitorWindow | None:
        """Rows of new batches: their labels are known, so the active model predicts each."""
        cursor = self._cursor(BATCHES, {"batch": self._newest_member(), "skipped": []})
        frame, after = monitor_inputs.of_batches(self.store, self.served.version, cursor)
        if len(frame) < self.options.drift.min_rows:
            if not self._is_outdated(BATCHES):
                return None
            self._after[BATCHES] = cursor
            return self._window(BATCHES, 0, [])
        predicted = self.served.predictions(columns_of_frame(frame))
        signals = self._drift(frame[list(schema.FEATURES)], predicted.predicted)
        self._after[BATCHES] = after
        facts: dict[str, Any] = {PREDICTED: predicted.predicted, LABEL: frame[schema.TARGET]}
        facts |= {LOWER: predicted.lower, UPPER: predicted.upper}
        self._new_labelled[BATCHES] = _by_origin(frame[[KEY_COLUMN, ORIGIN]].assign(**facts))
        return self._window(BATCHES, len(frame), signals)

    def _of_clock(self) -> MonitorWindow:
        """Ages, and what ingestion rejected or quarantined since the last run."""
        cursor = self._cursor(CLOCK, {"batch": 0})
        with self.store.read() as connection:
            rows = connection.execute(sa.select(batches).order_by(batches.c.id)).all()
        new = [
            row for row in rows if row.id > cursor["batch"]
            and (row.id in self._valid or row.segment is None or row.status in NEED_A_PERSON)
        ]  # fmt: skip
        times = [r.recorded_at for r in rows if r.id in self._valid and r.status in WITH_ROWS]
        read, rejected = sum(r.read_rows for r in new), sum(r.rejected_rows for r in new)
        signals = [
            *age_signals(utc_now(), self.served.trained_at, times, self.options),
            *rejected_signal(read, rejected, self.options),
            quarantined_signal(tuple(f"b{row.id}" for row in rows if row.status in NEED_A_PERSON)),
        ]
        self._after[CLOCK] = {"batch": max((row.id for row in rows), default=0)}
        return self._window(CLOCK, 0, signals)

    # --- judging ----------------------------------------------------------------------------

    def _window(self, source: str, rows: int, signals: list[Signal]) -> MonitorWindow:
        """A window with its alarms, after the windows of this promotion before it."""
        recent, new = self._recent[source], self.labelled_rows(source)
        if new or any(self._history[source]) or self._is_outdated(source):
            every = [  # also without new labels: an alarm ends by labels alone
                Counts(len(found), int(found["outside"].sum()), int(found["above"].sum()))
                for _, found in self._counted(source).groupby("window")
            ]
            signals = [*signals, *error_signals(every, self._expected, self.options)]
        # The drift of a withdrawn batch does not count; that of predictions is not about labels.
        windows = [
            r for r in recent if source != BATCHES or all(map(self._is_valid, r.labelled_rows))
        ]
        fired = [
            frozenset(s["name"] for s in row.signals if s["fired"])
            for row in windows
            if row.rows and not row.actions.get("failed")
        ]
        alarms = {s["name"]: s["alarm"] for r in recent for s in r.signals
                  if r in windows or s["kind"] == "error"}  # fmt: skip
        counts = {o: len(found[KEY_COLUMN]) for o, found in new.items() if self._is_valid(o)}
        return MonitorWindow(
            source=source,
            rows=rows,
            signals=judged(signals, fired, self.options),
            counts=counts,
            known=frozenset(name for name, alarm in alarms.items() if alarm),
            previous=recent[-1].id if recent else 0,
        )

    def _counted(self, source: str) -> pd.DataFrame:
        """Labelled rows of all windows of this promotion, once each, none that was withdrawn.

        Columns: `window` from 0 on, `origin`, and those of `monitor_windows.LabelledRows`.
        """
        parts = [
            pd.DataFrame(columns).assign(window=number, **{ORIGIN: origin})
            for number, window in enumerate((*self._history[source], self.labelled_rows(source)))
            for origin, columns in window.items()
            if self._is_valid(origin)
        ]
        names = [KEY_COLUMN, "outside", "above", "window", ORIGIN]
        every = labelled_predictions.joined(parts, names)
        return every.drop_duplicates(KEY_COLUMN, ignore_index=True)

    def _counted_origins(self, source: str) -> list[str]:
        windows = (*self._history[source], self.labelled_rows(source))
        return sorted({origin for window in windows for origin in window if self._is_valid(origin)})

    def _is_outdated(self, source: str) -> bool:
        """Whether a batch of labels was withdrawn or restored since the last window."""
        recent = self._recent[source]
        if not recent or source == CLOCK:
            return False
        counted = {o for w in self._history[source] for o in w if self._is_valid(o)}
        return counted != set(recent[-1].cursor.get("counted", ()))

    def _is_valid(self, origin: str) -> bool:
        return origin[0] != "b" or int(origin[1:]) in self._valid

    def _drift(self, frame: pd.DataFrame, predicted: Any) -> list[Signal]:
        features = list(schema.FEATURES)
        train, test = self._sides
        predictions = self.served.predictions(columns_of_frame(test)).predicted, predicted
        return [
            *drift_signals(train[features], frame[features], predictions, self.options),
            *upstream_signals(train[features], frame[features], self.options),
        ]

    @cached_property
    def _expected(self) -> Counts:
        return error_rates.of_test_rows(self.served, self._sides[1])

    @cached_property
    def _sides(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return error_rates.sides(self.store, self.served.version)

    def _newest_member(self) -> int:
        return max(self.store.query(datasets.get, self.served.version).batches, default=0)

    def _cursor(self, source: str, start: Cursor) -> Cursor:
        row = self._last[source]
        return start if row is None else {**start, **row.cursor}


def _by_origin(rows: pd.DataFrame) -> LabelledRows:
    """Rows with key, label, prediction, interval and origin, by origin."""
    values = (rows[n].to_numpy(np.float64) for n in (LABEL, PREDICTED, LOWER, UPPER))
    outside, above = outside_and_above(LabelledPredictions(*values))
    kept = [KEY_COLUMN, "outside", "above"]
    flagged = rows.assign(outside=outside, above=above).astype(dict.fromkeys(kept, "int64"))
    return {
        str(origin): {name: part[name].tolist() for name in kept}
        for origin, part in flagged.groupby(ORIGIN)
    }
