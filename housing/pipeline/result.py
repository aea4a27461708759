"""How a night's end is put into words: one outcome, one sentence."""

from housing.pipeline.evaluate import JudgedEvaluation
from housing.records import RunOutcome, RunResult

_OUTCOMES = {
    "promote": RunOutcome.PROMOTED,
    "keep": RunOutcome.KEPT,
    "inconclusive": RunOutcome.INCONCLUSIVE,
    RunOutcome.AWAITING_APPROVAL: RunOutcome.AWAITING_APPROVAL,
}
"""What a verdict, or one that waits for a person, makes of the run."""


def nothing_new(run: int, version: int, judged: JudgedEvaluation) -> RunResult:
    """The night found a standing verdict on the same rows and settings."""
    said = "promoted" if judged.promotes else "blocked" if judged.block_reason else judged.outcome
    against = "" if judged.champion is None else f" against m{judged.champion}"
    message = (
        f"Nothing new: the rows of v{version} were judged before with these settings "
        f"(m{judged.challenger}{against}, {said}). Nothing was trained. They are judged again when "
        "rows, settings, the champion or what is blocked change."
    )
    return RunResult(run, RunOutcome.NOTHING_NEW, message, version, judged.challenger)


def of_verdict(run: int, version: int, judged: JudgedEvaluation, *, dry_run: bool) -> RunResult:
    """The night came to a verdict, and carried it out unless it was a dry run."""
    outcome = _OUTCOMES[judged.outcome]
    message = judged.message
    if outcome is RunOutcome.PROMOTED and judged.block_reason:
        outcome = RunOutcome.BLOCKED
        message = (
            f"The gate would promote m{judged.challenger}, but {judged.block_reason}. {message}"
        )
    if dry_run:
        outcome = RunOutcome.DRY_RUN
    return RunResult(run, outcome, message, version, judged.challenger)
