"""What a look at the system can find: one signal each, and when a signal becomes an alarm.

A signal that fires once may be chance. It is an alarm when it fires now and has fired often enough
in the last windows; what can be no chance (a unit that slipped, a model too old) is one at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from housing.monitoring.options import MonitorOptions

Kind = Literal["drift", "predictions", "error", "upstream", "stale", "rejected"]

AT_ONCE: frozenset[Kind] = frozenset({"error", "upstream", "stale", "rejected"})
"""Kinds that need no second window: their limits leave little to chance by themselves."""


@dataclass(frozen=True)
class Signal:
    """One thing that was looked at in one window."""

    name: str  # a column, or what is measured
    kind: Kind
    fired: bool
    message: str  # for people, with the figures
    rows: int
    effect: float | None = None  # what is compared with `limit`, where there is such a figure
    limit: float | None = None
    q_value: float | None = None
    alarm: bool = False


def judged(
    signals: Sequence[Signal], earlier: Sequence[frozenset[str]], options: MonitorOptions
) -> tuple[Signal, ...]:
    """The signals with their alarms; `earlier` holds the names that fired, a set a window, newest
    last, of the same source and the same champion."""
    recent = (
        earlier[len(earlier) - (options.alarm_window - 1) :] if options.alarm_window > 1 else ()
    )
    found = []
    for signal in signals:
        hits = int(signal.fired) + sum(signal.name in names for names in recent)
        enough = signal.kind in AT_ONCE or hits >= options.alarm_after
        found.append(replace(signal, alarm=signal.fired and enough))
    return tuple(found)
