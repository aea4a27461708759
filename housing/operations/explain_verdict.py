"""Explains recorded verdicts: the gate's power, and what would change each check's outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection, Row

from housing.errors import NotPossible
from housing.gate import decision_rule
from housing.gate import evidence as records
from housing.gate import policy as policies
from housing.gate.check import CHECKS, Check
from housing.gate.evidence import Evidence
from housing.gate.expected_gain import noise_of
from housing.gate.messages import NO_CHAMPION
from housing.gate.policy import GatePolicy
from housing.gate.power import (
    OperatingCharacteristic,
    chance,
    earlier_comparisons,
    operating_characteristic,
)
from housing.gate.replay import Replayed, replay
from housing.records import CheckResult, Comparison, Verdict
from housing.store.database.engine import Store
from housing.store.models import registry
from housing.store.runs import runs


@dataclass(frozen=True)
class RecordedVerdict:
    """One verdict with what it was judged from."""

    run: int | None
    evidence: Evidence
    policy: GatePolicy
    replayed: Replayed

    @property
    def verdict(self) -> Verdict:
        """As it was recorded."""
        return self.replayed.recorded

    @property
    def comparison(self) -> Comparison:
        """Challenger against champion; NotPossible for a run without a champion."""
        if self.evidence.comparison is None:
            raise NotPossible(
                what="Asking what the gate can see",
                why=f"the verdict on m{self.evidence.challenger.id} was not against a champion; "
                "a later run's will be.",
            )
        return self.evidence.comparison


def recorded(store: Store, run: int | None = None) -> RecordedVerdict:
    """The verdict of a run, or the newest one; NotPossible where there is none."""
    row = store.query(row_of, run)
    return RecordedVerdict(
        row.run,
        records.read(row.evidence),
        policies.read(row.policy),
        replay(row.evidence, row.policy, row.verdict),
    )


def row_of(connection: Connection, run: int | None) -> Row[Any]:
    """The evaluation of a run, or the newest one; NotPossible where there is none."""
    if run is None:
        if newest := registry.newest_evaluations(connection, 1):
            return newest[0]
        why = "nothing has been judged yet; `housing retrain` starts a run."
        raise NotPossible(what="Asking about the gate", why=why)
    ended = runs.get(connection, run)
    row = registry.evaluation_of_run(connection, run)
    if row is None and ended.challenger is not None:
        row = registry.newest_evaluation(connection, ended.challenger)  # by an earlier run
    if row is None:
        why = "that run judged nothing; `housing runs` lists the outcomes."
        raise NotPossible(what=f"Asking about the gate of r{run}", why=why)
    return row


def power(found: RecordedVerdict, policy: GatePolicy | None = None) -> OperatingCharacteristic:
    """Operating characteristic of the gate of that run, under its rule or another policy."""
    return operating_characteristic(
        found.comparison,
        policy or decision_rule.effective_policy(found.evidence, found.policy),
        earlier=earlier_comparisons(found.evidence),
        noise=noise_of(found.evidence),
    )


def by_comparison(
    found: RecordedVerdict, numbers: Sequence[int], changes: Sequence[float]
) -> dict[int, dict[float, float]]:
    """How often the run's rule passes each true change at several comparisons on the same rows."""
    policy = decision_rule.effective_policy(found.evidence, found.policy)
    noise = noise_of(found.evidence)
    return {
        number: {
            change: chance(found.comparison, policy, change, earlier=number - 1, noise=noise)
            for change in changes
        }
        for number in numbers
    }


def explain(found: RecordedVerdict) -> tuple[tuple[CheckResult, str], ...]:
    """Each check of the verdict, and what it would need to change its outcome."""
    checks = {check.name: check for check in CHECKS}
    return tuple(
        (result, _needs(checks.get(result.name), result.message, found))
        for result in found.verdict.checks
    )


def _needs(check: Check | None, message: str, found: RecordedVerdict) -> str:
    """What would change the outcome; figures of a comparison with no champion would be wrong."""
    if check is None:
        return "This release does not have the check any more."
    if message == NO_CHAMPION:
        return "It needs a champion to compare with."
    return check.needs(found.evidence, found.policy)
