"""What a check is, which checks there are, and how their outcomes become a verdict.

A check's own logic belongs to one of the `*_checks` modules, its threshold to `policy`.
A new check is a class there, a line in CHECKS and, where it needs one, a field of the policy.
"""

from typing import Protocol

from housing.gate.data_checks import DriftFound, Identity, LeakProof, RejectedShare, TestRowCount
from housing.gate.evidence import Evidence
from housing.gate.model_checks import BeatsBaseline, NoRegression, SanePredictions
from housing.gate.policy import GatePolicy
from housing.gate.service_checks import ArtifactSize, Latency, PreflightRun
from housing.gate.subset_checks import CappedLabels, NoCumulativeRegression, RecentRows, Slices
from housing.records import CheckOutcome, CheckResult, Verdict

__all__ = ["CHECKS", "Check", "Evidence", "judge"]


class Check(Protocol):
    """One question about the evidence. It must be pure, and may raise: that is its own outcome."""

    name: str

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """The answer, with the figures in its sentence."""
        ...

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """What would change the answer, in words and figures."""
        ...


CHECKS: tuple[Check, ...] = (
    Identity(),
    TestRowCount(),
    LeakProof(),
    RejectedShare(),
    DriftFound(),
    SanePredictions(),
    BeatsBaseline(),
    NoRegression(),
    Slices(),
    RecentRows(),
    CappedLabels(),
    NoCumulativeRegression(),
    Latency(),
    ArtifactSize(),
    PreflightRun(),
)


COMPARISONS = frozenset(
    check.name
    for check in (
        BeatsBaseline,
        NoRegression,
        Slices,
        RecentRows,
        CappedLabels,
        NoCumulativeRegression,
    )
)
"""Checks that compare errors: a person may override these, and no other."""


def judge(evidence: Evidence, policy: GatePolicy, checks: tuple[Check, ...] = CHECKS) -> Verdict:
    """The gate's answer; pure: the same evidence and policy give the same verdict, always.

    keep          a check failed: that is decisive, whatever the others say.
    inconclusive  none failed, but one could not tell ("unsure") or could not run ("error"), or
                  the deciding check did not pass. A check that could not run has found nothing
                  against the challenger, so the night must not be read as "judged and kept".
                  An error is also a fault of the system: who runs the night reports it as one.
    promote       none of these, and the deciding check passed: no regression against the
                  champion or, where the store holds none, better than the baselines.
    """
    results = tuple(_run(check, evidence, policy) for check in checks)
    deciding = BeatsBaseline.name if evidence.champion is None else NoRegression.name
    decided = [r for r in results if r.name == deciding and r.outcome == "passed"]
    if failed := _having(results, "failed"):
        return Verdict("keep", _sentence("Keep", failed, "failed"), results)
    if broken := _having(results, "error"):
        return Verdict("inconclusive", _sentence("Inconclusive", broken, "could not run"), results)
    if unsure := _having(results, "unsure"):
        return Verdict("inconclusive", _sentence("Inconclusive", unsure, "could not tell"), results)
    if not decided:
        sentence = f"Inconclusive: the check {deciding}, which decides, did not pass."
        return Verdict("inconclusive", sentence, results)
    start = "Promote" if evidence.champion else "Promote: there is no champion yet"
    return Verdict("promote", _sentence(start, decided), results)


def _run(check: Check, evidence: Evidence, policy: GatePolicy) -> CheckResult:
    try:
        return check.run(evidence, policy)
    except Exception as error:  # noqa: BLE001 - any fault in a check is this outcome, never a pass
        sentence = f"The check {check.name} could not run ({type(error).__name__}): {error}."
        return CheckResult(check.name, "error", sentence)


def _having(results: tuple[CheckResult, ...], outcome: CheckOutcome) -> list[CheckResult]:
    return [result for result in results if result.outcome == outcome]


def _sentence(start: str, results: list[CheckResult], fate: str = "") -> str:
    """The first result's sentence, then the names of the others of the same fate."""
    first, *others = results
    joined = "; " if ":" in start else ": "
    sentence = f"{start}{joined}{first.sentence[0].lower()}{first.sentence[1:]}"
    if others:
        sentence += f" {len(others)} more {fate}: {', '.join(other.name for other in others)}."
    return sentence
