"""Blocks: models and batches that were excluded, whose lineage is not promoted.

A block is an entry of the promotion log and so is its end; replaying them gives what is blocked.
The lineage of a blocked model is every model of the same recipe on the same rows; that of a
blocked batch, every model trained on a dataset version with it. Training goes on; only promotion
is blocked.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import NotPossible
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.tables import dataset_profiles as profiles
from housing.store.database.tables import models, row_of, searches
from housing.store.database.tables import promotion_log as entries
from housing.store.models import promotion_log
from housing.store.models.promotion_log import Authorship


@dataclass(frozen=True)
class Block:
    """Who blocked something, why, and when (UTC)."""

    seq: int  # number of the log entry
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Blocks:
    """What is blocked, by id."""

    models: Mapping[int, Block]
    batches: Mapping[int, Block]

    def block_of(self, letter: str, id_: int) -> Block | None:
        """The block of m7 or b3, or None."""
        return (self.models if letter == "m" else self.batches).get(id_)


def current(connection: Connection) -> Blocks:
    """Models and batches that are blocked."""
    query = sa.select(entries).where(entries.c.operation.in_(("block", "unblock")))
    found: dict[str, dict[int, Block]] = {"m": {}, "b": {}}
    for row in connection.execute(query.order_by(entries.c.seq)):
        letter, id_ = ("m", row.blocked_model) if row.blocked_model else ("b", row.blocked_batch)
        if row.operation == "block":
            found[letter][id_] = Block(row.seq, row.actor, row.reason, row.at)
        else:
            found[letter].pop(id_, None)
    return Blocks(found["m"], found["b"])


def block_reason(connection: Connection, model: int, blocks: Blocks | None = None) -> str:
    """Why a model may not be promoted, or "" if nothing of its lineage is blocked.

    `blocks` are the current ones unless given.
    """
    blocks = blocks or current(connection)
    parts = []
    if (own := blocks.models.get(model)) is not None:
        parts.append(f"m{model} is blocked ({own.reason}); `housing unblock m{model}` unblocks it")
    parts += [
        f"m{model} has the recipe of m{twin} on the same rows, and m{twin} is blocked "
        f"({blocks.models[twin].reason}); `housing unblock m{twin}` unblocks it"
        for twin in _twins(connection, model, blocks.models)
    ]
    if blocks.batches:
        version = connection.execute(
            sa.select(models.c.version).where(models.c.id == model)
        ).scalar_one()
        parts += [
            f"m{model} was trained on b{batch}, which is blocked "
            f"({blocks.batches[batch].reason}); `housing unblock b{batch}` unblocks it, "
            f"`housing dataset withdraw b{batch}` trains without it"
            for batch in datasets.get(connection, version).batches
            if batch in blocks.batches
        ]
    return "; ".join(parts)


def _twins(connection: Connection, model: int, among: Iterable[int]) -> list[int]:
    """Other models among those given that have the recipe of `model` on the same rows."""
    query = (
        sa.select(models, profiles.c.content, searches.c.plan)
        .join(profiles, profiles.c.version == models.c.version)
        .join(searches, searches.c.id == models.c.search)
        .where(models.c.id.in_({model, *among}))
    )
    rows = {row.id: (row.content, recipe(row)) for row in connection.execute(query)}
    ours = rows.pop(model, None)
    return sorted(twin for twin, theirs in rows.items() if theirs == ours)


def recipe(row: Row[Any]) -> str:
    """What a model is made of except its seeds: families, parameters, excluded features."""
    candidates = [member["candidate"] for member in row.members]
    parts = {json.dumps([d["family"], d["parameters"]], sort_keys=True) for d in candidates}
    return json.dumps([sorted(parts), row.plan["exclude_features"]])


def block(store: Store, letter: str, id_: int, why: Authorship) -> int:
    """Block m7 or b3; returns the number of the log entry. NotPossible if it is blocked."""
    with store.write() as connection:
        return block_in(connection, letter, id_, why)


def block_in(connection: Connection, letter: str, id_: int, why: Authorship) -> int:
    """`block` in a write transaction."""
    what = f"Blocking {letter}{id_}"
    row_of(connection, letter, id_)
    champion = promotion_log.champion(connection)
    if champion is None:
        raise NotPossible(what=what, why="there is no champion yet, so nothing to protect.")
    if current(connection).block_of(letter, id_) is not None:
        raise NotPossible(what=what, why="it is blocked; `housing history` shows since when.")
    if letter == "m" and id_ == champion:
        raise NotPossible(
            what=what,
            why="it is the champion. `housing rollback --reason TEXT` makes the previous one "
            "champion and blocks it.",
        )
    return append(connection, "block", letter, id_, why)


def unblock(store: Store, letter: str, id_: int, why: Authorship) -> int:
    """End a block; returns the number of the log entry. NotPossible if it is not blocked."""
    with store.write() as connection:
        row_of(connection, letter, id_)
        if current(connection).block_of(letter, id_) is None:
            raise NotPossible(
                what=f"Unblocking {letter}{id_}",
                why="it is not blocked; `housing status` lists what is.",
            )
        return append(connection, "unblock", letter, id_, why)


def append(connection: Connection, operation: str, letter: str, id_: int, why: Authorship) -> int:
    """Write a block or its end as the next log entry; the champion stays."""
    newest = promotion_log.head(connection)
    if newest is None:
        raise NotPossible(what=f"A {operation} of {letter}{id_}", why="there is no champion yet.")
    subject = {"blocked_model": id_} if letter == "m" else {"blocked_batch": id_}
    return promotion_log.append(connection, newest, operation, newest.to_model, why, **subject)
