"""Signals of a monitoring run, and when a signal becomes an alarm.

A signal that fires once may be chance: it is an alarm if it fires in the newest window and often
enough in the last ones. Kinds that chance does not explain (another unit, a stale model) are an
alarm at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from housing.monitoring.options import MonitorOptions

Kind = Literal["drift", "predictions", "error", "upstream", "stale", "rejected"]

AT_ONCE: frozenset[Kind] = frozenset({"error", "upstream", "stale", "rejected"})
"""Kinds that are an alarm in the first window that fires."""


@dataclass(frozen=True)
class Signal:
    """One measurement in one window."""

    name: str  # a column, or what is measured
    kind: Kind
    fired: bool
    message: str  # for people, with the figures; what is measured is in the label
    rows: int
    effect: float | None = None  # what is compared with `limit`, where there is such a figure
    limit: float | None = None
    q_value: float | None = None
    alarm: bool = False
    label: str = ""  # for people; the name if empty

    @property
    def text(self) -> str:
        """What was measured, and the message."""
        return text_of(vars(self))


def label_of(signal: Mapping[str, Any]) -> str:
    """What a signal measures, for people; of a stored one as well."""
    return str(signal.get("label") or signal["name"])


def text_of(signal: Mapping[str, Any]) -> str:
    """What a signal measures, and its message."""
    return f"{label_of(signal)}: {signal['message']}"


SOURCES: Mapping[str, str] = {
    "predictions": "Logged predictions",
    "batches": "New batches",
    "clock": "Ages, rejections, quarantined batches",
}
"""Sources of windows and their titles."""


STATES: Mapping[str, str] = {
    "alarm": "beyond its limit often enough, or of a kind that counts at once; the team is alerted",
    "watching": "beyond its limit, but not yet often enough for an alarm",
    "calm": "within its limit",
}
"""States of a signal and their explanations, the most urgent first."""


def state(fired: bool, alarm: bool) -> str:
    """The state of a signal."""
    return "alarm" if alarm else "watching" if fired else "calm"


def judged(
    signals: Sequence[Signal], earlier: Sequence[frozenset[str]], options: MonitorOptions
) -> tuple[Signal, ...]:
    """The signals with their alarms.

    `earlier` holds the names of the signals that fired in each earlier window of the same source
    and champion, newest last.
    """
    recent = earlier[max(len(earlier) - options.alarm_window + 1, 0) :]
    found = []
    for signal in signals:
        hits = int(signal.fired) + sum(signal.name in names for names in recent)
        enough = signal.kind in AT_ONCE or hits >= options.alarm_after
        found.append(replace(signal, alarm=signal.fired and enough))
    return tuple(found)
