"""One run of the monitor: gather what is new since the last one, judge, notify, act, record.

Three windows a run, each with its own memory: the answers that were given, the districts that
arrived with their prices, and what only needs a clock. Nothing is judged twice: a window records up
to where it went, and waits where there is too little to judge. Gathering is `steps.watched`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from housing.errors import NotPossible
from housing.inference.loaded_model import LoadedModel, load
from housing.monitoring.signals import Signal
from housing.notify import Message, send_all
from housing.operations.automatic_rollback import REMEDY, Decision, decide
from housing.operations.monitor_windows import ANSWERS, CLOCK, View, Window
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import MONITOR, Store
from housing.store.models import promotion_log
from housing.store.runs import lease, monitor_windows, sent_alerts
from housing.store.runs.runs import actor


@dataclass(frozen=True)
class MonitorRun:
    """One run of the monitor."""

    model: int
    windows: tuple[Window, ...]
    errors: tuple[dict[str, Any], ...]  # live error by model
    retrain: bool  # whether the policy asks for a night now; the caller starts it
    rolled_back_to: int | None
    messages: tuple[Message, ...]  # what went to the team

    @property
    def told(self) -> tuple[str, ...]:
        """Sentences of the messages."""
        return tuple(message.text for message in self.messages)


def monitor(store: Store, settings: Settings, *, run: int | None = None) -> MonitorRun:
    """Look once; NotPossible without a champion, RunInProgress while another look is at work."""
    with lease.held_lease(store, owner=f"the monitor of {actor()}", name=MONITOR) as alone:
        return _look(alone, settings, run)


def _look(store: Store, settings: Settings, run: int | None) -> MonitorRun:
    with store.read() as connection:
        line = promotion_log.current(connection)
    if line is None:
        raise NotPossible(
            what="Monitoring", why="there is no champion yet; `housing retrain` makes one."
        )
    served = load(store, line.to_model, seq=line.seq, since=line.at)
    view = View(store, settings.monitor, served)
    found = view.windows()
    actions = _act(store, settings, view, found)
    monitor_windows.add(store, [_record(view, window, actions, run) for window in found])
    return MonitorRun(
        model=served.model,
        windows=tuple(found),
        errors=view.errors,
        retrain=actions.retrain,
        rolled_back_to=actions.rolled_back_to,
        messages=actions.messages,
    )


@dataclass(frozen=True)
class _Actions:
    messages: tuple[Message, ...] = ()
    retrain: bool = False
    rolled_back_to: int | None = None
    failed: tuple[str, ...] = ()  # sources whose rows the next run judges again


def _act(store: Store, settings: Settings, view: View, found: Sequence[Window]) -> _Actions:
    """Notify the team of new alarms, and do what the policy says about them."""
    options, served = settings.monitor, view.served
    fresh = [
        (w, signal) for w in found for signal in w.new_alarms if _first(store, view, w, signal)
    ]
    drift = [s for _, s in fresh if s.kind in ("drift", "predictions")]
    error = [s for _, s in fresh if s.kind == "error"]
    broken = [window for window in found if any(s.kind == "error" for s in window.alarms)]
    decision = _decision(store, settings, view, broken)
    about_error = [f"{served.name}, error: {s.message}" for s in error]
    if error and options.on_error == "alert":
        about_error.append(f"If the world has changed, {REMEDY}")
    if decision is not None and _unheard(store, served, decision):
        about_error.append(decision.message)
    sentences = [f"{'. '.join(about_error)}."] if about_error else []
    sentences += [f"{served.name}, {s.kind}: {s.message}." for _, s in fresh if s.kind != "error"]
    messages = [Message(Event.DRIFT, message, served.name) for message in sentences]
    done = None if decision is None else decision.done
    messages += [] if done is None else [done.notification()]
    for message in messages:
        send_all(message, settings.notify)
    return _Actions(
        messages=tuple(messages),
        retrain=bool(drift and options.on_drift == "retrain")
        or bool(error and options.on_error == "retrain"),
        rolled_back_to=None if done is None else done.to_model,
        failed=tuple(w.source for w in broken) if decision and decision.failed else (),
    )


def _decision(
    store: Store, settings: Settings, view: View, broken: Sequence[Window]
) -> Decision | None:
    """What becomes of the champion where a live error is an alarm in some window."""
    if settings.monitor.on_error != "rollback" or not broken:
        return None
    reason = next(s.message for s in broken[0].alarms if s.kind == "error")
    return decide(store, settings, view.served, view.rows, reason)


def _first(store: Store, view: View, window: Window, signal: Signal) -> bool:
    """Whether this alarm of this window is new also to a run that died before it was recorded."""
    key = f"{window.source}:{window.previous}:{signal.name}"
    return _noted(store, view.served, key, signal.message)


def _unheard(store: Store, served: LoadedModel, decision: Decision) -> bool:
    """Whether the team has not heard of this cause about this promotion."""
    return _noted(store, served, decision.cause, decision.message)


def _noted(store: Store, served: LoadedModel, what: str, message: str) -> bool:
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    key = f"monitor:l{served.seq}:{digest}"
    return sent_alerts.first(store, key, Event.DRIFT, message, served.name)


def _record(view: View, window: Window, actions: _Actions, run: int | None) -> dict[str, Any]:
    again = window.source in actions.failed
    return {
        "model": view.served.model,
        "promotion": view.served.seq,
        "source": window.source,
        "rows": window.rows,
        "labelled": window.labelled,
        "cursor": view.cursor(window, again, ANSWERS in actions.failed),
        "labelled_rows": {} if again else view.prices(window.source),
        "signals": [_plain(signal) for signal in window.signals],
        "errors": list(view.errors) if window.source == CLOCK else [],
        "actions": asdict(actions),
        "run": run,
    }


def _plain(signal: Signal) -> dict[str, Any]:
    """A signal as JSON: no NaN and no infinity, which PostgreSQL would refuse."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in asdict(signal).items()
    }
