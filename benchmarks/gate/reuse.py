"""How often a challenger passes on later nights, when the same test rows chose the champion.

Pure arithmetic on errors that are drawn: nothing is trained. On each of SETS test sets of ROWS rows
there are 40 comparisons with challengers exactly as good as the champion; one that passes the rule
becomes champion. At the comparisons of NIGHTS, challengers that are truly worse or better are
judged too, without becoming champion. Beside each rate stands what `housing.gate.power` predicts
from the standard error and the number of comparisons. The champion's error is taken relative to
what all such models would have on the same test set, so that hard rows cancel out.

    python -m benchmarks gate-reuse
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.gate.cases import RULES
from housing.gate.policy import GatePolicy
from housing.gate.power import chance, largest_passing_change, selection_bias
from housing.records import Comparison, Interval

SETS, ROWS = 1_000, 4_128
NIGHTS = (1, 10, 40)
CHANGES = (-0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01)
AGREE = 0.9  # correlation of two models' errors: two fits of one recipe


@dataclass(frozen=True, eq=False)
class Seen:
    """One comparison of equal models, and which planted changes would have passed."""

    night: int
    rule: str
    found: Comparison
    shown: float  # the champion's error on the rows against that of all such models, less 1
    passed: tuple[bool, ...]  # of CHANGES


def compared(theirs: np.ndarray, ours: np.ndarray) -> Comparison:
    """The paired comparison of squared errors (n,), rows independent."""
    n, ratio = len(ours), float(np.sqrt(ours.mean() / theirs.mean()))
    influence = 0.5 * ratio * (ours / ours.mean() - theirs / theirs.mean())
    se = float(np.sqrt(influence @ influence / (n * (n - 1))))
    interval = Interval(ratio - 1, ratio - 1 - 1.96 * se, ratio - 1 + 1.96 * se)
    return Comparison(n, n, ratio - 1, se, se, interval, ratio - 1 + 1.645 * se)


def test_set(rng: np.random.Generator) -> Iterator[Seen]:
    """All comparisons on one test set that are looked at."""
    common = AGREE**0.5 * rng.standard_normal(ROWS)
    typical = float(np.square(common).mean()) + 1 - AGREE

    def model() -> np.ndarray:
        return np.square(common + (1 - AGREE) ** 0.5 * rng.standard_normal(ROWS))

    champions = dict.fromkeys(RULES, model())
    for night in range(1, max(NIGHTS) + 1):
        challenger = model()
        for rule in RULES:
            policy, champion = GatePolicy(rule=rule), champions[rule]
            found = compared(champion, challenger)
            if night in NIGHTS:
                planted = [compared(champion, challenger * (1 + x) ** 2) for x in CHANGES]
                shown = float(np.sqrt(champion.mean() / typical)) - 1
                passed = tuple(
                    each.effect <= largest_passing_change(each, policy) for each in planted
                )
                yield Seen(night, rule, found, shown, passed)
            if found.effect <= largest_passing_change(found, policy):
                champions[rule] = challenger


def row(seen: list[Seen]) -> dict[str, Any]:
    """Measured and predicted figures of one rule and night."""
    first = seen[0]
    policy, earlier = GatePolicy(rule=first.rule), first.night - 1
    rates = np.mean([each.passed for each in seen], axis=0)
    predicted = np.mean(
        [[chance(each.found, policy, x, earlier=earlier) for x in CHANGES] for each in seen[::10]],
        axis=0,
    )
    return {
        "se": float(np.mean([each.found.se for each in seen])),
        "shown": float(np.mean([each.shown for each in seen])),
        "bias": float(np.mean([selection_bias(e.found, policy, earlier) for e in seen[::10]])),
        "changes": {
            f"{x:g}": {"rate": float(rate), "predicted": float(expected)}
            for x, rate, expected in zip(CHANGES, rates, predicted, strict=True)
        },
    }


def main() -> None:
    """Measure and keep the figures."""
    rng = np.random.default_rng(7)
    seen = [each for _ in range(SETS) for each in test_set(rng)]
    nights = {
        rule: {
            str(night): row([e for e in seen if (e.rule, e.night) == (rule, night)])
            for night in NIGHTS
        }
        for rule in RULES
    }
    results.save("gate-reuse", {"sets": SETS, "rows": ROWS, "nights": nights})
