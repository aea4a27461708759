"""One run of the monitor: judge what is new since the last one, notify, act, record.

Three windows a run: predictions, rows of new batches, and what only needs a clock.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from housing.errors import NotPossible
from housing.inference.loaded_model import load
from housing.monitoring.signals import Signal
from housing.notify import Message, send_all
from housing.operations.automatic_rollback import REMEDY, Decision, decide
from housing.operations.monitor_windows import CLOCK, MonitorContext, MonitorWindow
from housing.pipeline import notifications
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import MONITOR, Store
from housing.store.models import promotion_log
from housing.store.runs import lease, monitor_windows, sent_alerts
from housing.store.runs.runs import actor


@dataclass(frozen=True)
class MonitorRun:
    """What one run of the monitor found and did."""

    model: int
    windows: tuple[MonitorWindow, ...]
    errors: tuple[dict[str, Any], ...]  # live error by model
    retrain: bool  # whether the policy asks for a run now; the caller starts it
    rolled_back_to: int | None
    messages: tuple[Message, ...]  # sent to the team

    @property
    def alerts(self) -> tuple[str, ...]:
        """Texts of the messages."""
        return tuple(message.text for message in self.messages)


def monitor(store: Store, settings: Settings, *, run: int | None = None) -> MonitorRun:
    """Judge what is new; NotPossible without a champion, RunInProgress beside another monitor."""
    with lease.held_lease(store, owner=f"the monitor of {actor()}", name=MONITOR) as fenced:
        return _monitor(fenced, settings, run)


def _monitor(store: Store, settings: Settings, run: int | None) -> MonitorRun:
    with store.read() as connection:
        line = promotion_log.current(connection)
    if line is None:
        raise NotPossible(
            what="Monitoring", why="there is no champion yet; `housing retrain` makes one."
        )
    notifications.rollbacks(store, settings)
    served = load(store, line.to_model, seq=line.seq, since=line.at)
    context = MonitorContext(store, settings.monitor, served)
    windows = context.windows()
    actions = _act(settings, context, windows)
    records = [_record(context, window, actions, run) for window in windows]
    with store.write() as connection:
        monitor_windows.add(connection, records)
    return MonitorRun(
        model=served.model,
        windows=tuple(windows),
        errors=context.errors,
        retrain=actions.retrain,
        rolled_back_to=actions.rolled_back_to,
        messages=actions.messages,
    )


@dataclass(frozen=True)
class _Actions:
    messages: tuple[Message, ...]
    retrain: bool
    rolled_back_to: int | None
    failed: tuple[str, ...]  # sources whose rows the next run judges again


def _act(settings: Settings, context: MonitorContext, windows: Sequence[MonitorWindow]) -> _Actions:
    """Notify the team of new alarms, and do what the policy says about them."""
    options, served = settings.monitor, context.served
    fresh = [s for w in windows for s in w.new_alarms if _is_first(context, w, s)]
    drift = [s for s in fresh if s.kind in ("drift", "predictions")]
    error = [s for s in fresh if s.kind == "error"]
    failing = [window for window in windows if any(s.kind == "error" for s in window.alarms)]
    decision = _decision(settings, context, failing)
    about_error = [f"{served.name}, error: {s.message}" for s in error]
    if error and options.on_error == "alert":
        about_error.append(f"If the world has changed, {REMEDY}")
    if decision and _note(context, decision.cause, decision.message):
        about_error.append(decision.message)
    texts = [f"{'. '.join(about_error)}."] if about_error else []
    texts += [f"{served.name}, {s.kind}: {s.message}." for s in fresh if s.kind != "error"]
    messages = [Message(Event.DRIFT, text, served.name) for text in texts]
    done = decision.done if decision else None
    for message in messages:
        send_all(message, settings.notify)
    if done:
        messages.append(done.notification())
        notifications.notify_rollback(context.store, settings, done.seq, messages[-1])
    return _Actions(
        messages=tuple(messages),
        retrain=bool(drift and options.on_drift == "retrain")
        or bool(error and options.on_error == "retrain"),
        rolled_back_to=done.to_model if done else None,
        failed=tuple(w.source for w in failing) if decision and decision.failed else (),
    )


def _decision(
    settings: Settings, context: MonitorContext, failing: Sequence[MonitorWindow]
) -> Decision | None:
    """The automatic rollback, where the policy allows it and the live error of a window alarms."""
    if settings.monitor.on_error != "rollback" or not failing:
        return None
    reason = next(s.message for s in failing[0].alarms if s.kind == "error")
    return decide(context.store, settings, context.served, context.rows, reason)


def _is_first(context: MonitorContext, window: MonitorWindow, signal: Signal) -> bool:
    """False where a run that died before it recorded this window has sent this alarm."""
    return _note(context, f"{window.source}:{window.previous}:{signal.name}", signal.message)


def _note(context: MonitorContext, cause: str, text: str) -> bool:
    """Record an alert about this promotion; False where there is one with this cause."""
    served = context.served
    key = f"monitor:l{served.seq}:{hashlib.sha256(cause.encode()).hexdigest()[:16]}"
    return sent_alerts.first(context.store, key, Event.DRIFT, text, served.name)


def _record(
    context: MonitorContext, window: MonitorWindow, actions: _Actions, run: int | None
) -> dict[str, Any]:
    again = window.source in actions.failed
    return {
        "model": context.served.model,
        "promotion": context.served.seq,
        "source": window.source,
        "rows": window.rows,
        "labelled": window.labelled,
        "cursor": context.cursor(window, again),
        "labelled_rows": {} if again else context.labelled_rows(window.source),
        "signals": [_plain(signal) for signal in window.signals],
        "errors": list(context.errors) if window.source == CLOCK else [],
        "actions": asdict(actions),
        "run": run,
    }


def _plain(signal: Signal) -> dict[str, Any]:
    """A signal as JSON: no NaN and no infinity, which PostgreSQL would refuse."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in asdict(signal).items()
    }
