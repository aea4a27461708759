"""Checks of how predictions move when rows are changed: the problem's behavioural tests.

Each is measured on some test rows and reported. A threshold below 1, as
HOUSING_GATE__THRESHOLDS__ROW_ORDER=0, makes it a veto.
"""

from typing import Any

import numpy as np

from housing.formatting import short_percent
from housing.gate.evidence import Evidence
from housing.gate.measure import Competitors, ModelPredictions, TestRows
from housing.gate.messages import NOT_MEASURED
from housing.gate.policy import GatePolicy, Threshold
from housing.problem import Behaviour
from housing.records import CheckResult
from housing.schema import PROBLEM, WORDING

ROWS = 1000
"""Test rows that are changed, at most."""

MOST = 1e6
"""A relative change of a prediction is not reported beyond it; nor is one to no number."""

INVARIANCES = (
    Behaviour("row-order", "Rows in another order get the same predictions", lambda f: f[::-1]),
    Behaviour(
        "batch", f"Each {WORDING.row} gets the same prediction in any batch", lambda f: f[::3]
    ),
)
"""What holds for every table."""


class BehaviourCheck:
    """A behavioural test; its threshold is the largest share of rows that may break it."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour, self.name = behaviour, behaviour.name
        self.__doc__ = f"{behaviour.meaning}; only reported unless its threshold is below 1."
        self.threshold = Threshold(
            f"largest share of rows that may break: {behaviour.meaning[0].lower()}"
            f"{behaviour.meaning[1:]}",
            default=1.0, minimum=0.0, maximum=1.0,
        )  # fmt: skip

    def measure(
        self, test: TestRows, challenger: ModelPredictions, _others: Competitors
    ) -> dict[str, Any] | None:
        """Rows that break it and the largest change against it, relative; None without a model."""
        if challenger.predict is None or test.features is None:
            return None
        step = -(-len(test.features) // ROWS)
        changed = self.behaviour.change(test.features.iloc[::step].reset_index(drop=True))
        before = challenger.values[::step][changed.index]
        size = np.maximum(np.abs(before), 1e-9 * float(np.abs(before).max()) or 1.0)
        moved = (challenger.predict(changed) - before) / size
        against = {"same": np.abs(moved), "not lower": -moved, "not higher": moved}
        wrong = np.nan_to_num(against[self.behaviour.direction], nan=MOST, posinf=MOST)
        return {
            "rows": len(wrong),
            "broken": int((wrong > self.behaviour.tolerance).sum()),
            "worst": float(np.clip(wrong.max(), 0.0, MOST)),
        }

    def run(self, evidence: Evidence, policy: GatePolicy) -> CheckResult:
        """Failed beyond the threshold; where that is below 1, ValueError without a measurement."""
        found, limit = evidence.measured.get(self.name), policy.thresholds[self.name]
        if found is None:
            if limit < 1:
                raise ValueError("the model did not predict changed rows")
            return CheckResult(self.name, "not applicable", NOT_MEASURED)
        message = f"{self.behaviour.meaning} (all of {found['rows']:,} test {WORDING.rows})."
        if found["broken"]:
            tolerated = f"up to {short_percent(limit, 2)} of them is tolerated"
            message = (
                f"{self.behaviour.meaning}; {found['broken']:,} of {found['rows']:,} test "
                f"{WORDING.rows} break this, by up to {_share(found['worst'])} of the prediction; "
                f"{'this is only reported' if limit == 1 else tolerated}."
            )
        failed = found["broken"] > limit * found["rows"]
        figures = {**found, "limit": limit}
        return CheckResult(self.name, "failed" if failed else "passed", message, figures)

    def needs(self, evidence: Evidence, policy: GatePolicy) -> str:
        """The share of rows and its limit."""
        limit = policy.thresholds[self.name]
        if limit == 1:
            setting = f"HOUSING_GATE__THRESHOLDS__{self.name.replace('-', '_').upper()}"
            return f"It is only reported; {setting} below 1 makes it a veto."
        return f"It fails if more than {short_percent(limit, 2)} of the {WORDING.rows} break it."


def _share(worst: float) -> str:
    """A relative change: a percentage, or a multiple of the prediction."""
    return short_percent(worst) if worst < 10 else f"{worst:.2g} times"


BEHAVIOUR_CHECKS = tuple(map(BehaviourCheck, (*INVARIANCES, *PROBLEM.behaviours)))
"""One a behavioural test, of every table and of the problem."""
