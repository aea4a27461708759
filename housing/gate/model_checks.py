"""Checks of the challenger's predictions on all test rows: finite, better than the baselines, not
worse than the champion.
"""

import math
from collections.abc import Mapping
from typing import Any

from housing.formatting import (
    bound_in_words,
    change,
    error_amount,
    interval,
    rounded_up,
    short_percent,
)
from housing.gate import decision_rule, gain_check, messages
from housing.gate.evidence import Evidence
from housing.gate.policy import GatePolicy
from housing.records import CheckOutcome, CheckResult, Comparison, Metrics


class SanePredictions:
    """Every prediction of the challenger is a finite number."""

    name = "sane-predictions"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on a single prediction that is not finite."""
        count = evidence.challenger.non_finite
        figures = {"non_finite": count}
        if count:
            message = (
                f"Of the challenger's {evidence.test_rows:,} predictions {count:,} are not finite."
            )
            return CheckResult(self.name, "failed", message, figures)
        message = f"All {evidence.test_rows:,} predictions are finite."
        return CheckResult(self.name, "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """One prediction decides."""
        return "A single prediction that is not finite fails it."


class BeatsBaseline:
    """The challenger beats each baseline by a margin (`baseline_margin`)."""

    name = "beats-baseline"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """The worst outcome over the baselines; a baseline that failed is named and excluded."""
        if not evidence.baselines:
            raise ValueError(f"no baseline was measured{self._failed(evidence)}")
        ours = challenger_metrics(evidence)
        if ours is None:
            return nothing_to_compare(self.name)
        found = {
            name: checked(baseline.comparison, evidence, policy, baseline.missing_rows)
            for name, baseline in evidence.baselines.items()
        }
        nearest = self.nearest(found, policy)
        comparison, baseline = found[nearest], evidence.baselines[nearest]
        figures: dict[str, Any] = {name: messages.figures(c) for name, c in found.items()}
        figures |= {"decided_by": nearest, "failed": dict(evidence.failed_baselines)}
        theirs = error_amount(baseline.metrics.error.value, evidence.metric)
        if baseline.challenger is not None:
            ours = baseline.challenger
        message = (
            f"{messages.error_against(ours, comparison)} the {theirs} of the {nearest} baseline"
        )
        outcome = self.outcome(comparison, policy)
        if outcome == "inconclusive":
            message += (
                f", but on {comparison.rows:,} test rows it may be only "
                f"{short_percent(max(-rounded_up(comparison.upper), 0.0))} below"
            )
        required = f"at least {short_percent(policy.baseline_margin, 2)} below is required"
        message += f"; {required}{self._failed(evidence)}."
        for name, each in evidence.baselines.items():
            if each.missing_rows:
                message += (
                    f" {each.missing_rows:,} of {evidence.test_rows:,} test rows are missing among "
                    f"the {name}; the others are compared."
                )
        return CheckResult(self.name, outcome, message, figures)

    @staticmethod
    def outcome(comparison: Comparison, policy: GatePolicy) -> CheckOutcome:
        """Against one baseline; inconclusive if only the bound misses the margin."""
        if comparison.effect > -policy.baseline_margin:
            return "failed"
        return "passed" if comparison.upper <= -policy.baseline_margin else "inconclusive"

    @classmethod
    def nearest(cls, found: Mapping[str, Comparison], policy: GatePolicy) -> str:
        """The baseline that decides: of the worst outcome, the one with the highest bound."""
        severity = ("passed", "inconclusive", "failed")
        return max(
            found,
            key=lambda n: (severity.index(cls.outcome(found[n], policy)), found[n].upper),
        )

    @staticmethod
    def _failed(evidence: Evidence) -> str:
        """The excluded baselines, as the end of a sentence."""
        failed = evidence.failed_baselines.items()
        return "".join(f"; the {name} baseline failed ({why})" for name, why in failed)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """How far the error is from the limit."""
        compared = {
            name: baseline.comparison
            for name, baseline in evidence.baselines.items()
            if baseline.comparison is not None
        }
        if not compared:
            return "It needs a challenger and a baseline whose predictions are finite."
        nearest = compared[self.nearest(compared, policy)]
        away = nearest.upper + policy.baseline_margin
        rows = decision_rule.rows_needed(nearest, -policy.baseline_margin)
        if away <= 0:
            rise = short_percent(abs(away))
            return (
                f"It fails if the error rises by about {rise} of the baseline; at the present "
                f"error {messages.rows_to_pass(rows)}."
            )
        return (
            f"It passes if the error falls by about {short_percent(away)} of the baseline; at "
            f"the present error {messages.rows_to_decide(rows)}."
        )


class NoRegression:
    """The change of the error against the champion's passes the policy's rule."""

    name = "no-regression"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Inconclusive if the measured change passes but its bound does not."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", messages.NO_CHAMPION)
        ours, theirs = challenger_metrics(evidence), evidence.champion.metrics
        if ours is None:
            return nothing_to_compare(self.name)
        if theirs is None:
            raise ValueError(f"the champion, m{evidence.champion.id}, gives no finite predictions")
        comparison = checked(evidence.comparison, evidence, policy)
        policy = decision_rule.effective_policy(evidence, policy)
        figures: dict[str, Any] = {**messages.figures(comparison), "margin": policy.margin}
        figures |= {"rule": policy.rule, "judged_before": list(evidence.judged_before)}
        if policy.rule == "expected_gain":
            return gain_check.result(self.name, evidence, policy, figures)
        start = (
            f"{messages.error_against(ours, comparison)} the champion's "
            f"{error_amount(theirs.error.value, theirs.metric)}"
        )
        outcome = decision_rule.outcome(comparison, policy)
        if outcome == "inconclusive":
            figures["rows_needed"] = decision_rule.rows_needed(
                comparison, decision_rule.limit(policy)
            )
        message = start + self._ending(comparison, policy, outcome)
        if evidence.repeated:
            why = decision_rule.why_superior(
                evidence.judged_before,
                evidence.challenger.id if evidence.champion_is_newer else None,
            )
            message += f" The rule is `superior`, because {why}."
        return CheckResult(self.name, outcome, message, figures)

    @staticmethod
    def _ending(comparison: Comparison, policy: GatePolicy, outcome: CheckOutcome) -> str:
        upper = rounded_up(comparison.upper)
        required = (
            "where proof of an improvement is required"
            if policy.rule == "superior"
            else f"where up to {short_percent(policy.margin, 2)} worse is tolerated"
        )
        if outcome == "failed":
            tolerated = f", {required}" if policy.rule == "non_inferior" else ""
            return f" ({interval(comparison)}){tolerated}."
        if outcome == "passed":
            sure = short_percent(policy.confidence, 2)
            return f"; with {sure} confidence it is {bound_in_words(upper)}, {required}."
        rows = decision_rule.rows_needed(comparison, decision_rule.limit(policy))
        return (
            f", but on {comparison.rows:,} test rows it may still be "
            f"{short_percent(upper)} worse, {required.replace(' worse is', ' is')}; "
            f"{messages.rows_to_decide(rows)}."
        )

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The change that passes, and the test rows required at the measured change."""
        comparison = evidence.comparison
        if comparison is None:
            return "It needs a champion to compare with."
        policy = decision_rule.effective_policy(evidence, policy)
        if policy.rule == "expected_gain":
            return gain_check.needs(evidence, policy)
        half = comparison.upper - comparison.effect
        most = decision_rule.limit(policy) - half
        if policy.rule == "no_regression":
            most = min(most, 0.0)
        threshold = f"It passes if the measured change is at most {change(most, 2)}"
        outcome = decision_rule.outcome(comparison, policy)
        bound = decision_rule.limit(policy)
        rows = None if outcome == "failed" else decision_rule.rows_needed(comparison, bound)
        enough = messages.rows_to_decide if outcome == "inconclusive" else messages.rows_to_pass
        return (
            f"{threshold}; it was {change(comparison.effect, 2)}. At this change "
            f"{enough(rows)}; there are {comparison.rows:,}."
        )


def challenger_metrics(evidence: Evidence) -> Metrics | None:
    """None if a prediction is not finite, which `sane-predictions` reports."""
    ours = evidence.challenger
    if ours.metrics is None and not ours.non_finite:
        raise ValueError("the challenger was not measured")
    return ours.metrics


def nothing_to_compare(name: str) -> CheckResult:
    """Outcome of a comparison after `sane-predictions` failed."""
    return CheckResult(
        name, "not applicable", "The challenger has predictions that are not finite."
    )


def checked(
    comparison: Comparison | None, evidence: Evidence, policy: GatePolicy, missing: int = 0
) -> Comparison:
    """The comparison; ValueError unless it covers all test rows at the policy's confidence.

    `missing` rows have no value to compare with.
    """
    if comparison is None:
        raise ValueError("the models were not compared")
    if comparison.rows + missing != evidence.test_rows:
        raise ValueError(f"compared on {comparison.rows} rows, not all {evidence.test_rows}")
    return checked_level(comparison, policy)


def checked_level(comparison: Comparison, policy: GatePolicy) -> Comparison:
    """The comparison; ValueError unless finite and by the policy's metric and confidence."""
    if comparison.metric != policy.metric:
        raise ValueError(f"compared by {comparison.metric}, not {policy.metric}")
    if comparison.interval.confidence != policy.confidence:
        raise ValueError(
            f"compared at a confidence of {comparison.interval.confidence}, not {policy.confidence}"
        )
    if not all(map(math.isfinite, (comparison.effect, comparison.se, comparison.upper))):
        raise ValueError("the comparison is not finite")
    return comparison
