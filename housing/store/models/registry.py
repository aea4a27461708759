"""Models, their evaluations, and changes of the champion.

The promotion log is append-only and numbered without gaps. Writers queue (`engine.Store.write`), so
the first wins, and the primary key refuses the second. A blob is durable before any row that refers
to it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import (
    ChampionChanged,
    ModelBlocked,
    NoRollbackTarget,
    NotPossible,
    Pruned,
)
from housing.store.data import profiles
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.tables import (
    blobs,
    evaluations,
    models,
    promotion_log,
    row_of,
    runs,
    utc_now,
)
from housing.store.models import blocks
from housing.store.models.promotion_log import Authorship, append, head, replaced_champions
from housing.store.objects.blobs import Blob
from housing.store.objects.recording import record_blob


@dataclass(frozen=True)
class Change:
    """One entry for the promotion log: the new champion, and why."""

    operation: str  # promote or rollback
    to_model: int
    expected: int | None  # the champion that the decision was made against; None for none
    actor: str
    reason: str
    evaluation: int | None = None
    run: int | None = None
    block_models: tuple[int, ...] = ()  # blocked by the same decision
    block_batches: tuple[int, ...] = ()
    overridden: tuple[str, ...] = ()  # checks of the gate against which a person promotes


def model(connection: Connection, id_: int) -> Row[Any]:
    """One model; UnknownId where there is none."""
    return row_of(connection, "m", id_)


def previous_champion(connection: Connection) -> int:
    """Default target of a rollback: the last champion before the current one that is not blocked.

    NoRollbackTarget if none came before, or all that did are blocked.
    """
    replaced, blocked = replaced_champions(connection), blocks.current(connection).models
    for model in replaced:
        if model not in blocked:
            return model
    reasons = ", ".join(f"m{model} ({blocked[model].reason})" for model in dict.fromkeys(replaced))
    why = f"all champions before the current one are blocked: {reasons}"
    raise NoRollbackTarget(why=f"{why}. `housing unblock ID` makes one of them a target again")


def newest_besides(connection: Connection, others: Collection[int]) -> int | None:
    """The newest model that is none of some others, or None."""
    newest = sa.select(sa.func.max(models.c.id)).where(models.c.id.not_in(others))
    found: int | None = connection.scalar(newest)
    return found


def register(store: Store, facts: Mapping[str, Any], artifact: Blob, golden: Blob) -> int:
    """Register a fitted model, whose blobs must be durable. Returns its id."""
    with store.write() as connection:
        new = models.insert().values(
            **facts,
            artifact=record_blob(connection, artifact, "model"),
            golden=record_blob(connection, golden, "golden"),
            created_at=utc_now(),
        )
        return int(connection.execute(new.returning(models.c.id)).scalar_one())


def model_of_search(connection: Connection, search: int, ensemble_size: int) -> Row[Any] | None:
    """The challenger of `ensemble_size` seeds from a search, or None while it is not fitted."""
    query = sa.select(models).where(
        models.c.search == search, models.c.ensemble_size == ensemble_size
    )
    return connection.execute(query).one_or_none()


def pruned_at(connection: Connection, row: Row[Any]) -> datetime | None:
    """When bytes of a model were pruned, or None if all exist."""
    query = sa.select(sa.func.max(blobs.c.pruned_at)).where(
        blobs.c.digest.in_((row.artifact, row.golden))
    )
    found: datetime | None = connection.execute(query).scalar()
    return found


def must_have_bytes(connection: Connection, row: Row[Any]) -> None:
    """Raise Pruned if bytes of the model were pruned."""
    when = pruned_at(connection, row)
    if when is not None:
        raise Pruned(what=f"m{row.id}", day=f"{when:%Y-%m-%d}")


def restore_artifact(store: Store, row: Row[Any], artifact: Blob, golden: Blob) -> int:
    """Restore the bytes of a pruned model, once durable; returns its id.

    Pruned if the bytes differ, e.g. because libraries have changed since.
    """
    with store.write() as connection:
        if (artifact.digest, golden.digest) != (row.artifact, row.golden):
            must_have_bytes(connection, row)
        record_blob(connection, artifact, "model")
        record_blob(connection, golden, "golden")
    return int(row.id)


def change_champion(
    store: Store, change: Change, within: Callable[[Connection, int], object] | None = None
) -> int:
    """Write the next entry of the promotion log; ChampionChanged if another writer was first.

    Returns the entry's number; blocks of the same decision are the entries after it, in the same
    transaction, in which `within` gets the number and writes what else belongs to it. UnknownId for
    an unregistered model, NotPossible if it is champion already, ModelBlocked if its lineage is
    blocked, Pruned if its bytes were pruned.
    """
    with store.write() as connection:
        seq = change_champion_in(connection, change)
        if within is not None:
            within(connection, seq)
    ownership.renew(store)
    return seq


def change_champion_in(connection: Connection, change: Change) -> int:
    """`change_champion` in a write transaction."""
    newest = head(connection)
    found = None if newest is None else newest.to_model
    if found != change.expected:
        next_step = (
            "Nothing was rolled back. `housing history` shows who changed it; roll back again if "
            "that is still wanted."
            if change.operation == "rollback"
            else "Nothing was promoted. Run again: the comparison is repeated against the new "
            "champion."
        )
        raise ChampionChanged(
            expected=_named(change.expected), found=_named(found), next_step=next_step
        )
    if change.to_model == found:
        raise NotPossible(what=f"Making {_named(found)} champion", why="it is the champion.")
    _must_be_eligible(connection, change)
    why = Authorship(change.actor, change.reason, change.run)
    facts = {"evaluation": change.evaluation, "overridden": list(change.overridden) or None}
    seq = append(connection, newest, change.operation, change.to_model, why, **facts)
    current = blocks.current(connection)
    for letter, ids in (("m", change.block_models), ("b", change.block_batches)):
        for id_ in ids:
            if current.block_of(letter, id_) is None:
                blocks.append(connection, "block", letter, id_, why)
    return seq


def check_eligible(store: Store, change: Change) -> None:
    """Raise what `change_champion` would raise for any champion, before work is done for it."""
    store.query(_must_be_eligible, change)


def _must_be_eligible(connection: Connection, change: Change) -> None:
    row = model(connection, change.to_model)
    if change.operation == "promote":
        why = blocks.block_reason(connection, row.id)
    else:  # a rollback is a person's decision, whatever the model was trained on
        block = blocks.current(connection).models.get(row.id)
        unblock = f"`housing unblock m{row.id}` unblocks it"
        why = "" if block is None else f"it is blocked ({block.reason}); {unblock}"
    if why:
        raise ModelBlocked(model=f"m{row.id}", why=why)
    must_have_bytes(connection, row)


def _named(model_id: int | None) -> str:
    return "no champion" if model_id is None else f"m{model_id}"


def evaluation(connection: Connection, id_: int) -> Row[Any]:
    """One evaluation; UnknownId where there is none."""
    return row_of(connection, "e", id_)


def record_evaluation(store: Store, facts: Mapping[str, Any], predictions: Blob) -> Row[Any]:
    """Record a verdict with its predictions, which must be durable. Returns its row."""
    with store.write() as connection:
        values = {
            **facts,
            "predictions": record_blob(connection, predictions, "predictions"),
            "created_at": utc_now(),
        }
        return connection.execute(evaluations.insert().values(values).returning(evaluations)).one()


def evaluation_of_run(connection: Connection, run: int) -> Row[Any] | None:
    """The evaluation of a run, or None."""
    query = sa.select(evaluations).where(evaluations.c.run == run).order_by(evaluations.c.id)
    return connection.execute(query.limit(1)).one_or_none()


def deciding() -> sa.ColumnElement[bool]:
    """SQL condition: the evaluation could change the champion; `housing judge` cannot."""
    shown = sa.select(runs.c.id).where(runs.c.id == evaluations.c.run, runs.c.kind == "judge")
    return sa.not_(shown.correlate(evaluations).exists())


def evaluation_with_key(connection: Connection, key: str) -> Row[Any] | None:
    """The newest evaluation of exactly these inputs that could change the champion, or None."""
    query = sa.select(evaluations).where(evaluations.c.key == key, deciding())
    return _newest(connection, query)


def _newest(connection: Connection, query: sa.Select[Any]) -> Row[Any] | None:
    return connection.execute(query.order_by(evaluations.c.id.desc()).limit(1)).one_or_none()


def earlier_verdicts(
    connection: Connection, version: int, challenger: int | None = None, *, manual: bool = False
) -> sa.ColumnElement[bool]:
    """SQL condition: evaluations before this model was first judged on the rows of `version`.

    Its own verdicts on other rows are among them. Only verdicts that could change the champion
    count; for a model that a person chose (`manual`) also those that `housing judge` showed.
    """
    here = evaluations.c.version.in_(profiles.alike(version))
    first = sa.select(sa.func.min(evaluations.c.id)).where(here, deciding())
    own = connection.execute(first.where(evaluations.c.challenger == challenger)).scalar()
    return sa.and_(
        sa.true() if manual else deciding(),
        sa.true() if own is None else evaluations.c.id < own,
        sa.not_(sa.and_(evaluations.c.challenger == challenger, here)),
    )


def judged_before(connection: Connection, earlier: sa.ColumnElement[bool]) -> tuple[int, ...]:
    """The challengers of some evaluations, in the order in which they were first judged."""
    query = sa.select(evaluations.c.challenger).where(earlier).group_by(evaluations.c.challenger)
    return tuple(connection.execute(query.order_by(sa.func.min(evaluations.c.id))).scalars())


def judged_on(
    connection: Connection, version: int, earlier: sa.ColumnElement[bool]
) -> tuple[int, ...]:
    """Those of `judged_before` that were judged on exactly the rows of `version`."""
    here = evaluations.c.version.in_(profiles.alike(version))
    return judged_before(connection, sa.and_(earlier, here))


def promoting_evaluation(connection: Connection, champion: int) -> Row[Any] | None:
    """The evaluation that made a model champion, or None."""
    query = (
        sa.select(evaluations)
        .join(promotion_log, promotion_log.c.evaluation == evaluations.c.id)
        .where(promotion_log.c.to_model == champion, promotion_log.c.operation == "promote")
        .order_by(promotion_log.c.seq.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def newest_evaluation(connection: Connection, challenger: int) -> Row[Any] | None:
    """The last evaluation of a challenger, or None."""
    return _newest(connection, sa.select(evaluations).where(evaluations.c.challenger == challenger))


def evaluations_of(connection: Connection, challenger: int) -> Sequence[Row[Any]]:
    """All evaluations of a challenger, oldest first."""
    its = sa.select(evaluations).where(evaluations.c.challenger == challenger)
    return connection.execute(its.order_by(evaluations.c.id)).all()


def newest_comparison(connection: Connection, model: int) -> Row[Any] | None:
    """The last evaluation of a model, as challenger or as champion, or None."""
    either = sa.or_(evaluations.c.challenger == model, evaluations.c.champion == model)
    return _newest(connection, sa.select(evaluations).where(either))


def newest_evaluation_of_each(connection: Connection, among: Sequence[int]) -> Sequence[Row[Any]]:
    """The last evaluation of each of some challengers that has one."""
    newest = sa.select(sa.func.max(evaluations.c.id)).where(evaluations.c.challenger.in_(among))
    ids = newest.group_by(evaluations.c.challenger)
    columns = evaluations.c.challenger, evaluations.c.evidence
    return connection.execute(sa.select(*columns).where(evaluations.c.id.in_(ids))).all()


def newest_evaluations(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """The last evaluations, newest first."""
    newest_first = sa.select(evaluations).order_by(evaluations.c.id.desc())
    return connection.execute(newest_first.limit(limit)).all()
