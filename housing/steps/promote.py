"""Promotion and rollback: the two ways in which the champion changes."""

import sqlalchemy as sa

from housing import schema
from housing.errors import NotPossible
from housing.steps.evaluate import Judged
from housing.steps.night import Night
from housing.store import artifacts, datasets, registry
from housing.store.backup import copy_verified
from housing.store.engine import Store
from housing.store.registry import Change
from housing.store.runs import actor
from housing.store.tables import batches, split_parts


def back_up(store: Store, model: int) -> int:
    """Have a verified second copy of a model and of the data it came from; returns bytes."""
    with store.read() as connection:
        row = registry.model(connection, model)
        members = datasets.get(connection, row.version).batches
        query = (
            sa.select(batches.c.segment, split_parts.c.sides)
            .join(split_parts, split_parts.c.batch == batches.c.id)
            .where(batches.c.id.in_(members))
        )
        parts = connection.execute(query).all()
    digests = [row.artifact, row.golden, *(d for part in parts for d in part)]
    return copy_verified(store, digests)


def promote(store: Store, night: Night, judged: Judged) -> int:
    """Make the challenger champion; returns the ledger line.

    ChampionChanged if it was judged against a champion that has been replaced since.
    """
    with store.read() as connection:
        newest = registry.head(connection)
    if newest is not None and newest.to_model == judged.challenger:
        return int(newest.seq)  # a run that died after this step, run again
    return registry.change_champion(
        store,
        Change(
            operation="promote",
            to_model=judged.challenger,
            expected=judged.champion,
            actor=actor(),
            reason=judged.sentence,
            evaluation=judged.evaluation,
            run=night.run,
        ),
    )


def roll_back(store: Store, target: int | None, reason: str, run: int | None = None) -> Change:
    """Make a former champion the champion again; returns what was written to the ledger.

    Without `target` it is the one that the current champion replaced. The model is loaded and
    must give its golden predictions before the ledger changes.
    """
    with store.read() as connection:
        current = registry.champion(connection)
        chosen = registry.previous_champion(connection) if target is None else target
        former = registry.former_champions(connection)
        row = registry.model(connection, chosen)
    if chosen == current:
        raise NotPossible(what=f"Rolling back to m{chosen}", why="it is the champion.")
    if chosen not in former:
        raise NotPossible(
            what=f"Rolling back to m{chosen}",
            why="it was never champion; `housing history` lists those that were.",
        )
    fitted = artifacts.get_model(store, row.artifact)
    artifacts.replay_golden(store, row.golden, lambda X: fitted.predict(X[list(schema.FEATURES)]))
    change = Change("rollback", chosen, current, actor(), reason, run=run)
    registry.change_champion(store, change)
    return change
