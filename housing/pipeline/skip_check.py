"""Skip check: is there a verdict on these rows and settings already? And what the next run will do.

The rows are identified by their content, never by a version's number. Once a version has been
measured, the check needs SQL alone, so a run without new rows is short.
"""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.gate import decision_rule
from housing.pipeline.evaluate import JudgedEvaluation, from_row, valid_evaluation
from housing.pipeline.train import plan_of, search_key
from housing.records import RunOutcome
from housing.settings import Settings
from housing.store.data import datasets, profiles, split
from housing.store.database.engine import Store
from housing.store.database.tables import approvals as requests
from housing.store.database.tables import evaluations, runs
from housing.store.models import approvals, blocks, promotion_log, registry, searches
from housing.store.models.blocks import Blocks

_DECISIONS = {
    "pending": RunOutcome.AWAITING_APPROVAL,
    "approved": "approved",
    "rejected": "rejected",
    "expired": "not approved in time",
    "superseded": "superseded by another champion",
}
"""Status of a request for approval -> outcome as people read it."""


@dataclass(frozen=True)
class StoredWork:
    """What earlier runs stored for some rows and settings, against one champion."""

    champion: int | None
    searched: bool = False
    challenger: int | None = None
    block_reason: str = ""  # why the challenger may not be promoted
    verdict: Row[Any] | None = None  # the evaluation that stands
    manual_entry: Row[Any] | None = None  # of the log: a person promoted the champion


def existing_verdict(store: Store, version: int, settings: Settings) -> JudgedEvaluation | None:
    """The verdict on this version's rows under these settings, if it stands and was carried out.

    None where a model must still be searched, fitted, judged or promoted (or approval requested),
    or where no run sent the notification: the work of a dead run is completed. A blocked challenger
    needs no work until it is unblocked.
    """
    if store.query(split.unsplit):
        return None
    content = profiles.measured(store, version).content
    with store.read() as connection:
        champion = promotion_log.champion(connection)
        found = stored(connection, content, settings, champion, blocks.current(connection))
        if found.manual_entry is not None and found.challenger != found.champion:
            judged = from_row(registry.evaluation(connection, found.manual_entry.evaluation))
            return replace(judged, outcome="promoted by hand")
        if found.verdict is None or not _was_reported(connection, found.verdict.key):
            return None
        judged = from_row(found.verdict, found.block_reason)
        if found.champion == found.challenger or not judged.promotes:
            return judged
        request = approvals.of_key(connection, found.verdict.key)
        return None if request is None else replace(judged, outcome=_DECISIONS[request.status])


def stored(
    connection: Connection,
    content: str,
    settings: Settings,
    champion: int | None,
    current_blocks: Blocks,
) -> StoredWork:
    """What is stored for these rows, with this champion and these blocks."""
    found = StoredWork(champion, manual_entry=_manual_entry(connection, champion, content))
    search = searches.find(connection, search_key(content, plan_of(settings, content)))
    if search is None or search.finished_at is None:
        return found
    found = replace(found, searched=True)
    model = registry.model_of_search(connection, search.id, settings.search.ensemble_size)
    if model is None:
        return found
    return replace(
        found,
        challenger=model.id,
        block_reason=blocks.block_reason(connection, model.id, current_blocks),
        verdict=valid_evaluation(connection, model.id, champion, content, settings),
    )


def _manual_entry(connection: Connection, champion: int | None, content: str) -> Row[Any] | None:
    """The log entry by which a person promoted the champion on the same rows.

    The gate may prefer any stored model, and promoting one would undo what the person decided.
    """
    line = promotion_log.current(connection)
    if line is None or line.to_model != champion or line.evaluation is None:
        return None
    kind = connection.execute(sa.select(runs.c.kind).where(runs.c.id == line.run)).scalar()
    if kind != "promote":
        return None
    profile = profiles.get(connection, registry.evaluation(connection, line.evaluation).version)
    return line if profile is not None and profile.content == content else None


def _was_reported(connection: Connection, key: str) -> bool:
    """Whether the team was notified: a run completed with this verdict, or a person decided."""
    alike = sa.select(evaluations.c.id).where(evaluations.c.key == key)
    ended = sa.select(runs.c.id).where(runs.c.status == "completed", runs.c.evaluation.in_(alike))
    decided = sa.select(requests.c.id).where(requests.c.reevaluation.in_(alike))
    return any(connection.execute(query.limit(1)).first() for query in (ended, decided))


def what_next(store: Store, settings: Settings) -> str:
    """What the next run will do without new rows."""
    with store.read() as connection:
        champion, current_blocks = promotion_log.champion(connection), blocks.current(connection)
        return next_run(connection, settings, champion, current_blocks)


def next_run(
    connection: Connection,
    settings: Settings,
    champion: int | None,
    current_blocks: Blocks,
) -> str:
    """What the next run will do without new rows, with this champion and these blocks."""
    active = datasets.active(connection)
    entering = datasets.entering(connection)
    if active is None or entering:
        names = ", ".join(f"b{batch}" for batch in entering) or "the first rows"
        return f"The next run adds {names} to the dataset, searches, and judges what it finds."
    profile = profiles.get(connection, active.id)
    if profile is None:
        return (
            f"The next run reads v{active.id}, which no run has read yet, and searches on it unless"
            " a version with the same rows was searched before."
        )
    found = stored(connection, profile.content, settings, champion, current_blocks)
    others = registry.earlier_verdicts(connection, active.id, found.challenger)
    judged_before = registry.judged_on(connection, active.id, others)
    request = None if found.verdict is None else approvals.of_key(connection, found.verdict.key)
    status = None if request is None else request.status
    will = _will(found, active.id, status, settings.gate.approval)
    return f"Without new rows the next run {will}{_rule(found, judged_before)}."


def _rule(found: StoredWork, judged_before: tuple[int, ...]) -> str:
    """The rule by which the next run judges, where it is not the policy's own."""
    decided = found.verdict or found.manual_entry or found.block_reason
    challenger, champion = found.challenger, found.champion
    if decided or champion is None or challenger == champion:
        return ""
    older = challenger is not None and challenger < champion
    why = decision_rule.why_superior(judged_before, challenger if older else None)
    return f"; the rule is `superior`, because {why}" if why else ""


def _will(found: StoredWork, version: int, status: str | None, approval: bool) -> str:
    against = "the baselines" if found.champion is None else f"m{found.champion}"
    if found.manual_entry is not None and found.challenger != found.champion:
        former = found.manual_entry.from_model
        instead = "" if former is None else f" in the place of m{former}"
        return f"does nothing: a person has promoted {against}{instead}"
    if found.challenger is None:
        why = "no finished search with these settings is stored for its rows"
        start = "fits what the search found" if found.searched else "searches again"
        return f"{start} on v{version}{'' if found.searched else f', because {why}'}"
    name = f"m{found.challenger}"
    if found.challenger == found.champion:
        return f"does nothing: {name} is the model of the rows of v{version}"
    if found.block_reason:
        return (
            f"promotes nothing: {name} is the model of the rows of v{version}, and "
            f"{found.block_reason}"
        )
    if found.verdict is None:
        return f"judges the stored {name} against {against}, without a search"
    if found.verdict.outcome == "promote" and status is not None:
        return f"does nothing: {name} was judged against {against} before ({_DECISIONS[status]})"
    if found.verdict.outcome == "promote":
        verb = "requests approval to promote" if approval else "promotes"
        return f"{verb} the stored {name}, which was judged against {against} before"
    return f"does nothing: {name} was judged against {against} before ({found.verdict.outcome})"
