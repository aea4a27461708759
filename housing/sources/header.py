"""Which columns a delivered table has, and whether they are the catalogue's.

Shared by every format. What stands in the columns is `quality`'s business.
"""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from housing.errors import FileUnreadable
from housing.schema import CATALOGUE, OPTIONAL_COLUMNS

_NAMED = 5  # unknown columns that a message names


class Header(NamedTuple):
    """Where the wanted columns stand, and what to tell a person about the others."""

    positions: dict[str, int]  # from 0; catalogue order, then the optional ones
    notes: tuple[str, ...]


def read_header(names: Sequence[str], file: str, where: str = "line 1") -> Header:
    """Find the catalogue's columns among `names`; FileUnreadable names what is wrong, and where."""
    names = [name.strip() for name in names]
    wanted = (*CATALOGUE, *OPTIONAL_COLUMNS)
    counts = Counter(names)
    doubled = [name for name in wanted if counts[name] > 1]
    missing = [name for name in CATALOGUE if not counts[name]]
    unknown = [name for name in names if name not in wanted]
    if len(missing) == len(CATALOGUE):
        found = ", ".join(repr(name[:40]) for name in names[:_NAMED])
        raise FileUnreadable(
            file=file,
            why=f"{where} is not the header: it begins with {found}. It must name the columns: "
            + ",".join(CATALOGUE),
        )
    if doubled:
        raise FileUnreadable(file=file, why=f"{where}: {_doubled(doubled[0], names)}")
    if missing:
        raise FileUnreadable(file=file, why=f"{where}: {_missing(missing, unknown)}")
    positions = {name: names.index(name) for name in wanted if counts[name]}
    return Header(positions, _ignored(unknown))


def _doubled(name: str, names: Sequence[str]) -> str:
    at = [str(index + 1) for index, other in enumerate(names) if other == name]
    return (
        f"the column {name} stands {len(at)} times (columns {' and '.join(at)}). Leave one of them"
    )


def _missing(missing: Sequence[str], unknown: Sequence[str]) -> str:
    parts = []
    lowered = {name.lower().replace(" ", "_"): name for name in unknown}
    for name in missing:
        close = get_close_matches(name, lowered, n=1, cutoff=0.75)
        parts.append(name + (f" (is {lowered[close[0]][:40]!r} meant?)" if close else ""))
    plural = "columns are" if len(missing) > 1 else "column is"
    return f"the {plural} missing: {', '.join(parts)}. Add what is missing; order does not matter"


def _ignored(unknown: Sequence[str]) -> tuple[str, ...]:
    if not unknown:
        return ()
    named = ", ".join(repr(name[:40]) for name in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED:,} more" if len(unknown) > _NAMED else ""
    return (f"columns that are not in the catalogue were ignored: {named}{more}",)
