"""How figures and outcomes read, the same in the page, the Markdown text and the plots.

What is said about a check is said by the gate; layout belongs to `night` and `markdown`.
"""

from housing.gate.evidence import SeedVariance
from housing.gate.words import rounded_up
from housing.records import BatchSummary, CheckResult, Comparison, Interval, RunOutcome
from housing.report.data import RunReport

MINUS = "\N{MINUS SIGN}"

MARKS = {
    "passed": "✓",
    "failed": "✗",
    "inconclusive": "?",
    "error": "!",
    "not applicable": "\N{EN DASH}",
}


def next_step(report: RunReport) -> str:
    """What a person has to do about this night, if anything."""
    serving = report.champion or "No model"
    match report.outcome:
        case RunOutcome.PROMOTED:
            return (
                f"Nothing to do: {report.challenger or 'the challenger'} is now the champion. "
                'To take it back: housing rollback --reason "..."'
            )
        case RunOutcome.AWAITING_APPROVAL:
            return (
                f"Decide: housing approve r{report.run}, or housing reject r{report.run}. "
                f"Until then {serving} stays in service."
            )
        case RunOutcome.INCONCLUSIVE:
            errors = report.verdict and any(c.outcome == "error" for c in report.verdict.checks)
            if errors:
                return (
                    f"Look at the check that could not run: the next run judges again. {serving} "
                    "stays in service."
                )
            return (
                f"Nothing to do: {serving} stays in service. The next run with new rows decides "
                "again."
            )
        case RunOutcome.BLOCKED:
            return f"{serving} stays in service until the block that the message names ends."
        case RunOutcome.DRY_RUN:
            return f"Nothing to do. {serving} stays in service."
        case _:
            return f"Nothing to do: {serving} stays in service."


def count(number: int) -> str:
    """A whole number with separators."""
    return f"{number:,}"


def dollars(value: float) -> str:
    """US dollars, whole."""
    return f"{value:,.0f}"


def limits(interval: Interval) -> str:
    """The limits of an interval in US dollars, and its confidence."""
    confidence = share(interval.confidence, 0)
    return f"{dollars(interval.lower)} to {dollars(interval.upper)} ({confidence})"


def optional(interval: Interval | None) -> str:
    """The limits of an interval that old evidence may not have."""
    return "not measured" if interval is None else limits(interval)


def seed_variance(found: SeedVariance | None) -> str:
    """The luck of training beside an interval that does not hold it."""
    if found is None:
        return "not measured: a single model"
    alone = " to ".join(dollars(v) for v in (min(found.rmse), max(found.rmse)))
    return (
        f"another {len(found.rmse)} members of its bag would move its error by about "
        f"{share(found.spread, 2)} (each alone: {alone})"
    )


def by_urgency(checks: tuple[CheckResult, ...]) -> tuple[CheckResult, ...]:
    """What a person must see first: what did not pass, then what passed, then the rest."""
    order = ("failed", "error", "inconclusive", "passed", "not applicable")
    return tuple(sorted(checks, key=lambda check: order.index(check.outcome)))


def share(value: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return f"{100 * value:.{digits}f} %"


def change(value: float, digits: int = 1) -> str:
    """A relative change with its sign; one that rounds to nothing has none."""
    rounded = round(100 * value, digits)
    return f"{rounded:+.{digits}f} %".replace("-", MINUS) if rounded else "0 %"


def bound(value: float) -> str:
    """An upper bound of a relative change, as the gate's sentences round it."""
    return change(rounded_up(value))


def changed(comparison: Comparison) -> str:
    """The effect of a comparison and its interval."""
    low, high = comparison.interval.lower, comparison.interval.upper
    confidence = share(comparison.interval.confidence, 0)
    return f"{change(comparison.effect)} ({confidence} interval {change(low)} to {change(high)})"


def duration(seconds: float) -> str:
    """A duration in the one or two units that matter."""
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
    """A sentence in which no line break parts a figure from its percent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def writable(text: str) -> str:
    """Text that UTF-8 can hold: a file name that is not text on its disk shows its bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def totals(batches: tuple[BatchSummary, ...]) -> tuple[int, int, int]:
    """Rows read, accepted into the dataset, and turned away."""
    accepted = sum(b.accepted for b in batches if b.status == "accepted")
    return sum(b.read for b in batches), accepted, sum(b.rejected for b in batches)
