"""Checks that a good mean hides nothing: slices, recent rows, capped labels, champions of before.

Some of the rows are few, so these block on evidence of a regression, not for want of it; the
ratchet, on all rows, blocks on the error itself.
"""

from collections.abc import Mapping

from scipy.special import stdtrit

from housing.evaluation.compare import holm, regression_p_value
from housing.gate import decision_rule, words
from housing.gate.evidence import Evidence, SubsetComparison
from housing.gate.model_checks import challenger_metrics, checked, checked_level, nothing_to_compare
from housing.gate.policy import GatePolicy
from housing.records import CheckResult, Comparison

NO_CHAMPION = "There is no champion."
NOT_MEASURED = "It was not measured on that night."


class Slices:
    """No category or stratum regresses beyond `slice_margin`, with evidence (Holm over slices)."""

    name = "slices"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on evidence alone; a slice with fewer than `slice_min_rows` is not judged."""
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
            name: {**words.figures(c), "p_value": p_values[name]} for name, c in judged.items()
        }
        worst = max(judged, key=lambda name: judged[name].effect)
        if beyond := [n for n, p in p_values.items() if p <= 1 - policy.evidence_confidence]:
            named = "; ".join(
                f"{n} {words.percent(judged[n].effect)} higher on {judged[n].rows:,} rows"
                for n in sorted(beyond, key=lambda n: -judged[n].effect)
            )
            message = (
                f"The error is higher by more than {words.percent(policy.slice_margin, 2)} beyond "
                f"chance in {len(beyond)} of {len(judged)} slices: {named}.{aside}"
            )
            return CheckResult(self.name, "failed", message, figures)
        message = (
            f"No evidence in {len(judged)} slices of an error more than "
            f"{words.percent(policy.slice_margin, 2)} higher; the worst, {worst}: "
            f"{words.format_change(judged[worst].effect)} ({words.interval(judged[worst])}).{aside}"
        )
        return CheckResult(self.name, "passed", message, figures)

    @staticmethod
    def judged(evidence: Evidence, policy: GatePolicy) -> dict[str, Comparison]:
        """The slices that are large enough, by name."""
        return {
            part.name: checked_level(part.comparison, policy)
            for part in evidence.slices
            if part.comparison is not None and part.rows >= policy.slice_min_rows
        }

    @staticmethod
    def p_values(judged: Mapping[str, Comparison], policy: GatePolicy) -> dict[str, float]:
        """For each slice, adjusted: could it be within the margin after all."""
        raw = [regression_p_value(c, policy.slice_margin) for c in judged.values()]
        return dict(zip(judged, holm(raw), strict=True))

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The slice that is nearest to the limit, and what it can show at all."""
        judged = self.judged(evidence, policy)
        if not judged:
            return f"It needs a slice of at least {policy.slice_min_rows:,} test rows."
        p_values, level = self.p_values(judged, policy), 1 - policy.evidence_confidence
        # Holm's correction makes many p-values 1: of these the one that is smallest without it.
        nearest = min(
            judged, key=lambda name: regression_p_value(judged[name], policy.slice_margin)
        )
        found = judged[nearest]
        text = (
            f"It fails once an adjusted p-value is at or below {level:.2g}; the nearest is that of "
            f"{nearest}, {p_values[nearest]:.2g} (change {100 * found.effect:+.1f} %, standard "
            f"error {100 * found.se:.1f} % on {found.rows:,} rows)."
        )
        rows = decision_rule.rows_to_show(found, policy.slice_margin, level / len(judged))
        return f"{text} {_shown_by(rows)}"


def _shown_by(rows: int | None) -> str:
    """How many rows of a part would turn the same change into evidence."""
    if rows is None:
        return "At this change no number of such rows fails it."
    return f"At this change about {words.round_up_2_digits(max(rows, 2))} such rows fail it."


class _SubsetCheck:
    """No evidence of a regression beyond a margin on one part of the test rows."""

    name = ""

    def part(self, evidence: Evidence) -> SubsetComparison | None:
        """Which rows."""
        raise NotImplementedError

    def margin(self, policy: GatePolicy) -> float:
        """The rise beyond which evidence blocks."""
        raise NotImplementedError

    def fewest(self, policy: GatePolicy) -> int:
        """Rows below which they are not judged."""
        raise NotImplementedError

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on evidence alone; not applicable where there are too few such rows."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        if challenger_metrics(evidence) is None:
            return nothing_to_compare(self.name)
        part = self.part(evidence)
        if part is None:
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        if part.comparison is None or part.rows < self.fewest(policy):
            message = f"There are {part.rows:,} {part.name}; it takes {self.fewest(policy):,}."
            return CheckResult(self.name, "not applicable", message, {"rows": part.rows})
        comparison, margin = checked_level(part.comparison, policy), self.margin(policy)
        p_value = regression_p_value(comparison, margin)
        figures = {**words.figures(comparison), "margin": margin, "p_value": p_value}
        message = (
            f"On the {part.rows:,} {part.name} the challenger's error is "
            f"{words.format_change(comparison.effect)} ({words.interval(comparison)})"
        )
        if p_value <= 1 - policy.evidence_confidence:
            message += f": more than {words.percent(margin, 2)} higher beyond chance."
            return CheckResult(self.name, "failed", message, figures)
        message += f"; no evidence of more than {words.percent(margin, 2)} higher."
        return CheckResult(self.name, "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The change that would be evidence on so many rows."""
        part = self.part(evidence)
        if part is None or part.comparison is None or part.rows < self.fewest(policy):
            there = 0 if part is None else part.rows
            return f"It needs {self.fewest(policy):,} such rows to be judged; there are {there:,}."
        found, level = part.comparison, 1 - policy.evidence_confidence
        half = -float(stdtrit(found.degrees, level)) * found.se
        rows = decision_rule.rows_to_show(found, self.margin(policy), level)
        return (
            f"It fails where the change on them is above about "
            f"{100 * (self.margin(policy) + half):+.1f} %; it was {100 * found.effect:+.1f} %. "
            f"{_shown_by(rows)}"
        )


class RecentRows(_SubsetCheck):
    """Test rows that came after the champion's cut-off and that no decision has used."""

    name = "recent-rows"

    def part(self, evidence: Evidence) -> SubsetComparison | None:
        """Rows never used."""
        return evidence.recent

    def margin(self, policy: GatePolicy) -> float:
        """As the policy has it."""
        return policy.recent_margin

    def fewest(self, policy: GatePolicy) -> int:
        """As the policy has it."""
        return policy.recent_min_rows


class UncappedRows(_SubsetCheck):
    """Rows below the label's cap by themselves: a gain must not come from learning the cap."""

    name = "uncapped-rows"

    def part(self, evidence: Evidence) -> SubsetComparison | None:
        """Rows whose label says how much, not only at least how much."""
        return evidence.uncapped

    def margin(self, policy: GatePolicy) -> float:
        """As the policy has it."""
        return policy.capped_margin

    def fewest(self, policy: GatePolicy) -> int:
        """As many as for any judgement of a part."""
        return policy.slice_min_rows


class NoCumulativeRegression:
    """Not above the best former champion by more than `ratchet_margin`, on tonight's test set.

    Each night compares with the champion of now only; many small steps that a rule tolerates
    would add up to a slide that no night sees. This one looks further back.
    """

    name = "cumulative-regression"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on the measured error: waiting for evidence would let the slide go further."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        ours = challenger_metrics(evidence)
        if ours is None:
            return nothing_to_compare(self.name)
        former = evidence.former
        if former is None:
            message = "There is no former champion to look back at."
            return CheckResult(self.name, "not applicable", message)
        comparison = checked(former.comparison, evidence, policy)
        figures = {
            **words.figures(comparison),
            "former": former.id,
            "among": former.among,
            "margin": policy.ratchet_margin,
        }
        message = (
            f"{words.format_error_vs(ours, comparison)} the {former.rmse:,.0f} of m{former.id}, "
            f"the best of {former.among} former champions ({words.interval(comparison)}); up to "
            f"{words.percent(policy.ratchet_margin, 2)} above is tolerated."
        )
        slid = comparison.effect > policy.ratchet_margin
        return CheckResult(self.name, "failed" if slid else "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """How far the error is from the limit."""
        if evidence.former is None:
            return "It needs a former champion that is still kept and was not taken back."
        away = policy.ratchet_margin - evidence.former.comparison.effect
        turn = "fails once the error rises" if away >= 0 else "passes once the error falls"
        return f"It {turn} by about {words.percent(abs(away))} of m{evidence.former.id}'s."
