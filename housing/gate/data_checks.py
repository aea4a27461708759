"""Checks of the comparison's inputs: artifacts, test rows, leakage, rejected rows, drift."""

from collections.abc import Iterator, Mapping

from housing.evaluation.drift import found
from housing.formatting import short_percent
from housing.gate.evidence import Evidence, ModelMetrics
from housing.gate.messages import NO_CHAMPION
from housing.gate.policy import DriftAction, GatePolicy
from housing.records import CheckOutcome, CheckResult, ColumnDrift


class Identity:
    """Challenger and champion are different models."""

    name = "identity"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed if digests, ids or all predictions are equal."""
        ours, theirs = evidence.challenger, evidence.champion
        if not ours.digest:
            raise ValueError("the challenger's artifact has no digest")
        if theirs is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        figures = {"challenger": ours.digest, "champion": theirs.digest}
        if ours.digest == theirs.digest or ours.id == theirs.id:
            message = f"The challenger is the same artifact as the champion, m{theirs.id}."
            return CheckResult(self.name, "failed", message, figures)
        comparison = evidence.comparison
        # Zero effect with zero variance: the errors are equal on every row.
        if comparison is not None and comparison.effect == comparison.se_independent == 0:
            message = f"The challenger predicts exactly what the champion, m{theirs.id}, does."
            return CheckResult(self.name, "failed", message, figures)
        message = f"The challenger, m{ours.id}, and the champion, m{theirs.id}, differ."
        return CheckResult(self.name, "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """Only another model."""
        return "Only an artifact with other predictions changes it."


class TestRowCount:
    """There are enough test rows (`min_test_rows`)."""

    __test__ = False  # not a pytest class
    name = "test-rows"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Inconclusive below the minimum: too few rows are no evidence against the challenger."""
        rows, needed = evidence.test_rows, policy.min_test_rows
        message = f"There are {rows:,} test rows; at least {needed:,} are required."
        figures = {"test_rows": rows, "min_test_rows": needed}
        return CheckResult(
            self.name, "inconclusive" if rows < needed else "passed", message, figures
        )

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The missing or surplus rows."""
        away = policy.min_test_rows - evidence.test_rows
        if away > 0:
            return f"It passes with {away:,} more test rows."
        return f"It fails with {1 - away:,} fewer test rows."


class LeakProof:
    """No compared model was trained on a row of the test set or on a near-duplicate of one.

    Near-duplicates agree in all values but at most one, more often than chance explains.
    """

    name = "leak-proof"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on a single such row; an error for a model without recorded training keys."""
        models = [m for m in (evidence.challenger, evidence.champion) if m is not None]
        figures = {
            f"m{m.id}": {
                "training_rows": m.training_rows,
                "overlap": m.test_overlap,
                "near_duplicates": m.near_duplicates,
            }
            for m in models
        }
        if unknown := [f"m{m.id}" for m in models if m.training_rows <= 0]:
            raise ValueError(f"no training keys are recorded for {' and '.join(unknown)}")
        if leaks := [leak for m in models for leak in self._leaks(m, evidence)]:
            return CheckResult(self.name, "failed", " ".join(leaks), figures)
        trained = " and ".join(f"the {m.training_rows:,} of m{m.id}" for m in models)
        complete = all(m.near_duplicates is not None for m in models)
        also = ", nor has one a near-duplicate there" if complete else ""
        message = f"None of the {evidence.test_rows:,} test rows is among {trained}{also}."
        return CheckResult(self.name, "passed", message, figures)

    @staticmethod
    def _leaks(model: ModelMetrics, evidence: Evidence) -> Iterator[str]:
        if model.test_overlap:
            yield (
                f"{model.test_overlap:,} of the {model.training_rows:,} training rows of "
                f"m{model.id} are in the test set of v{evidence.version}."
            )
        if model.near_duplicates:
            yield (
                f"{model.near_duplicates:,} of the {evidence.test_rows:,} test rows of "
                f"v{evidence.version} have a near-duplicate (all values but at most one are the "
                f"same) among the training rows of m{model.id}."
            )

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """A single shared row decides."""
        return (
            "A single training row in the test set, or a near-duplicate of one, fails it, however "
            "many test rows there are. `housing dataset withdraw` removes the batch that contains "
            "it."
        )


class RejectedShare:
    """At most `max_rejected_share` of the rows since the champion's version were rejected."""

    name = "rejected-share"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed beyond the limit; counts batches that entered after the champion's version."""
        read, rejected = evidence.read_rows, evidence.rejected_rows
        figures = {"read": read, "rejected": rejected, "limit": policy.max_rejected_share}
        if not read:
            message = (
                "Since the champion's version no batch has entered the dataset without a person's "
                "decision."
            )
            return CheckResult(self.name, "not applicable", message, figures)
        if not 0 <= rejected <= read:
            raise ValueError(f"{rejected} of {read} rows were rejected")
        if read < policy.rejected_min_rows:
            message = f"{rejected:,} of only {read:,} rows were rejected: too few to judge."
            return CheckResult(self.name, "not applicable", message, figures)
        share = rejected / read
        since = "" if evidence.champion is None else " since the champion's version"
        message = (
            f"{rejected:,} of {read:,} rows of the batches that entered{since} "
            f"were rejected ({short_percent(share)}); up to "
            f"{short_percent(policy.max_rejected_share, 2)} is tolerated."
        )
        outcome: CheckOutcome = "failed" if share > policy.max_rejected_share else "passed"
        return CheckResult(self.name, outcome, message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The largest number of rejected rows that passes."""
        most = int(policy.max_rejected_share * evidence.read_rows)
        return f"It passes with at most {most:,} of {evidence.read_rows:,} rows rejected."


DISTANCE = "0: the same distribution, 1: nothing in common"


class DriftFound:
    """The new rows and the dataset do not differ from the champion's training data.

    Drift is no fault of the challenger, which may be the remedy, so the policy decides what
    follows from it (`drift_action`).
    """

    name = "drift"

    ACTIONS: Mapping[DriftAction, tuple[CheckOutcome, str]] = {
        "report": ("passed", "The policy only reports drift."),
        "inconclusive": ("inconclusive", "The policy does not decide on drifted rows."),
        "keep": ("failed", "The policy keeps the champion on drifted rows."),
    }

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Tests each column of both tables: enough rows, effect size, false discovery rate."""
        if evidence.champion is None:
            return CheckResult(self.name, "not applicable", NO_CHAMPION)
        compared = [d for d in evidence.drift if d.columns]
        if not compared:
            message = "There are no rows to compare with the champion's training rows."
            return CheckResult(self.name, "not applicable", message)
        drifted = {
            d.current: columns for d in compared if (columns := found(d.columns, policy.drift))
        }
        figures = {
            current: {f"{c.column} ({c.kind})": c.effect for c in columns}
            for current, columns in drifted.items()
        }
        if not drifted:
            tables = " nor ".join(f"the {d.current} ({d.rows:,})" for d in compared)
            message = (
                f"No column of {tables} differs from the {compared[0].reference} by a distance "
                f"of {policy.drift.min_effect:g} or more beyond chance ({DISTANCE})."
            )
            return CheckResult(self.name, "passed", message, figures)
        described = " ".join(
            self._described(current, columns) for current, columns in drifted.items()
        )
        outcome, ending = self.ACTIONS[policy.drift_action]
        limit = f"Distances from {policy.drift.min_effect:g} on count, if beyond chance."
        message = f"{described.removesuffix('.')} ({DISTANCE}). {limit} {ending}"
        return CheckResult(self.name, outcome, message, figures)

    @staticmethod
    def _described(current: str, columns: tuple[ColumnDrift, ...]) -> str:
        named = ", ".join(
            f"{c.column.replace('_', ' ')}{' (missing)' if c.kind == 'missing' else ''} "
            f"{c.effect:.2f}"
            for c in columns
        )
        return f"Drift in the {current}, by the distance of two distributions: {named}."

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The thresholds of a finding, and the nearest column."""
        text = (
            f"A finding requires {policy.drift.min_rows:,} rows, an effect of "
            f"{policy.drift.min_effect:g} and an adjusted p-value of at most {policy.drift.fdr:g}."
        )
        columns = [c for d in evidence.drift for c in d.columns]
        if not columns:
            return text
        largest = max(columns, key=lambda c: c.effect)
        return f"{text} The largest effect is {largest.column}'s: {largest.effect:.2f}."
