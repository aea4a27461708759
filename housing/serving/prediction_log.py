"""The prediction log: what was asked and answered, written beside the answering, never in its way.

An answer costs one append to a queue. A thread writes what has gathered, as one Parquet segment
and one row of SQL; there too the shadow is asked. The queue is bounded: what finds no room is
counted and lost, as an answer must never wait for a disk.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.inference.columns import Columns, frame_of
from housing.inference.loaded_model import LoadedModel, Predictions, single_threaded
from housing.keys import KEY_COLUMN, keys_of_ids, keys_of_values
from housing.schema import FEATURES
from housing.serve_options import ServeOptions
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.runs import predictions
from housing.store.runs.predictions import AT, MODEL

log = logging.getLogger("housing")

SHADOW = "shadow_model"
SHADOW_PREDICTED = "shadow_predicted"
EXPIRE_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Entry:
    """Rows of one request, as they were answered."""

    at: datetime
    served: LoadedModel
    columns: Columns
    answers: Predictions
    ids: Sequence[str | None] | None = None  # the districts' own, where any has one

    @property
    def rows(self) -> int:
        """How many districts."""
        return len(self.answers.predicted)


class PredictionLog:
    """A bounded queue and the thread that empties it."""

    def __init__(
        self,
        store: Store,
        options: ServeOptions,
        *,
        shadow: Callable[[], LoadedModel | None] = lambda: None,
        on_drop: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store, self._options = store, options
        self._shadow, self._on_drop = shadow, on_drop
        self._queue: deque[Entry] = deque()
        self._waiting = 0  # rows in the queue
        self._counting = threading.Lock()
        self._stopping = threading.Event()
        self._expired_at = utc_now() - EXPIRE_EVERY
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to write; a log that is off has no thread."""
        if self._options.log != "off":
            self._thread.start()

    def put(self, entry: Entry) -> None:
        """Take note of an answer; called on the event loop, must be quick."""
        if self._options.log == "off":
            return
        with self._counting:
            fits = self._waiting + entry.rows <= self._options.log_buffer
            if fits:
                self._waiting += entry.rows
                self._queue.append(entry)
        if not fits:
            self._on_drop(entry.rows)

    def close(self) -> None:
        """Write what is left, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        single_threaded()
        while not self._stopping.wait(self._options.log_seconds):
            self._turn()
        self._turn()

    def _turn(self) -> None:
        try:
            self.write()
            if utc_now() - self._expired_at >= EXPIRE_EVERY:
                self._expired_at = utc_now()
                oldest = utc_now() - timedelta(days=self._options.log_days)
                predictions.expire(self._store, oldest)
        except Exception as error:  # noqa: BLE001 - the next turn tries again; answers go on
            log.warning("The prediction log cannot be written: %s", error)

    def write(self) -> int:
        """Write what has gathered; returns the rows. What cannot be written stays in the queue."""
        entries = list(self._queue)
        if not entries:
            return 0
        frame = self._as_frame(entries)
        predictions.add(self._store, frame, has_inputs=self._options.log == "inputs")
        with self._counting:
            for _ in entries:  # only what was read above: others may have come meanwhile
                self._waiting -= self._queue.popleft().rows
        return len(frame)

    def _as_frame(self, entries: Sequence[Entry]) -> pd.DataFrame:
        columns = {n: np.concatenate([e.columns[n] for e in entries]) for n in FEATURES}
        inputs = frame_of(columns)
        counts = [e.rows for e in entries]
        stamps = np.repeat([e.at.astimezone(UTC).replace(tzinfo=None) for e in entries], counts)
        found = pd.DataFrame(
            {
                AT: pd.to_datetime(stamps).as_unit("us").tz_localize("UTC"),
                MODEL: np.repeat([e.served.model for e in entries], counts).astype(np.int64),
                "seq": np.repeat([e.served.seq for e in entries], counts).astype(np.int64),
                KEY_COLUMN: _keys(entries, inputs),
                **{
                    name: np.concatenate([getattr(e.answers, name) for e in entries])
                    for name in ("predicted", "lower", "upper", "extrapolates")
                },
            }
        )
        shadow = self._shadow()
        if shadow is not None:
            found[SHADOW] = shadow.model
            found[SHADOW_PREDICTED] = shadow.predict(columns)
        if self._options.log == "inputs":
            for name in FEATURES:
                found[name] = inputs[name]
        return found


def _keys(entries: Sequence[Entry], inputs: pd.DataFrame) -> npt.NDArray[np.int64]:
    keys = keys_of_values(inputs)
    at = 0
    for entry in entries:
        if entry.ids is not None:
            own = [i for i, id_ in enumerate(entry.ids) if id_ is not None]
            ids: Any = pd.Series([entry.ids[i] for i in own], dtype="str")
            keys[at + np.array(own, dtype=np.int64)] = keys_of_ids(ids)
        at += entry.rows
    return keys


def thinned(entry: Entry, most: int) -> Entry:
    """At most `most` rows of an entry, evenly spread over it."""
    if entry.rows <= most:
        return entry
    keep = np.linspace(0, entry.rows - 1, most).astype(np.int64)
    answers = Predictions(**{name: values[keep] for name, values in vars(entry.answers).items()})
    columns = {name: values[keep] for name, values in entry.columns.items()}
    ids = None if entry.ids is None else [entry.ids[i] for i in keep]
    return Entry(entry.at, entry.served, columns, answers, ids)
