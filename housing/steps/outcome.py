"""How a night's end is put into words: one outcome, one sentence."""

from housing.records import NightResult, RunOutcome
from housing.steps.evaluate import Judged


def nothing_new(run: int, version: int, judged: Judged) -> NightResult:
    """The night found a standing verdict on the same rows and settings."""
    said = "promoted" if judged.promotes else "on hold" if judged.on_hold else judged.outcome
    sentence = (
        f"Nothing new: dataset v{version} and these settings were judged before "
        f"(m{judged.challenger}, {said}). Nothing was trained."
    )
    return NightResult(run, "nothing new", sentence, version, judged.challenger)


def of_verdict(run: int, version: int, judged: Judged, *, dry_run: bool) -> NightResult:
    """The night came to a verdict, and carried it out unless it was a dry run."""
    outcome: RunOutcome = {  # type: ignore[assignment]
        "promote": "promoted",
        "keep": "kept",
        "inconclusive": "inconclusive",
        "awaiting approval": "awaiting approval",
    }[judged.outcome]
    sentence = judged.sentence
    if outcome == "promoted" and judged.on_hold:
        outcome = "held"
        sentence = f"The gate would promote m{judged.challenger}, but {judged.on_hold}. {sentence}"
    if dry_run:
        outcome = "dry run"
    return NightResult(run, outcome, sentence, version, judged.challenger)
