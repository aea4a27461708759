"""One look at what happened since the last one: gathered, judged, recorded, told, acted upon.

Three windows a look, each with its own memory: the answers that were given, the districts that
came in with their prices, and what only needs a clock. Nothing is looked at twice: a window says up
to where it went, and waits where there is too little to judge.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import schema
from housing.errors import HousingError, NotPossible
from housing.evaluation.conformal import coverage
from housing.evaluation.metrics import measure
from housing.monitoring.ages import age_signals, held_signal, rejected_signal
from housing.monitoring.drift import Reference, drift_signals, upstream_signals
from housing.monitoring.errors import ABOVE, OUTSIDE, Labelled, Promise, error_signals, shares
from housing.monitoring.signals import Signal, judged
from housing.notify import Message, send_all
from housing.options import MonitorOptions
from housing.records import Event
from housing.serving.inputs import columns_of_frame
from housing.serving.served import Answers, Served, load
from housing.settings import Settings
from housing.steps.outcomes import CAME_AT, LABEL, answers, with_labels
from housing.steps.promote import roll_back
from housing.store import alerts, datasets, ledger, windows
from housing.store.batches import NEED_A_PERSON
from housing.store.datasets import SIDE_COLUMN, TAKEN
from housing.store.engine import Store
from housing.store.predictions import MODEL
from housing.store.segments import KEY_COLUMN, get_table, to_frame
from housing.store.tables import batches, prediction_batches, utc_now

ANSWERS, BATCHES, CLOCK = "answers", "batches", "clock"
REFERENCE_ROWS = 20_000
"""Training rows that current ones are compared with; of more, every k-th."""


@dataclass(frozen=True)
class Window:
    """What one source showed."""

    source: str
    rows: int
    labelled: int
    signals: tuple[Signal, ...]
    cursor: dict[str, Any]
    sums: dict[str, float] = field(default_factory=dict)

    @property
    def alarms(self) -> tuple[Signal, ...]:
        """Signals that are alarms."""
        return tuple(signal for signal in self.signals if signal.alarm)


@dataclass(frozen=True)
class Look:
    """One look of the monitor."""

    model: int
    windows: tuple[Window, ...]
    errors: tuple[dict[str, Any], ...]  # live error by model
    retrain: bool  # whether the policy asks for a night now; whoever called starts it
    rolled_back_to: int | None
    told: tuple[str, ...]  # sentences that went to the team


def monitor(store: Store, settings: Settings, *, run: int | None = None) -> Look:
    """Look once; NotPossible where there is no champion yet."""
    with store.read() as connection:
        line = ledger.in_force(connection)
    if line is None:
        raise NotPossible(
            what="Monitoring", why="there is no champion yet; `housing retrain` makes one."
        )
    served = load(store, line.to_model, seq=line.seq, since=line.at)
    view = _View(store, settings.monitor, served)
    found = [window for window in (view.answers(), view.batches(), view.clock()) if window]
    errors = live_errors(store)
    actions = _act(store, settings, served, found)
    for window in found:
        _record(store, served, window, errors, actions, run)
    return Look(
        model=served.model,
        windows=tuple(found),
        errors=tuple(errors),
        retrain=actions.retrain,
        rolled_back_to=actions.rolled_back_to,
        told=actions.told,
    )


# --- looking --------------------------------------------------------------------------------


class _View:
    """What one look sees, through the champion's eyes."""

    def __init__(self, store: Store, options: MonitorOptions, served: Served) -> None:
        self.store, self.options, self.served = store, options, served
        self._sides: tuple[pd.DataFrame, pd.DataFrame] | None = None

    def answers(self) -> Window | None:
        """Answers that were logged with their inputs since the last window, and late prices."""
        cursor = self._cursor(ANSWERS, {"batch": 0, "labels_at": ""})
        given = answers(self.store, after=cursor["batch"], inputs=schema.FEATURES)
        current = given.iloc[:0] if MODEL not in given else given[given[MODEL] == self.served.model]
        if set(schema.FEATURES) <= set(current.columns):
            current = current.dropna(subset=list(schema.CATEGORIES))
        labelled = self._late_labels(cursor["labels_at"])
        enough = len(current) >= self.options.min_rows
        told = len(labelled) >= self.options.min_labels
        if not enough and not told:
            return None
        signals: list[Signal] = []
        if enough and set(schema.FEATURES) <= set(current.columns):
            features = current[list(schema.FEATURES)].astype(schema.dtypes(schema.FEATURES))
            signals += self._inputs(features, current["predicted"].to_numpy(np.float64))
        rows = _labelled(labelled) if told else None
        new = {
            "batch": self._newest_answers() if enough else cursor["batch"],
            "labels_at": labelled[CAME_AT].max().isoformat() if told else cursor["labels_at"],
        }
        return self._window(ANSWERS, len(current) if enough else 0, rows, signals, new)

    def batches(self) -> Window | None:
        """Districts of new batches: their prices are known, so the champion is asked about each."""
        with self.store.read() as connection:
            since = datasets.get(connection, self.served.version).batches
            cursor = self._cursor(BATCHES, {"batch": max(since, default=0)})
            new = _new_batches(connection, cursor["batch"], set(since))
        frame = self._unseen(new)
        if len(frame) < self.options.min_rows:
            return None
        found = self.served.answer(columns_of_frame(frame))
        rows = Labelled(
            frame[schema.TARGET].to_numpy(np.float64), found.predicted, found.lower, found.upper
        )
        signals = self._inputs(frame[list(schema.FEATURES)], found.predicted)
        at = {"batch": max(batch for batch, _ in new)}
        return self._window(BATCHES, len(frame), rows, signals, at)

    def clock(self) -> Window:
        """Ages, and what intake turned away or holds since the last look."""
        cursor = self._cursor(CLOCK, {"batch": 0})
        with self.store.read() as connection:
            came = connection.execute(
                sa.select(batches).where(batches.c.id > cursor["batch"]).order_by(batches.c.id)
            ).all()
            held = connection.execute(
                sa.select(batches.c.id)
                .where(batches.c.status.in_(NEED_A_PERSON))
                .order_by(batches.c.id)
            ).scalars()
            names = tuple(f"b{id_}" for id_ in held)
            data_at = connection.execute(
                sa.select(sa.func.max(batches.c.recorded_at)).where(
                    batches.c.status.in_(("accepted", "released"))
                )
            ).scalar()
        trained_at = self.served.trained_at
        signals = [
            *age_signals(utc_now(), trained_at, data_at, self.options),
            *rejected_signal(
                sum(row.read_rows for row in came),
                sum(row.rejected_rows for row in came),
                self.options,
            ),
            held_signal(names),
        ]
        new = {"batch": max((row.id for row in came), default=cursor["batch"])}
        return self._window(CLOCK, 0, None, signals, new)

    def _window(
        self,
        source: str,
        rows: int,
        labelled: Labelled | None,
        signals: list[Signal],
        cursor: dict[str, Any],
    ) -> Window:
        with self.store.read() as connection:
            earlier = windows.recent(connection, source, model=self.served.model)
        sums = dict(earlier[-1].cursor.get("sums", {})) if earlier else {}
        if labelled is not None:
            found, sums = error_signals(labelled, self._promise(), sums, self.options)
            signals = [*signals, *found]
        fired = [frozenset(s["name"] for s in row.signals if s["fired"]) for row in earlier]
        count = 0 if labelled is None else len(labelled.actual)
        return Window(source, rows, count, judged(signals, fired, self.options), cursor, sums)

    def _inputs(self, frame: pd.DataFrame, predicted: Any) -> list[Signal]:
        train, test = self._reference()
        known = self.served.answer(columns_of_frame(test)).predicted
        features = train[list(schema.FEATURES)]
        reference = Reference(features, known)
        return [
            *drift_signals(reference, frame, predicted, self.options),
            *upstream_signals(features, frame, self.options),
        ]

    def _promise(self) -> Promise:
        """Shares on the test rows; the nominal ones where there is no interval to measure."""
        _, test = self._reference()
        found = self.served.answer(columns_of_frame(test))
        seen = shares(_rows_of(test, found))
        return Promise(outside=max(seen[OUTSIDE], 0.005), above=seen[ABOVE])

    def _reference(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training and test rows of the champion's own dataset version."""
        if self._sides is None:
            frame = datasets.read(self.store, self.served.version)
            side = frame[SIDE_COLUMN].to_numpy()
            train, test = frame[~side], frame[side]
            self._sides = (train[:: -(-len(train) // REFERENCE_ROWS)], test)
        return self._sides

    def _cursor(self, source: str, start: dict[str, Any]) -> dict[str, Any]:
        with self.store.read() as connection:
            row = windows.last(connection, source)
        return start if row is None else {**start, **row.cursor}

    def _late_labels(self, since: str) -> pd.DataFrame:
        matched = with_labels(self.store, answers(self.store))
        if matched.empty:
            return matched
        matched = matched[matched[MODEL] == self.served.model]
        if since:
            matched = matched[matched[CAME_AT] > datetime.fromisoformat(since)]
        return matched

    def _newest_answers(self) -> int:
        with self.store.read() as connection:
            query = sa.select(sa.func.max(prediction_batches.c.id))
            return int(connection.execute(query).scalar() or 0)

    def _unseen(self, new: Sequence[tuple[int, str]]) -> pd.DataFrame:
        """Rows of batches whose districts the champion was not made of."""
        if not new:
            return pd.DataFrame()
        wanted = [KEY_COLUMN, *schema.CATALOGUE]
        tables = [to_frame(get_table(self.store, digest, wanted)) for _, digest in new]
        frame = pd.concat(tables).drop_duplicates(KEY_COLUMN, keep="last")
        known = datasets.read(self.store, self.served.version, columns=())[KEY_COLUMN]
        fresh = frame[~frame[KEY_COLUMN].isin(known)].reset_index(drop=True)
        typed: pd.DataFrame = fresh.astype(schema.dtypes())
        return typed


def _new_batches(connection: Connection, after: int, members: set[int]) -> list[tuple[int, str]]:
    query = (
        sa.select(batches.c.id, batches.c.segment)
        .where(batches.c.id > after, batches.c.status.in_(TAKEN), batches.c.segment.is_not(None))
        .order_by(batches.c.id)
    )
    return [(row.id, row.segment) for row in connection.execute(query) if row.id not in members]


def _labelled(matched: pd.DataFrame) -> Labelled:
    names = (LABEL, "predicted", "lower", "upper")
    return Labelled(*(matched[name].to_numpy(np.float64) for name in names))


def _rows_of(frame: pd.DataFrame, found: Answers) -> Labelled:
    actual = frame[schema.TARGET].to_numpy(np.float64)
    return Labelled(actual, found.predicted, found.lower, found.upper)


def live_errors(store: Store) -> list[dict[str, Any]]:
    """Error of each version on answers whose price came later, newest model first; also of a
    shadow, which never answered."""
    matched = with_labels(store, answers(store))
    found = []
    for model in matched[MODEL].unique():
        rows = matched[matched[MODEL] == model]
        found.append(_error(int(model), rows, "predicted", shadow=False))
    if "shadow_model" in matched:
        shadowed = matched.dropna(subset=["shadow_predicted"])
        for model in shadowed["shadow_model"].unique():
            rows = shadowed[shadowed["shadow_model"] == model]
            found.append(_error(int(model), rows, "shadow_predicted", shadow=True))
    return sorted((f for f in found if f), key=lambda f: (f["shadow"], -int(f["model"][1:])))


def _error(model: int, rows: pd.DataFrame, column: str, *, shadow: bool) -> dict[str, Any]:
    if len(rows) < 2:
        return {}
    actual = rows[LABEL].to_numpy(np.float64)
    measured = measure(actual, rows[column].to_numpy(np.float64))
    covered = None
    if not shadow and rows["lower"].notna().all():
        lower, upper = (rows[name].to_numpy(np.float64) for name in ("lower", "upper"))
        covered = asdict(coverage(actual, lower, upper))
    return {
        "model": f"m{model}",
        "shadow": shadow,
        "rows": len(rows),
        "rmse": asdict(measured.rmse),
        "covered": covered,
        "first": rows["at"].min().isoformat(),
        "last": rows["at"].max().isoformat(),
    }


# --- doing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Actions:
    told: tuple[str, ...] = ()
    retrain: bool = False
    rolled_back_to: int | None = None


def _act(store: Store, settings: Settings, served: Served, found: Iterable[Window]) -> _Actions:
    """Tell the team of new alarms, and do what the policy says about them."""
    options = settings.monitor
    fresh: list[Signal] = []
    for window in found:
        with store.read() as connection:
            before = windows.recent(connection, window.source, model=served.model, limit=1)
        known = {s["name"] for row in before for s in row.signals if s["alarm"]}
        fresh += [signal for signal in window.alarms if signal.name not in known]
    if not fresh:
        return _Actions()
    told = tuple(_sentence(served, signal) for signal in fresh)
    drift = [s for s in fresh if s.kind in ("drift", "predictions")]
    error = [s for s in fresh if s.kind == "error"]
    retrain = bool(drift and options.on_drift == "retrain")
    retrain |= bool(error and options.on_error == "retrain")
    target = None
    if error and options.on_error == "rollback" and _on_probation(served, options):
        target, said = _rolled_back(store, served, error[0])
        told = (*told, said)
    for sentence in told:
        key = f"monitor:m{served.model}:{utc_now():%Y-%m-%dT%H:%M:%S.%f}:{sentence[:40]}"
        if alerts.first(store, key, Event.DRIFT, sentence, served.name):
            send_all(Message(Event.DRIFT, sentence, served.name), settings.notify)
    return _Actions(told, retrain, target)


def _sentence(served: Served, signal: Signal) -> str:
    return f"{served.name}, {signal.kind}: {signal.sentence}."


def _on_probation(served: Served, options: MonitorOptions) -> bool:
    return utc_now() - served.since <= timedelta(days=options.probation_days)


def _rolled_back(store: Store, served: Served, signal: Signal) -> tuple[int | None, str]:
    reason = f"live error beyond its limit: {signal.sentence}"
    try:
        change = roll_back(store, None, reason)
    except HousingError as error:
        return None, f"{served.name} could not be rolled back: {error}"
    return change.to_model, f"{served.name} was rolled back to m{change.to_model}: {reason}"


def _record(
    store: Store,
    served: Served,
    window: Window,
    errors: Sequence[dict[str, Any]],
    actions: _Actions,
    run: int | None,
) -> None:
    windows.add(
        store,
        {
            "model": served.model,
            "source": window.source,
            "rows": window.rows,
            "labelled": window.labelled,
            "cursor": {**window.cursor, "sums": window.sums},
            "signals": [_plain(signal) for signal in window.signals],
            "errors": list(errors),
            "actions": asdict(actions),
            "run": run,
        },
    )


def _plain(signal: Signal) -> dict[str, Any]:
    """A signal as JSON: no NaN and no infinity, which PostgreSQL would refuse."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in asdict(signal).items()
    }
