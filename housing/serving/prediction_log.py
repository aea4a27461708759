"""The prediction log: requests and predictions, written by a thread so that no client waits.

`put` appends to a bounded queue; rows that do not fit are counted and dropped. The thread writes
the queue as one Parquet segment and one row of SQL, and lets the shadow predict the same rows.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from housing.inference.columns import Columns, frame_of
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.keys import KEY_COLUMN, keys_of_ids, keys_of_values
from housing.problem import MARK
from housing.schema import FEATURES
from housing.serve_options import ServeOptions
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.runs import predictions
from housing.store.runs.predictions import AT, MODEL, OUTPUTS, SEQ, SHADOW, SHADOW_PREDICTED

log = logging.getLogger("housing")

EXPIRE_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Entry:
    """Rows of one request and their predictions."""

    at: datetime
    served: LoadedModel
    columns: Columns
    predictions: Predictions
    ids: Sequence[str | None] | None = None  # the rows' own ids, where any has one

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.predictions.predicted)


class PredictionLog:
    """A bounded queue and the thread that writes it."""

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
        self._queued_rows = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._expired_at = utc_now() - EXPIRE_EVERY
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Start the thread, unless the log is off."""
        if self._options.log != "off":
            self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue an entry; called on the event loop."""
        if self._options.log == "off":
            return
        with self._lock:
            fits = self._queued_rows + entry.rows <= self._options.log_buffer
            if fits:
                self._queued_rows += entry.rows
                self._queue.append(entry)
        if not fits:
            self._on_drop(entry.rows)

    def close(self) -> None:
        """Write the rest of the queue and stop the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        threadpool_limits(1)  # of this thread
        self._shadow()  # load it before the first request
        while not self._stopping.wait(self._options.log_seconds):
            self._write_and_expire()
        self._write_and_expire()

    def _write_and_expire(self) -> None:
        try:
            self.write()
            if utc_now() - self._expired_at >= EXPIRE_EVERY:
                self._expired_at = utc_now()
                oldest = utc_now() - timedelta(days=self._options.log_days)
                predictions.expire(self._store, oldest)
        except Exception as error:  # noqa: BLE001 - tried again next time; predictions go on
            log.warning("The prediction log cannot be written: %s", error)

    def write(self) -> int:
        """Write the queue; returns the rows. After an error they stay in the queue."""
        entries = list(self._queue)
        if not entries:
            return 0
        frame = self._frame(entries)
        predictions.add(self._store, frame, has_inputs=self._options.log == "inputs")
        with self._lock:
            for _ in entries:  # only those written: others may have arrived meanwhile
                self._queued_rows -= self._queue.popleft().rows
        return len(frame)

    def _frame(self, entries: Sequence[Entry]) -> pd.DataFrame:
        columns = {n: np.concatenate([e.columns[n] for e in entries]) for n in FEATURES}
        inputs = frame_of(columns)
        counts = [e.rows for e in entries]
        instants = np.repeat([e.at.astimezone(UTC).replace(tzinfo=None) for e in entries], counts)
        frame = pd.DataFrame(
            {
                AT: pd.to_datetime(instants).as_unit("us").tz_localize("UTC"),
                MODEL: np.repeat([e.served.model for e in entries], counts).astype(np.int64),
                SEQ: np.repeat([e.served.seq for e in entries], counts).astype(np.int64),
                KEY_COLUMN: _keys(entries, inputs),
                **{
                    name: np.concatenate(
                        [getattr(e.predictions, name.removeprefix(MARK)) for e in entries]
                    )
                    for name in OUTPUTS
                },
            }
        )
        shadow = self._shadow()
        if shadow is not None:
            frame[SHADOW] = shadow.model
            frame[SHADOW_PREDICTED] = shadow.predict(columns)
        if self._options.log == "inputs":
            frame = pd.concat([frame, inputs[list(FEATURES)]], axis=1)
        return frame


def _keys(entries: Sequence[Entry], inputs: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Keys of the rows: by id where there is one, else by their values."""
    given = [id_ for entry in entries for id_ in entry.ids or [None] * entry.rows]
    ids = pd.Series(given, dtype="str")
    known = ids.notna().to_numpy()
    keys = keys_of_values(inputs)
    keys[known] = keys_of_ids(ids[known])
    return keys


def sample_rows(entry: Entry, limit: int) -> Entry:
    """At most `limit` rows of an entry, evenly spread over it."""
    if entry.rows <= limit:
        return entry
    keep = np.linspace(0, entry.rows - 1, limit).astype(np.int64)
    columns = {name: values[keep] for name, values in entry.columns.items()}
    ids = None if entry.ids is None else [entry.ids[i] for i in keep]
    return Entry(entry.at, entry.served, columns, entry.predictions.rows(keep), ids)
