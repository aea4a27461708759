"""The RunResult of a run: outcome and message."""

from housing.pipeline.evaluate import JudgedEvaluation
from housing.records import RunOutcome, RunResult

_OUTCOMES = {
    "promote": RunOutcome.PROMOTED,
    "keep": RunOutcome.KEPT,
    "inconclusive": RunOutcome.INCONCLUSIVE,
    RunOutcome.AWAITING_APPROVAL: RunOutcome.AWAITING_APPROVAL,
}
"""Outcome of a verdict, or of a request for approval -> outcome of its run."""


def nothing_new(run: int, version: int, judged: JudgedEvaluation) -> RunResult:
    """The result where a verdict on the same rows and settings exists."""
    verdict = (
        "promoted" if judged.promotes else "blocked" if judged.block_reason else judged.outcome
    )
    against = "" if judged.champion is None else f" against m{judged.champion}"
    message = (
        f"Nothing new: the rows of v{version} were judged before with these settings "
        f"(m{judged.challenger}{against}, {verdict}). Nothing was trained. They are judged again "
        "when rows, settings, the champion or a block change."
    )
    return RunResult(run, RunOutcome.NOTHING_NEW, message, version, judged.challenger)


def of_verdict(run: int, version: int, judged: JudgedEvaluation, *, dry_run: bool) -> RunResult:
    """The result of a verdict that was carried out, or of a dry run."""
    outcome, message = _OUTCOMES[judged.outcome], judged.message
    if outcome is RunOutcome.PROMOTED and judged.block_reason:
        outcome = RunOutcome.BLOCKED
        message = (
            f"The gate would promote m{judged.challenger}, but {judged.block_reason}. {message}"
        )
    if dry_run:
        outcome = RunOutcome.DRY_RUN
    return RunResult(run, outcome, message, version, judged.challenger)
