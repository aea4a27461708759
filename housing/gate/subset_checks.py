"""Checks on subsets of the test rows (slices, unused rows, uncapped labels) and against former
champions.

Subsets are small, so these checks fail only on evidence of a regression; the comparison with
former champions uses all rows and fails on the measured error.
"""

from collections.abc import Mapping

from scipy.special import stdtrit

from housing.evaluation.compare import holm, regression_p_value
from housing.formatting import (
    change,
    change_in_words,
    error_amount,
    group_in_words,
    interval,
    percent,
    round_up_2_digits,
    short_percent,
)
from housing.gate import decision_rule, messages
from housing.gate.evidence import Evidence, SubsetComparison
from housing.gate.messages import NO_CHAMPION, NOT_MEASURED
from housing.gate.model_checks import challenger_metrics, checked, checked_level, nothing_to_compare
from housing.gate.policy import EVIDENCE_CONFIDENCE, GatePolicy
from housing.records import CheckResult, Comparison


class Slices:
    """No evidence of a regression of more than `slice_margin` on a category or stratum (Holm's
    correction).
    """

    name = "slices"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on evidence only; slices below `slice_min_rows` are not judged."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        if challenger_metrics(evidence) is None:
            return nothing_to_compare(self.name)
        if not evidence.slices:
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        judged = self.judged(evidence, policy)
        left = len(evidence.slices) - len(judged)
        aside = f" {left} with fewer than {policy.slice_min_rows:,} rows are not judged."
        aside = aside if left else ""
        if not judged:
            return CheckResult(self.name, "not applicable", f"No slice is large enough.{aside}")
        p_values = self.p_values(judged, policy)
        figures = {
            name: {**messages.figures(c), "p_value": p_values[name]} for name, c in judged.items()
        }
        worst = max(judged, key=lambda name: judged[name].effect)
        if beyond := [n for n, p in p_values.items() if p <= 1 - EVIDENCE_CONFIDENCE]:
            named = "; ".join(
                f"{group_in_words(n)} {short_percent(judged[n].effect)} higher on "
                f"{judged[n].rows:,} rows"
                for n in sorted(beyond, key=lambda n: -judged[n].effect)
            )
            message = (
                f"The error is higher by more than {short_percent(policy.slice_margin, 2)} beyond "
                f"chance in {len(beyond)} of {len(judged)} slices: {named}.{aside}"
            )
            return CheckResult(self.name, "failed", message, figures)
        message = (
            f"No evidence in {len(judged)} slices of an error more than "
            f"{short_percent(policy.slice_margin, 2)} higher; the worst, {group_in_words(worst)}: "
            f"{change_in_words(judged[worst].effect)} ({interval(judged[worst])}).{aside}"
        )
        return CheckResult(self.name, "passed", message, figures)

    @staticmethod
    def judged(evidence: Evidence, policy: GatePolicy) -> dict[str, Comparison]:
        """The slices that are large enough, by name."""
        return {
            subset.name: checked_level(subset.comparison, policy)
            for subset in evidence.slices
            if subset.comparison is not None and subset.rows >= policy.slice_min_rows
        }

    @staticmethod
    def p_values(judged: Mapping[str, Comparison], policy: GatePolicy) -> dict[str, float]:
        """Adjusted p-value of each slice for a change within the margin."""
        raw = [regression_p_value(c, policy.slice_margin) for c in judged.values()]
        return dict(zip(judged, holm(raw), strict=True))

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The slice nearest to the limit, and the rows that would fail it."""
        judged = self.judged(evidence, policy)
        if not judged:
            return f"It needs a slice of at least {policy.slice_min_rows:,} test rows."
        p_values, level = self.p_values(judged, policy), 1 - EVIDENCE_CONFIDENCE
        # Holm's correction makes many p-values 1, so compare them without it.
        nearest = min(
            judged, key=lambda name: regression_p_value(judged[name], policy.slice_margin)
        )
        found = judged[nearest]
        text = (
            f"It fails if an adjusted p-value is at or below {level:.2g}; the nearest is that of "
            f"{group_in_words(nearest)}, {p_values[nearest]:.2g} (change {change(found.effect)}, "
            f"standard error {percent(found.se)} on {found.rows:,} rows)."
        )
        rows = decision_rule.rows_to_show(found, policy.slice_margin, level / len(judged))
        return f"{text} {_shown_by(rows)}"


def _shown_by(rows: int | None) -> str:
    """How many rows would make the same change evidence."""
    if rows is None:
        return "At this change no number of such rows fails it."
    return f"At this change about {round_up_2_digits(max(rows, 2))} such rows fail it."


class _SubsetCheck:
    """No evidence of a regression beyond a margin on one subset of the test rows."""

    name: str
    subset_field: str  # of the evidence
    margin_field: str  # of the policy: the increase of the error beyond which evidence fails
    min_rows_field: str  # of the policy: rows below which the subset is not judged

    def _inputs(
        self, evidence: Evidence, policy: GatePolicy
    ) -> tuple[SubsetComparison | None, float, int]:
        """The subset, its margin and its minimum number of rows."""
        return (
            getattr(evidence, self.subset_field),
            getattr(policy, self.margin_field),
            getattr(policy, self.min_rows_field),
        )

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on evidence only; not applicable with too few rows."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        if challenger_metrics(evidence) is None:
            return nothing_to_compare(self.name)
        subset, margin, min_rows = self._inputs(evidence, policy)
        if subset is None:
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        if subset.comparison is None or subset.rows < min_rows:
            message = f"There are {subset.rows:,} {subset.name}; {min_rows:,} are required."
            return CheckResult(self.name, "not applicable", message, {"rows": subset.rows})
        comparison = checked_level(subset.comparison, policy)
        p_value = regression_p_value(comparison, margin)
        figures = {**messages.figures(comparison), "margin": margin, "p_value": p_value}
        message = (
            f"On the {subset.rows:,} {subset.name} the challenger's error is "
            f"{change_in_words(comparison.effect)} ({interval(comparison)})"
        )
        if p_value <= 1 - EVIDENCE_CONFIDENCE:
            message += f": more than {short_percent(margin, 2)} higher beyond chance."
            return CheckResult(self.name, "failed", message, figures)
        message += f"; no evidence of more than {short_percent(margin, 2)} higher."
        return CheckResult(self.name, "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The change that would be evidence on these rows."""
        subset, margin, min_rows = self._inputs(evidence, policy)
        if subset is None or subset.comparison is None or subset.rows < min_rows:
            there = 0 if subset is None else subset.rows
            return f"It needs {min_rows:,} such rows to be judged; there are {there:,}."
        found, level = subset.comparison, 1 - EVIDENCE_CONFIDENCE
        half = -float(stdtrit(found.degrees, level)) * found.se
        rows = decision_rule.rows_to_show(found, margin, level)
        return (
            f"It fails if the change on them is above about "
            f"{change(margin + half)}; it was {change(found.effect)}. "
            f"{_shown_by(rows)}"
        )


class RecentRows(_SubsetCheck):
    """No evidence of a regression of more than `recent_margin` on test rows that no decision has
    used.
    """

    name = "recent-rows"
    subset_field, margin_field, min_rows_field = "recent", "recent_margin", "recent_min_rows"


class UncappedRows(_SubsetCheck):
    """No evidence of a regression of more than 1 % on rows with a label below the cap."""

    name = "uncapped-rows"
    subset_field, margin_field, min_rows_field = "uncapped", "uncapped_margin", "slice_min_rows"


class NoCumulativeRegression:
    """The error is at most `cumulative_margin` above that of the best former champion.

    The rule compares with the present champion only, and several tolerated small regressions could
    add up.
    """

    name = "cumulative-regression"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on the measured error, without waiting for evidence."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        ours = challenger_metrics(evidence)
        if ours is None:
            return nothing_to_compare(self.name)
        former = evidence.former
        if former is None:
            message = "There is no former champion."
            return CheckResult(self.name, "not applicable", message)
        comparison = checked(former.comparison, evidence, policy)
        figures = {
            **messages.figures(comparison),
            "former": former.id,
            "among": former.among,
            "margin": policy.cumulative_margin,
        }
        message = (
            f"{messages.error_against(ours, comparison)} the "
            f"{error_amount(former.error, evidence.metric)} of "
            f"m{former.id}, the best of {former.among} former champions ({interval(comparison)}); "
            f"up to {short_percent(policy.cumulative_margin, 2)} above is tolerated."
        )
        regressed = comparison.effect > policy.cumulative_margin
        return CheckResult(self.name, "failed" if regressed else "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """How far the error is from the limit."""
        if evidence.former is None:
            return "It needs a former champion that is kept and was not rolled back."
        away = policy.cumulative_margin - evidence.former.comparison.effect
        turn = "fails if the error rises" if away >= 0 else "passes if the error falls"
        return f"It {turn} by about {short_percent(abs(away))} of m{evidence.former.id}'s."
