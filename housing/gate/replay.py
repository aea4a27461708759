"""Judges recorded evidence again with the present checks, to verify a recorded verdict.

Checks that the recorded verdict does not contain are skipped: an old record has no evidence for
them. Messages may change between releases; outcomes may not.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter

from housing.gate import evidence as records
from housing.gate import policy as policies
from housing.gate.check import CHECKS, Check, judge
from housing.records import Json, Verdict


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
    asked = tuple(check for check in checks if check.name in then)
    now = judge(records.read(evidence), policies.read(policy), asked)
    outcomes = {result.name: result.outcome for result in now.checks}
    differences = [
        f"check {name}: recorded {outcome}, now {outcomes.get(name, 'removed')}"
        for name, outcome in then.items()
        if outcomes.get(name) != outcome
    ]
    if recorded.outcome != now.outcome:
        differences.insert(0, f"verdict: recorded {recorded.outcome}, now {now.outcome}")
    return Replayed(
        recorded,
        now,
        tuple(differences),
        tuple(check.name for check in checks if check.name not in then),
    )
