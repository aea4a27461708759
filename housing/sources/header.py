"""Which columns a delivered table has, and whether they are the wanted ones.

Shared by every format. The values in the columns belong in `quality`.
"""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from housing.errors import FileUnreadable
from housing.schema import CATALOGUE, OPTIONAL_COLUMNS

_NAMED = 5  # unknown columns that a message names


class Wanted(NamedTuple):
    """Columns that are read; of a table that lacks a required one nothing is."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


DELIVERED = Wanted(tuple(CATALOGUE), OPTIONAL_COLUMNS)
"""The columns of a delivery."""


def read_header(
    names: Sequence[str], file: str, where: str = "line 1", wanted: Wanted = DELIVERED
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Positions (from 0) of the wanted columns, in wanted order, and a note about the others.

    FileUnreadable names what is wrong, and where.
    """
    names = [name.strip() for name in names]
    columns = (*wanted.required, *wanted.optional)
    counts = Counter(names)
    doubled = [name for name in columns if counts[name] > 1]
    missing = [name for name in wanted.required if not counts[name]]
    unknown = [name for name in names if name not in columns]
    if not any(counts[name] for name in columns):
        found = ", ".join(repr(name[:40]) for name in names[:_NAMED])
        raise FileUnreadable(
            file=file,
            why=f"{where} is not the header: it begins with {found}. It must name the columns: "
            + ",".join(wanted.required),
        )
    if doubled:
        at = [str(index + 1) for index, name in enumerate(names) if name == doubled[0]]
        why = f"the column {doubled[0]} is there {len(at)} times (columns {' and '.join(at)})"
        raise FileUnreadable(file=file, why=f"{where}: {why}. Leave one of them")
    if missing:
        raise FileUnreadable(file=file, why=f"{where}: {_missing(missing, unknown)}")
    positions = {name: names.index(name) for name in columns if counts[name]}
    if not unknown:
        return positions, ()
    named = ", ".join(repr(name[:40]) for name in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED:,} more" if len(unknown) > _NAMED else ""
    note = f"columns that are not in the catalogue were ignored: {named}{more}"
    return positions, (note,)


def _missing(missing: Sequence[str], unknown: Sequence[str]) -> str:
    parts = []
    lowered = {name.lower().replace(" ", "_"): name for name in unknown}
    for name in missing:
        close = get_close_matches(name, lowered, n=1, cutoff=0.75)
        parts.append(name + (f" (is {lowered[close[0]][:40]!r} meant?)" if close else ""))
    plural = "columns are" if len(missing) > 1 else "column is"
    return f"the {plural} missing: {', '.join(parts)}. Add what is missing; order does not matter"
