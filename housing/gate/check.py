"""The gate: the list of checks, and how their outcomes become a verdict.

A new check is a class in one of the `*_checks` modules and a line in CHECKS. It may bring evidence
(a method `measure`, see `gate.measure`) and a threshold (an attribute `threshold`) of its own.
"""

from typing import Protocol

from housing.gate.behaviour_checks import BEHAVIOUR_CHECKS
from housing.gate.data_checks import DriftFound, Identity, LeakProof, RejectedShare, TestRowCount
from housing.gate.evidence import Evidence
from housing.gate.model_checks import BeatsBaseline, NoRegression, SanePredictions
from housing.gate.policy import GatePolicy, Threshold
from housing.gate.service_checks import ArtifactSize, Latency, PreflightRun
from housing.gate.subset_checks import NoCumulativeRegression, RecentRows, Slices, UncappedRows
from housing.records import CheckOutcome, CheckResult, Verdict
from housing.schema import LABEL_CAP


class Check(Protocol):
    """A pure function of evidence and policy. If it raises, its outcome is "error"."""

    name: str

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """The outcome, with a message that contains the figures."""
        ...

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """What would change the outcome, in words and figures."""
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
    *([] if LABEL_CAP is None else [UncappedRows()]),
    NoCumulativeRegression(),
    Latency(),
    ArtifactSize(),
    PreflightRun(),
    *BEHAVIOUR_CHECKS,
)


COMPARISONS = frozenset(
    check.name
    for check in (
        BeatsBaseline,
        NoRegression,
        Slices,
        RecentRows,
        UncappedRows,
        NoCumulativeRegression,
    )
)
"""Checks that compare errors: only these can be overridden by a person."""


def thresholds(checks: tuple[Check, ...] = CHECKS) -> dict[str, Threshold]:
    """The thresholds that checks declare themselves, by the check's name."""
    return {check.name: check.threshold for check in checks if hasattr(check, "threshold")}


def with_default_thresholds(policy: GatePolicy, checks: tuple[Check, ...] = CHECKS) -> GatePolicy:
    """The policy with the default of each declared threshold that it does not set."""
    defaults = {name: threshold.default for name, threshold in thresholds(checks).items()}
    filled = dict(sorted({**defaults, **policy.thresholds}.items()))
    return policy.model_copy(update={"thresholds": filled})


def judge(evidence: Evidence, policy: GatePolicy, checks: tuple[Check, ...] = CHECKS) -> Verdict:
    """The verdict; a pure function: the same evidence and policy always give the same verdict.

    keep          a check failed, whatever the other outcomes are.
    inconclusive  no check failed, but one is inconclusive or could not run ("error"), or the
                  deciding check did not pass. An error is no evidence against the challenger, so
                  the verdict is not "keep"; the pipeline reports it as a fault of the system.
    promote       the deciding check passed (no regression against the champion or, without a
                  champion, better than the baselines), and every other passed or does not apply.
    """
    policy = with_default_thresholds(policy, checks)
    results = tuple(_run(check, evidence, policy) for check in checks)
    deciding = BeatsBaseline.name if evidence.champion is None else NoRegression.name
    decided = [r for r in results if r.name == deciding and r.outcome == "passed"]
    if failed := _with_outcome(results, "failed"):
        return Verdict("keep", _sentence("Keep", failed, "failed"), results)
    if broken := _with_outcome(results, "error"):
        return Verdict("inconclusive", _sentence("Inconclusive", broken, "could not run"), results)
    if inconclusive := _with_outcome(results, "inconclusive"):
        return Verdict(
            "inconclusive", _sentence("Inconclusive", inconclusive, "inconclusive"), results
        )
    if not decided:
        message = f"Inconclusive: the check {deciding}, which decides, did not pass."
        return Verdict("inconclusive", message, results)
    start = "Promote" if evidence.champion else "Promote: there is no champion yet"
    return Verdict("promote", _sentence(start, decided), results)


def _run(check: Check, evidence: Evidence, policy: GatePolicy) -> CheckResult:
    why = evidence.failed_measurements.get(check.name)
    if why is None:
        try:
            return check.run(evidence, policy)
        except Exception as error:  # noqa: BLE001 - an exception in a check never passes
            why = f"{type(error).__name__}: {error}"
    return CheckResult(check.name, "error", f"The check {check.name} could not run: {why}.")


def _with_outcome(results: tuple[CheckResult, ...], outcome: CheckOutcome) -> list[CheckResult]:
    return [result for result in results if result.outcome == outcome]


def _sentence(start: str, results: list[CheckResult], suffix: str = "") -> str:
    """The first result's message, then the names of the others with the same outcome."""
    first, *others = results
    joined = "; " if ":" in start else ": "
    message = f"{start}{joined}{first.message[0].lower()}{first.message[1:]}"
    if others:
        message += f" {len(others)} more {suffix}: {', '.join(other.name for other in others)}."
    return message
