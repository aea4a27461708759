"""Where the rows of batches lie: each in a segment of its own, or those of old ones in a pack.

A pack holds the rows and sides of many batches, one after the other in reading order, so that a
version of a thousand batches is read from a few objects. `packing` makes them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.keys import KEY_COLUMN, Keys
from housing.problem import MARK
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.tables import batch_splits, batches, packed_batches

SIDE = f"{MARK}side"
"""Column of a pack: the side of each row."""

NAMED = 1_000
"""Batches that one query names; for more, all rows of the table are read."""


@dataclass(frozen=True)
class Part:
    """Batches whose rows are read together: consecutive ones of a pack, or one segment."""

    batches: tuple[int, ...]
    digest: str  # of the segment or the pack
    sides: str | None = None  # digest; None in a pack, and while the keys are in no ledger
    spans: tuple[tuple[int, int], ...] = ()  # in a pack: first row and rows of each batch

    @property
    def is_split(self) -> bool:
        """Whether its rows have sides."""
        return bool(self.spans) or self.sides is not None


def parts(connection: Connection, members: Sequence[int]) -> list[Part]:
    """The parts that hold some batches, in their order; batches without rows have none."""
    query = (
        sa.select(
            batches.c.id, batches.c.segment, batch_splits.c.sides, packed_batches.c.pack,
            packed_batches.c.first_row, packed_batches.c.rows,
        )
        .outerjoin(batch_splits, batch_splits.c.batch == batches.c.id)
        .outerjoin(packed_batches, packed_batches.c.batch == batches.c.id)
        .where(batches.c.segment.is_not(None))
    )  # fmt: skip
    if len(members) <= NAMED:
        query = query.where(batches.c.id.in_(members))
    found = {row.id: row for row in connection.execute(query)}
    return list(_joined(found[batch] for batch in members if batch in found))


def _joined(rows: Iterable[Row[tuple[int, str, str, str, int, int]]]) -> Iterator[Part]:
    """Neighbours in one pack as one part."""
    pack, members, spans = "", list[int](), list[tuple[int, int]]()
    for row in rows:
        if members and row.pack != pack:
            yield Part(tuple(members), pack, None, tuple(spans))
            members, spans = [], []
        if row.pack is None:
            yield Part((row.id,), row.segment, row.sides)
            continue
        pack = row.pack
        members.append(row.id)
        spans.append((row.first_row, row.rows))
    if members:
        yield Part(tuple(members), pack, None, tuple(spans))


def read(store: Store, part: Part, columns: Sequence[str] | None, side: str = "") -> pa.Table:
    """The named columns (all for None) of a part's rows; one that it lacks is left out.

    With the sides of the rows in a last column of the name `side`, if one is given.
    """
    wanted = None if columns is None else [*columns, *[SIDE] * bool(side and part.spans)]
    table = get_table(store, part.digest, wanted)
    if part.spans:
        slices = [table.slice(first, rows) for first, rows in _merged(part.spans)]
        table = slices[0] if len(slices) == 1 else pa.concat_tables(slices)
    elif side:
        table = table.append_column(SIDE, get_table(store, str(part.sides))["side"])
    names = [n for n in columns or table.column_names if n in table.column_names and n != SIDE]
    if not side:
        return table.select(names)
    return table.select([*names, SIDE]).rename_columns([*names, side])


def keys_of(store: Store, members: Sequence[int]) -> Keys:
    """Keys of the rows of some batches, in their order; shape (n,)."""
    found = store.query(parts, members)
    keys = [read(store, part, (KEY_COLUMN,))[KEY_COLUMN].to_numpy() for part in found]
    return np.concatenate([np.zeros(0, dtype=np.int64), *keys])


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of rows, neighbours as one."""
    found: list[tuple[int, int]] = []
    for first, rows in spans:
        if found and sum(found[-1]) == first:
            found[-1] = (found[-1][0], found[-1][1] + rows)
        else:
            found.append((first, rows))
    return found


def each(
    store: Store, found: Iterable[Part], columns: Sequence[str] | None
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each batch of some parts; a part is read once."""
    for part in found:
        table = read(store, part, columns)
        first = 0
        for batch, rows in zip(part.batches, _rows(part, table), strict=True):
            yield batch, table.slice(first, rows)
            first += rows


def batch_of_rows(part: Part, table: pa.Table) -> npt.NDArray[np.int64]:
    """The batch of each row of a part that was read; shape (n,)."""
    return np.repeat(np.array(part.batches, dtype=np.int64), _rows(part, table))


def _rows(part: Part, table: pa.Table) -> list[int]:
    return [rows for _, rows in part.spans] or [table.num_rows]
