"""A recorded verdict judged again from its recorded inputs, by the checks of today.

Only the checks that were asked then are asked again: one that is newer has no evidence in an old
record. Wording may change between releases; outcomes may not.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter

from housing.gate import evidence as records
from housing.gate.check import CHECKS, Check, judge
from housing.gate.policy import GatePolicy
from housing.records import Json, Verdict


@dataclass(frozen=True)
class Replayed:
    """What was said then and what is said now."""

    recorded: Verdict
    now: Verdict
    differences: tuple[str, ...]  # in words; none where every outcome is the same
    not_asked: tuple[str, ...]  # checks of today that the recorded verdict did not have

    @property
    def agrees(self) -> bool:
        """Whether every outcome is the same."""
        return not self.differences


def replay(
    evidence: Json, policy: Json, verdict: Json, checks: tuple[Check, ...] = CHECKS
) -> Replayed:
    """Judge again what SQL keeps of an evaluation, of whatever age."""
    recorded = TypeAdapter(Verdict).validate_python(verdict)
    then = {result.name: result.outcome for result in recorded.checks}
    asked = tuple(check for check in checks if check.name in then)
    now = judge(records.read(evidence), GatePolicy.model_validate(policy), asked)
    outcomes = {result.name: result.outcome for result in now.checks}
    differences = [
        f"the check {name} said {outcome} and says {outcomes.get(name, 'nothing: it is gone')}"
        for name, outcome in then.items()
        if outcomes.get(name) != outcome
    ]
    if recorded.outcome != now.outcome:
        differences.insert(0, f"the verdict was {recorded.outcome} and is {now.outcome}")
    return Replayed(
        recorded,
        now,
        tuple(differences),
        tuple(check.name for check in checks if check.name not in then),
    )
