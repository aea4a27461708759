"""Judges recorded evidence again with the present checks, to verify a recorded verdict.

Checks that the recorded verdict does not contain are skipped: an old record has no evidence for
them. Messages may change between releases, and figures may be added; outcomes and recorded figures
may not change.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from housing.gate import evidence as records
from housing.gate import policy as policies
from housing.gate.check import CHECKS, Check, judge
from housing.records import Json, Verdict

TOLERANCE = 1e-9
"""Relative, of figures: processors round the last bits of a logarithm differently."""


@dataclass(frozen=True)
class Replayed:
    """The recorded and the present verdict."""

    recorded: Verdict
    now: Verdict
    differences: tuple[str, ...]  # empty if all outcomes agree
    not_asked: tuple[str, ...]  # present checks that the recorded verdict does not have

    @property
    def agrees(self) -> bool:
        """Whether every outcome is the same."""
        return not self.differences


def replay(
    evidence: Json, policy: Json, verdict: Json, checks: tuple[Check, ...] = CHECKS
) -> Replayed:
    """Judge a stored evaluation again."""
    recorded = TypeAdapter(Verdict).validate_python(verdict)
    then = {result.name: result.outcome for result in recorded.checks}
    same = tuple(check for check in checks if check.name in then)
    now = judge(records.read(evidence), policies.read(policy), same)
    outcomes = {result.name: result.outcome for result in now.checks}
    differences = [
        f"check {name}: recorded {outcome}, now {outcomes.get(name, 'removed')}"
        for name, outcome in then.items()
        if outcomes.get(name) != outcome
    ]
    figures = {result.name: _plain(result.figures) for result in now.checks}
    for result in recorded.checks:
        if outcomes.get(result.name) == result.outcome:
            where = f"check {result.name}"
            differences += _differences(where, _plain(result.figures), figures[result.name])
    if recorded.outcome != now.outcome:
        differences.insert(0, f"verdict: recorded {recorded.outcome}, now {now.outcome}")
    return Replayed(
        recorded,
        now,
        tuple(differences),
        tuple(check.name for check in checks if check.name not in then),
    )


def _plain(figures: Json) -> Json:
    """Figures as they are after they were stored."""
    found: Json = TypeAdapter(Json).dump_python(figures, mode="json")
    return found


def _differences(where: str, then: Any, now: Any) -> Iterator[str]:
    """Recorded figures that differ now; a new figure is no difference."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name, value in then.items():
            yield from _differences(f"{where}, {name}", value, now.get(name))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, pair in enumerate(zip(then, now, strict=True), 1):
            yield from _differences(f"{where} {index}", *pair)
    elif isinstance(then, float) and isinstance(now, int | float):
        if not math.isclose(then, now, rel_tol=TOLERANCE):
            yield f"{where}: recorded {then!r}, now {now!r}"
    elif then != now:
        yield f"{where}: recorded {then!r}, now {now!r}"
