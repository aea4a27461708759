"""How the gate's sentences put figures: shares, bounds, intervals, numbers of rows."""

import math

from housing.records import Comparison, Metrics
from housing.schema import CATALOGUE, TARGET

UNIT = CATALOGUE[TARGET].unit


def rounded_up(bound: float) -> float:
    """A bound to a tenth of a percent, never to the flattering side."""
    return math.ceil(round(1000 * bound, 6)) / 1000


def percent(share: float, digits: int = 1) -> str:
    """A share in words: no digit where it is whole, more where it would read as nothing."""
    if 0 < share < 0.0005:
        digits = 3
    return f"{100 * share:.{digits}f}".rstrip("0").removesuffix(".") + " %"


def two_digits(value: float) -> str:
    """A figure to two digits, without an exponent where it is large."""
    return f"{float(f'{value:.2g}'):,.15g}"


def format_change(effect: float) -> str:
    """A change of the error with its direction."""
    if effect == 0:
        return "exactly the same"
    return f"{percent(abs(effect))} {'higher' if effect > 0 else 'lower'}"


def format_error_vs(ours: Metrics, comparison: Comparison) -> str:
    """The first half of a sentence that ends with the other model's error."""
    start = f"The challenger's error is {ours.rmse.value:,.0f} {UNIT}"
    if comparison.effect == 0:
        return f"{start}, exactly"
    direction = "above" if comparison.effect > 0 else "below"
    return f"{start}, {percent(abs(comparison.effect))} {direction}"


def interval(comparison: Comparison) -> str:
    """The two-sided interval of a change."""
    found = comparison.interval
    limits = " to ".join(f"{100 * limit:+.1f}" for limit in (found.lower, found.upper))
    return f"{percent(found.confidence, 2)} interval {limits} %"


def bound(upper: float) -> str:
    """What an upper bound of a change says."""
    if upper > 0:
        return f"at most {percent(upper)} worse"
    return f"at least {percent(-upper)} better" if upper < 0 else "not worse"


def rows_to_decide(rows: int | None) -> str:
    """How many test rows would settle it."""
    if rows is None:
        return "no number of test rows would settle it"
    return f"about {round_up_2_digits(rows)} test rows would settle it"


def rows_to_pass(rows: int | None) -> str:
    """How many test rows the same figures would take to pass."""
    if rows is None:
        return "no number of test rows is enough"
    return f"about {round_up_2_digits(max(rows, 2))} test rows are enough"


def round_up_2_digits(rows: int) -> str:
    """Two digits, rounded up: the estimate is rough, and should look so."""
    step = 10 ** max(len(str(rows)) - 2, 0)
    return f"{math.ceil(rows / step) * step:,}"


def figures(comparison: Comparison) -> dict[str, float | None]:
    """A comparison for machines."""
    return {
        "effect": comparison.effect,
        "upper": comparison.upper,
        "lower_two_sided": comparison.interval.lower,
        "upper_two_sided": comparison.interval.upper,
        "se": comparison.se,
        "se_independent": comparison.se_independent,
        "rows": comparison.rows,
        "clusters": comparison.clusters,
        "df": comparison.degrees,
        "reach_degrees": comparison.reach,
    }
