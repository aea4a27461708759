"""Phrases of the report: headlines, next steps, check marks. Figures are in `formatting`."""

from housing.formatting import error_text, percent
from housing.gate.evidence import SeedVariance
from housing.records import BatchSummary, CheckResult, RunOutcome
from housing.report.data import RunReport

MARKS = {
    "passed": "✓",
    "failed": "✗",
    "inconclusive": "?",
    "error": "!",
    "not applicable": "\N{EN DASH}",
}


def next_step(report: RunReport) -> str:
    """The next step for a person, if there is one."""
    serving = report.champion or "No model"
    match report.outcome:
        case RunOutcome.PROMOTED:
            undo = ' To undo it: housing rollback --reason "..."' if report.champion else ""
            return (
                f"Nothing to do: {report.challenger or 'the challenger'} is now the champion.{undo}"
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
                    f"A check could not run; the next run judges again. {serving} stays in service."
                )
            return (
                f"Nothing to do: {serving} stays in service. The next run with new rows decides "
                "again."
            )
        case RunOutcome.BLOCKED:
            return f"{serving} stays in service until the block named above is lifted."
        case RunOutcome.DRY_RUN:
            return f"Nothing to do. {serving} stays in service."
        case _:
            return f"Nothing to do: {serving} stays in service."


def seed_variance(found: SeedVariance | None, metric: str) -> str:
    """Variance from the training seed, which the interval does not include."""
    if found is None:
        return "not measured, since it is one model and not a mean of several"
    alone = " to ".join(error_text(v, metric) for v in (min(found.errors), max(found.errors)))
    return (
        f"other seeds of its {len(found.errors)} members would change its error by about "
        f"{percent(found.spread, 2)} (each alone: {alone})"
    )


def by_urgency(checks: tuple[CheckResult, ...]) -> tuple[CheckResult, ...]:
    """Checks in the order failed, error, inconclusive, passed, not applicable."""
    order = ("failed", "error", "inconclusive", "passed", "not applicable")
    return tuple(sorted(checks, key=lambda check: order.index(check.outcome)))


def totals(batches: tuple[BatchSummary, ...]) -> tuple[int, int, int]:
    """Rows read, accepted and rejected."""
    accepted = sum(b.accepted for b in batches if b.status == "accepted")
    return sum(b.read for b in batches), accepted, sum(b.rejected for b in batches)
