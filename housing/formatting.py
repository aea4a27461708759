"""Text form of figures: amounts, numbers, shares, changes, intervals, durations."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from housing.metric import RMSE, metric_named
from housing.problem import MINUS
from housing.records import Comparison, Interval
from housing.schema import LOCATION, PROBLEM

INTERVAL = "interval with spatial correlation" if LOCATION else "interval"
"""The interval of an error, by its name wherever one is shown."""


def count(number: int) -> str:
    """A whole number with thousands separators."""
    return f"{number:,}"


def value_text(value: float) -> str:
    """A value of the target without its unit, with the problem's decimals.

    Where the problem has none: whole from 1,000, else four significant digits.
    """
    decimals = PROBLEM.amount.decimals
    if decimals is None:
        return number(value)
    digits = f"{abs(value):,.{decimals}f}"
    return MINUS + digits if value < 0 and digits.strip("0.") else digits


def number(value: float) -> str:
    """A number of any column: whole from 1,000, else four significant digits."""
    size = abs(value)
    digits = f"{size:,.0f}" if size >= 1000 else f"{size:,.4g}"
    return MINUS + digits if value < 0 else digits


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign and a fixed number of decimals: "+0.12"; zero has no sign."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text[1:]


def amount(value: float) -> str:
    """A value of the target with its symbol before it, or else its unit after it."""
    unit, symbol = PROBLEM.amount.unit, PROBLEM.amount.symbol
    if symbol:
        text = value_text(value)
        return MINUS * text.startswith(MINUS) + symbol + text.removeprefix(MINUS)
    return f"{value_text(value)} {unit}".rstrip()


_EDGE = r"-?\d[\d.]*(?:e[+-]\d+)?"
_BINS = (("<=", "at most "), (">", "above "), (rf"({_EDGE})-", r"\1 to "))


def group_in_words(name: str) -> str:
    """The stored name of a group of rows in words: of "age <=10", "age at most 10"."""
    for mark, words in _BINS:
        name = re.sub(rf"(?<!\S){mark}(?={_EDGE}(?:,|$))", words, name)
    return name


def with_unit(label: str) -> str:
    """The label of a column or axis with the target's unit in brackets, if it has one."""
    return f"{label} ({PROBLEM.amount.unit})" if PROBLEM.amount.unit else label


def error_amount(value: float, metric: str = RMSE) -> str:
    """An error by a metric: an amount, or a number where the metric has no unit."""
    return amount(value) if metric_named(metric).has_unit else number(value)


def error_text(value: float, metric: str = RMSE) -> str:
    """The same without its unit."""
    return value_text(value) if metric_named(metric).has_unit else number(value)


def error_label(what: str, metric: str) -> str:
    """The label of a column or axis of errors: what they are, the metric, and its unit."""
    found = metric_named(metric)
    label = f"{what} {found.label}".lstrip()
    return with_unit(label) if found.has_unit else label


_SCALES = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def axis_labels(values: Sequence[float]) -> list[str]:
    """Distinct labels of the ticks of an axis, all on one scale (k, M, bn; else an exponent)."""
    top = max(map(abs, values), default=0.0)
    scale, suffix = next(((s, name) for s, name in _SCALES if top >= 10 * s), (1.0, ""))
    decimals = _decimals([value / scale for value in values])
    if decimals > 6 or top >= 1e14:
        return _exponents(values)
    return [_signed(f"{v / scale:,.{decimals}f}", suffix) for v in values]


def _decimals(values: Sequence[float]) -> int:
    """Decimals by which ticks differ; one more where their step is 2.5."""
    step = min((abs(b - a) for a, b in pairwise(values) if a != b), default=0.0)
    step = step or max(map(abs, values), default=0.0) or 1.0
    decimals: int = max(0, math.ceil(-math.log10(step) - 1e-9))
    return decimals + int(round(step * 10**decimals, 6) != round(step * 10**decimals))


def _exponents(values: Sequence[float]) -> list[str]:
    """The same with as few digits before the exponent as make them distinct."""
    for digits in range(16):
        labels = [_signed(f"{value:.{digits}e}".replace("e+", "e")) for value in values]
        exact = all(abs(float(f"{v:.{digits}e}") - v) <= 1e-6 * abs(v) for v in values)
        if exact and len(set(labels)) == len(labels):
            break
    return labels


def _signed(digits: str, suffix: str = "") -> str:
    """With a minus sign; zero without a sign and a suffix."""
    is_zero = not any(character in "123456789" for character in digits.partition("e")[0])
    return "0" if is_zero else digits.replace("-", MINUS) + suffix


def parameter_name(name: str) -> str:
    """A parameter of a pipeline as people read it: "max leaf nodes"."""
    words = [word for word in name.split("__") if word not in ("model", "preprocess", "regressor")]
    return " ".join(words or name.split("__")).replace("_", " ")


def parameter(value: Any) -> Any:
    """A parameter of a model: a fraction with three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else value


def change_labels(values: Sequence[float]) -> list[str]:
    """Distinct labels of ticks that are relative changes."""
    digits = _decimals([100 * value for value in values])
    return [change(value, digits) for value in values]


def share_labels(values: Sequence[float]) -> list[str]:
    """Distinct labels of ticks that are shares."""
    digits = _decimals([100 * value for value in values])
    return [percent(value, digits) for value in values]


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage with a fixed number of decimals: 0.01 is "1.0 %"."""
    return f"{100 * share:.{digits}f} %"


def short_percent(share: float, digits: int = 1) -> str:
    """A share as a percentage without trailing zeros; a tiny one gets three decimals."""
    if 0 < share < 0.0005:
        digits = 3
    return f"{100 * share:.{digits}f}".rstrip("0").removesuffix(".") + " %"


def two_digits(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{float(f'{value:.2g}'):,.15g}"


def round_up_2_digits(rows: int) -> str:
    """Two significant digits, rounded up, for rough estimates of row counts."""
    step = 10 ** max(len(str(rows)) - 2, 0)
    return f"{math.ceil(rows / step) * step:,}"


def rounded_up(bound: float) -> float:
    """A bound rounded up to a tenth of a percent, so that it never looks better than it is."""
    return math.ceil(round(1000 * bound, 6)) / 1000


def change(value: float, digits: int = 1) -> str:
    """A relative change with its sign; "0 %" if it rounds to zero."""
    rounded = round(100 * value, digits)
    return f"{signed(rounded, digits)} %" if rounded else "0 %"


def change_in_words(effect: float) -> str:
    """A relative change as "1.2 % higher", "3 % lower" or "exactly the same"."""
    if effect == 0:
        return "exactly the same"
    return f"{short_percent(abs(effect))} {'higher' if effect > 0 else 'lower'}"


def bound(value: float) -> str:
    """An upper bound of a relative change, rounded up."""
    return change(rounded_up(value))


def bound_in_words(upper: float) -> str:
    """An upper bound of a change as "at most 1 % worse" or "at least 2 % better"."""
    if upper > 0:
        return f"at most {short_percent(upper)} worse"
    return f"at least {short_percent(-upper)} better" if upper < 0 else "not worse"


def interval(comparison: Comparison) -> str:
    """The two-sided interval of a relative change."""
    found = comparison.interval
    limits = " to ".join(signed(100 * limit, 1) for limit in (found.lower, found.upper))
    return f"{short_percent(found.confidence, 2)} interval {limits} %"


def changed(comparison: Comparison) -> str:
    """A relative change with its interval."""
    low, high = comparison.interval.lower, comparison.interval.upper
    confidence = percent(comparison.interval.confidence, 0)
    return f"{change(comparison.effect)} ({confidence} interval {change(low)} to {change(high)})"


def limits(interval: Interval | None, metric: str = RMSE) -> str:
    """The limits of an interval of an error by a metric, with its confidence."""
    if interval is None:
        return "not measured"
    confidence = percent(interval.confidence, 0)
    lower, upper = (error_text(limit, metric) for limit in (interval.lower, interval.upper))
    return f"{lower} to {upper} ({confidence})"


def agreement(worst: float) -> str:
    """How far two sets of predictions agree, from their largest relative difference."""
    if worst == 0:
        return "exactly the same"
    digits = math.floor(-math.log10(worst)) if worst < 1 else 0
    same = f"the same to {digits} digits"
    return same if digits >= 3 else f"up to {short_percent(worst)} apart"


def duration(seconds: float) -> str:
    """A duration in its one or two largest units."""
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def unbroken(text: str) -> str:
    """Text with a no-break space before each percent sign, and no break after a minus sign."""
    text = text.replace(" %", "\N{NO-BREAK SPACE}%")
    symbol = PROBLEM.amount.symbol
    return text.replace(MINUS + symbol, f"{MINUS}\N{WORD JOINER}{symbol}") if symbol else text


def writable(text: str) -> str:
    """Text that UTF-8 can encode: lone surrogates (undecodable file names) become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
