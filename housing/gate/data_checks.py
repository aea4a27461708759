"""Checks of what the judgement rests on: the artifacts, the test rows and their separation.

How well a model predicts belongs to `model_checks`.
"""

from housing.gate.evidence import Contender, Evidence
from housing.gate.policy import GatePolicy
from housing.records import CheckResult


class Identity:
    """Challenger and champion are different artifacts: nothing is compared with itself."""

    name = "identity"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed where both digests or both ids are equal; not applicable without a champion."""
        ours, theirs = evidence.challenger, evidence.champion
        if not ours.digest:
            raise ValueError("the challenger's artifact has no digest")
        if theirs is None:
            return CheckResult(self.name, "not applicable", "There is no champion.")
        figures = {"challenger": ours.digest, "champion": theirs.digest}
        if ours.digest == theirs.digest or ours.id == theirs.id:
            sentence = f"The challenger is the same artifact as the champion, m{theirs.id}."
            return CheckResult(self.name, "failed", sentence, figures)
        sentence = f"The challenger, m{ours.id}, and the champion, m{theirs.id}, differ."
        return CheckResult(self.name, "passed", sentence, figures)


class TestRowCount:
    """There are enough test rows to judge by (`min_test_rows`)."""

    __test__ = False  # not a test case, whatever pytest makes of its name
    name = "test-rows"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Unsure where there are too few: that says nothing against the challenger."""
        rows, needed = evidence.test_rows, policy.min_test_rows
        figures = {"test_rows": rows, "min_test_rows": needed}
        if rows < needed:
            sentence = f"There are {rows:,} test rows; it takes at least {needed:,} to judge."
            return CheckResult(self.name, "unsure", sentence, figures)
        sentence = f"There are {rows:,} test rows, at least the {needed:,} that it takes."
        return CheckResult(self.name, "passed", sentence, figures)


class LeakProof:
    """No model that is judged was trained on a row of tonight's test set."""

    name = "leak-proof"

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed on any overlap; a model without recorded training keys proves nothing."""
        models = [m for m in (evidence.challenger, evidence.champion) if m is not None]
        figures = {
            f"m{m.id}": {"training_rows": m.training_rows, "overlap": m.test_overlap}
            for m in models
        }
        if unknown := [f"m{m.id}" for m in models if m.training_rows <= 0]:
            raise ValueError(f"no training keys are recorded for {' and '.join(unknown)}")
        if leaking := [m for m in models if m.test_overlap != 0]:
            sentence = " ".join(self._leak(m, evidence.version) for m in leaking)
            return CheckResult(self.name, "failed", sentence, figures)
        trained = " and ".join(f"the {m.training_rows:,} of m{m.id}" for m in models)
        sentence = f"None of the {evidence.test_rows:,} test rows is among {trained}."
        return CheckResult(self.name, "passed", sentence, figures)

    @staticmethod
    def _leak(model: Contender, version: int) -> str:
        return (
            f"{model.test_overlap:,} of the {model.training_rows:,} training rows of m{model.id} "
            f"are in the test set of v{version}."
        )
