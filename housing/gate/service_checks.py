"""Checks of latency, artifact size, and loading in a fresh process."""

from housing.formatting import two_digits
from housing.gate.evidence import Evidence
from housing.gate.messages import NOT_MEASURED
from housing.gate.policy import GatePolicy, Threshold
from housing.records import CheckResult

SAME = 1e-9
"""Largest relative difference of a prediction that counts as the same one."""


class Latency:
    """A prediction for one row takes no longer than `latency_budget_ms`, in the median."""

    name = "latency"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed beyond the budget, as measured on the machine of the run."""
        if evidence.costs is None:
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        ours, budget = evidence.costs.latency_ms, policy.latency_budget_ms
        theirs = evidence.costs.champion_latency_ms
        beside = "" if theirs is None else f" (the champion {theirs:,.1f} ms)"
        message = (
            f"A prediction for one row takes {ours:,.1f} ms{beside}; "
            f"the budget is {budget:,.0f} ms."
        )
        figures = {"latency_ms": ours, "champion_latency_ms": theirs, "budget_ms": budget}
        return CheckResult(self.name, "failed" if ours > budget else "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The factor between time and budget."""
        if evidence.costs is None:
            return "It needs a run that measures it."
        factor = policy.latency_budget_ms / evidence.costs.latency_ms
        return f"The limit is {two_digits(factor)} times the measured time."


class ArtifactSize:
    """The stored artifact is no larger than the threshold `artifact-size`."""

    name = "artifact-size"
    threshold = Threshold(
        "largest stored artifact, in millions of bytes", default=500.0, minimum=1e-6, maximum=1e6
    )

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed beyond the budget."""
        if evidence.costs is None:
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        size, budget = evidence.costs.artifact_bytes, policy.thresholds[self.name] * 1e6
        message = f"The artifact has {size / 1e6:,.1f} MB; the budget is {budget / 1e6:,.0f} MB."
        figures = {"artifact_bytes": size, "budget_bytes": budget}
        return CheckResult(self.name, "failed" if size > budget else "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The factor between size and budget."""
        if evidence.costs is None:
            return "It needs a run that measures it."
        factor = policy.thresholds[self.name] * 1e6 / evidence.costs.artifact_bytes
        return f"The limit is {two_digits(factor)} times the present size."


class PreflightRun:
    """The stored artifact, loaded in a fresh process, gives the predictions it was stored with."""

    name = "preflight"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed if it cannot be loaded or predicts differently; an error if the process failed."""
        if not policy.preflight:
            return CheckResult(self.name, "not applicable", "The policy does not require it.")
        found = evidence.preflight
        if found is None:
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        figures = {"worst": found.worst, "seconds": found.seconds}
        if found.not_run:
            raise RuntimeError(found.not_run)
        if found.fault or found.worst is None:
            message = f"In a fresh process the stored artifact cannot be used: {found.fault}."
            return CheckResult(self.name, "failed", message, figures)
        if not found.worst <= SAME:
            message = (
                f"In a fresh process the stored artifact's predictions differ by up to "
                f"{found.worst:.2g} of what they were."
            )
            return CheckResult(self.name, "failed", message, figures)
        message = (
            f"Loaded in a fresh process ({found.seconds:.1f} s), the stored artifact gives the "
            "same predictions."
        )
        return CheckResult(self.name, "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """One prediction decides."""
        return f"A single prediction that differs by more than {SAME:g} of itself fails it."
