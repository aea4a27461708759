"""Checks of how the challenger predicts: usable at all, better than nothing, not worse than now.

What the judgement rests on (artifacts, rows, leaks) belongs to `data_checks`.
"""

import math

from housing.gate.evidence import Evidence
from housing.gate.policy import GatePolicy
from housing.records import CheckResult, Comparison, Metrics
from housing.schema import CATALOGUE, TARGET

UNIT = CATALOGUE[TARGET].unit


class SanePredictions:
    """Every prediction of the challenger is a finite, positive number."""

    name = "sane-predictions"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on a single unusable prediction: in service it would reach somebody."""
        ours = evidence.challenger
        figures = {"non_finite": ours.non_finite, "non_positive": ours.non_positive}
        if ours.non_finite or ours.non_positive:
            sentence = (
                f"Of the challenger's {evidence.test_rows:,} predictions {ours.non_finite:,} are "
                f"not finite and {ours.non_positive:,} are zero or negative."
            )
            return CheckResult(self.name, "failed", sentence, figures)
        sentence = f"All {evidence.test_rows:,} predictions are finite and positive."
        return CheckResult(self.name, "passed", sentence, figures)


class BeatsBaseline:
    """The challenger beats each model without skill by a margin (`baseline_margin`)."""

    name = "beats-baseline"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Judged by the baseline that comes nearest: its upper bound must clear the margin."""
        if not evidence.baselines:
            raise ValueError("no baseline was measured")
        ours = _challenger_metrics(evidence)
        if ours is None:
            return _nothing_to_compare(self.name)
        found = {
            name: _checked(baseline.comparison, evidence, policy)
            for name, baseline in evidence.baselines.items()
        }
        nearest = max(found, key=lambda name: found[name].upper)
        comparison = found[nearest]
        theirs = evidence.baselines[nearest].metrics.rmse.value
        figures = {name: _figures(c) for name, c in found.items()}
        sentence = f"{_standing(ours, comparison)} the {theirs:,.0f} of the {nearest} baseline"
        required = f"at least {_percent(policy.baseline_margin, 2)} below is required"
        if comparison.upper <= -policy.baseline_margin:
            sentence += f"; {required}."
            return CheckResult(self.name, "passed", sentence, figures)
        if comparison.effect <= -policy.baseline_margin:
            sentence += (
                f", but on {comparison.rows:,} test rows it may be only "
                f"{_percent(max(-rounded_up(comparison.upper), 0.0))} below; {required}."
            )
            return CheckResult(self.name, "unsure", sentence, figures)
        return CheckResult(self.name, "failed", f"{sentence}; {required}.", figures)


class NoRegression:
    """The challenger's error is not above the champion's; a rise beyond `margin` is ruled out."""

    name = "no-regression"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Unsure where the error fell but the test set is too small for the bound."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", "There is no champion.")
        ours, theirs = _challenger_metrics(evidence), evidence.champion.metrics
        if ours is None:
            return _nothing_to_compare(self.name)
        if theirs is None:
            raise ValueError(f"the champion, m{evidence.champion.id}, gives no finite predictions")
        comparison = _checked(evidence.comparison, evidence, policy)
        figures = {**_figures(comparison), "margin": policy.margin}
        start = f"{_standing(ours, comparison)} the champion's {theirs.rmse.value:,.0f}"
        if comparison.effect > 0:
            sentence = f"{start} ({_interval(comparison)})."
            return CheckResult(self.name, "failed", sentence, figures)
        if comparison.upper > policy.margin:
            rows = rows_needed(comparison, policy.margin)
            sentence = (
                f"{start}, but on {comparison.rows:,} test rows it may still be "
                f"{_percent(rounded_up(comparison.upper))} worse, where up to "
                f"{_percent(policy.margin, 2)} is tolerated; {_settled_by(rows)}."
            )
            return CheckResult(self.name, "unsure", sentence, {**figures, "rows_needed": rows})
        sentence = (
            f"{start}; with {_percent(policy.confidence, 2)} confidence it is "
            f"{_bound(rounded_up(comparison.upper))}, where up to {_percent(policy.margin, 2)} "
            "worse is tolerated."
        )
        return CheckResult(self.name, "passed", sentence, figures)


def rows_needed(comparison: Comparison, margin: float) -> int | None:
    """Test rows at which the same effect would clear the margin, None if no number would.

    The standard error falls with the square root of the rows; the effect is taken as it is.
    """
    room = margin - comparison.effect
    if room <= 0:
        return None
    return math.ceil(comparison.rows * ((comparison.upper - comparison.effect) / room) ** 2)


def rounded_up(bound: float) -> float:
    """A bound to a tenth of a percent, never to the flattering side."""
    return math.ceil(round(1000 * bound, 6)) / 1000


def _challenger_metrics(evidence: Evidence) -> Metrics | None:
    """None where a prediction is not finite, which another check reports."""
    ours = evidence.challenger
    if ours.metrics is None and not ours.non_finite:
        raise ValueError("the challenger was not measured")
    return ours.metrics


def _nothing_to_compare(name: str) -> CheckResult:
    return CheckResult(
        name, "not applicable", "The challenger has predictions that are not finite."
    )


def _checked(comparison: Comparison | None, evidence: Evidence, policy: GatePolicy) -> Comparison:
    """The comparison, or ValueError where it is not one of tonight's rows at the policy's level."""
    if comparison is None:
        raise ValueError("the models were not compared")
    if comparison.rows != evidence.test_rows:
        raise ValueError(f"compared on {comparison.rows} rows, not all {evidence.test_rows}")
    if comparison.interval.confidence != policy.confidence:
        raise ValueError(
            f"compared at a confidence of {comparison.interval.confidence}, not {policy.confidence}"
        )
    if not all(map(math.isfinite, (comparison.effect, comparison.se, comparison.upper))):
        raise ValueError("the comparison is not finite")
    return comparison


def _figures(comparison: Comparison) -> dict[str, float]:
    return {
        "effect": comparison.effect,
        "upper": comparison.upper,
        "lower_two_sided": comparison.interval.lower,
        "upper_two_sided": comparison.interval.upper,
        "se": comparison.se,
        "se_independent": comparison.se_independent,
        "rows": comparison.rows,
        "clusters": comparison.clusters,
    }


def _standing(ours: Metrics, comparison: Comparison) -> str:
    """The first half of a sentence that ends with the other model's error."""
    start = f"The challenger's error is {ours.rmse.value:,.0f} {UNIT}"
    if comparison.effect == 0:
        return f"{start}, exactly"
    direction = "above" if comparison.effect > 0 else "below"
    return f"{start}, {_percent(abs(comparison.effect))} {direction}"


def _interval(comparison: Comparison) -> str:
    interval = comparison.interval
    limits = " to ".join(f"{100 * limit:+.1f}" for limit in (interval.lower, interval.upper))
    return f"{_percent(interval.confidence, 2)} interval {limits} %"


def _bound(upper: float) -> str:
    if upper > 0:
        return f"at most {_percent(upper)} worse"
    return f"at least {_percent(-upper)} better" if upper < 0 else "not worse"


def _settled_by(rows: int | None) -> str:
    if rows is None:
        return "no number of test rows would settle it"
    # Two digits: the estimate is rough, and should look so.
    step = 10 ** max(len(str(rows)) - 2, 0)
    return f"about {math.ceil(rows / step) * step:,} test rows would settle it"


def _percent(share: float, digits: int = 1) -> str:
    """A share in words: no digit where it is whole, more where it would read as nothing."""
    if 0 < share < 0.0005:
        digits = 3
    return f"{100 * share:.{digits}f}".rstrip("0").removesuffix(".") + " %"
