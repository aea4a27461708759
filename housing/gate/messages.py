"""Phrases of the checks' messages, and the figures of a comparison as JSON."""

from housing.formatting import error_amount, round_up_2_digits, short_percent
from housing.metric import metric_named
from housing.records import Comparison, Metrics

NO_CHAMPION = "There is no champion."
NOT_MEASURED = "It was not measured in that run."


def error_against(ours: Metrics, comparison: Comparison) -> str:
    """Start of a sentence that ends with the other model's error."""
    value = error_amount(ours.error.value, ours.metric)
    start = f"The challenger's {metric_named(ours.metric).label} is {value}"
    if comparison.effect == 0:
        return f"{start}, exactly"
    direction = "above" if comparison.effect > 0 else "below"
    return f"{start}, {short_percent(abs(comparison.effect))} {direction}"


def rows_to_decide(rows: int | None) -> str:
    """How many test rows would be enough to decide."""
    if rows is None:
        return "no number of test rows would decide it"
    return f"about {round_up_2_digits(rows)} test rows would decide it"


def rows_to_pass(rows: int | None) -> str:
    """How many test rows with the same figures are enough to pass."""
    if rows is None:
        return "no number of test rows is enough"
    return f"about {round_up_2_digits(max(rows, 2))} test rows are enough"


def figures(comparison: Comparison) -> dict[str, float | str | None]:
    """A comparison as JSON."""
    return {
        "metric": comparison.metric,
        "effect": comparison.effect,
        "upper": comparison.upper,
        "lower_two_sided": comparison.interval.lower,
        "upper_two_sided": comparison.interval.upper,
        "se": comparison.se,
        "se_independent": comparison.se_independent,
        "rows": comparison.rows,
        "clusters": comparison.clusters,
        "df": comparison.degrees,
        "bandwidth": comparison.bandwidth,
    }
