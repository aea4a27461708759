"""One run of the monitor: judge what is new since the last one, act, record and report.

Three windows a run: predictions, rows of new batches, and what only needs a clock. Windows, alerts
and an automatic rollback are one transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from housing.inference.loaded_model import load
from housing.monitoring.signals import Signal
from housing.notify import Message
from housing.operations.automatic_rollback import REMEDY, Decision, carry_out, decide
from housing.operations.monitor_windows import CLOCK, MonitorContext, MonitorWindow
from housing.operations.predict import champion_of
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import MONITOR, Store
from housing.store.models import promotion_log
from housing.store.runs import lease, monitor_windows, outbox
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


def monitor(store: Store, settings: Settings) -> MonitorRun:
    """Judge what is new; NotPossible without a champion, RunInProgress during another one."""
    with lease.held_lease(store, owner=f"the monitor of {actor()}", name=MONITOR) as fenced:
        return _monitor(fenced, settings)


def _monitor(store: Store, settings: Settings) -> MonitorRun:
    champion_of(store, "Monitoring")
    line = store.query(promotion_log.current)
    assert line is not None  # never after the first champion
    served = load(store, line.to_model, seq=line.seq, since=line.at)
    context = MonitorContext(store, settings.monitor, served)
    windows = context.windows()
    failing = [w for w in windows if any(s.kind == "error" for s in w.alarms)]
    decision, reason = None, ""
    if failing and settings.monitor.on_error == "rollback":
        decision = decide(store, settings, served, context.rows)
        signal = next(s.text for s in failing[0].alarms if s.kind == "error")
        reason = f"live error beyond its limit: {signal}. {decision.message}"
    recorded: list[MonitorRun] = []

    def record(connection: Connection, decided: Decision | None) -> None:
        recorded.append(_record(connection, context, windows, decided))

    carry_out(store, served, decision, reason, record)
    outbox.deliver(store)
    return recorded[-1]


def _record(
    connection: Connection,
    context: MonitorContext,
    windows: Sequence[MonitorWindow],
    decision: Decision | None,
) -> MonitorRun:
    """Record the windows with the alerts about new alarms; what the policy asks for is returned."""
    options, served = context.options, context.served
    fresh = [(w, s) for w in windows for s in w.new_alarms]
    kinds = {s.kind for _, s in fresh}
    messages = []
    for cause, text in _texts(connection, context, fresh, decision):
        messages.append(Message(Event.DRIFT, text, served.name))
        outbox.add(connection, context.store, messages[-1], f"l{served.seq}", cause)
    done = decision.done if decision else None
    if done:
        messages.append(done.notification())
    found = MonitorRun(
        model=served.model,
        windows=tuple(windows),
        errors=context.errors,
        retrain=bool(kinds & {"drift", "predictions"} and options.on_drift == "retrain")
        or bool("error" in kinds and options.on_error == "retrain"),
        rolled_back_to=done.to_model if done else None,
        messages=tuple(messages),
    )
    rows = [_row(context, window, found, decision) for window in windows]
    monitor_windows.add(connection, rows)
    return found


def _texts(
    connection: Connection,
    context: MonitorContext,
    fresh: Sequence[tuple[MonitorWindow, Signal]],
    decision: Decision | None,
) -> Iterator[tuple[str, str]]:
    """Causes and texts of the alerts; live error is one alert, with what was decided about it."""
    served, promotion = context.served, f"l{context.served.seq}"
    error = [(w, s) for w, s in fresh if s.kind == "error"]
    parts = [f"{served.name}, error: {s.text}" for _, s in error]
    if error and context.options.on_error == "alert":
        parts.append(f"If the world has changed, {REMEDY}")
    cause = _cause(*error[0]) if error else ""
    if decision and not outbox.is_open(connection, Event.DRIFT, promotion, decision.cause):
        parts.append(decision.message)
        cause = decision.cause
    if parts:
        yield cause, f"{'. '.join(parts)}."
    for window, signal in fresh:
        if signal.kind != "error":
            yield _cause(window, signal), f"{served.name}, {signal.kind}: {signal.text}."


def _cause(window: MonitorWindow, signal: Signal) -> str:
    """The alarm by the window after which it is new: it may end and come back."""
    return f"{window.source} after w{window.previous}: {signal.name}"


def _row(
    context: MonitorContext, window: MonitorWindow, found: MonitorRun, decision: Decision | None
) -> dict[str, Any]:
    failed = bool(decision and decision.failed and any(s.kind == "error" for s in window.alarms))
    return {
        "model": context.served.model,
        "promotion": context.served.seq,
        "source": window.source,
        "rows": window.rows,
        "labelled": window.labelled,
        "cursor": context.cursor(window, failed),
        "labelled_rows": {} if failed else context.labelled_rows(window.source),
        "signals": [_plain(signal) for signal in window.signals],
        "errors": list(context.errors) if window.source == CLOCK else [],
        "actions": {
            "messages": [asdict(message) for message in found.messages],
            "retrain": found.retrain,
            "rolled_back_to": found.rolled_back_to,
            "failed": failed,
        },
    }


def _plain(signal: Signal) -> dict[str, Any]:
    """A signal as JSON: no NaN and no infinity, which PostgreSQL would refuse."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in asdict(signal).items()
    }
