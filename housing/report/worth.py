"""What a model is worth in money, by the assumptions that HOUSING_VALUE__... names."""

from housing.formatting import amount, percent
from housing.gate.evidence import ESTIMATES, Evidence
from housing.records import Metrics
from housing.schema import UNIT, WORDING

PREDICTIONS = 1000
"""The value is that of as many predictions."""


def worth(evidence: Evidence, cost: float | None, revenue: float | None) -> tuple[str, ...]:
    """Paragraphs, Markdown: the value beside that of the estimates in use or the best baseline.

    `cost` is per unit of absolute error, `revenue` of a prediction within 10 % of the value, in the
    target's unit. Empty without both, and for a model that was not measured.
    """
    measured = evidence.challenger.metrics
    if (cost is None and revenue is None) or measured is None or not evidence.baselines:
        return ()
    names = sorted(evidence.baselines, key=lambda n: evidence.baselines[n].metrics.mae)
    name = ESTIMATES if ESTIMATES in names else names[0]
    other = evidence.baselines[name]
    ours = other.challenger or measured

    def value(m: Metrics) -> float:
        return PREDICTIONS * ((revenue or 0.0) * m.within_10 - (cost or 0.0) * m.mae)

    assumed = []
    if cost is not None:
        per = f"{cost:g} {UNIT} per unit".replace("  ", " ")
        assumed.append(
            f"an error, too high or too low, costs {per} (`HOUSING_VALUE__COST_PER_ERROR`)"
        )
    if revenue is not None:
        assumed.append(
            f"a prediction within 10 % of the {WORDING.value} earns {amount(revenue)} "
            "(`HOUSING_VALUE__REVENUE`)"
        )
    gain = value(ours) - value(other.metrics)
    return (
        f"**What it is worth.** Assumed: {' and '.join(assumed)}. Then {PREDICTIONS:,} predictions "
        f"are worth {amount(value(ours))} with this model and {amount(value(other.metrics))} with "
        f"the {name}{' baseline' if name != ESTIMATES else ''}: {amount(abs(gain))} "
        f"{'more' if gain >= 0 else 'less'}. The mean absolute error is {amount(ours.mae)} against "
        f"{amount(other.metrics.mae)}, and {percent(ours.within_10)} are within 10 % against "
        f"{percent(other.metrics.within_10)}, on {ours.rows:,} test {WORDING.rows}.",
    )
